import { IteratorTakenError } from '../errors.ts';
import { type MonitorOptions, StalledReadMonitor } from '../monitor/index.ts';
import type { Cursor } from './cursor.ts';
import { implementDispose } from './dispose.ts';

/** The cursor of a stream, for the other files of the package. */
export let cursorOf: <T>(stream: BaseStream<T>) => Cursor<T>;

/**
 * Takes the one iterator of a stream, for the other files of the package.
 *
 * @throws IteratorTakenError if it is taken
 */
export let takeCursor: <T>(stream: BaseStream<T>, asked: string) => Cursor<T>;

/**
 * What a stream of bytes and one of values have in common: one reader's view of what a writer writes.
 *
 * A stream has one iterator. `for await`, `batches()`, a collector, `readable()` and `stalledMonitor()` each take it, and
 * a second one is refused with an `IteratorTakenError`; `read()` may be mixed in. Leaving the loop, `cancel()`, or the
 * stream's signal detaches this stream alone.
 */
export abstract class BaseStream<T> implements AsyncIterable<T> {
  readonly #cursor: Cursor<T>;

  /** Cancels the stream, at the end of a `using` block. */
  declare [Symbol.dispose]: () => void;
  declare [Symbol.asyncDispose]: () => Promise<void>;

  static {
    cursorOf = (stream) => stream.#cursor;
    takeCursor = (stream, asked) => stream.#take(asked);
  }

  /** @internal Streams are opened with `writer.stream()`. */
  constructor(cursor: Cursor<T>) {
    this.#cursor = cursor;
  }

  /** Offset of the next byte (typed: record) this stream will read. Frozen once it is detached. */
  get position(): number {
    return this.#cursor.position;
  }

  /** How much is waiting to be read, in bytes (typed: items, or what `size` counts). Frozen once it is detached. */
  get lag(): number {
    return this.#cursor.lag;
  }

  /** How much this stream can no longer get, exactly, in the same unit. Frozen once it is detached. */
  get missed(): number {
    return this.#cursor.missed;
  }

  /**
   * Detaches this stream alone and frees what only it held. Reads that wait settle at once as ended; a collector that
   * is under way rejects with a `CancelledError` whose cause is `reason`. Nothing happens on a detached stream.
   */
  cancel(reason?: unknown): void {
    this.#cursor.cancel(reason);
  }

  /**
   * The iterator: one chunk (typed: value) per write. Several `next()` may be outstanding and settle in order. It
   * completes if the writer closed, and rejects with the writer's reason if it failed.
   *
   * @throws IteratorTakenError if the iterator is taken
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<T, undefined> {
    return this.#take('for await');
  }

  /**
   * All that is waiting, at each step: one wake-up for a burst of writes. Neighbouring chunks of bytes may be merged. The
   * array is shared with other streams: do not change it.
   *
   * @throws IteratorTakenError if the iterator is taken
   */
  batches(): AsyncIterableIterator<readonly T[], undefined> {
    return new BatchIterator(this.#take('batches()'));
  }

  /**
   * A monitor over this stream, which tells a silent writer from a reader that does not ask.
   *
   * @throws IteratorTakenError if the iterator is taken
   */
  stalledMonitor(options?: MonitorOptions): StalledReadMonitor<T> {
    // Taken by the monitor, which checks its options before: a refusal must not use the iterator up.
    return new StalledReadMonitor<T>({ [Symbol.asyncIterator]: () => this.#take('stalledMonitor()') }, options);
  }

  #take(asked: string): Cursor<T> {
    const cursor = this.#cursor;
    if (cursor.taken !== 'not') throw new IteratorTakenError(asked);
    cursor.taken = 'for chunks';
    return cursor;
  }
}

class BatchIterator<T> implements AsyncIterableIterator<readonly T[], undefined> {
  readonly #cursor: Cursor<T>;

  constructor(cursor: Cursor<T>) {
    this.#cursor = cursor;
  }

  next(): Promise<IteratorResult<readonly T[], undefined>> {
    return this.#cursor.nextBatch();
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    return this.#cursor.return();
  }

  throw(reason: unknown): Promise<never> {
    return this.#cursor.throw(reason);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

implementDispose<BaseStream<unknown>>(BaseStream.prototype, (stream) => stream.cancel());
