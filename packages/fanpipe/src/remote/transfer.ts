import { CallbackError, StalledReadError } from '../errors.ts';
import { StalledReadMonitor } from '../monitor/index.ts';
import { type AbortMember, joinSignal, leaveSignal } from '../signals.ts';
import { BodyTooShortError, RetriesExhaustedError } from './errors.ts';
import type { Body, RemoteResource } from './remote-resource.ts';
import { Backoff, pause, RetryableFailure } from './retry.ts';

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

/** The bytes of one response, guarded against silence. */
interface OpenBody extends Body {
  readonly chunks: StalledReadMonitor<Uint8Array>;
}

/**
 * Contiguous bytes of a resource, from one offset on, over as many requests as it takes.
 *
 * ```text
 *   next() ──▶ no body: open ──▶ check the headers ──▶ chunk ──▶ check the place ──▶ given
 *                 ▲                     │                │
 *                 └──── pause ◀── failed, cut, silent ◀──┘
 * ```
 *
 * One `next()` at a time. While none is called the body is not read and no clock runs, so the reader's pace is the
 * connection's. After the end, a rejection or `return()` nothing is left: no request, no timer, no listener.
 */
export class Transfer implements AbortMember {
  readonly #resource: RemoteResource;
  readonly #to: number | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #backoff: Backoff;
  /** Aborts whatever is under way. */
  #abort: AbortController = new AbortController();
  #body: OpenBody | null = null;
  /** Offset of the next byte of the body: behind the position while a body is read through. */
  #at = 0;
  #position: number;
  #isOver = false;
  #failure: { readonly reason: unknown } | null = null;

  constructor(resource: RemoteResource, from: number, to: number | undefined, signal: AbortSignal | undefined) {
    const { retry, clock, random } = resource.options;
    this.#resource = resource;
    this.#position = from;
    this.#to = to;
    this.#signal = signal;
    this.#backoff = new Backoff(retry, clock, random);
    if (signal?.aborted) this.aborted(signal.reason);
    else if (signal !== undefined) joinSignal(signal, this);
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
   * The next bytes, which begin at `position`; done at the end. Rejects with a typed error, or the signal's reason, and is over
   * then.
   */
  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#failure !== null) throw this.#failure.reason;
    if (this.#isOver) return DONE;
    try {
      for (;;) {
        const chunk = await this.#step();
        if (this.#isOver) return this.#ended();
        if (chunk === null) continue;
        this.#position += chunk.length;
        this.#resource.gave();
        this.#backoff.succeeded();
        return { value: chunk, done: false };
      }
    } catch (error) {
      if (this.#isOver) return this.#ended();
      this.#fail(error);
      throw error;
    }
  }

  #ended(): IteratorReturnResult<undefined> {
    if (this.#failure !== null) throw this.#failure.reason;
    return DONE;
  }

  /** Nothing more is wanted: the request is aborted, and a `next()` that waits is done. */
  async return(): Promise<void> {
    this.#finish(undefined);
  }

  aborted(reason: unknown): void {
    this.#fail(reason);
  }

  #fail(reason: unknown): void {
    if (this.#isOver) return;
    this.#failure = { reason };
    this.#finish(reason);
  }

  #finish(reason: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#signal !== undefined) leaveSignal(this.#signal, this);
    this.#leaveBody();
    this.#abort.abort(reason);
  }

  /** One thing that may fail and be tried again: opens a body, or takes a chunk. Null where there is nothing to give yet. */
  async #step(): Promise<Uint8Array | null> {
    try {
      if (this.#body === null) return await this.#open();
      return await this.#read(this.#body);
    } catch (error) {
      this.#leaveBody();
      if (this.#isOver) throw error;
      if (!(error instanceof RetryableFailure)) throw error;
      await this.#rest(error);
      return null;
    }
  }

  async #open(): Promise<null> {
    const { end } = this;
    if (end !== undefined && this.#position >= end) {
      this.#finish(undefined);
      return null;
    }
    const body = await this.#request();
    if (body === null) {
      this.#finish(undefined);
      return null;
    }
    const { clock, timeout, minThroughput } = this.#resource.options;
    const chunks = new StalledReadMonitor<Uint8Array>(body.response.body ?? [], { clock }).withTimeout(timeout);
    if (minThroughput > 0) chunks.minThroughput(minThroughput);
    this.#body = { ...body, chunks };
    this.#at = body.from;
    return null;
  }

  /** Asks, but waits for the headers only so long, and no longer than somebody wants them: a fetcher may not heed its signal. */
  #request(): Promise<Body | null> {
    const { clock, timeout } = this.#resource.options;
    const attempt = new AbortController();
    this.#abort = attempt;
    return new Promise((resolve, reject) => {
      const timer = clock.setTimeout(() => {
        const stall = new StalledReadError('timeout', timeout, `no answer came within ${timeout} ms.`);
        attempt.abort(stall);
      }, timeout);
      let isSettled = false;
      const settle = (): void => {
        isSettled = true;
        clock.clearTimeout(timer);
        attempt.signal.removeEventListener('abort', aborted);
      };
      const aborted = (): void => {
        settle();
        const { reason } = attempt.signal;
        reject(this.#isOver ? reason : new RetryableFailure(reason));
      };
      attempt.signal.addEventListener('abort', aborted);
      this.#resource.open(this.#position, this.#to, attempt.signal).then(
        (body) => {
          if (isSettled) {
            body?.response.body?.cancel().catch(() => {});
            return;
          }
          settle();
          resolve(body);
        },
        (error) => {
          if (isSettled) return;
          settle();
          reject(error);
        },
      );
    });
  }

  async #read(body: OpenBody): Promise<Uint8Array | null> {
    let result: IteratorResult<Uint8Array, undefined>;
    try {
      result = await body.chunks.next();
    } catch (error) {
      throw new RetryableFailure(error);
    }
    if (result.done) return this.#bodyEnded(body);
    let chunk = result.value;
    this.#resource.stats.bytesFetched += chunk.length;
    const begin = this.#at;
    this.#at += chunk.length;
    if (body.to !== undefined && this.#at > body.to) throw this.#resource.tooLong(body.to);
    // What lies before the position is read through, and what lies behind the end was not asked for.
    const skip = Math.min(chunk.length, Math.max(0, this.#position - begin));
    const room = this.#to === undefined ? chunk.length : Math.max(0, Math.min(chunk.length, this.#to - begin));
    if (skip > 0 || room < chunk.length) chunk = chunk.subarray(skip, Math.max(skip, room));
    if (this.#to !== undefined && this.#at >= this.#to && body.to !== this.#to) this.#leaveBody();
    return chunk.length === 0 ? null : chunk;
  }

  /** The body has ended by itself. Without a promise of its size that is the end of the resource. */
  #bodyEnded(body: OpenBody): null {
    this.#body = null;
    if (body.to === undefined) {
      this.#resource.endsAt(this.#at);
      this.#finish(undefined);
    } else if (this.#at < body.to) {
      throw new RetryableFailure(new BodyTooShortError(this.#resource.url.href, this.#at, body.to));
    }
    return null;
  }

  #leaveBody(): void {
    const body = this.#body;
    if (body === null) return;
    this.#body = null;
    body.chunks.return().catch(() => {});
    this.#abort.abort();
  }

  /** Waits before the next attempt; rejects where there is to be none. */
  async #rest({ cause, retryAfter }: RetryableFailure): Promise<void> {
    const { options, stats, url } = this.#resource;
    const delay = this.#backoff.failed(retryAfter);
    const { failures } = this.#backoff;
    if (delay === null) throw new RetriesExhaustedError(url.href, failures, this.#position, cause);
    try {
      options.onRetry?.({ error: cause, attempt: failures, delay, offset: this.#position });
    } catch (error) {
      throw new CallbackError('onRetry', 'threw. No further request was made; the next read tries again.', {
        cause: error,
      });
    }
    if (this.#isOver) return;
    this.#abort = new AbortController();
    await pause(delay, options.clock, this.#abort.signal);
    stats.retries++;
  }
}
