/**
 * What a monitor and its rules can be told, and the checks of that.
 *
 * @module
 */

import { InvalidArgumentError } from '../errors.ts';
import { type Clock, checkClock, systemClock } from './clock.ts';

/** Options of a monitor. */
export interface MonitorOptions {
  /** Where the monitor gets its time from. Default: the timers of the runtime. */
  readonly clock?: Clock | undefined;
  /**
   * Aborting it rejects every `next()` that waits, and every later one, with its reason, and closes the source. The signal
   * holds the monitor until then, or until the monitor ends.
   */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `minThroughput`. */
export interface MinThroughputOptions<T> {
  /** For how many milliseconds of waiting the source may be too slow. Default: 20,000. */
  readonly gracePeriod?: number | undefined;
  /**
   * Over how many milliseconds of waiting the rate is measured, at most the grace period. Default: 1,000, or half the grace
   * period if that is shorter. A longer window judges sources that bring much, but rarely, more strictly.
   */
  readonly window?: number | undefined;
  /**
   * The size of an item in bytes, zero or more. Needed unless the items are strings (measured in UTF-8), buffers or views of
   * them. Called once for each item, when it is delivered.
   */
  readonly size?: ((item: T) => number) | undefined;
}

const DEFAULT_GRACE_PERIOD = 20_000;
const DEFAULT_WINDOW = 1_000;

/** Returns `value` if it is a finite number above 0. */
export function positive(argument: string, value: number): number {
  if (typeof value === 'number' && value > 0 && value < Number.POSITIVE_INFINITY) return value;
  throw new InvalidArgumentError(argument, value, 'a finite number above 0');
}

/** Checks the options of a monitor, and fills in what is missing. */
export function monitorOptions(options: MonitorOptions): { clock: Clock; signal: AbortSignal | undefined } {
  const { clock = systemClock, signal } = options;
  checkClock(clock);
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    throw new InvalidArgumentError('signal', signal, 'an AbortSignal');
  }
  return { clock, signal };
}

/** Checks the options of `minThroughput`, and fills in what is missing. */
export function minThroughputOptions<T>(options: MinThroughputOptions<T>): {
  gracePeriod: number;
  window: number;
  size: ((item: T) => number) | undefined;
} {
  const { gracePeriod = DEFAULT_GRACE_PERIOD, size } = options;
  positive('gracePeriod', gracePeriod);
  const { window = Math.min(DEFAULT_WINDOW, gracePeriod / 2) } = options;
  if (positive('window', window) > gracePeriod) {
    throw new InvalidArgumentError('window', window, `at most the gracePeriod of ${gracePeriod}`);
  }
  if (size !== undefined && typeof size !== 'function') {
    throw new InvalidArgumentError('size', size, 'a function that returns the bytes of an item');
  }
  return { gracePeriod, window, size };
}
