import { type ChunkNode, chunkOf } from './chunk-node.ts';

/**
 * The chunk that was read last, for other readers at the same place: one view, one iterator result and one resolved
 * promise for all.
 *
 * Kept here and not on the nodes. Readers that keep up read the same chunk one after the other, so one entry serves them.
 * On the nodes of a backlog it would stay as long as the slowest reader needs, several times the size of a small write.
 * The entry is known by its offsets, since a pointer to the node would pin all that follows; it is dropped by the
 * next write, or when every stream has read everything, since a dropped reader would leave it here.
 */
export class ChunkCache<T> {
  /** Offset of the chunk, or -1. */
  #from = -1;
  /** Offset of the byte after it: `drop-newest` cuts chunks, for its own reader. */
  #to = -1;
  #result: IteratorYieldResult<T> | null = null;
  #promise: Promise<IteratorYieldResult<T>> | null = null;

  /** The iterator result of a filled node. */
  resultOf(node: ChunkNode<T>): IteratorYieldResult<T> {
    const to = (node.next as ChunkNode<T>).start;
    if (this.#from === node.start && this.#to === to) return this.#result as IteratorYieldResult<T>;
    const result = sharedResult(chunkOf(node));
    this.#from = node.start;
    this.#to = to;
    this.#result = result;
    this.#promise = null;
    return result;
  }

  /** The same as a resolved promise. */
  promiseOf(node: ChunkNode<T>): Promise<IteratorYieldResult<T>> {
    const result = this.resultOf(node);
    return (this.#promise ??= Promise.resolve(result));
  }

  clear(): void {
    if (this.#from < 0) return;
    this.#from = -1;
    this.#result = null;
    this.#promise = null;
  }
}

/** An iterator result for several readers. Frozen, since they do not know each other. */
export function sharedResult<T>(chunk: T): IteratorYieldResult<T> {
  return Object.freeze({ value: chunk, done: false as const });
}
