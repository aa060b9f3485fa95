/**
 * One face for everything that can be monitored: async iterables, iterables and WHATWG streams.
 *
 * @module
 */

import { InvalidArgumentError } from '../errors.ts';

/** What a monitor can wrap. Of a plain iterable, promises among its values are awaited, as `for await` does. */
export type MonitorSource<T> = AsyncIterable<T> | Iterable<T | PromiseLike<T>> | ReadableStream<T>;

/** A source that is asked for one item at a time. Whoever opened it calls exactly one of `close` and `release`, once. */
export interface PullSource<T> {
  /** Asks for the next item. May throw or reject: that is the end of the source. */
  next(): PromiseLike<IteratorResult<T, unknown>>;
  /**
   * Nothing more is wanted. `reading` says that a `next()` has not settled yet: the source is then told as directly as it
   * allows. May throw; resolves when the source has cleaned up.
   */
  close(reason: unknown, reading: boolean): unknown;
  /** The source has ended or failed by itself. */
  release(): void;
}

/**
 * Takes the iterator (or the reader) of `source` at once, so that what is taken already is refused here.
 *
 * @throws InvalidArgumentError if `source` is none of the kinds, and whatever taking the iterator throws.
 */
export function openSource<T>(source: MonitorSource<T>): PullSource<T> {
  const candidate = source as Partial<AsyncIterable<T> & Iterable<T | PromiseLike<T>> & ReadableStream<T>> | undefined;
  if (candidate !== undefined && candidate !== null) {
    // Before the iterator: that of a stream cannot be returned while it reads, its reader can be cancelled at any time.
    if (typeof candidate.getReader === 'function') return new ReaderSource(candidate as ReadableStream<T>);
    if (typeof candidate[Symbol.asyncIterator] === 'function') return new AsyncSource(candidate as AsyncIterable<T>);
    if (typeof candidate[Symbol.iterator] === 'function') return new SyncSource(candidate as Iterable<T>);
  }
  throw new InvalidArgumentError('source', source, 'an async iterable, an iterable or a ReadableStream');
}

class AsyncSource<T> implements PullSource<T> {
  readonly #iterable: AsyncIterable<T>;
  readonly #iterator: AsyncIterator<T, unknown>;

  constructor(iterable: AsyncIterable<T>) {
    this.#iterable = iterable;
    this.#iterator = iterable[Symbol.asyncIterator]();
  }

  next(): PromiseLike<IteratorResult<T, unknown>> {
    return this.#iterator.next();
  }

  close(_reason: unknown, reading: boolean): unknown {
    const closed = this.#iterator.return?.();
    // An async generator, such as the iterator of a Node Readable, takes a return only after the item it waits for; a
    // socket that has fallen silent would stay open for ever. Its destroy() is what its return would have come to.
    if (reading) {
      const stream = this.#iterable as { pipe?: unknown; destroy?: unknown };
      if (typeof stream.pipe === 'function' && typeof stream.destroy === 'function') stream.destroy();
    }
    return closed;
  }

  release(): void {}
}

class SyncSource<T> implements PullSource<T> {
  readonly #iterator: Iterator<T | PromiseLike<T>, unknown>;

  constructor(iterable: Iterable<T | PromiseLike<T>>) {
    this.#iterator = iterable[Symbol.iterator]();
  }

  async next(): Promise<IteratorResult<T, unknown>> {
    const result = this.#iterator.next();
    if (result.done) return result;
    try {
      return { done: false, value: await result.value };
    } catch (reason) {
      // The iterator itself has not failed, and so still has to clean up; a failure of that would hide the reason.
      try {
        this.#iterator.return?.();
      } catch {}
      throw reason;
    }
  }

  close(): unknown {
    return this.#iterator.return?.();
  }

  release(): void {}
}

class ReaderSource<T> implements PullSource<T> {
  readonly #reader: ReadableStreamDefaultReader<T>;

  constructor(stream: ReadableStream<T>) {
    this.#reader = stream.getReader();
  }

  next(): PromiseLike<IteratorResult<T, unknown>> {
    return this.#reader.read() as Promise<IteratorResult<T, unknown>>;
  }

  close(reason: unknown): unknown {
    const closed = this.#reader.cancel(reason);
    this.#reader.releaseLock();
    return closed;
  }

  release(): void {
    this.#reader.releaseLock();
  }
}
