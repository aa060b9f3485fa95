import type { RangeWaiter, WaiterHome } from './range-waiter.ts';

/**
 * Those who wait for the bytes of one request. Most of the time it is one, or nobody, and a chunk costs next to nothing then.
 *
 * Whoever is told of something may leave, have others leave, or wait again, while the list is gone through.
 */
export class WaiterList {
  readonly #home: WaiterHome;
  /** With a hole for each that has gone while the list is gone through. */
  #list: (RangeWaiter | undefined)[] = [];
  #size = 0;
  #isDelivering = false;

  constructor(home: WaiterHome) {
    this.#home = home;
  }

  get size(): number {
    return this.#size;
  }

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
    if (this.#isDelivering) this.#list[index] = undefined;
    else this.#list.splice(index, 1);
    return true;
  }

  /** Gives everyone what it waits for of a chunk that begins at `at`. Who has got everything is told so, and is out. */
  deliver(at: number, chunk: Uint8Array): void {
    const next = at + chunk.length;
    const list = this.#list;
    const { length } = list;
    this.#isDelivering = true;
    for (let index = 0; index < length; index++) {
      const waiter = list[index];
      if (waiter?.home !== this.#home || waiter.from >= next) continue;
      const from = waiter.from - at;
      const to = Math.min(waiter.to, next) - at;
      waiter.receive(from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to));
      // It may have left, if it had no place for the bytes.
      if (waiter.home !== this.#home) continue;
      waiter.from = at + to;
      if (waiter.from < waiter.to) continue;
      list[index] = undefined;
      this.#size--;
      waiter.home = undefined;
      waiter.finish();
    }
    this.#isDelivering = false;
    if (list.length === this.#size || list !== this.#list) return;
    if (this.#size === 0) list.length = 0;
    else this.#list = list.filter((waiter) => waiter !== undefined);
  }

  /** Takes everyone out, and tells them. */
  tellAll(tell: (waiter: RangeWaiter) => void): void {
    const list = this.#list;
    this.#list = [];
    this.#size = 0;
    for (const waiter of list) {
      // One that is told may make others leave.
      if (waiter?.home !== this.#home) continue;
      waiter.home = undefined;
      tell(waiter);
    }
  }
}
