import type { RangeWaiter, WaiterHome } from './range-waiter.ts';

/**
 * Those who wait for the bytes of one request. Most of the time it is one, or nobody, and a chunk costs next to nothing then.
 *
 * Whoever is told of something may leave, have others leave, or wait again, while the list is gone through: who has left is told
 * nothing more, and who is added waits for what comes next.
 */
export class WaiterList {
  readonly #home: WaiterHome;
  /** In the order in which they came, with a hole for each that has gone while the list is gone through. */
  #list: (RangeWaiter | undefined)[] = [];
  #size = 0;
  #isGoneThrough = false;

  constructor(home: WaiterHome) {
    this.#home = home;
  }

  get size(): number {
    return this.#size;
  }

  /** The waiter must not be in. */
  add(waiter: RangeWaiter): void {
    waiter.home = this.#home;
    this.#list.push(waiter);
    this.#size++;
  }

  /** Whether it was in. */
  remove(waiter: RangeWaiter): boolean {
    const index = this.#list.indexOf(waiter);
    if (index < 0) return false;
    this.#size--;
    if (this.#isGoneThrough) this.#list[index] = undefined;
    else this.#list.splice(index, 1);
    return true;
  }

  /**
   * Gives everyone what it waits for of a chunk that begins at `at`. Who has got everything is told so, and is out. To be called for
   * one chunk after the other, never by someone who is told.
   */
  deliver(at: number, chunk: Uint8Array): void {
    const next = at + chunk.length;
    const list = this.#list;
    const { length } = list;
    this.#isGoneThrough = true;
    for (let index = 0; index < length; index++) {
      const waiter = list[index];
      if (waiter === undefined || waiter.from >= next) continue;
      const from = waiter.from - at;
      const to = Math.min(waiter.to, next) - at;
      waiter.receive(from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to));
      // It may have left, if it had no place for the bytes, and wait again by now.
      if (list[index] !== waiter) continue;
      waiter.from = at + to;
      if (waiter.from === waiter.to) this.#takeOut(index, waiter).finish();
    }
    this.#close();
  }

  /** Takes everyone out, and tells them, but for those who have left by then. */
  tellAll(tell: (waiter: RangeWaiter) => void): void {
    const isWithin = this.#isGoneThrough;
    const { length } = this.#list;
    this.#isGoneThrough = true;
    for (let index = 0; index < length; index++) {
      const waiter = this.#list[index];
      if (waiter !== undefined) tell(this.#takeOut(index, waiter));
    }
    if (!isWithin) this.#close();
  }

  #takeOut(index: number, waiter: RangeWaiter): RangeWaiter {
    this.#list[index] = undefined;
    this.#size--;
    waiter.home = undefined;
    return waiter;
  }

  /** Nobody goes through the list any more. */
  #close(): void {
    this.#isGoneThrough = false;
    if (this.#size === 0) this.#list.length = 0;
    else if (this.#list.length > this.#size) this.#list = this.#list.filter((waiter) => waiter !== undefined);
  }
}
