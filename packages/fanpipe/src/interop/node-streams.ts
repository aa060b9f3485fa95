import { Readable } from 'node:stream';
import { BaseStream, takeCursor } from '../core/base-stream.ts';
import { ByteStream } from '../core/byte-stream.ts';
import { checkAmount } from '../core/check.ts';
import type { Cursor } from '../core/cursor.ts';
import type { TypedStream } from '../core/typed-stream.ts';
import { InvalidArgumentError, UnsupportedValueError } from '../errors.ts';
import { cutOff } from './cut-off.ts';
import { asError } from './node-streams-destroy.ts';

/** Options of {@link toReadable}. */
export interface ToReadableOptions {
  /** How much the Readable buffers, in bytes (typed: values). Default: Node's own. */
  readonly highWaterMark?: number | undefined;
}

/**
 * A stream as a Node Readable: of Buffers, or of values in object mode.
 *
 * - What it buffers is bounded by its mark, and by one chunk or one burst of writes beyond. The rest stays in the channel,
 *   where the stream's policy acts. Its chunks may be shared with other streams, as those of the stream itself.
 * - A failure of the writer destroys it with the reason, after all that came before has been read. The stream's signal,
 *   `disconnect` and `cancel()` destroy it at once, `cancel()` with a `CancelledError`. A reason that is falsy, which
 *   Node takes for none, comes as the cause of a `WriterFailedError`.
 * - Destroying it detaches the stream. The value `null` of a typed stream, which in Node is the end, destroys it with an
 *   `UnsupportedValueError`.
 *
 * @throws InvalidArgumentError if it is no stream of this package, or for a bad mark
 * @throws IteratorTakenError if the stream's iterator is taken
 */
export function toReadable<T>(stream: ByteStream | TypedStream<T>, options: ToReadableOptions = {}): Readable {
  if (!(stream instanceof BaseStream)) {
    throw new InvalidArgumentError('stream', stream, 'a ByteStream or a TypedStream');
  }
  if (options.highWaterMark !== undefined) checkAmount('highWaterMark', options.highWaterMark);
  const asked = 'toReadable()';
  return stream instanceof ByteStream
    ? new ByteReadable(takeCursor(stream, asked), options.highWaterMark, false)
    : new ValueReadable<T>(takeCursor(stream, asked), options.highWaterMark, true);
}

abstract class CursorReadable<T> extends Readable {
  protected readonly cursor: Cursor<T>;
  readonly #onDetached: () => void;
  #isRunning = false;
  /** Node has asked for more since the last push, and asks only once. */
  #isAsked = false;
  /** What the Readable is destroyed with as soon as its buffer is empty. */
  #failure: Error | null = null;

  constructor(cursor: Cursor<T>, highWaterMark: number | undefined, objectMode: boolean) {
    super({ objectMode, ...(highWaterMark === undefined ? {} : { highWaterMark }) });
    this.cursor = cursor;
    const held = new WeakRef<CursorReadable<T>>(this);
    this.#onDetached = () => held.deref()?.detached();
  }

  /** Gives what is there, and what comes, until there is room for no more. Rejects with what the cursor fails with. */
  protected abstract fillUp(): Promise<void>;

  override _read(): void {
    this.#isAsked = true;
    if (!this.#isRunning && this.#failure === null) void this.#run();
  }

  override read(size?: number): unknown {
    const chunk = super.read(size);
    this.#failWhenEmpty();
    return chunk;
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.cursor.unwatch();
    this.cursor.cancel(error ?? undefined);
    callback(error);
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    // A read that waits hears of it too, and is faster unwatched.
    this.cursor.unwatch();
    try {
      while (this.#isAsked && !this.destroyed) await this.fillUp();
    } catch (reason) {
      // A callback that threw leaves the stream attached, but nobody will read on.
      this.cursor.cancel(reason);
      this.#failure = asError(reason);
      this.#failWhenEmpty();
    }
    this.#isRunning = false;
    this.cursor.watch(this.#onDetached);
  }

  /** Pushes one chunk; false if there is room for no more. */
  protected give(chunk: unknown): boolean {
    this.#isAsked = false;
    return this.push(chunk) && !this.destroyed;
  }

  /** The cursor came to its end: a good one, or a cancel. */
  protected finish(): void {
    this.#isAsked = false;
    if (this.destroyed) return;
    const cut = cutOff(this.cursor);
    if (cut !== null) throw cut.reason;
    this.push(null);
  }

  /** Detached from outside. Maybe nobody ever reads on: what is buffered is dropped. */
  detached(): void {
    const cut = cutOff(this.cursor);
    if (cut !== null) this.destroy(asError(cut.reason));
  }

  // Destroying drops what is buffered, and a failure must come after it.
  #failWhenEmpty(): void {
    if (this.#failure !== null && this.readableLength === 0) this.destroy(this.#failure);
  }
}

class ByteReadable extends CursorReadable<Uint8Array> {
  protected override async fillUp(): Promise<void> {
    const { cursor } = this;
    for (let hasRoom = true; hasRoom; ) {
      if (cursor.lag > Math.max(0, this.readableHighWaterMark - this.readableLength)) {
        const result = cursor.read();
        if (result == null) return this.finish();
        hasRoom = this.give(result.value);
      } else {
        // All of it fits, in one go and with neighbours merged; or nothing is there yet.
        const { value, done } = await cursor.nextBatch();
        if (done) return this.finish();
        for (const chunk of value) if (!this.destroyed) hasRoom = this.give(chunk);
      }
    }
  }
}

class ValueReadable<T> extends CursorReadable<T> {
  protected override async fillUp(): Promise<void> {
    const { cursor } = this;
    for (let hasRoom = true; hasRoom; ) {
      const result = cursor.lag > 0 ? cursor.read() : await cursor.next();
      if (result == null || result.done) return this.finish();
      if (result.value === null) throw new UnsupportedValueError(null, NO_NULL);
      hasRoom = this.give(result.value);
    }
  }
}

const NO_NULL =
  'in object mode a Node stream takes it for the end. The Readable was destroyed; what came before was delivered.';
