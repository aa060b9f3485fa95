/**
 * One timer that can be set, moved and taken back, and that is never early.
 *
 * @module
 */

import type { Clock } from './clock.ts';

/** Runtimes take a longer delay for none at all, so a longer wait is made of several. */
const LONGEST_DELAY = 2 ** 31 - 1;

/**
 * Calls back once the time that it is set to has come. At most one timer of the clock is held, and none once it has rung.
 *
 * A quiet one does not keep the process alive, where the clock can tell it so.
 */
export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  readonly #isQuiet: boolean;
  #handle: unknown;
  #isSet = false;
  #at = 0;

  constructor(clock: Clock, ring: () => void, quiet?: 'quiet') {
    this.#clock = clock;
    this.#ring = ring;
    this.#isQuiet = quiet === 'quiet';
  }

  /** Rings at the time `at`, and not at the time that was set before; `now` spares a look at the clock. */
  set(at: number, now: number = this.#clock.now()): void {
    this.clear();
    this.#at = at;
    this.#isSet = true;
    // Rounded up, since timers count whole milliseconds.
    const delay = Math.min(Math.max(Math.ceil(at - now), 0), LONGEST_DELAY);
    this.#handle = this.#clock.setTimeout(this.#fired, delay);
    if (this.#isQuiet) (this.#handle as { unref?(): void } | null | undefined)?.unref?.();
  }

  /** Rings in `ms` milliseconds, and not at the time that was set before. */
  setIn(ms: number): void {
    const now = this.#clock.now();
    this.set(now + ms, now);
  }

  /** Takes the timer back, if there is one. */
  clear(): void {
    if (!this.#isSet) return;
    this.#isSet = false;
    const handle = this.#handle;
    this.#handle = undefined;
    this.#clock.clearTimeout(handle);
  }

  readonly #fired = (): void => {
    // A clock that calls back after clearTimeout would otherwise ring for something long settled.
    if (!this.#isSet) return;
    this.#isSet = false;
    this.#handle = undefined;
    const now = this.#clock.now();
    if (now < this.#at) this.set(this.#at, now);
    else this.#ring();
  };
}
