/**
 * What a pool and an open can be told, and the checks of that.
 *
 * @module
 */

import { checkAmount, checkOptions, checkSignal } from '../core/check.ts';
import type { OnMissed } from '../core/cursor.ts';
import type { OverflowPolicy } from '../core/policies.ts';
import type { Source } from '../core/pump.ts';
import type { Chunk } from '../core/to-bytes.ts';
import { InvalidArgumentError } from '../errors.ts';
import { type Clock, checkClock, systemClock } from '../monitor/index.ts';

/** What an entry can be filled from, one chunk included. A Node Readable is an async iterable. */
export type PoolSource = Source<Chunk> | Chunk;

/** What an opener is told. */
export interface PoolContext<K = string> {
  /** The key that was asked for. */
  readonly key: K;
  /**
   * Fires when the entry ends otherwise than complete: all readers left, the pool was closed, a limit is exceeded, the source
   * failed. It belongs to the entry and not to whoever opened it first. Hand it on to `fetch`.
   */
  readonly signal: AbortSignal;
}

/** Opens the source of a key. Called in a microtask, once for all who ask for the key while the entry lives. */
export type PoolOpener<K = string> = (context: PoolContext<K>) => PoolSource | PromiseLike<PoolSource>;

/**
 * What becomes of a source that has not ended when its last reader leaves.
 *
 * - `'stop'`: it is stopped, unless somebody joins in the same turn, before the microtasks run
 * - `'keep'`: it is read to its end without readers
 * - `{ stopAfter }`: it is stopped unless somebody joins within so many milliseconds
 */
export type LastLeave = 'stop' | 'keep' | { readonly stopAfter: number };

/** Options of a pool. */
export interface StreamPoolOptions {
  /** Most bytes that all entries together hold, in use or not. A hard limit. Default 64 MiB. */
  readonly budget?: number | undefined;
  /**
   * Most complete entries that are kept while nobody reads them; with 0 none is. Default 10,000. However small an entry is, it
   * costs some 8 KB beside its bytes.
   */
  readonly maxEntries?: number | undefined;
  /** For how many milliseconds a complete entry is given to those who ask, counted from its completion. Default: no limit. */
  readonly ttl?: number | undefined;
  /** What becomes of a source whose last reader leaves. Default `'stop'`. */
  readonly onLastLeave?: LastLeave | undefined;
  /** Where the pool gets its time from. Default: the timers of the runtime. */
  readonly clock?: Clock | undefined;
}

/** Options of one open. */
export interface PoolOpenOptions {
  /** Offset of the first byte that is wanted; it may lie ahead of what is there. Default 0. */
  readonly start?: number | undefined;
  /** Offset after the last byte that is wanted. One beyond the size means the size. Default: the end of the source. */
  readonly end?: number | undefined;
  /** What happens when the lag exceeds the mark. A mark without a policy blocks. Default: the lag is unbounded. */
  readonly overflow?: OverflowPolicy | undefined;
  /** Bytes of lag that the policy tolerates. Default with a policy: 1 MiB. */
  readonly highWaterMark?: number | undefined;
  /** Told in a microtask when the reader crosses a gap. If it throws, one read rejects with a `CallbackError`. */
  readonly onMissed?: OnMissed | undefined;
  /** Gives this stream memory of its own, so that it may change or keep its chunks. Default false. */
  readonly copy?: boolean | undefined;
  /** Detaches this stream when it fires; the entry and its other readers go on. */
  readonly signal?: AbortSignal | undefined;
  /** As {@link StreamPoolOptions.onLastLeave}, for the entry that this call begins; no effect on one that is there. */
  readonly onLastLeave?: LastLeave | undefined;
  /** Most bytes of the entry that this call begins; no effect on one that is there. Default: only the pool's budget. */
  readonly maxBytes?: number | undefined;
}

/** The options of a pool, checked and complete. */
export interface ResolvedPoolOptions {
  readonly budget: number;
  readonly maxEntries: number;
  readonly ttl: number | undefined;
  readonly onLastLeave: LastLeave;
  readonly clock: Clock;
}

/** The options of an open that the pool itself acts on, checked. Those of the stream are checked where it is opened. */
export interface ResolvedOpenOptions {
  readonly start: number;
  /** Infinity: the end of the source. */
  readonly end: number;
  readonly overflow: OverflowPolicy | undefined;
  readonly highWaterMark: number | undefined;
  readonly onMissed: OnMissed | undefined;
  readonly copy: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onLastLeave: LastLeave | undefined;
  readonly maxBytes: number;
}

const DEFAULT_BUDGET = 64 * 1024 * 1024;
const DEFAULT_MAX_ENTRIES = 10_000;

/** Runtimes take a longer delay for none at all. */
const LONGEST_DELAY = 2 ** 31 - 1;

/** Checks the options of a pool, and fills in what is missing. */
export function resolvePoolOptions(options: StreamPoolOptions): ResolvedPoolOptions {
  checkOptions(options);
  const { budget = DEFAULT_BUDGET, maxEntries = DEFAULT_MAX_ENTRIES, ttl } = options;
  const { onLastLeave: lastLeave = 'stop', clock = systemClock } = options;
  checkAmount('budget', budget);
  checkAmount('maxEntries', maxEntries);
  if (ttl !== undefined) checkDelay('ttl', ttl);
  const onLastLeave = checkLastLeave(lastLeave);
  checkClock(clock);
  return { budget, maxEntries, ttl, onLastLeave, clock };
}

/** Reads the options of an open, once, and checks what the pool itself acts on. */
export function resolveOpenOptions(options: PoolOpenOptions): ResolvedOpenOptions {
  checkOptions(options);
  const { start = 0, end = Number.POSITIVE_INFINITY, maxBytes = Number.POSITIVE_INFINITY } = options;
  const { overflow, highWaterMark, onMissed, copy, signal, onLastLeave: lastLeave } = options;
  checkAmount('start', start);
  if (end !== Number.POSITIVE_INFINITY) {
    checkAmount('end', end);
    if (end < start) throw new InvalidArgumentError('end', end, `an offset from the start on, which is ${start}`);
  }
  if (maxBytes !== Number.POSITIVE_INFINITY) checkAmount('maxBytes', maxBytes);
  const onLastLeave = lastLeave === undefined ? undefined : checkLastLeave(lastLeave);
  checkSignal(signal);
  return { start, end, overflow, highWaterMark, onMissed, copy: copy === true, signal, onLastLeave, maxBytes };
}

function checkDelay(argument: string, value: unknown): asserts value is number {
  if (typeof value === 'number' && value >= 0 && value <= LONGEST_DELAY) return;
  throw new InvalidArgumentError(argument, value, `a number of milliseconds from 0 to ${LONGEST_DELAY}`);
}

/** Returns it as it is now: the caller's object may change, or run code, by the time at which somebody leaves. */
function checkLastLeave(value: unknown): LastLeave {
  if (value === 'stop' || value === 'keep') return value;
  if (typeof value !== 'object' || value === null || !('stopAfter' in value)) {
    throw new InvalidArgumentError('onLastLeave', value, "'stop', 'keep' or { stopAfter: milliseconds }");
  }
  const { stopAfter } = value;
  checkDelay('onLastLeave.stopAfter', stopAfter);
  return { stopAfter };
}
