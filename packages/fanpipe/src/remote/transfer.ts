import { CallbackError } from '../errors.ts';
import { type AbortMember, joinSignal, leaveSignal } from '../signals.ts';
import { BodyTooLongError, RetriesExhaustedError } from './errors.ts';
import type { RemoteResource } from './remote-resource.ts';
import { ResponseBody } from './response-body.ts';
import { Backoff, RetryableFailure } from './retry.ts';
import { pause } from './timer.ts';

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

/** How many microtasks an end that has come with the last byte may take to be seen. */
const HOPS = 32;

/**
 * Contiguous bytes of a resource, from one offset on, over as many requests as it takes.
 *
 * ```text
 *   next() ──▶ no body: open ──▶ check the headers ──▶ chunk ──▶ check its place ──▶ given ──▶ last one: drain
 *                 ▲                     │                │                                          │
 *                 ├──── pause ◀── failed, cut, silent ◀──┘                                          │
 *                 └───────────────────────── not yet at the end ◀───────────────────────────────────┘
 * ```
 *
 * One `next()` at a time. While none is called the body is not read and no clock runs, so the reader's pace is the
 * connection's; only what lies behind the last byte of a response is read at once. After the end, a rejection or `return()`
 * nothing is left: no request, no timer, no listener.
 */
export class Transfer implements AbortMember {
  readonly #resource: RemoteResource;
  readonly #to: number | undefined;
  readonly #signals: readonly (AbortSignal | undefined)[];
  readonly #backoff: Backoff;
  #position: number;
  /** Aborts whatever is under way: a request, its body, or the pause before the next one. */
  #underWay: AbortController | null = null;
  #body: ResponseBody | null = null;
  /** The version is fixed by now, so that every later response is held against it as soon as its headers come. */
  #isBound = false;
  /** Settles once the last body has been drained, with all that follows from that. Never rejects. */
  #drained: Promise<void> | null = null;
  #hasBegun = false;
  #isOver = false;
  #failure: { readonly reason: unknown } | null = null;

  constructor(resource: RemoteResource, from: number, to: number | undefined, signal: AbortSignal | undefined) {
    const { retry, clock, random } = resource.options;
    this.#resource = resource;
    this.#position = from;
    this.#to = to;
    this.#signals = [resource.options.signal, signal];
    this.#backoff = new Backoff(retry, clock, random);
  }

  /** Offset of the next byte that this will give. */
  get position(): number {
    return this.#position;
  }

  /** Offset at which this ends; undefined while that is not known. */
  get end(): number | undefined {
    const { size } = this.#resource;
    if (this.#to === undefined) return size;
    return size === undefined ? this.#to : Math.min(this.#to, size);
  }

  /**
   * The next bytes, which begin at `position`; done at the end. Rejects with a typed error, or the reason of a signal, and is over
   * then: every later call says the same.
   */
  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (!this.#hasBegun) this.#begin();
    let isReading = false;
    for (;;) {
      if (this.#isOver) return this.#ended();
      try {
        if (this.#drained !== null) {
          await this.#drained;
          continue;
        }
        const body = this.#body ?? (await this.#open());
        if (body === null) continue;
        isReading = true;
        const result = await body.read();
        isReading = false;
        if (this.#isOver) continue;
        if (result.done) {
          this.#bodyEnded(body);
          continue;
        }
        const chunk = this.#take(body, result.value);
        if (chunk === null) continue;
        return chunk === result.value ? result : { value: chunk, done: false };
      } catch (error) {
        await this.#failed(isReading ? new RetryableFailure(error) : error);
        isReading = false;
      }
    }
  }

  /** Nothing more is wanted: whatever is under way is aborted, and a `next()` that waits is done. May be called again. */
  async return(): Promise<void> {
    if (this.#isOver) return;
    this.#leave();
    // Aborted just before its end is seen, a connection would be closed that can be used again.
    for (let hops = 0; this.#drained !== null && hops < HOPS; hops++) await null;
    this.#leaveBody();
  }

  /** One of its signals has fired. */
  aborted(reason: unknown): void {
    this.#fail(reason);
  }

  #begin(): void {
    this.#hasBegun = true;
    for (const signal of this.#signals) {
      if (signal?.aborted) this.#fail(signal.reason);
      else if (signal !== undefined && !this.#isOver) joinSignal(signal, this);
    }
  }

  /** Null if it is over. */
  async #open(): Promise<ResponseBody | null> {
    const { end } = this;
    if (end !== undefined && this.#position >= end) {
      this.#finish(undefined);
      return null;
    }
    const request = new AbortController();
    this.#underWay = request;
    const answer = await this.#resource.open(this.#position, this.#to, request);
    if (answer === null) {
      this.#underWay = null;
      this.#finish(undefined);
      return null;
    }
    // If the request was aborted in this very turn, so is its body by now.
    this.#body = new ResponseBody(this.#resource, answer, request.signal);
    return this.#body;
  }

  /** What is to be given of a chunk, if anything. */
  #take(body: ResponseBody, raw: Uint8Array): Uint8Array | null {
    const position = this.#position;
    const chunk = body.take(raw, position, this.#to);
    if (chunk !== null) {
      if (!this.#isBound) this.#resource.bind(body.answer);
      this.#isBound = true;
      this.#position = position + chunk.byteLength;
      this.#resource.gave(this.#position);
      this.#backoff.succeeded();
    }
    if (body.isComplete) this.#drained = this.#drain(body);
    else if (this.#position === this.#to) this.#leaveBody();
    return chunk;
  }

  #bodyEnded(body: ResponseBody): void {
    this.#body = null;
    this.#underWay = null;
    const size = body.ended();
    if (size === undefined) return;
    this.#resource.endsAt(size, body.answer);
    this.#finish(undefined);
  }

  async #drain(body: ResponseBody): Promise<void> {
    this.#body = null;
    const rest = await body.drain();
    this.#drained = null;
    if (rest === 'end') this.#underWay = null;
    if (this.#isOver) return;
    if (rest === 'surplus') this.#fail(new BodyTooLongError(body.answer.url, body.to as number));
    else if (rest === 'nothing') this.#leaveBody();
    const { end } = this;
    // Who has all bytes need not ask once more.
    if (end !== undefined && this.#position >= end) this.#finish(undefined);
  }

  /** Waits for the next attempt, or ends all. */
  async #failed(error: unknown): Promise<void> {
    if (this.#isOver) return;
    this.#leaveBody();
    try {
      if (!(error instanceof RetryableFailure)) throw error;
      this.#resource.checkJoin(this.#position, error.cause);
      await this.#rest(error);
    } catch (reason) {
      this.#fail(reason);
    }
  }

  async #rest({ cause, retryAfter }: RetryableFailure): Promise<void> {
    const { options, stats, url } = this.#resource;
    const delay = this.#backoff.failed(retryAfter);
    const { failures } = this.#backoff;
    if (delay === null) throw new RetriesExhaustedError(url.href, failures, this.#position, cause);
    this.#underWay = new AbortController();
    const { signal } = this.#underWay;
    try {
      options.onRetry?.({ error: cause, attempt: failures, delay, offset: this.#position });
    } catch (error) {
      throw new CallbackError('onRetry', 'threw. No further request was made; the next read tries again.', {
        cause: error,
      });
    }
    await pause(delay, options.clock, signal);
    stats.retries++;
  }

  /** The body, or what would bring one, is aborted. */
  #leaveBody(reason?: unknown): void {
    const underWay = this.#underWay;
    this.#underWay = null;
    this.#body = null;
    underWay?.abort(reason);
  }

  #ended(): IteratorReturnResult<undefined> {
    if (this.#failure !== null) throw this.#failure.reason;
    return DONE;
  }

  #fail(reason: unknown): void {
    if (this.#isOver) return;
    this.#failure = { reason };
    this.#finish(reason);
  }

  /** Every way out but return(), which does the same more slowly. */
  #finish(reason: unknown): void {
    if (this.#isOver) return;
    this.#leave();
    this.#leaveBody(reason);
  }

  #leave(): void {
    this.#isOver = true;
    for (const signal of this.#signals) if (signal !== undefined) leaveSignal(signal, this);
  }
}
