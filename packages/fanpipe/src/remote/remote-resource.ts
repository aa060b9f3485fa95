import { parseContentRange, parseLength } from './content-range.ts';
import {
  BodyTooLongError,
  EncodedBodyError,
  HttpStatusError,
  NotSeekableError,
  ResourceChangedError,
  UnverifiableResourceError,
  WrongRangeError,
} from './errors.ts';
import type { ResolvedRemoteOptions } from './options.ts';
import { type Answer, discard, request } from './redirects.ts';
import { isRetryable, RetryableFailure, retryAfterOf } from './retry.ts';
import { Transfer } from './transfer.ts';
import { difference, type Validator, validatorOf } from './validator.ts';

/** What came of the requests so far. */
export interface RemoteStats {
  /** Requests that were sent, each redirect included in its own. */
  requests: number;
  /** Of these, how many went on where another had failed. */
  retries: number;
  /** Bytes of bodies that came in, also those that were read through. */
  bytesFetched: number;
}

/** A body whose headers were found right. */
export interface Body {
  readonly response: Response;
  /** Offset of its first byte. */
  readonly from: number;
  /** Offset of the byte after its last, as the headers promise; undefined where they do not say. */
  readonly to: number | undefined;
}

/**
 * One resource behind HTTP: asks for ranges of it, and sees to it that all of them are of one and the same version.
 *
 * The first response fixes what the resource is: its validator and its size. Every later one is held against that.
 */
export class RemoteResource {
  readonly options: ResolvedRemoteOptions;
  readonly url: URL;
  readonly stats: RemoteStats = { requests: 0, retries: 0, bytesFetched: 0 };
  #size: number | undefined;
  #rangeSupport: 'unknown' | 'ranges' | 'none' = 'unknown';
  #validator: Validator | null = null;
  #changed: ResourceChangedError | null = null;
  /** Some byte was given out, to which all others must belong. */
  #hasGiven = false;

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
   * asked for before the first `next()`.
   */
  transfer(from: number, to: number | undefined, signal?: AbortSignal): Transfer {
    return new Transfer(this, from, to, signal);
  }

  /** A byte was given out. */
  gave(): void {
    this.#hasGiven = true;
  }

  /** The resource was read to its end. */
  endsAt(size: number): void {
    this.#learnSize(size);
  }

  /**
   * Asks for a range. Null if it begins at the end, or behind it.
   *
   * @throws RetryableFailure, or an error after which another attempt would not help
   */
  async open(from: number, to: number | undefined, signal: AbortSignal): Promise<Body | null> {
    const headers = this.#headersFor(from, to);
    this.stats.requests++;
    const answer = await request(this.url, this.options, headers, signal);
    try {
      return this.#check(answer, from, to);
    } catch (error) {
      discard(answer.response);
      throw error;
    }
  }

  #headersFor(from: number, to: number | undefined): Record<string, string> {
    if (this.#changed !== null) throw this.#changed;
    const { seekable, unverified } = this.options;
    const headers: Record<string, string> = { 'accept-encoding': 'identity' };
    if (seekable || from > 0) headers.range = `bytes=${from}-${to === undefined ? '' : to - 1}`;
    const strong = this.#validator?.strong;
    if (strong != null) headers['if-range'] = strong;
    else if (this.#hasGiven && !unverified) throw new UnverifiableResourceError(this.url.href, from);
    return headers;
  }

  #check({ response, url }: Answer, from: number, to: number | undefined): Body | null {
    const { status, headers } = response;
    if (isRetryable(status)) throw new RetryableFailure(new HttpStatusError(url, status), retryAfterOf(headers));
    if (status === 416) return this.#checkEnd(response, url, from);
    if (status !== 200 && status !== 206) throw new HttpStatusError(url, status);
    const encoding = headers.get('content-encoding');
    if (encoding !== null && encoding.trim().toLowerCase() !== 'identity') throw new EncodedBodyError(url, encoding);
    this.#checkVersion(validatorOf(headers));
    return status === 206 ? this.#checkRange(response, url, from, to) : this.#checkWhole(response, url, from);
  }

  #checkVersion(validator: Validator): void {
    if (this.#validator === null || !this.#hasGiven) {
      this.#validator = validator;
      return;
    }
    const detail = difference(this.#validator, validator);
    if (detail !== null) this.#change(detail);
  }

  /** 206, RFC 9110 15.3.7. */
  #checkRange(response: Response, url: string, from: number, to: number | undefined): Body {
    const { headers } = response;
    const type = headers.get('content-type') ?? '';
    if (/^multipart\/byteranges/i.test(type)) throw new WrongRangeError(url, from, 'it sent several parts');
    const text = headers.get('content-range');
    const range = parseContentRange(text);
    if (range === null || range.from === undefined || range.to === undefined) {
      throw new WrongRangeError(
        url,
        from,
        `its Content-Range is ${text === null ? 'missing' : JSON.stringify(text.slice(0, 80))}`,
      );
    }
    if (range.from !== from) throw new WrongRangeError(url, from, `it begins at ${range.from}`);
    if (to !== undefined && range.to > to) throw new WrongRangeError(url, from, `it goes to ${range.to}, not ${to}`);
    const length = parseLength(headers.get('content-length'));
    if (length !== undefined && length !== range.to - from) {
      throw new WrongRangeError(
        url,
        from,
        `its Content-Length is ${length}, and its Content-Range holds ${range.to - from}`,
      );
    }
    if (range.size !== undefined) this.#learnSize(range.size);
    else if (this.#size !== undefined && range.to > this.#size)
      this.#change(`it goes to ${range.to}, and had ${this.#size} bytes`);
    this.#rangeSupport = 'ranges';
    return { response, from, to: range.to };
  }

  /** 200: the whole, whatever was asked for. */
  #checkWhole(response: Response, url: string, from: number): Body {
    const { seekable, skipLimit } = this.options;
    const length = parseLength(response.headers.get('content-length'));
    if (length !== undefined) this.#learnSize(length);
    if (seekable || from > 0) this.#rangeSupport = 'none';
    if (from > skipLimit) {
      const why = `the server does not serve ranges, and it lies behind more than ${skipLimit} bytes (skipLimit)`;
      throw new NotSeekableError(url, from, why);
    }
    return { response, from: 0, to: length ?? this.#size };
  }

  /** 416, RFC 9110 15.5.17: there is nothing at that offset. */
  #checkEnd(response: Response, url: string, from: number): null {
    const text = response.headers.get('content-range');
    const range = parseContentRange(text);
    if (range === null || range.from !== undefined || range.size === undefined || range.size > from) {
      throw new WrongRangeError(
        url,
        from,
        `it said that there is none, with the Content-Range ${JSON.stringify(text)}`,
      );
    }
    this.#learnSize(range.size);
    discard(response);
    return null;
  }

  #learnSize(size: number): void {
    if (this.#size === undefined) this.#size = size;
    else if (this.#size !== size) this.#change(`its size was ${this.#size} and is ${size}`);
  }

  #change(detail: string): never {
    this.#changed = new ResourceChangedError(this.url.href, detail);
    throw this.#changed;
  }

  /** The body went on where it should end. */
  tooLong(to: number): BodyTooLongError {
    return new BodyTooLongError(this.url.href, to);
  }
}
