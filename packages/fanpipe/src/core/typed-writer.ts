import { CallbackError } from '../errors.ts';
import { writableToWriter } from '../interop/web-streams.ts';
import { BaseWriter, channelOf, type WaitOptions, type WriterOptions } from './base-writer.ts';
import type { Channel } from './channel.ts';
import { checkCallback, checkIterable, checkOptions } from './check.ts';
import { openAtTail, openCursor } from './open-cursor.ts';
import { pump, type Source } from './pump.ts';
import { TypedStream, type TypedStreamOptions } from './typed-stream.ts';

/** Options of a `TypedWriter`. */
export interface TypedWriterOptions<T> extends WriterOptions {
  /**
   * What a value counts for, in offsets, marks and `replay`: a whole number from 1. Default: each value counts 1. It
   * runs before anything changes; if it throws, the write is refused with a `CallbackError`.
   */
  readonly size?: ((value: T) => number) | undefined;
}

interface Measured<T> {
  readonly value: T;
  readonly size: number;
}

let lastId = 0;

/**
 * Write values once, read them by any number of streams: as `ByteWriter`, with values whose borders are kept. Values are
 * shared by reference.
 */
export class TypedWriter<T> extends BaseWriter<T> {
  /** Unique among the writers of values in this process, from 1. */
  readonly id: number = ++lastId;
  readonly #channel: Channel<T>;
  readonly #size: ((value: T) => number) | undefined;
  #valuesWritten = 0;

  /** @throws InvalidArgumentError */
  constructor(options: TypedWriterOptions<T> = {}) {
    checkOptions(options);
    checkCallback('size', options.size);
    super(options, true);
    this.#channel = channelOf(this);
    this.#size = options.size;
  }

  /**
   * A writer of what `source` yields, read as fast as the blocking streams allow. Its end closes the writer, its error
   * fails it; a writer that ends otherwise cancels the source. Reading begins in a microtask.
   *
   * @throws InvalidArgumentError if it is no iterable or ReadableStream
   */
  static from<T>(source: Source<T>, options: TypedWriterOptions<T> = {}): TypedWriter<T> {
    const writer = new TypedWriter<T>(options);
    pump(source, writer);
    return writer;
  }

  /** Values written so far, whether or not a stream was there. */
  get valuesWritten(): number {
    return this.#valuesWritten;
  }

  /**
   * Opens a stream, at any time, also after the end: it then reads what is retained and completes.
   *
   * @throws InvalidArgumentError, also for an offset inside a record
   * @throws OffsetEvictedError if `from` is no longer retained
   * @throws OffsetNotWrittenError if `from` lies beyond the tail
   */
  stream(options?: TypedStreamOptions): TypedStream<T> {
    if (options === undefined) return new TypedStream(openAtTail(this.#channel));
    checkOptions(options);
    return new TypedStream(openCursor(this.#channel, options, false));
  }

  /**
   * Writes one value. Resolves when no blocking stream is over its mark. Rejects, and has taken nothing, with a
   * `WriterEndedError`, a `CallbackError` of `size`, an `OffsetOverflowError`, or the reason of a signal that had fired.
   */
  write(value: T, options?: WaitOptions): Promise<void> {
    const signal = options?.signal;
    try {
      this.checkOpen(signal);
      const size = this.#sizeOf(value);
      // `size` is the caller's code and may have ended the writer meanwhile.
      this.checkOpen(undefined);
      this.#append(value, size);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.room(signal);
  }

  /**
   * Writes one value if no blocking stream is over its mark and the writer is open; else returns false.
   *
   * @throws CallbackError, OffsetOverflowError; nothing is taken
   */
  writeSync(value: T): boolean {
    if (!this.isWritable) return false;
    const size = this.#sizeOf(value);
    // `size` is the caller's code and may have ended the writer or filled a stream meanwhile.
    if (!this.isWritable) return false;
    this.#append(value, size);
    return true;
  }

  /** Writes several values as one write: all or nothing. Otherwise as {@link write}. */
  writev(values: Iterable<T>, options?: WaitOptions): Promise<void> {
    const signal = options?.signal;
    try {
      this.checkOpen(signal);
      const measured = this.#measure(values);
      this.checkOpen(undefined);
      this.#appendAll(measured);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.room(signal);
  }

  /** Several values, all or nothing. Otherwise as {@link writeSync}. */
  writevSync(values: Iterable<T>): boolean {
    if (!this.isWritable) return false;
    const measured = this.#measure(values);
    if (!this.isWritable) return false;
    this.#appendAll(measured);
    return true;
  }

  /** @internal */
  protected override get amountWritten(): number {
    return this.valuesWritten;
  }

  /** This writer as a WHATWG stream that honours backpressure: its close closes the writer, its abort fails it. */
  writable(): WritableStream<T> {
    return writableToWriter(this);
  }

  #append(value: T, size: number): void {
    const channel = this.#channel;
    channel.checkRoom(size);
    this.#valuesWritten++;
    channel.write(value, -1, size);
  }

  /** Runs all of the caller's code that a write of several values needs. */
  #measure(values: Iterable<T>): Measured<T>[] {
    checkIterable('values', values);
    const measured: Measured<T>[] = [];
    for (const value of values) measured.push({ value, size: this.#sizeOf(value) });
    return measured;
  }

  #appendAll(measured: readonly Measured<T>[]): void {
    if (measured.length === 0) return;
    const channel = this.#channel;
    let total = 0;
    for (const { size } of measured) total += size;
    channel.checkRoom(total);
    const first = channel.tail;
    for (const { value, size } of measured) channel.append(value, -1, size);
    this.#valuesWritten += measured.length;
    channel.settle(first);
  }

  #sizeOf(value: T): number {
    if (this.#size === undefined) return 1;
    let size: number;
    try {
      size = this.#size(value);
    } catch (cause) {
      throw new CallbackError('size', 'threw: nothing was written.', { cause });
    }
    if (!Number.isSafeInteger(size) || size < 1) {
      throw new CallbackError('size', `must return a whole number from 1, got ${String(size)}. Nothing was written.`);
    }
    return size;
  }
}
