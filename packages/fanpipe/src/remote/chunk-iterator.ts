import type { OperationQueue } from './operation-queue.ts';
import type { RangeWaiter } from './range-waiter.ts';
import type { RemoteCore } from './remote-core.ts';

type Result = IteratorResult<Uint8Array, undefined>;

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

/** The place from which an iterator reads, and which it moves. */
export interface Place {
  position: number;
}

/**
 * Chunks in order, as they are in the cache or come from the network, without a copy. Its steps take their turn among the
 * reads. `return()` settles a step that waits, at once; that has taken nothing then.
 */
export class ChunkIterator implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #core: RemoteCore;
  readonly #queue: OperationQueue;
  readonly #place: Place;
  readonly #onLeave: () => void;
  #isDone = false;
  #giveUp: (() => void) | undefined;

  /** `onLeave` is called when the reader leaves before the end. */
  constructor(core: RemoteCore, queue: OperationQueue, place: Place, onLeave: () => void = () => {}) {
    this.#core = core;
    this.#queue = queue;
    this.#place = place;
    this.#onLeave = onLeave;
  }

  next(): Promise<Result> {
    return this.#queue.run(this.#step);
  }

  async return(): Promise<Result> {
    if (!this.#isDone) {
      this.#isDone = true;
      this.#giveUp?.();
      this.#onLeave();
    }
    return DONE;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  readonly #step = (): Result | Promise<Result> => {
    if (this.#isDone) return DONE;
    this.#core.check();
    const chunk = this.#core.chunkHere(this.#place.position);
    return chunk === undefined ? new Promise(this.#wait) : this.#taken(chunk);
  };

  readonly #wait = (resolve: (result: Result) => void, reject: (reason: unknown) => void): void => {
    let waiter: RangeWaiter | undefined;
    this.#giveUp = () => {
      this.#giveUp = undefined;
      waiter?.leave();
      resolve(DONE);
    };
    waiter = this.#core.requestChunk(
      this.#place.position,
      (chunk) => {
        this.#giveUp = undefined;
        resolve(this.#taken(chunk));
      },
      (reason) => {
        this.#giveUp = undefined;
        reject(reason);
      },
    );
  };

  #taken(chunk: Uint8Array | null): Result {
    if (chunk === null) {
      this.#isDone = true;
      return DONE;
    }
    this.#place.position += chunk.length;
    return { value: chunk, done: false };
  }
}
