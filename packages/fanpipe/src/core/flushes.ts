import type { Channel } from './channel.ts';
import type { ChunkNode } from './chunk-node.ts';
import type { DropOldestSeat } from './policies.ts';

/** A `flush` that waits until `pending` streams have passed `node`. */
interface Flush<T> {
  readonly id: number;
  /** The tail when it was called. */
  readonly target: number;
  /** The node there. Weakly: it leads to all that is written later, and who waits for the flush must not hold that. */
  readonly node: WeakRef<ChunkNode<T>>;
  pending: number;
  readonly done: () => void;
}

/**
 * The flushes that are under way.
 *
 * Plain streams are registered nowhere, so a flush counts: it begins with the number of streams that are behind the tail,
 * and each that arrives there, or leaves, takes one off. The node at which a flush waits is kept closed (`open` is null),
 * so that readers on the fast path stop there and are counted, also when the tail has moved on. A stream that was opened
 * later carries the id of the last flush before it (`since`) and is not counted by that one.
 *
 * A `drop-oldest` stream that is behind passes a flush without reading, when what it waits for has left the window.
 */
export class Flushes<T> {
  readonly #channel: Channel<T>;
  /** Never changed in place: a loop over it sees what there was when it began. Without iterators, which may be patched. */
  #list: Flush<T>[] = [];
  #lastId = 0;
  readonly #behind: Set<DropOldestSeat<T>> = new Set();
  /** A flush waits at the tail: the node stays closed also when it is filled. */
  guardsTail = false;
  /** The next tail at which a stream that is behind may have missed what a flush waits for. */
  slideAt: number = Number.POSITIVE_INFINITY;

  constructor(channel: Channel<T>) {
    this.#channel = channel;
  }

  /** Whether none is under way. */
  get isEmpty(): boolean {
    return this.#list.length === 0;
  }

  /** Id of the last flush that was called. */
  get lastId(): number {
    return this.#lastId;
  }

  /** Whether a stream at `offset` is still before a flush. */
  isBefore(offset: number): boolean {
    return this.#list.some(({ target }) => target > offset);
  }

  /** Calls `done` when `pending` streams have passed the tail of now; returns how to give up. */
  add(pending: number, done: () => void): () => void {
    const { tail } = this.#channel;
    const flush: Flush<T> = { id: ++this.#lastId, target: tail.start, node: new WeakRef(tail), pending, done };
    this.#list = this.#list.concat(flush);
    this.guardsTail = true;
    this.#planSlide();
    return () => this.#forget(flush);
  }

  /** A plain stream has arrived at `node`. */
  arrived(node: ChunkNode<T>): void {
    const list = this.#list;
    for (let i = 0; i < list.length; i++) {
      const flush = list[i] as Flush<T>;
      if (flush.target === node.start) this.#countDown(flush);
    }
  }

  /** A stream has moved, by reading, by missing, or by leaving (to Infinity). */
  moved(from: number, to: number, since: number): void {
    const list = this.#list;
    for (let i = 0; i < list.length; i++) {
      const flush = list[i] as Flush<T>;
      const { target } = flush;
      if (flush.id > since && from < target && to >= target) this.#countDown(flush);
    }
  }

  #countDown(flush: Flush<T>): void {
    if (--flush.pending > 0) return;
    this.#forget(flush);
    flush.done();
  }

  #forget(flush: Flush<T>): void {
    this.#list = this.#list.filter((other) => other !== flush);
    if (this.#list.some(({ target }) => target === flush.target)) return;
    const node = flush.node.deref();
    if (node === this.#channel.tail) this.guardsTail = false;
    else if (node !== undefined) node.open = node.next;
  }

  // ---- streams that miss

  /** A `drop-oldest` stream has let go of its node. */
  fellBehind(seat: DropOldestSeat<T>): void {
    this.#behind.add(seat);
    for (let i = 0; i < this.#list.length; i++) {
      this.slideAt = Math.min(this.slideAt, this.#missedAt(this.#list[i] as Flush<T>, seat));
    }
  }

  /** It has a node again, or is gone. */
  caughtWindow(seat: DropOldestSeat<T>): void {
    this.#behind.delete(seat);
  }

  /** Brings the places of the streams that are behind up to date. */
  slide(): void {
    for (const seat of this.#behind) seat.slide();
    this.#planSlide();
  }

  #planSlide(): void {
    this.slideAt = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.#list.length; i++) {
      const flush = this.#list[i] as Flush<T>;
      for (const seat of this.#behind) {
        if (seat.position < flush.target) this.slideAt = Math.min(this.slideAt, this.#missedAt(flush, seat));
      }
    }
  }

  /** The tail at which a stream that is behind has missed all that a flush waits for. */
  #missedAt(flush: Flush<T>, seat: DropOldestSeat<T>): number {
    const channel = this.#channel;
    const { target } = flush;
    // A record of which a part has left the window is missed whole.
    const last = channel.wholeRecords ? Math.min(target, channel.nodeAt(target - 1).start + 1) : target;
    return last + seat.highWaterMark;
  }
}
