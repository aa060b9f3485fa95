/**
 * One timer that can be set, moved and taken back, and that is never early.
 *
 * @module
 */

import type { Clock } from './clock.ts';

/** Runtimes take a longer delay for none at all, so a longer wait is made of several. */
const LONGEST_DELAY = 2 ** 31 - 1;

/** Calls back once the time that it is set to has come. At most one timer of the clock is held, and none once it has rung. */
export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #handle: unknown;
  #set = false;
  #at = 0;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings at the time `at`. It must not be set already; `now` spares a look at the clock. */
  set(at: number, now: number): void {
    this.#at = at;
    this.#set = true;
    // Rounded up, since timers count whole milliseconds.
    const delay = Math.min(Math.max(Math.ceil(at - now), 0), LONGEST_DELAY);
    this.#handle = this.#clock.setTimeout(this.#fired, delay);
  }

  /** Takes the timer back, if there is one. */
  clear(): void {
    if (!this.#set) return;
    this.#set = false;
    const handle = this.#handle;
    this.#handle = undefined;
    this.#clock.clearTimeout(handle);
  }

  readonly #fired = (): void => {
    // A clock that calls back after clearTimeout would otherwise ring for something long settled.
    if (!this.#set) return;
    this.#set = false;
    this.#handle = undefined;
    const now = this.#clock.now();
    if (now < this.#at) this.set(this.#at, now);
    else this.#ring();
  };
}
