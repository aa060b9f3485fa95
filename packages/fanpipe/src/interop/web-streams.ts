import type { Cursor } from '../core/cursor.ts';

/** The stream of a cursor as a WHATWG byte stream. */
export function readableFromCursor(cursor: Cursor<Uint8Array>): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream(
    {
      type: 'bytes',
      async pull(controller) {
        const { value, done } = await cursor.next();
        if (done) controller.close();
        else controller.enqueue(value.slice());
      },
      cancel(reason) {
        cursor.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/** The stream of a cursor as a WHATWG stream of values. */
export function readableValuesFromCursor<T>(cursor: Cursor<T>): ReadableStream<T> {
  return new ReadableStream<T>(
    {
      async pull(controller) {
        const { value, done } = await cursor.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel(reason) {
        cursor.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/** A writer as a WHATWG stream. */
export function writableToWriter<T>(writer: {
  write(chunk: T): Promise<void>;
  close(): void;
  fail(reason?: unknown): void;
}): WritableStream<T> {
  return new WritableStream<T>({
    write: (chunk) => writer.write(chunk),
    close: () => writer.close(),
    abort: (reason) => writer.fail(reason),
  });
}
