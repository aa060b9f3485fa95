import type { Clock } from '../monitor/index.ts';

/** Runtimes take a longer delay for none at all. */
const LONGEST_DELAY = 2 ** 31 - 1;

/** One timer that can be set and taken back. Where the clock can tell it so, it does not keep the process alive. */
export class IdleTimer {
  readonly #clock: Clock;
  readonly #delay: number;
  readonly #ring: () => void;
  #handle: unknown;
  #isSet = false;

  constructor(clock: Clock, delay: number, ring: () => void) {
    this.#clock = clock;
    this.#delay = Math.min(delay, LONGEST_DELAY);
    this.#ring = ring;
  }

  /** Rings after the delay, counted from now. */
  set(): void {
    this.clear();
    this.#isSet = true;
    this.#handle = this.#clock.setTimeout(this.#rang, this.#delay);
    (this.#handle as { unref?(): void } | null | undefined)?.unref?.();
  }

  clear(): void {
    if (!this.#isSet) return;
    this.#isSet = false;
    const handle = this.#handle;
    this.#handle = undefined;
    this.#clock.clearTimeout(handle);
  }

  readonly #rang = (): void => {
    // A clock may call back although the timer was taken back.
    if (!this.#isSet) return;
    this.#isSet = false;
    this.#handle = undefined;
    this.#ring();
  };
}
