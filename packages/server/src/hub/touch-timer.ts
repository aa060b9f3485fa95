import type { Clock } from 'fanpipe';
import { keepsNothingAlive } from './sweeper.ts';

/** How often a stream is touched while it is read, in parts of its time to live. */
const TOUCHES = 3;
/** Milliseconds between two touches, at least. */
const SHORTEST = 50;
/** What a timer of any runtime can count, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

/** Keeps a stream from expiring while somebody reads it, though nothing is written. */
export class TouchTimer {
  readonly #clock: Clock;
  readonly #interval: number;
  readonly #touch: () => boolean;
  #handle: unknown;

  /** `touch` says whether to go on. */
  constructor(clock: Clock, ttl: number, touch: () => boolean) {
    this.#clock = clock;
    this.#interval = Math.min(LONGEST, Math.max(SHORTEST, ttl / TOUCHES));
    this.#touch = touch;
  }

  /** Begins, unless it has begun. */
  start(): void {
    if (this.#handle !== undefined) return;
    this.#handle = this.#clock.setTimeout(() => {
      this.#handle = undefined;
      if (this.#touch()) this.start();
    }, this.#interval);
    keepsNothingAlive(this.#handle);
  }

  stop(): void {
    if (this.#handle === undefined) return;
    this.#clock.clearTimeout(this.#handle);
    this.#handle = undefined;
  }
}
