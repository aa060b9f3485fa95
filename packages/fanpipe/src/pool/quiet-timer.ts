import type { Clock } from '../monitor/index.ts';

/** One timer that can be set and taken back, and that does not keep the process alive where the clock can tell it so. */
export class QuietTimer {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #handle: unknown;
  #isSet = false;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings in `ms` milliseconds, and not at the time that was set before. */
  set(ms: number): void {
    this.clear();
    this.#isSet = true;
    this.#handle = this.#clock.setTimeout(this.#rang, ms);
    (this.#handle as { unref?(): void } | null | undefined)?.unref?.();
  }

  /** Takes the timer back, if it is set. */
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
