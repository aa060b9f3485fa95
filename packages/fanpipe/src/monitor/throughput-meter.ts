/**
 * Judges whether a source is fast enough. It knows no clock: its time is *waiting time*, which the owner moves forward by
 * the milliseconds in which a reader waited for the source. Time in which nobody waits does not exist here, so a slow
 * reader cannot make a source look slow.
 *
 * The rate is what came in the last `window` of waiting time. While it reaches the minimum all is well; once it has been
 * below for a whole grace period the deadline is reached. Reaching the minimum again, if only for a moment, starts the grace
 * period anew. The first grace period begins with the first wait, before anything can have come.
 *
 * ```text
 *   bytes        ▂   ▇▇ ▅ ▂    ▂         ▁                 (▁ too few to reach the minimum)
 *   waiting time ├──────────────┼────────────────────┤
 *                0         #goodUntil              deadline
 *                          rate ≥ minimum   gracePeriod
 * ```
 *
 * @module
 */

/** Arrivals closer together than this part of the window are kept as one, dated by the last of them. */
const SLOTS = 100;
/** A power of two above SLOTS + 1, the most entries that a window can hold. */
const CAPACITY = 128;

/** See the head of the module. All times are in milliseconds of waiting time. */
export class ThroughputMeter {
  /** The minimum, in bytes per second. */
  readonly minimum: number;
  /** For how long the rate may stay below the minimum. */
  readonly gracePeriod: number;
  readonly #window: number;
  /** Bytes that a full window must hold. */
  readonly #needed: number;

  // A ring of arrivals, oldest at #first. Once it holds enough, it is the shortest run of latest arrivals that does, so
  // that the moment at which its oldest leaves the window is the moment at which the rate falls below the minimum.
  readonly #times: Float64Array = new Float64Array(CAPACITY);
  readonly #bytes: Float64Array = new Float64Array(CAPACITY);
  #first = 0;
  #count = 0;
  #held = 0;
  #slotStart = 0;

  #now = 0;
  #goodUntil = 0;

  /** `minimum` is in bytes per second; `window` is at most the grace period, or the first would end before a window is full. */
  constructor(minimum: number, gracePeriod: number, window: number) {
    this.minimum = minimum;
    this.gracePeriod = gracePeriod;
    this.#window = window;
    this.#needed = (minimum * window) / 1000;
  }

  /** Waiting time that is left before the deadline if nothing more arrives; zero or less once it is reached. */
  get remaining(): number {
    return this.#goodUntil + this.gracePeriod - this.#now;
  }

  /** For how long the rate has been below the minimum. */
  get slowFor(): number {
    return Math.max(0, this.#now - this.#goodUntil);
  }

  /** Bytes per second in the window that ends now, or since the start if that is later. */
  get rate(): number {
    const from = this.#now - this.#window;
    let bytes = 0;
    for (let index = 0; index < this.#count; index++) {
      const at = (this.#first + index) % CAPACITY;
      if ((this.#times[at] as number) > from) bytes += this.#bytes[at] as number;
    }
    const time = Math.min(this.#now, this.#window);
    return time > 0 ? (bytes * 1000) / time : 0;
  }

  /** Moves waiting time forward by `ms`, which is not negative. */
  waited(ms: number): void {
    this.#now += ms;
  }

  /** Notes an arrival. True if the last window brought as much as a whole window must. */
  received(bytes: number): boolean {
    this.#add(bytes);
    if (this.#held < this.#needed) return false;
    this.#goodUntil = (this.#times[this.#first] as number) + this.#window;
    return true;
  }

  /** Forgets everything: the next grace period starts here. */
  restart(): void {
    this.#count = 0;
    this.#held = 0;
    this.#now = 0;
    this.#goodUntil = 0;
  }

  #add(bytes: number): void {
    this.#held += bytes;
    const last = (this.#first + this.#count - 1) % CAPACITY;
    if (this.#count > 0 && this.#now - this.#slotStart < this.#window / SLOTS) {
      this.#bytes[last] = (this.#bytes[last] as number) + bytes;
      this.#times[last] = this.#now;
    } else {
      const at = (this.#first + this.#count) % CAPACITY;
      this.#count++;
      this.#times[at] = this.#now;
      this.#bytes[at] = bytes;
      this.#slotStart = this.#now;
    }
    // What has left the window, then what is more than enough without it.
    while ((this.#times[this.#first] as number) < this.#now - this.#window) this.#dropFirst();
    while (this.#count > 1 && this.#held - (this.#bytes[this.#first] as number) >= this.#needed) this.#dropFirst();
  }

  #dropFirst(): void {
    this.#held -= this.#bytes[this.#first] as number;
    this.#first = (this.#first + 1) % CAPACITY;
    this.#count--;
  }
}
