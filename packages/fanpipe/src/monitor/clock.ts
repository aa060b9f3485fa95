/**
 * The port through which a monitor meets time, and the clock of the runtime.
 *
 * A monitor never calls a global timer itself, so a test can hand it a clock that stands still until told otherwise.
 *
 * @module
 */

import { InvalidArgumentError } from '../errors.ts';

/** What a monitor needs to know of time. `now` and the timers must tell the same time. */
export interface Clock {
  /** Milliseconds from some fixed moment. It must never run backwards; fractions are welcome. */
  now(): number;
  /**
   * Calls `callback` once, `ms` milliseconds from now and never inside this call. Returns what `clearTimeout` takes; if that
   * has a method `unref`, it is called for timers that must not keep the process alive.
   */
  setTimeout(callback: () => void, ms: number): unknown;
  /** Takes back a timer whose callback has not run yet; otherwise does nothing. */
  clearTimeout(handle: unknown): void;
}

const METHODS = ['now', 'setTimeout', 'clearTimeout'] as const;

/** Refuses what is no clock. */
export function checkClock(clock: unknown): void {
  const given = clock as Partial<Clock> | null | undefined;
  if (METHODS.every((method) => typeof given?.[method] === 'function')) return;
  throw new InvalidArgumentError('clock', clock, 'an object with now(), setTimeout() and clearTimeout()');
}

class SystemTimer {
  id!: ReturnType<typeof setTimeout>;

  /** Where the runtime can: the timer no longer keeps the process alive. */
  unref(): void {
    (this.id as { unref?(): void }).unref?.();
  }
}

/** A timer that comes later than this, in milliseconds, comes late because the thread was busy. */
const LATE = 20;

/**
 * The runtime's monotonic clock and its timers; the default of every monitor.
 *
 * A timer that comes late lets the input that waited meanwhile go first: it steps back once, behind one turn of the event
 * loop. Otherwise a source would look silent whose data lay ready while the thread was busy.
 *
 * Its timers keep the process alive, as those of the runtime do. A monitor holds one only while someone waits in `next()`:
 * were it not to count, a process whose source has no handle of its own would end without a word instead of reporting the
 * stall.
 */
export const systemClock: Clock = {
  now: (): number => performance.now(),

  setTimeout(callback: () => void, ms: number): unknown {
    const due = performance.now() + ms;
    const timer = new SystemTimer();
    timer.id = setTimeout(() => {
      if (performance.now() - due > LATE) timer.id = setTimeout(callback, 0);
      else callback();
    }, ms);
    return timer;
  },

  clearTimeout(handle: unknown): void {
    clearTimeout((handle as SystemTimer).id);
  },
};
