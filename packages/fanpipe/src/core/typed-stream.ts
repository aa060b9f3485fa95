import { readableValuesFromCursor } from '../interop/web-streams.ts';
import { BaseStream, cursorOf, takeCursor } from './base-stream.ts';
import { type CollectOptions, checkCollectOptions, collect } from './collect.ts';
import type { StreamOptions } from './open-cursor.ts';

/** Options of `TypedWriter.stream()`. Amounts and offsets count items, or what the writer's `size` counts. */
export interface TypedStreamOptions extends StreamOptions {}

/** One reader's view of a `TypedWriter`: an async iterable of its values, which all streams share. */
export class TypedStream<T> extends BaseStream<T> {
  /**
   * The next value without waiting, in a box since any value may be written: undefined if nothing is there now, null at
   * the end.
   *
   * @throws what the stream failed with, at every call
   */
  read(): { readonly value: T } | undefined | null {
    const result = cursorOf(this).read();
    return result == null ? result : { value: result.value };
  }

  /**
   * All values up to the end. `limit` counts values.
   *
   * Rejects with the writer's reason, or with a `CancelledError` or `LimitExceededError`; the stream is detached then.
   */
  async array(options?: CollectOptions): Promise<T[]> {
    checkCollectOptions(options);
    const values: T[] = [];
    const cursor = takeCursor(this, 'array()');
    await collect(
      cursor,
      options,
      (batch) => batch.length,
      (batch) => {
        for (const value of batch) values.push(value);
      },
    );
    return values;
  }

  /**
   * This stream as a WHATWG stream of values that honours backpressure. Cancelling it detaches this stream.
   *
   * @throws IteratorTakenError if the iterator is taken
   */
  readable(): ReadableStream<T> {
    return readableValuesFromCursor(takeCursor(this, 'readable()'));
  }
}
