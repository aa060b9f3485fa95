import type { BoundedSeat } from './policies.ts';

/**
 * The bounded streams, ordered by the offset at which they overflow: a binary min-heap that is allowed to be late.
 *
 * A stream that reads only ever moves its true limit upwards, so an entry may be too low and never too high. Nothing is
 * done here while streams keep up; a write compares its tail with the top, and only an entry that seems exceeded is
 * looked at and put back with its true limit. The cost of a write does not grow with the number of streams.
 */
export class OverflowHeap<T> {
  readonly #seats: BoundedSeat<T>[] = [];

  /** The seat whose noted limit is lowest. */
  get top(): BoundedSeat<T> | undefined {
    return this.#seats[0];
  }

  /** Adds a seat under its present limit. */
  push(seat: BoundedSeat<T>): void {
    seat.overflowAt = seat.position + seat.highWaterMark;
    this.#seats.push(seat);
    this.#siftUp(this.#seats.length - 1, seat);
  }

  /** Takes a seat out; nothing happens if it is not in. */
  remove(seat: BoundedSeat<T>): void {
    const index = seat.heapIndex;
    if (index < 0) return;
    seat.heapIndex = -1;
    const last = this.#seats.pop() as BoundedSeat<T>;
    if (last === seat) return;
    this.#siftDown(index, last);
    if (last.heapIndex === index) this.#siftUp(index, last);
  }

  /** Gives the top its true limit and lets it sink; false if the limit it had was true already. */
  refreshTop(): boolean {
    const seat = this.#seats[0];
    if (seat === undefined) return false;
    const limit = seat.position + seat.highWaterMark;
    if (limit === seat.overflowAt) return false;
    seat.overflowAt = limit;
    this.#siftDown(0, seat);
    return true;
  }

  #siftUp(from: number, seat: BoundedSeat<T>): void {
    const seats = this.#seats;
    let index = from;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = seats[parentIndex] as BoundedSeat<T>;
      if (parent.overflowAt <= seat.overflowAt) break;
      seats[index] = parent;
      parent.heapIndex = index;
      index = parentIndex;
    }
    seats[index] = seat;
    seat.heapIndex = index;
  }

  #siftDown(from: number, seat: BoundedSeat<T>): void {
    const seats = this.#seats;
    const size = seats.length;
    let index = from;
    for (;;) {
      let childIndex = 2 * index + 1;
      if (childIndex >= size) break;
      let child = seats[childIndex] as BoundedSeat<T>;
      const right = seats[childIndex + 1];
      if (right !== undefined && right.overflowAt < child.overflowAt) {
        child = right;
        childIndex++;
      }
      if (child.overflowAt >= seat.overflowAt) break;
      seats[index] = child;
      child.heapIndex = index;
      index = childIndex;
    }
    seats[index] = seat;
    seat.heapIndex = index;
  }
}
