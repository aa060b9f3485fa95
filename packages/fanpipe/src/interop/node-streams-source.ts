import { ReadStream } from 'node:fs';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import * as zlib from 'node:zlib';
import { channelOf } from '../core/base-writer.ts';
import { ByteWriter, type ByteWriterOptions } from '../core/byte-writer.ts';
import type { Chunk } from '../core/to-bytes.ts';
import { InvalidArgumentError, PrematureCloseError } from '../errors.ts';

/** Options of {@link fromReadable}. */
export interface FromReadableOptions extends ByteWriterOptions {
  /**
   * Whether chunks are copied. Default: not from files, sockets, HTTP messages, zlib and standard input, whose chunks are
   * nobody else's; from any other Readable, since its maker may use the memory again.
   */
  readonly copy?: boolean | undefined;
}

/**
 * A writer of what a Node Readable of bytes or text yields, read as fast as the blocking streams allow. Reading begins in
 * a later tick, so that streams opened right after see all of it.
 *
 * - Its end closes the writer; its error fails the writer with that error. A Readable that closes without either fails it
 *   with a `PrematureCloseError`, and what is no chunk with the refusal.
 * - A writer that ends otherwise destroys the Readable.
 *
 * @throws InvalidArgumentError if it is no Readable, or was read to its end before
 */
export function fromReadable(readable: Readable, options: FromReadableOptions = {}): ByteWriter {
  if (!isReadable(readable)) throw new InvalidArgumentError('readable', readable, 'a Node Readable');
  if (readable.readableEnded) {
    throw new InvalidArgumentError('readable', readable, 'a Readable that was not read to its end');
  }
  const writer = new ByteWriter({ ...options, copy: options.copy ?? !hasFreshChunks(readable) });
  new Feed(readable, writer);
  return writer;
}

function isReadable(value: unknown): value is Readable {
  const readable = value as Partial<Readable> | null | undefined;
  return (
    typeof readable?.on === 'function' && typeof readable.pause === 'function' && typeof readable.destroy === 'function'
  );
}

/** Their chunks are made for each read and handed over for good. Not every runtime has all of them. */
const FRESH_SOURCES = [
  ReadStream,
  Socket,
  IncomingMessage,
  ...(['Deflate', 'DeflateRaw', 'Gzip', 'Inflate', 'InflateRaw', 'Gunzip', 'Unzip'] as const).map(zlibClass),
  ...(['BrotliCompress', 'BrotliDecompress', 'ZstdCompress', 'ZstdDecompress'] as const).map(zlibClass),
].filter((source) => typeof source === 'function');

function zlibClass(name: string): unknown {
  return (zlib as unknown as Record<string, unknown>)[name];
}

function hasFreshChunks(readable: Readable): boolean {
  return FRESH_SOURCES.some((source) => readable instanceof (source as typeof ReadStream));
}

/** The listeners on one Readable. None of them is left when it has ended or closed. */
class Feed {
  readonly #readable: Readable;
  readonly #writer: ByteWriter;

  constructor(readable: Readable, writer: ByteWriter) {
    this.#readable = readable;
    this.#writer = writer;
    const { endWatchers } = channelOf(writer);
    if (readable.destroyed) {
      this.#onError(readable.errored ?? this.#prematureClose());
      return;
    }
    readable.on('error', this.#onError).on('close', this.#onClose);
    if (writer.state !== 'open') {
      this.#leave();
      return;
    }
    endWatchers.add(this.#leave);
    readable.on('end', this.#onEnd).on('data', this.#onData);
    readable.resume();
  }

  readonly #onData = (chunk: Chunk): void => {
    const writer = this.#writer;
    try {
      // A stream that came over its mark by other means does not refuse what is here already.
      if (!writer.writeSync(chunk)) writer.write(chunk).catch(this.#onError);
    } catch (refusal) {
      writer.fail(refusal);
    }
    if (writer.canWrite !== false) return;
    this.#readable.pause();
    void channelOf(writer).room.wait(undefined).then(this.#resume);
  };

  readonly #resume = (): void => {
    this.#readable.resume();
  };

  readonly #onEnd = (): void => {
    this.#stopListening();
    this.#writer.close();
  };

  readonly #onError = (error: unknown): void => {
    this.#writer.fail(error);
  };

  readonly #onClose = (): void => {
    this.#stopListening();
    this.#writer.fail(this.#prematureClose());
  };

  /** The writer has ended. Destroying the Readable may run its maker's code, which must not happen inside `close`. */
  readonly #leave = (): void => {
    queueMicrotask(() => {
      const readable = this.#readable;
      readable.off('data', this.#onData).off('end', this.#onEnd);
      if (!readable.destroyed) readable.destroy();
    });
  };

  #stopListening(): void {
    const readable = this.#readable;
    channelOf(this.#writer).endWatchers.delete(this.#leave);
    readable.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onError).off('close', this.#onClose);
  }

  #prematureClose(): PrematureCloseError {
    const detail = 'The Readable closed without an end or an error; the writer has failed.';
    return new PrematureCloseError(detail, this.#writer.bytesWritten);
  }
}
