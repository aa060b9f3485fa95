import { type AbortMember, joinSignal, leaveSignal } from '../signals.ts';
import type { RangeSink } from './range-sink.ts';
import { type SinkOwner, SinkWaiter } from './sink-waiter.ts';
import type { SparseCache } from './sparse-cache.ts';

/**
 * One `readAt`: takes what is cached, and waits for all gaps at once, in whatever order they come. It fails with the first of
 * them that fails, or with its signal, and leaves the others then.
 */
export class RandomRead implements SinkOwner, AbortMember {
  readonly promise: Promise<Uint8Array>;
  readonly #sink: RangeSink;
  readonly #signal: AbortSignal | undefined;
  readonly #waiters: Set<SinkWaiter> = new Set();
  #resolve!: (bytes: Uint8Array) => void;
  #reject!: (reason: unknown) => void;
  #isSettled = false;
  /** Offset after the last byte that there is, as far as this read has met it. */
  #end: number;

  constructor(sink: RangeSink, signal: AbortSignal | undefined) {
    this.#sink = sink;
    this.#signal = signal;
    this.#end = sink.end;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (signal !== undefined) joinSignal(signal, this);
  }

  /** Takes from `cache` what is there, and hands a waiter for each gap to `place`. To be called once. */
  begin(cache: SparseCache, size: number | undefined, place: (waiter: SinkWaiter) => void): void {
    if (this.#isSettled) return;
    if (size !== undefined) this.#end = Math.max(this.#sink.offset, Math.min(this.#end, size));
    const gaps: SinkWaiter[] = [];
    try {
      for (let at = this.#sink.offset; at < this.#end; ) {
        const view = cache.view(at, this.#end);
        if (view !== undefined) {
          this.#sink.put(at, view);
          at += view.length;
          continue;
        }
        const to = cache.gapEnd(at, this.#end);
        gaps.push(new SinkWaiter(at, to, this.#sink, this));
        at = to;
      }
    } catch (error) {
      this.failed(error);
      return;
    }
    for (const gap of gaps) this.#waiters.add(gap);
    if (gaps.length === 0) this.#done();
    else for (const gap of gaps) if (!this.#isSettled) place(gap);
  }

  /** Waits for the rest of a gap with another waiter, since one request does not bring all of it. */
  split(waiter: SinkWaiter, at: number): SinkWaiter {
    const rest = new SinkWaiter(at, waiter.to, this.#sink, this);
    waiter.to = at;
    this.#waiters.add(rest);
    return rest;
  }

  filled(waiter: SinkWaiter): void {
    if (waiter.from < waiter.to) this.#end = Math.min(this.#end, waiter.from);
    if (this.#waiters.delete(waiter) && this.#waiters.size === 0) this.#done();
  }

  failed(reason: unknown): void {
    if (this.#isSettled) return;
    this.#settle();
    for (const waiter of this.#waiters) waiter.leave();
    this.#waiters.clear();
    this.#reject(reason);
  }

  aborted(reason: unknown): void {
    this.failed(reason);
  }

  #done(): void {
    if (this.#isSettled) return;
    this.#settle();
    this.#resolve(this.#sink.take(Math.max(0, this.#end - this.#sink.offset)));
  }

  #settle(): void {
    this.#isSettled = true;
    if (this.#signal !== undefined) leaveSignal(this.#signal, this);
  }
}
