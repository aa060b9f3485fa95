import { NotSeekableError, ResourceChangedError, UnverifiableResourceError } from './errors.ts';
import type { ResolvedRemoteOptions } from './options.ts';
import { type AnswerRange, checkStatus, partialRange, sizeOfUnsatisfied, wholeRange } from './range-answer.ts';
import { type Answer, follow } from './redirects.ts';
import { discard } from './timed-fetch.ts';
import { Transfer } from './transfer.ts';
import { difference, isProven, type Validator, validatorOf } from './validator.ts';

/** What came of the requests so far. */
export interface RemoteStats {
  /** Requests that were sent, each redirect included in its own. */
  requests: number;
  /** Of these, how many went on where another had failed. */
  retries: number;
  /** Bytes of bodies that came in, also those that were read through. */
  bytesFetched: number;
}

/** A response whose headers were found right, with its body still unread. */
export interface OpenAnswer {
  readonly response: Response;
  readonly url: string;
  /** Offset of the first byte of the body. */
  readonly from: number;
  /** Offset of the byte after its last, as the headers promise; undefined where they do not say. */
  readonly to: number | undefined;
  /** Of which version it is. */
  readonly version: Validator;
  /** A 206 to an `If-Range`: the server says that it is of the version that was named there. */
  readonly isConditional: boolean;
}

/**
 * One resource behind HTTP: asks for ranges of it, and sees to it that all of them are of one and the same version.
 *
 * The first response of which a byte is given fixes that version; every other one is held against it, when its headers come and
 * once more before its first byte is given, since two may be under way before either gives anything. The size is fixed by
 * the options, or by the first response that tells it.
 */
export class RemoteResource {
  readonly options: ResolvedRemoteOptions;
  readonly url: URL;
  readonly stats: RemoteStats = { requests: 0, retries: 0, bytesFetched: 0 };
  #size: number | undefined;
  #rangeSupport: 'unknown' | 'ranges' | 'none' = 'unknown';
  /** The version that all bytes must be of; null until the first is given. */
  #version: Validator | null = null;
  /** Highest offset up to which bytes were given. */
  #reach = 0;
  #changed: ResourceChangedError | null = null;

  constructor(url: URL, options: ResolvedRemoteOptions) {
    this.url = url;
    this.options = options;
    this.#size = options.size;
  }

  /** In bytes; undefined until it is given, or learnt from a response. */
  get size(): number | undefined {
    return this.#size;
  }

  /** `'ranges'` once a range was answered with one, `'none'` once it was answered with the whole. */
  get rangeSupport(): 'unknown' | 'ranges' | 'none' {
    return this.#rangeSupport;
  }

  /**
   * The bytes from `from` to `to` (exclusive; undefined: to the end), verified, and resumed where they break off. Nothing is
   * asked for before the first `next()`. The signal of the options ends it too.
   */
  transfer(from: number, to: number | undefined, signal?: AbortSignal): Transfer {
    return new Transfer(this, from, to, signal);
  }

  /**
   * Asks for a range. Null if there is nothing at `from`. Aborting `request` ends it, and later the body.
   *
   * @throws RetryableFailure, or an error after which another attempt would not help
   */
  async open(from: number, to: number | undefined, request: AbortController): Promise<OpenAnswer | null> {
    const headers = this.#headersFor(from, to);
    this.stats.requests++;
    const answer = await follow(this.url, this.options, headers, request);
    try {
      const opened = this.#check(answer, from, to, headers);
      if (opened === null) discard(answer.response);
      return opened;
    } catch (error) {
      discard(answer.response);
      throw error;
    }
  }

  /** False once bytes were given to which those of no other response may be joined: every further request is refused. */
  get canJoin(): boolean {
    return this.#version === null || this.#version.proof !== null || this.options.unverified;
  }

  /**
   * Refuses to go on at `offset` if what came from there would have to be joined to other bytes, and nothing could prove that
   * they belong together. `cause` is what broke off.
   *
   * @throws UnverifiableResourceError
   */
  checkJoin(offset: number, cause?: unknown): void {
    if (this.canJoin) return;
    throw new UnverifiableResourceError(this.url.href, offset, cause === undefined ? undefined : { cause });
  }

  /**
   * To be called before the first byte of an answer is given.
   *
   * @throws ResourceChangedError or UnverifiableResourceError if bytes of another version were given meanwhile
   */
  bind(answer: OpenAnswer): void {
    if (this.#version === null) this.#version = answer.version;
    else this.#checkVersion(this.#version, answer);
  }

  /** All bytes up to `offset` are given, as far as they were asked for. */
  gave(offset: number): void {
    if (offset > this.#reach) this.#reach = offset;
  }

  /**
   * The body of an answer that did not say how long it is has ended by itself. That is the end of the resource, also where no
   * byte of it was given.
   *
   * @throws ResourceChangedError or UnverifiableResourceError
   */
  endsAt(size: number, answer: OpenAnswer): void {
    if (this.#version !== null) this.#checkVersion(this.#version, answer);
    this.#learnSize(size);
  }

  #headersFor(from: number, to: number | undefined): Record<string, string> {
    if (this.#changed !== null) throw this.#changed;
    this.checkJoin(from);
    const headers: Record<string, string> = { 'accept-encoding': 'identity' };
    // Without seeking there is a range only where a body broke off.
    if (!this.options.seekable && from === 0) return headers;
    headers.range = `bytes=${from}-${to === undefined ? '' : to - 1}`;
    // Not without a Range (RFC 9110, 13.1.5).
    const strong = this.#version?.strong;
    if (strong != null) headers['if-range'] = strong;
    return headers;
  }

  #check(
    answer: Answer,
    from: number,
    to: number | undefined,
    sent: Readonly<Record<string, string>>,
  ): OpenAnswer | null {
    checkStatus(answer);
    const { response, url } = answer;
    const isPart = response.status === 206;
    const isConditional = response.status !== 200 && sent['if-range'] !== undefined;
    const version = validatorOf(response.headers);
    if (response.status === 416) {
      const size = sizeOfUnsatisfied(answer, from);
      // Of which version it is, it need not say: where an If-Range does not hold, the answer is a 200.
      if (this.#version !== null && isConditional) this.#checkDifference(this.#version, version);
      else if (this.#version !== null) this.#checkVersion(this.#version, { version, isConditional, from });
      this.#learnSize(size);
      return null;
    }
    if (this.#version !== null) this.#checkVersion(this.#version, { version, isConditional, from });
    const range = isPart ? partialRange(answer, from, to) : wholeRange(answer);
    this.#checkSize(range);
    if (sent.range !== undefined) this.#rangeSupport = isPart ? 'ranges' : 'none';
    if (!isPart && from > this.options.skipLimit) {
      const why = `the server answers a range with the whole, and more than ${this.options.skipLimit} bytes (skipLimit) lie before it`;
      throw new NotSeekableError(url, from, why);
    }
    return { response, url, from: range.from, to: range.to, version, isConditional };
  }

  #checkVersion(known: Validator, answer: Pick<OpenAnswer, 'version' | 'isConditional' | 'from'>): void {
    const { version, isConditional, from } = answer;
    if (version === known) return;
    this.#checkDifference(known, version);
    if (this.options.unverified || isProven(known, version, isConditional)) return;
    throw new UnverifiableResourceError(this.url.href, from);
  }

  #checkDifference(known: Validator, version: Validator): void {
    const detail = difference(known, version);
    if (detail !== null) this.#change(detail);
  }

  #checkSize({ to, size }: AnswerRange): void {
    if (size !== undefined) this.#learnSize(size);
    else if (to !== undefined && this.#size !== undefined && to > this.#size) {
      this.#change(`its size was ${this.#size}, and there are bytes up to ${to}`);
    }
  }

  #learnSize(size: number): void {
    if (this.#size !== undefined && this.#size !== size) this.#change(`its size was ${this.#size} and is ${size}`);
    if (size < this.#reach) this.#change(`its size is ${size}, and there were bytes up to ${this.#reach}`);
    this.#size = size;
  }

  #change(detail: string): never {
    this.#changed = new ResourceChangedError(this.url.href, detail);
    throw this.#changed;
  }
}
