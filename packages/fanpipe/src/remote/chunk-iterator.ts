import { ChunkWaiter } from './chunk-waiter.ts';
import type { OperationQueue } from './operation-queue.ts';
import type { RemoteCore } from './remote-core.ts';

type Result = IteratorResult<Uint8Array, undefined>;

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

// One executor for all promises: a closure for each would be a good part of what a step costs.
let lastResolve: (result: Result) => void;
let lastReject: (reason: unknown) => void;
function capture(resolve: (result: Result) => void, reject: (reason: unknown) => void): void {
  lastResolve = resolve;
  lastReject = reject;
}

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
  readonly #waiter: ChunkWaiter;
  #isDone = false;
  /** Of the step that waits. */
  #resolve: ((result: Result) => void) | undefined;
  #reject: ((reason: unknown) => void) | undefined;

  /** `onLeave` is called when the reader leaves before the end. */
  constructor(core: RemoteCore, queue: OperationQueue, place: Place, onLeave: () => void = () => {}) {
    this.#core = core;
    this.#queue = queue;
    this.#place = place;
    this.#onLeave = onLeave;
    this.#waiter = new ChunkWaiter(0, this.#got, this.#failed);
  }

  next(): Promise<Result> {
    return this.#queue.run(this.#step);
  }

  async return(): Promise<Result> {
    if (!this.#isDone) {
      this.#isDone = true;
      if (this.#resolve !== undefined) {
        this.#waiter.leave();
        this.#settle(this.#resolve, DONE);
      }
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
    const { position } = this.#place;
    const chunk = this.#core.chunkHere(position);
    if (chunk !== undefined) return this.#taken(chunk);
    const promise = new Promise<Result>(capture);
    this.#resolve = lastResolve;
    this.#reject = lastReject;
    this.#queue.hold();
    this.#waiter.reset(position);
    this.#core.requestChunk(this.#waiter);
    return promise;
  };
  readonly #got = (chunk: Uint8Array | null): void => {
    this.#settle(this.#resolve as (result: Result) => void, this.#taken(chunk));
  };

  readonly #failed = (reason: unknown): void => {
    this.#settle(this.#reject as (reason: unknown) => void, reason);
  };

  /** The step is done, and the next one begins before the reader goes on. */
  #settle<T>(settle: (outcome: T) => void, outcome: T): void {
    this.#resolve = this.#reject = undefined;
    this.#queue.release();
    settle(outcome);
  }

  #taken(chunk: Uint8Array | null): Result {
    if (chunk === null) {
      this.#isDone = true;
      return DONE;
    }
    const position = this.#place.position + chunk.length;
    this.#place.position = position;
    this.#core.took(position);
    return { value: chunk, done: false };
  }
}
