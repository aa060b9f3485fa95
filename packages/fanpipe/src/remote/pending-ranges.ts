import type { RangeWaiter, WaiterHome } from './range-waiter.ts';

/** Waiters whose bytes lie so near each other that one request brings all of them. */
export interface RangeGroup {
  readonly from: number;
  readonly to: number;
  /** With their ages. */
  readonly waiters: ReadonlyMap<RangeWaiter, number>;
}

interface Group extends RangeGroup {
  from: number;
  to: number;
  readonly waiters: Map<RangeWaiter, number>;
  /** Of the oldest waiter. Smaller: waits for longer. */
  age: number;
  /** Someone has left: what is left may be less, or lie too far apart. */
  isTorn: boolean;
}

/**
 * Ranges that somebody waits for and no request was made for yet. Those that leave a gap of at most `mergeGap` bytes are one
 * group, also with those that came earlier. Groups are handed out in the order in which their oldest waiter came.
 */
export class PendingRanges implements WaiterHome {
  readonly #mergeGap: number;
  /** By offset; more than the merge gap lies between two of them. */
  readonly #groups: Group[] = [];
  /** Oldest first. */
  #order: Set<Group> = new Set();
  #ages = 0;

  constructor(mergeGap: number) {
    this.#mergeGap = mergeGap;
  }

  /** How many requests it would take now. */
  get size(): number {
    return this.#groups.length;
  }

  add(waiter: RangeWaiter): void {
    waiter.home = this;
    this.#put(waiter, ++this.#ages);
  }

  /** Takes out the group that waits for the longest time. */
  take(): RangeGroup | undefined {
    for (;;) {
      const [group] = this.#order;
      if (group === undefined) return undefined;
      this.#remove(group);
      if (!group.isTorn) return group;
      // Only now: of a thousand that leave one after the other, each would else make the group anew.
      for (const [waiter, age] of group.waiters) this.#put(waiter, age);
      this.#order = new Set([...this.#order].sort((one, other) => one.age - other.age));
    }
  }

  leave(waiter: RangeWaiter): void {
    const group = this.#groups[this.#firstEndingFrom(waiter.from)];
    if (!group?.waiters.delete(waiter)) return;
    if (group.waiters.size === 0) this.#remove(group);
    else group.isTorn = true;
  }

  /** Takes out everyone. */
  clear(): RangeWaiter[] {
    const waiters = this.#groups.flatMap((group) => [...group.waiters.keys()]);
    this.#groups.length = 0;
    this.#order.clear();
    return waiters;
  }

  #put(waiter: RangeWaiter, age: number): void {
    const { from, to } = waiter;
    const low = this.#firstEndingFrom(from - this.#mergeGap);
    let high = low;
    while (high < this.#groups.length && (this.#groups[high] as Group).from <= to + this.#mergeGap) high++;
    if (low === high) {
      const group: Group = { from, to, waiters: new Map([[waiter, age]]), age, isTorn: false };
      this.#groups.splice(low, 0, group);
      this.#order.add(group);
      return;
    }
    const near = this.#groups.slice(low, high);
    const group = near.reduce((oldest, other) => (other.age < oldest.age ? other : oldest));
    group.from = Math.min(from, (near[0] as Group).from);
    group.to = Math.max(to, (near.at(-1) as Group).to);
    group.age = Math.min(group.age, age);
    group.waiters.set(waiter, age);
    if (near.length === 1) return;
    for (const other of near) {
      if (other === group) continue;
      for (const [moved, since] of other.waiters) group.waiters.set(moved, since);
      group.isTorn ||= other.isTorn;
      this.#order.delete(other);
    }
    this.#groups.splice(low, near.length, group);
  }

  #remove(group: Group): void {
    this.#groups.splice(this.#firstEndingFrom(group.from), 1);
    this.#order.delete(group);
  }

  /** Index of the first group that ends at `at` or behind it. */
  #firstEndingFrom(at: number): number {
    let low = 0;
    let high = this.#groups.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#groups[middle] as Group).to < at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
