import type { ChunkNode } from './chunk-node.ts';
import type { Cursor } from './cursor.ts';
import type { Waiter } from './seat.ts';

/** The cursors that wait for the next write: O(1) to join, and O(1) to leave by swapping with the last one. */
export class ParkingLot<T> {
  readonly #cursors: (Cursor<T> | undefined)[] = [];
  /** How many wait. The array keeps its length, since emptying it would allocate a new one at every write. */
  count = 0;
  /** How many of them are plain. */
  plainCount = 0;

  add(cursor: Cursor<T>): void {
    cursor.slot = this.count;
    this.#cursors[this.count++] = cursor;
    if (cursor.seat === null) this.plainCount++;
  }

  remove(cursor: Cursor<T>): void {
    const { slot } = cursor;
    const last = this.#cursors[--this.count] as Cursor<T>;
    this.#cursors[slot] = last;
    last.slot = slot;
    this.#cursors[this.count] = undefined;
    cursor.slot = -1;
    if (cursor.seat === null) this.plainCount--;
  }

  /** Takes out every cursor that waits now, in the order in which they came; `wake` may add one again meanwhile. */
  drain(wake: (cursor: Cursor<T>) => void): void {
    const cursors = this.#cursors;
    const { count } = this;
    this.count = 0;
    this.plainCount = 0;
    for (let i = 0; i < count; i++) {
      const cursor = cursors[i] as Cursor<T>;
      cursors[i] = undefined;
      cursor.slot = -1;
      wake(cursor);
    }
  }

  /**
   * The same after a write: plain cursors get `result` and go on to `after`, the others settle what they can. Returns how
   * many plain ones there were. All that a delivery to a parked reader costs is in this loop and the next.
   */
  deliver(result: IteratorYieldResult<T>, after: ChunkNode<T>): number {
    const cursors = this.#cursors;
    const { count } = this;
    let plain = 0;
    this.count = 0;
    this.plainCount = 0;
    for (let i = 0; i < count; i++) {
      const cursor = cursors[i] as Cursor<T>;
      cursors[i] = undefined;
      cursor.slot = -1;
      if (cursor.seat === null) {
        const waiter = cursor.waiter as Waiter;
        cursor.waiter = null;
        cursor.node = after;
        plain++;
        waiter(result);
      } else {
        cursor.settleParked();
      }
    }
    return plain;
  }

  /** The same where all are plain, and stay at the node where they stand. */
  handOver(result: IteratorYieldResult<T>): void {
    const cursors = this.#cursors;
    const { count } = this;
    this.count = 0;
    this.plainCount = 0;
    for (let i = 0; i < count; i++) {
      const cursor = cursors[i] as Cursor<T>;
      cursors[i] = undefined;
      cursor.slot = -1;
      const waiter = cursor.waiter as Waiter;
      cursor.waiter = null;
      waiter(result);
    }
  }
}
