import type { Cursor } from './cursor.ts';

/** The cursors that wait for the next write: O(1) to join, and O(1) to leave by swapping with the last one. */
export class ParkingLot<T> {
  readonly #cursors: (Cursor<T> | undefined)[] = [];
  /** How many wait. The array keeps its length, since emptying it would allocate a new one at every write. */
  count = 0;

  add(cursor: Cursor<T>): void {
    cursor.slot = this.count;
    this.#cursors[this.count++] = cursor;
  }

  remove(cursor: Cursor<T>): void {
    const { slot } = cursor;
    const last = this.#cursors[--this.count] as Cursor<T>;
    this.#cursors[slot] = last;
    last.slot = slot;
    this.#cursors[this.count] = undefined;
    cursor.slot = -1;
  }

  /**
   * Takes out every cursor that waits now, in the order in which they came, and hands each to `wake`; one that still
   * has to wait may be added again meanwhile.
   */
  drain<A>(wake: (cursor: Cursor<T>, argument: A) => void, argument: A): void {
    const cursors = this.#cursors;
    const { count } = this;
    this.count = 0;
    for (let i = 0; i < count; i++) {
      const cursor = cursors[i] as Cursor<T>;
      cursors[i] = undefined;
      cursor.slot = -1;
      wake(cursor, argument);
    }
  }
}
