import { implementStreamable } from '../interop/iter-streams.ts';
import { readableFromCursor } from '../interop/web-streams.ts';
import { BaseStream, cursorOf, takeCursor } from './base-stream.ts';
import { bytesIn, type CollectOptions, checkCollectOptions, collect } from './collect.ts';
import type { StreamOptions } from './open-cursor.ts';

/** Options of `ByteWriter.stream()`. */
export interface ByteStreamOptions extends StreamOptions {
  /** Gives this stream memory of its own, so that it may change or keep its chunks. Default false. */
  readonly copy?: boolean | undefined;
}

/**
 * One reader's view of a `ByteWriter`: an async iterable of `Uint8Array` with its own cursor.
 *
 * A chunk may be shared with other streams and may be a view into a larger slab: do not change it, and copy what you keep
 * for long, or open the stream with `copy: true`.
 */
export class ByteStream extends BaseStream<Uint8Array> {
  /**
   * The next chunk without waiting: undefined if nothing is there now, null at the end.
   *
   * @throws what the stream failed with, at every call
   */
  read(): Uint8Array | undefined | null {
    const result = cursorOf(this).read();
    return result == null ? result : result.value;
  }

  /**
   * All bytes up to the end, in memory of their own.
   *
   * Rejects with the writer's reason, or with a `CancelledError` or `LimitExceededError`; the stream is detached then.
   */
  async bytes(options?: CollectOptions): Promise<Uint8Array<ArrayBuffer>> {
    checkCollectOptions(options);
    const cursor = takeCursor(this, 'bytes()');
    const chunks: Uint8Array[] = [];
    let size = 0;
    await collect(cursor, options, bytesIn, (batch) => {
      for (const chunk of batch) chunks.push(chunk);
      size += bytesIn(batch);
    });
    const bytes = new Uint8Array(size);
    let offset = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, offset);
      offset += chunk.byteLength;
    }
    return bytes;
  }

  /** All bytes up to the end, decoded as UTF-8 (a byte order mark is dropped). Rejects as {@link bytes} does. */
  async text(options?: CollectOptions): Promise<string> {
    checkCollectOptions(options);
    const cursor = takeCursor(this, 'text()');
    const decoder = new TextDecoder();
    let text = '';
    await collect(cursor, options, bytesIn, (batch) => {
      for (const chunk of batch) text += decoder.decode(chunk, { stream: true });
    });
    return text + decoder.decode();
  }

  /**
   * This stream as a WHATWG byte stream: it honours backpressure, serves BYOB readers, and gives memory of its own, since
   * such a stream may transfer it. Cancelling it detaches this stream.
   *
   * @throws IteratorTakenError if the iterator is taken
   */
  readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return readableFromCursor(takeCursor(this, 'readable()'));
  }
}

implementStreamable<ByteStream>(ByteStream.prototype, (stream) => takeCursor(stream, 'the iterable streams API'));
