/**
 * A reader's guard over any source: it tells a source that has fallen silent, or crawls, from a reader that does not ask.
 *
 * ## Waiting
 *
 * The source is asked for one item at a time, and only when a reader asks the monitor. Only the time in which a reader
 * really waits for the source is *waiting time*, and the clock of every rule is made of it alone: it stands still while
 * nobody asks, and while the throttle holds a reader back.
 *
 * ```text
 *   next()       the gate opens              item, end, error or stall
 *     ├── throttle ──┼── waiting for the source ──┤ … nobody asks … next()
 *        #phase gate         #phase source             #phase idle
 *                        clock of all rules
 * ```
 *
 * ## Stalls
 *
 * A broken rule rejects the `next()` that waits with a `StalledReadError`, and no other. The read that was asked of the
 * source goes on: what it brings is kept and is the answer to a later `next()`, so nothing is lost. The next `next()` begins
 * a fresh timeout on that same read. `onStall` is told once per stall: silence is over when the source settles that read,
 * slowness when one window has brought enough; until then further rejections belong to the same stall.
 *
 * A `for await` loop that ends through a rejection does not close its iterator. So a reader that gives up after a stall must
 * call `return()` (or hold the monitor with `await using`), and one that goes on loops over the same iterator again.
 *
 * ## Ending
 *
 * |                             | every `next()` that waits    | every later `next()`                                     |
 * | --------------------------- | ---------------------------- | -------------------------------------------------------- |
 * | the source ends             | done                         | done                                                     |
 * | the source fails            | rejects with that reason     | rejects with it again: a failure never looks like an end |
 * | the signal aborts           | rejects with `signal.reason` | rejects with it again                                    |
 * | the reader calls `return()` | done, at once                | done                                                     |
 *
 * The last two close the source, and do not wait for a read that is under way. All four clear the timer, take the listener
 * off the signal and let go of the source and of what it had brought.
 *
 * @module
 */

import { CallbackError, InvalidArgumentError, IteratorTakenError } from '../errors.ts';
import { type AbortMember, joinSignal, leaveSignal } from '../signals.ts';

import { Alarm } from './alarm.ts';
import type { Clock } from './clock.ts';
import { itemSize } from './item-size.ts';
import {
  type MinThroughputOptions,
  type MonitorOptions,
  minThroughputOptions,
  monitorOptions,
  positive,
} from './monitor-options.ts';
import { type PendingRead, PendingReads, type ReadResult } from './pending-reads.ts';
import { type MonitorSource, openSource, type PullSource } from './pull-source.ts';
import { SourceWatch, type StallEvent } from './source-watch.ts';
import { ThroughputMeter } from './throughput-meter.ts';

/**
 * Wraps a source so that a reader learns when it stalls. Semantics: see the head of the module.
 *
 * The rules (`withTimeout`, `withThrottle`, `minThroughput`, `onStall`) change this monitor and return it, so they chain in
 * any order. Each may be called again: the new one takes the place of the old. A rule about the source that is set while a
 * reader waits counts from that moment on.
 */
export class StalledReadMonitor<T> implements AsyncIterable<T> {
  readonly #clock: Clock;
  readonly #reads: PendingReads<T> = new PendingReads();
  /** What the first of #reads waits for. */
  #phase: 'idle' | 'gate' | 'source' = 'idle';
  #iteratorTaken = false;

  /** Gone once this monitor has ended. */
  #source: PullSource<T> | undefined;
  /** The source has been asked and has not answered; this may outlive the wait (stall) and the monitor (return). */
  #reading = false;
  /** What the source brought and nobody has got yet. */
  #held: ReadResult<T> | undefined;
  #heldIsMeasured = false;
  #failed = false;
  #reason: unknown;
  #signal: AbortSignal | undefined;
  readonly #onAbort: AbortMember = { aborted: (reason) => this.#abort(reason) };

  readonly #watch: SourceWatch;
  #size: ((item: T) => number) | undefined;
  #onStall: ((event: StallEvent) => void) | undefined;
  #throttle: number | undefined;
  /** The throttle counts from here: the first `next()`, then the last item. */
  #pacedFrom: number | undefined;
  readonly #gate: Alarm;

  /**
   * Takes the iterator of `source` at once (of a ReadableStream: a reader), but asks it for nothing yet.
   *
   * @throws InvalidArgumentError if `source` cannot be iterated, or an option is not what it must be.
   */
  constructor(source: MonitorSource<T>, options: MonitorOptions = {}) {
    const { clock, signal } = monitorOptions(options);
    this.#clock = clock;
    this.#watch = new SourceWatch(clock, (event, first) => this.#stalled(event, first));
    this.#gate = new Alarm(clock, () => {
      this.#phase = 'idle';
      this.#serve();
    });
    this.#source = openSource(source);
    if (signal?.aborted) this.#abort(signal.reason);
    else if (signal) {
      this.#signal = signal;
      joinSignal(signal, this.#onAbort);
    }
  }

  /**
   * A reader that waits `ms` milliseconds for the source gets a `StalledReadError` of kind `'timeout'`.
   *
   * While someone waits, and only then, a timer runs that keeps the process alive: without it a process that has nothing else
   * to do would end before it reports the stall.
   *
   * @throws InvalidArgumentError unless `ms` is finite and above 0.
   */
  withTimeout(ms: number): this {
    this.#watch.timeout = positive('ms', ms);
    return this;
  }

  /**
   * At most one item in `ms` milliseconds: each is delivered `ms` after the one before or later, the first that long after the
   * first `next()`. The source is asked only when the time has come, so waiting for that is never taken for silence. A reader
   * that was slow earns no burst.
   *
   * @throws InvalidArgumentError unless `ms` is finite and above 0.
   */
  withThrottle(ms: number): this {
    this.#throttle = positive('ms', ms);
    return this;
  }

  /**
   * A reader gets a `StalledReadError` of kind `'throughput'` once the source has brought fewer than `bytesPerSecond` for a
   * whole grace period; reaching it again in between starts that period anew. All of this is measured in time in which a
   * reader waited for the source. After the error the measuring starts from nothing.
   *
   * @throws InvalidArgumentError unless `bytesPerSecond` and the times are finite and above 0, and `size` is a function.
   */
  minThroughput(bytesPerSecond: number, options: MinThroughputOptions<T> = {}): this {
    const { gracePeriod, window, size } = minThroughputOptions(options);
    this.#watch.meter = new ThroughputMeter(positive('bytesPerSecond', bytesPerSecond), gracePeriod, window);
    this.#size = size;
    return this;
  }

  /**
   * Calls `callback` when a stall begins, just before the `next()` that waits rejects: once per stall, and never before the
   * time that the rule allows. What it returns is not looked at. If it throws, that `next()` rejects with a `CallbackError`
   * instead; nothing is lost and the monitor stays usable.
   *
   * @throws InvalidArgumentError unless `callback` is a function.
   */
  onStall(callback: (event: StallEvent) => void): this {
    if (typeof callback !== 'function') throw new InvalidArgumentError('callback', callback, 'a function');
    this.#onStall = callback;
    return this;
  }

  /**
   * Asks for the next item. Several calls may be outstanding; they are answered in order, and the clock runs for the first.
   * Rejects with a `StalledReadError` (the monitor stays usable), with a `CallbackError` or `InvalidArgumentError` about `size`
   * or `onStall` (likewise, nothing is lost), or with the reason for which the source or the signal has ended this monitor.
   */
  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#source === undefined) {
      return this.#failed ? Promise.reject(this.#reason) : Promise.resolve({ done: true, value: undefined });
    }
    // Others wait, or one of them is being served right now and a callback of it asks: their turn comes first.
    const idle = this.#reads.first === undefined;
    const promise = this.#reads.add();
    if (idle) this.#serve();
    return promise;
  }

  /**
   * Nothing more is wanted: every `next()` that waits is done at once, and the source is closed. Resolves when the source has
   * cleaned up, and rejects if it fails to; it does not wait for that where a read is still under way. May be called again.
   */
  async return(): Promise<IteratorReturnResult<undefined>> {
    const source = this.#source;
    const reading = this.#reading;
    this.#finish(false, undefined);
    if (source !== undefined) {
      const closed = close(source, undefined, reading);
      if (reading) closed.catch(ignore);
      else await closed;
    }
    return { done: true, value: undefined };
  }

  /**
   * The one iterator of this monitor. It answers as `next()` and `return()` of the monitor do, which may be mixed in, and may
   * be looped over again after a stall.
   *
   * @throws IteratorTakenError if it was asked for before.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<T, undefined> {
    if (this.#iteratorTaken) throw new IteratorTakenError('A second iteration of the monitor');
    this.#iteratorTaken = true;
    const iterator: AsyncIterableIterator<T, undefined> = {
      next: () => this.next(),
      return: () => this.return(),
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  /** `return()`, for `await using`. There where the runtime has the symbol. */
  declare [Symbol.asyncDispose]: () => Promise<void>;

  /** Brings the first reader one step on: to the gate, to what is held, or to the source. */
  #serve(): void {
    for (let read = this.#reads.first; read !== undefined && this.#phase === 'idle'; read = this.#reads.first) {
      if (this.#throttle !== undefined) {
        const now = this.#clock.now();
        this.#pacedFrom ??= now;
        const opens = this.#pacedFrom + this.#throttle;
        if (now < opens) {
          this.#phase = 'gate';
          this.#gate.set(opens, now);
          return;
        }
      }
      if (this.#held !== undefined) {
        this.#deliver(read, this.#held);
      } else {
        this.#phase = 'source';
        this.#watch.begin();
        if (!this.#reading) this.#ask();
      }
    }
  }

  #ask(): void {
    this.#reading = true;
    try {
      Promise.resolve((this.#source as PullSource<T>).next()).then(this.#answered, this.#sourceFailed);
    } catch (reason) {
      this.#sourceFailed(reason);
    }
  }

  readonly #answered = (result: IteratorResult<T, unknown>): void => {
    this.#reading = false;
    this.#watch.settled();
    const source = this.#source;
    // Closed while it read: the answer comes too late for everyone.
    if (source === undefined) return;
    if (typeof result !== 'object' || result === null) {
      this.#sourceFailed(new TypeError(`next() of the source must give an object, got ${String(result)}`));
    } else if (result.done) {
      this.#finish(false, undefined);
      source.release();
    } else {
      this.#held = result;
      this.#heldIsMeasured = false;
      if (this.#phase !== 'source') return;
      this.#phase = 'idle';
      this.#watch.end();
      this.#serveHeld();
    }
  };

  readonly #sourceFailed = (reason: unknown): void => {
    this.#reading = false;
    const source = this.#source;
    if (source === undefined) return;
    this.#finish(true, reason);
    source.release();
  };

  /** The first reader has passed the gate already. */
  #serveHeld(): void {
    const read = this.#reads.first;
    if (read !== undefined && this.#held !== undefined) this.#deliver(read, this.#held);
    this.#serve();
  }

  #deliver(read: PendingRead<T>, result: ReadResult<T>): void {
    if (this.#watch.measures && !this.#heldIsMeasured) {
      // Once only, also if that fails: otherwise such an item would stand in the way for ever.
      this.#heldIsMeasured = true;
      try {
        this.#watch.received(itemSize(result.value as T, this.#size));
      } catch (error) {
        this.#reads.remove(read);
        read.reject(error);
        return;
      }
    }
    this.#held = undefined;
    if (this.#throttle !== undefined) this.#pacedFrom = this.#clock.now();
    this.#reads.remove(read);
    read.resolve(result);
  }

  #stalled(event: StallEvent, first: boolean): void {
    const read = this.#reads.first as PendingRead<T>;
    this.#reads.remove(read);
    this.#phase = 'idle';
    let reason: unknown = event.error;
    // Everything is in order before the caller's code runs: it may ask, end or change this monitor.
    if (first && this.#onStall !== undefined) {
      try {
        this.#onStall(event);
      } catch (cause) {
        const detail = 'threw when it was told of a stall. Nothing is lost, and the monitor stays usable.';
        reason = new CallbackError('onStall', detail, { cause });
      }
    }
    read.reject(reason);
    this.#serve();
  }

  #abort(reason: unknown): void {
    const source = this.#source;
    if (source === undefined) return;
    const reading = this.#reading;
    this.#finish(true, reason);
    close(source, reason, reading).catch(ignore);
  }

  /** The one way out: answers everyone, and leaves nothing behind. The caller sees to the source. */
  #finish(failed: boolean, reason: unknown): void {
    if (this.#source === undefined) return;
    this.#source = undefined;
    this.#failed = failed;
    this.#reason = reason;
    this.#held = undefined;
    this.#phase = 'idle';
    this.#gate.clear();
    this.#watch.end();
    if (this.#signal !== undefined) leaveSignal(this.#signal, this.#onAbort);
    this.#signal = undefined;
    this.#reads.clear((read) => {
      if (failed) read.reject(reason);
      else read.resolve({ done: true, value: undefined });
    });
  }
}

if (typeof Symbol.asyncDispose === 'symbol') {
  Object.defineProperty(StalledReadMonitor.prototype, Symbol.asyncDispose, {
    value: async function asyncDispose(this: StalledReadMonitor<unknown>): Promise<void> {
      await this.return();
    },
    configurable: true,
    writable: true,
  });
}

/** Closes `source`; a throw becomes a rejection. */
async function close(source: PullSource<unknown>, reason: unknown, reading: boolean): Promise<void> {
  await source.close(reason, reading);
}

function ignore(): void {}
