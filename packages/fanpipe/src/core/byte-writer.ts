import { implementFanOut } from '../interop/iter-streams.ts';
import { writableToWriter } from '../interop/web-streams.ts';
import { BaseWriter, channelOf, type WaitOptions, type WriterOptions } from './base-writer.ts';
import { ByteStream, type ByteStreamOptions } from './byte-stream.ts';
import type { Channel } from './channel.ts';
import { checkIterable, checkOptions } from './check.ts';
import { openAtTail, openCursor } from './open-cursor.ts';
import { pump, type Source } from './pump.ts';
import { SlabAllocator } from './slab-allocator.ts';
import { type Chunk, isChunk, toBytes } from './to-bytes.ts';

/** Options of a `ByteWriter`. */
export interface ByteWriterOptions extends WriterOptions {
  /**
   * Whether a write copies the chunk, so that the caller may reuse its memory. Default true. With false the memory is
   * handed over: it must not change any more.
   */
  readonly copy?: boolean | undefined;
}

/** Options of one write. */
export interface WriteOptions extends WaitOptions {
  /** As {@link ByteWriterOptions.copy}, for this write. */
  readonly copy?: boolean | undefined;
}

let lastId = 0;
const encoder = new TextEncoder();

/**
 * Write bytes once, read them by any number of streams, each at its own pace.
 *
 * A write takes effect at once: when it returns, every stream can already read the bytes. Its promise is about
 * backpressure, and waits only while a stream with the policy `block` is over its mark.
 *
 * ```ts
 * const writer = new ByteWriter();
 * const stream = writer.stream();
 * await writer.write('hello');
 * writer.close();
 * console.log(await stream.text());
 * ```
 */
export class ByteWriter extends BaseWriter<Uint8Array> {
  /** Unique among the writers of bytes in this process, from 1. */
  readonly id: number = ++lastId;
  readonly #channel: Channel<Uint8Array>;
  readonly #copy: boolean;
  readonly #slabs: SlabAllocator = new SlabAllocator();

  /** @throws InvalidArgumentError */
  constructor(options: ByteWriterOptions = {}) {
    super(options, false);
    this.#channel = channelOf(this);
    this.#copy = options.copy ?? true;
  }

  /**
   * A writer of what `source` yields, read as fast as the blocking streams allow. Its end closes the writer, its error
   * fails it; a writer that ends otherwise cancels the source. Reading begins in a microtask, so that streams opened
   * right after see all of it. Chunks are copied unless `copy` is false or the source is a `Response`.
   *
   * @throws InvalidArgumentError if it is no iterable, ReadableStream or Response with an unread body
   */
  static from(source: Source<Chunk> | Chunk, options: ByteWriterOptions = {}): ByteWriter {
    const isResponse = typeof Response === 'function' && source instanceof Response;
    const writer = new ByteWriter({ ...options, copy: options.copy ?? !isResponse });
    // A lone chunk is iterable too, by characters or numbers, which nobody means.
    pump(isChunk(source) ? [source] : source, writer);
    return writer;
  }

  /** Bytes written so far, whether or not a stream was there. */
  get bytesWritten(): number {
    return this.#channel.tail.start - this.#channel.origin;
  }

  /**
   * Opens a stream, at any time, also after the end: it then reads what is retained and completes.
   *
   * @throws InvalidArgumentError
   * @throws OffsetEvictedError if `from` is no longer retained
   * @throws OffsetNotWrittenError if `from` lies beyond the tail
   */
  stream(options?: ByteStreamOptions): ByteStream {
    if (options === undefined) return new ByteStream(openAtTail(this.#channel));
    checkOptions(options);
    return new ByteStream(openCursor(this.#channel, options, options.copy === true));
  }

  /**
   * Writes one chunk; an empty one does nothing. A string is written as UTF-8.
   *
   * Resolves when no blocking stream is over its mark. Rejects, and has taken nothing, with a `WriterEndedError`, an
   * `InvalidChunkError`, a `DetachedBufferError`, an `OffsetOverflowError`, or the reason of a signal that had fired. A
   * signal that fires later ends the wait only: the bytes are written.
   */
  write(chunk: Chunk, options?: WriteOptions): Promise<void> {
    // Options may be getters, which are the caller's code: they are read before anything is looked at.
    const signal = options?.signal;
    const copy = options?.copy ?? this.#copy;
    try {
      this.checkOpen(signal);
      this.#writeNow(chunk, copy);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.room(signal);
  }

  /**
   * Writes one chunk if no blocking stream is over its mark and the writer is open; else returns false and takes nothing.
   *
   * @throws InvalidChunkError, DetachedBufferError, OffsetOverflowError; nothing is taken
   */
  writeSync(chunk: Chunk, options?: { readonly copy?: boolean | undefined }): boolean {
    const copy = options?.copy ?? this.#copy;
    if (!this.isWritable) return false;
    this.#writeNow(chunk, copy);
    return true;
  }

  /** Writes several chunks as one write: all or nothing. Otherwise as {@link write}. */
  writev(chunks: Iterable<Chunk>, options?: WriteOptions): Promise<void> {
    const signal = options?.signal;
    const copy = options?.copy ?? this.#copy;
    try {
      this.checkOpen(signal);
      const list = listOf(chunks);
      this.checkOpen(undefined);
      this.#appendAll(list, copy);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.room(signal);
  }

  /** Several chunks, all or nothing. Otherwise as {@link writeSync}. */
  writevSync(chunks: Iterable<Chunk>, options?: { readonly copy?: boolean | undefined }): boolean {
    const copy = options?.copy ?? this.#copy;
    if (!this.isWritable) return false;
    const list = listOf(chunks);
    if (!this.isWritable) return false;
    this.#appendAll(list, copy);
    return true;
  }

  /** @internal */
  protected override get amountWritten(): number {
    return this.bytesWritten;
  }

  /**
   * This writer as a WHATWG stream that honours backpressure: its close closes the writer, its abort fails it. Chunks are
   * copied unless the writer was made with `copy: false`.
   */
  writable(): WritableStream<Chunk> {
    return writableToWriter(this);
  }

  #writeNow(chunk: Chunk, copy: boolean): void {
    const channel = this.#channel;
    if (typeof chunk === 'string') {
      if (chunk.length === 0) return;
      const slabs = this.#slabs;
      slabs.encode(chunk);
      channel.checkRoom(slabs.size);
      this.#writeCopied();
      return;
    }
    const bytes = toBytes(chunk);
    const size = bytes.length;
    if (size === 0) return;
    channel.checkRoom(size);
    if (copy) {
      this.#slabs.copy(bytes);
      this.#writeCopied();
    } else {
      channel.write(bytes, -1, size);
    }
  }

  /** Writes the last copy that was made. */
  #writeCopied(): void {
    const { slab, at, size } = this.#slabs;
    if (slab !== null) this.#channel.write(slab, at, size);
    else this.#channel.write(this.#slabs.takeOwn(), -1, size);
  }

  #appendAll(chunks: readonly Chunk[], copy: boolean): void {
    // Everything is checked before anything is taken.
    const parts: { bytes: Uint8Array; copy: boolean }[] = [];
    let total = 0;
    for (const chunk of chunks) {
      const isText = typeof chunk === 'string';
      const bytes = isText ? encoder.encode(chunk) : toBytes(chunk);
      if (bytes.length === 0) continue;
      parts.push({ bytes, copy: copy && !isText });
      total += bytes.length;
    }
    if (total === 0) return;
    const channel = this.#channel;
    channel.checkRoom(total);
    const first = channel.tail;
    for (const part of parts) {
      if (part.copy) {
        this.#slabs.copy(part.bytes);
        this.#appendCopied();
      } else {
        channel.append(part.bytes, -1, part.bytes.length);
      }
    }
    channel.settle(first);
  }

  #appendCopied(): void {
    const { slab, at, size } = this.#slabs;
    if (slab !== null) this.#channel.append(slab, at, size);
    else this.#channel.append(this.#slabs.takeOwn(), -1, size);
  }
}

implementFanOut<ByteWriter>(ByteWriter.prototype, (writer) => channelOf(writer));

/**
 * Iterates to the end before anything is looked at: that is the caller's code, which may end the writer, or transfer away
 * the memory of a chunk that it has yielded.
 */
function listOf(chunks: Iterable<Chunk>): Chunk[] {
  checkIterable('chunks', chunks);
  return Array.from(chunks);
}
