import { PoolBudgetError } from './errors.ts';

/** What the ledger must know of an entry. */
export interface Held {
  readonly bytes: number;
  /** Forgets it, and lets its bytes go. */
  evict(): void;
}

/**
 * The bytes of a pool, and its counters.
 *
 * `bytes ≤ budget` holds at every moment: room is claimed before a chunk is taken, and found by evicting what is idle. The
 * number of idle entries is limited too, since one without bytes costs memory as well.
 */
export class PoolLedger {
  readonly budget: number;
  readonly #maxIdle: number;
  /** Bytes of all entries: those in the pool, and those that are forgotten and still have readers. */
  bytes = 0;
  readers = 0;
  hits = 0;
  misses = 0;
  evictions = 0;
  failures = 0;
  /** Complete entries without readers; the one that was left first comes first. */
  readonly #idle: Set<Held> = new Set();
  #idleBytes = 0;

  /** `maxIdle` is how many complete entries without readers may be kept. */
  constructor(budget: number, maxIdle: number) {
    this.budget = budget;
    this.#maxIdle = maxIdle;
  }

  /**
   * Takes room for `size` bytes; below zero, gives it back. Nothing is evicted where that would not be enough.
   *
   * @throws PoolBudgetError
   */
  claim(size: number): void {
    if (this.bytes - this.#idleBytes + size > this.budget) {
      throw new PoolBudgetError('budget', this.bytes + size, this.budget);
    }
    for (const entry of this.#idle) {
      if (this.bytes + size <= this.budget) break;
      this.#evict(entry);
    }
    this.bytes += size;
  }

  #evict(entry: Held): void {
    this.evictions++;
    entry.evict();
  }

  /** A complete entry has no reader: it may be evicted, after those that are idle for longer, and at once if it is one too many. */
  rest(entry: Held): void {
    // At the end of a source that is said both of its last reader and of the entry.
    this.wake(entry);
    this.#idle.add(entry);
    this.#idleBytes += entry.bytes;
    for (const oldest of this.#idle) {
      if (this.#idle.size <= this.#maxIdle) break;
      this.#evict(oldest);
    }
  }

  /** It has a reader again, or is gone; nothing happens if it was not idle. */
  wake(entry: Held): void {
    if (this.#idle.delete(entry)) this.#idleBytes -= entry.bytes;
  }

  /** Gives the bytes of an entry back. */
  release(entry: Held): void {
    this.bytes -= entry.bytes;
  }
}
