import { ChunkNode } from '../core/chunk-node.ts';
import type { Seat } from '../core/seat.ts';
import { OffsetHeap } from './offset-heap.ts';

type ByteSeat = Seat<Uint8Array>;

/**
 * Has a seat wait for an offset that is not written yet: it stands on a node of its own there, which leads nowhere, so that
 * nothing can be read, and a policy counts from that offset on. Returns the node.
 */
export function standAhead(seat: ByteSeat, offset: number): ChunkNode<Uint8Array> {
  const ahead = new ChunkNode<Uint8Array>(offset);
  seat.node = ahead;
  seat.skip = 0;
  return ahead;
}

/** The list has come to where a seat waits: the seat takes its place in it. */
export function arrive(seat: ByteSeat, offset: number): void {
  const { channel } = seat;
  seat.node = channel.nodeAt(offset);
  seat.skip = offset - seat.node.start;
  channel.moved(seat, offset, offset);
}

/** What is written from now on is beyond the range of a seat: its policy acts no more, and blocks nobody. */
export function seal(seat: ByteSeat): void {
  // `drop-oldest` may know its place by an offset only, relative to a tail that goes on.
  seat.locate();
  seat.withdraw();
}

/** A range with a policy, of which a part is not written yet. It knows the seat and not the cursor, which may be dropped. */
export interface OpenRange {
  readonly seat: ByteSeat;
  readonly start: number;
  readonly end: number;
}

/**
 * Where ranges with a policy begin and end that are not written to their end yet.
 *
 * What a policy does depends on the tail at that moment. For a range the tail is never beyond its end, so the writer pauses
 * there, in the middle of a chunk if need be: the policies act on a tail that is just that offset, and then the range is
 * sealed. Ranges without a policy need none of this: their cursor clips what it reads.
 */
export class RangeBorders {
  /** The ranges by the next of their borders. */
  readonly #at: Map<number, Set<OpenRange>> = new Map();
  /** Where there are ranges, and maybe where there were. */
  #offsets: OffsetHeap = new OffsetHeap();
  /** The lowest border at which nothing was done yet, at or after the tail; Infinity without one. */
  next: number = Number.POSITIVE_INFINITY;

  /** Adds a range whose end lies beyond the tail. */
  add(range: OpenRange, tail: number): void {
    this.#put(range, range.start > tail ? range.start : range.end);
    this.#findNext();
  }

  /** Forgets a range; nothing happens if it is not in. */
  delete(range: OpenRange): void {
    if (!this.#take(range, range.start) && !this.#take(range, range.end)) return;
    // What nobody waits for any more must not pile up while the source is silent.
    if (this.#offsets.size > 2 * this.#at.size + 16) {
      this.#offsets = new OffsetHeap([...this.#at.keys()].sort((a, b) => a - b));
    }
    this.#findNext();
  }

  /** The tail is at `tail`, and the next byte will be written there: whoever waits for it takes its place. */
  reach(tail: number): void {
    const ranges = this.#at.get(tail);
    if (ranges === undefined) return;
    this.#at.delete(tail);
    for (const range of ranges) {
      if (range.start === tail) {
        arrive(range.seat, tail);
        this.#put(range, range.end);
      } else {
        seal(range.seat);
      }
    }
    this.#findNext();
  }

  #put(range: OpenRange, offset: number): void {
    // The end of the source: nothing is to be done there.
    if (offset === Number.POSITIVE_INFINITY) return;
    const ranges = this.#at.get(offset);
    if (ranges !== undefined) {
      ranges.add(range);
    } else {
      this.#at.set(offset, new Set([range]));
      this.#offsets.add(offset);
    }
  }

  #take(range: OpenRange, offset: number): boolean {
    const ranges = this.#at.get(offset);
    if (ranges?.delete(range) !== true) return false;
    if (ranges.size === 0) this.#at.delete(offset);
    return true;
  }

  #findNext(): void {
    const offsets = this.#offsets;
    while (offsets.size > 0 && !this.#at.has(offsets.lowest)) offsets.removeLowest();
    this.next = offsets.lowest;
  }
}
