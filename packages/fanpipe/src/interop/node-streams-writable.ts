import { Writable } from 'node:stream';
import { BaseWriter, channelOf } from '../core/base-writer.ts';
import { ByteWriter } from '../core/byte-writer.ts';
import type { Channel } from '../core/channel.ts';
import { checkAmount } from '../core/check.ts';
import type { TypedWriter } from '../core/typed-writer.ts';
import { InvalidArgumentError, PrematureCloseError, WriterEndedError } from '../errors.ts';
import { type EndTarget, EndWatch } from './end-watch.ts';

/** Options of {@link toWritable}. */
export interface ToWritableOptions {
  /** How much the Writable buffers while the writer waits, in bytes (typed: values). Default: Node's own. */
  readonly highWaterMark?: number | undefined;
}

type Callback = (error?: Error | null) => void;

/**
 * A writer as a Node Writable: of bytes, or of values in object mode.
 *
 * - A write calls back when no blocking stream is over its mark, so `write()` returns false and `'drain'` comes as with
 *   any Writable.
 * - Finishing it closes the writer, and takes as long as its `end()`. Destroying it before that fails the writer, with the error or, without one, with a
 *   `PrematureCloseError`: what somebody broke off must not look complete.
 * - A write that is refused destroys it with the refusal, and so fails the writer.
 * - A writer that ends otherwise destroys it with a `WriterEndedError`.
 *
 * @throws InvalidArgumentError if it is no writer of this package, or for a bad mark
 */
export function toWritable<T>(writer: ByteWriter | TypedWriter<T>, options: ToWritableOptions = {}): Writable {
  if (!(writer instanceof BaseWriter))
    throw new InvalidArgumentError('writer', writer, 'a ByteWriter or a TypedWriter');
  if (options.highWaterMark !== undefined) checkAmount('highWaterMark', options.highWaterMark);
  return new WriterWritable(writer as ByteWriter | TypedWriter<unknown>, options.highWaterMark);
}

class WriterWritable extends Writable implements EndTarget {
  readonly #writer: ByteWriter | TypedWriter<unknown>;
  readonly #channel: Channel<unknown>;
  readonly #watch: EndWatch | null = null;
  /** Ends a write that waits for room: what it wrote is taken, and the Writable is over. */
  readonly #interrupt: AbortController = new AbortController();

  constructor(writer: ByteWriter | TypedWriter<unknown>, highWaterMark: number | undefined) {
    super({
      objectMode: !(writer instanceof ByteWriter),
      ...(highWaterMark === undefined ? {} : { highWaterMark }),
    });
    this.#writer = writer;
    this.#channel = channelOf<unknown>(writer as BaseWriter<unknown>);
    if (this.#channel.state === 'open') this.#watch = new EndWatch(this.#channel, this);
    else this.channelEnded();
  }

  override _write(chunk: never, _encoding: BufferEncoding, callback: Callback): void {
    const writer = this.#writer;
    const { signal } = this.#interrupt;
    try {
      if (writer.writeSync(chunk)) this.#whenRoom(callback);
      else writer.write(chunk, { signal }).then(() => process.nextTick(callback), callback);
    } catch (refusal) {
      callback(refusal as Error);
    }
  }

  override _writev(writes: { chunk: unknown }[], callback: Callback): void {
    const writer = this.#writer;
    const { signal } = this.#interrupt;
    const chunks = writes.map(({ chunk }) => chunk as never);
    try {
      if (writer.writevSync(chunks)) this.#whenRoom(callback);
      else writer.writev(chunks, { signal }).then(() => process.nextTick(callback), callback);
    } catch (refusal) {
      callback(refusal as Error);
    }
  }

  /** Node calls its user from the callback, who must not throw into a promise. */
  #whenRoom(callback: Callback): void {
    if (this.#writer.canWrite !== false) callback();
    else this.#channel.room.wait(this.#interrupt.signal).then(() => process.nextTick(callback), callback);
  }

  override _final(callback: Callback): void {
    this.#watch?.stop();
    this.#writer.end().then(() => process.nextTick(callback), callback);
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.#watch?.stop();
    if (this.#writer.state === 'open') {
      const reason = error ?? new PrematureCloseError(DESTROYED, amountWritten(this.#writer));
      this.#writer.fail(reason);
      this.#interrupt.abort(reason);
    }
    callback(error);
  }

  channelEnded(): void {
    const { state, reason } = this.#channel;
    const error = new WriterEndedError(state === 'closed' ? 'closed' : 'failed', reason);
    this.#interrupt.abort(error);
    this.destroy(error);
  }
}

const DESTROYED = 'The Writable was destroyed before it was finished; the writer has failed.';

function amountWritten(writer: ByteWriter | TypedWriter<unknown>): number {
  return writer instanceof ByteWriter ? writer.bytesWritten : writer.valuesWritten;
}
