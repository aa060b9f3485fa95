import type { ChunkNode } from './chunk-node.ts';

/** Every how many nodes one is noted in the index. */
const INDEX_STEP = 16;

/**
 * The part of the list that is kept although nobody may be about to read it: for replay, and for `drop-oldest` streams
 * that have fallen behind and share one window of the newest bytes.
 *
 * Kept is the longest of what is wanted, measured back from the tail in whole nodes. While nothing is wanted, this
 * holds no node at all. A sparse index (every 16th node) finds an offset in O(log n).
 */
export class History<T> {
  readonly #replay: number;
  /** For each mark, how many streams hold a window of that many bytes. */
  readonly #windows: Map<number, number> = new Map();
  #wanted: number;
  #head: ChunkNode<T> | null = null;
  #index: (ChunkNode<T> | undefined)[] = [];
  /** The entries before this one are trimmed; the array is compacted now and then. */
  #indexFrom = 0;
  #sinceIndexed = 0;

  constructor(replay: number, tail: ChunkNode<T>) {
    this.#replay = replay;
    this.#wanted = replay;
    if (replay > 0) this.#startAt(tail);
  }

  /** Whether nodes are kept; the channel reports its writes only then. */
  get active(): boolean {
    return this.#wanted > 0;
  }

  /** The channel filled `node`, and its tail is now `tail`. */
  appended(node: ChunkNode<T>, tail: ChunkNode<T>): void {
    this.#note(node);
    this.#trim(tail);
  }

  /** Keeps the newest `mark` bytes for one more stream, which stands at `node` and is further behind than that. */
  hold(mark: number, node: ChunkNode<T>, tail: ChunkNode<T>): void {
    if (mark === 0) return;
    this.#windows.set(mark, (this.#windows.get(mark) ?? 0) + 1);
    if (mark > this.#wanted) this.#wanted = mark;
    const head = this.#head;
    if (head === null || (head.start > node.start && head.start > tail.start - mark)) {
      this.#startAt(node);
      for (let n = node; n !== tail; n = n.next as ChunkNode<T>) this.#note(n);
      this.#trim(tail);
    }
  }

  /** One stream less needs a window of `mark` bytes. */
  release(mark: number, tail: ChunkNode<T>): void {
    const count = this.#windows.get(mark);
    if (count === undefined) return;
    if (count > 1) {
      this.#windows.set(mark, count - 1);
      return;
    }
    this.#windows.delete(mark);
    if (mark < this.#wanted) return;
    this.#wanted = this.#replay;
    for (const window of this.#windows.keys()) if (window > this.#wanted) this.#wanted = window;
    if (this.#wanted === 0) this.clear();
    else this.#trim(tail);
  }

  /** Lets go of everything, for good. */
  clear(): void {
    this.#wanted = 0;
    this.#head = null;
    this.#index = [];
    this.#indexFrom = 0;
  }

  /** The node that holds `offset`, which must lie between the head and the tail (the tail itself included). */
  find(offset: number, tail: ChunkNode<T>): ChunkNode<T> {
    if (this.#head === null || offset >= tail.start) return tail;
    let node = this.#head;
    let low = this.#indexFrom;
    let high = this.#index.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const candidate = this.#index[middle] as ChunkNode<T>;
      if (candidate.start <= offset) {
        node = candidate;
        low = middle + 1;
      } else {
        high = middle - 1;
      }
    }
    for (;;) {
      const next = node.next;
      if (next === null || next.start > offset) return node;
      node = next;
    }
  }

  #startAt(node: ChunkNode<T>): void {
    this.#head = node;
    this.#index = [];
    this.#indexFrom = 0;
    this.#sinceIndexed = 0;
  }

  #note(node: ChunkNode<T>): void {
    if (this.#sinceIndexed++ % INDEX_STEP === 0) this.#index.push(node);
  }

  #trim(tail: ChunkNode<T>): void {
    const keepFrom = tail.start - this.#wanted;
    let head = this.#head as ChunkNode<T>;
    while (head !== tail && (head.next as ChunkNode<T>).start <= keepFrom) head = head.next as ChunkNode<T>;
    if (head === this.#head) return;
    this.#head = head;
    const index = this.#index;
    let from = this.#indexFrom;
    while (from < index.length && (index[from] as ChunkNode<T>).start < head.start) {
      // The entry would pin its node, and with it all that follow.
      index[from] = undefined;
      from++;
    }
    this.#indexFrom = from;
    if (from >= 64 && from * 2 >= index.length) {
      this.#index = index.slice(from);
      this.#indexFrom = 0;
    }
  }
}
