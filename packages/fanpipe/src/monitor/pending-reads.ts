/**
 * The calls of `next()` that are not answered yet, first come first served.
 *
 * @module
 */

/** What a monitor answers. */
export type ReadResult<T> = IteratorResult<T, undefined>;

/** One unanswered `next()`. Whoever answers it takes it out of the queue first. */
export interface PendingRead<T> {
  readonly resolve: (result: ReadResult<T>) => void;
  readonly reject: (reason: unknown) => void;
  following: PendingRead<T> | undefined;
}

// One executor for all promises: a closure for each would be a good part of what a next() costs that finds data ready.
let lastResolve: (value: never) => void;
let lastReject: (reason: unknown) => void;
function capture(resolve: (value: never) => void, reject: (reason: unknown) => void): void {
  lastResolve = resolve;
  lastReject = reject;
}

/** A queue as a linked list: any number may be outstanding, and each step costs the same. */
export class PendingReads<T> {
  #first: PendingRead<T> | undefined;
  #last: PendingRead<T> | undefined;

  /** The one to be answered next. */
  get first(): PendingRead<T> | undefined {
    return this.#first;
  }

  /** Adds one at the end, and returns its promise. */
  add(): Promise<ReadResult<T>> {
    const promise = new Promise<ReadResult<T>>(capture);
    const read: PendingRead<T> = {
      resolve: lastResolve as PendingRead<T>['resolve'],
      reject: lastReject,
      following: undefined,
    };
    if (this.#last === undefined) this.#first = read;
    else this.#last.following = read;
    this.#last = read;
    return promise;
  }

  /** Takes out the first, which must be `read`; nothing happens if the queue was emptied meanwhile. */
  remove(read: PendingRead<T>): void {
    if (this.#first !== read) return;
    this.#first = read.following;
    if (this.#first === undefined) this.#last = undefined;
  }

  /** Empties the queue, and hands each to `answer` in order. */
  clear(answer: (read: PendingRead<T>) => void): void {
    let read = this.#first;
    this.#first = this.#last = undefined;
    for (; read !== undefined; read = read.following) answer(read);
  }
}
