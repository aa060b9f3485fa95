import { type ChunkNode, collectChunks } from './chunk-node.ts';

/** What `batches()` yields. */
export type Batch<T> = IteratorYieldResult<readonly T[]>;

/**
 * The batch that was made last, for other readers at the same place: one array, and one resolved promise of it, for all.
 *
 * It pins its chunks, so it lives no longer than the readers that are about to run.
 */
export class BatchCache<T> {
  #from: ChunkNode<T> | null = null;
  #to: ChunkNode<T> | null = null;
  #batch: Batch<T> | null = null;
  #promise: Promise<Batch<T>> | null = null;

  /** Everything between `from` and `to`. */
  get(from: ChunkNode<T>, to: ChunkNode<T>): Batch<T> {
    if (this.#batch !== null && this.#from === from && this.#to === to) return this.#batch;
    if (this.#from === null) queueMicrotask(this.#forget);
    this.#from = from;
    this.#to = to;
    this.#promise = null;
    this.#batch = Object.freeze({ value: collectChunks(from, 0, to), done: false as const });
    return this.#batch;
  }

  /** The same as a resolved promise. */
  getPromise(from: ChunkNode<T>, to: ChunkNode<T>): Promise<Batch<T>> {
    const batch = this.get(from, to);
    return (this.#promise ??= Promise.resolve(batch));
  }

  readonly #forget = (): void => {
    this.#from = null;
    this.#to = null;
    this.#batch = null;
    this.#promise = null;
  };
}
