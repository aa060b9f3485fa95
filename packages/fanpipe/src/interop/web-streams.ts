/**
 * Streams and writers as streams of the web platform. Only the runtime's own classes are used, so this runs wherever they
 * are.
 *
 * @module
 */

import type { Cursor } from '../core/cursor.ts';
import { ReadableByteSource } from './readable-byte-source.ts';
import { ReadableValueSource } from './readable-value-source.ts';
import { WritableSink, type WriterOf } from './writable-sink.ts';

// With any other mark the runtime would read ahead, out of sight of the stream's policy.
const NO_READING_AHEAD = { highWaterMark: 0 };

/** The stream of a cursor as a WHATWG byte stream; see `ReadableSource` for how it behaves. */
export function readableFromCursor(cursor: Cursor<Uint8Array>): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream(new ReadableByteSource(cursor), NO_READING_AHEAD);
}

/** The stream of a cursor as a WHATWG stream of values; see `ReadableSource` for how it behaves. */
export function readableValuesFromCursor<T>(cursor: Cursor<T>): ReadableStream<T> {
  return new ReadableStream<T>(new ReadableValueSource<T>(cursor), NO_READING_AHEAD);
}

/** A writer as a WHATWG stream; see `WritableSink` for how it behaves. */
export function writableToWriter<T, V>(writer: WriterOf<T, V>): WritableStream<T> {
  return new WritableStream<T>(new WritableSink<T, V>(writer));
}
