import type { BackendCursor, CursorResult, NextOptions } from '../backends/backend.ts';
import { InvalidArgumentError, OffsetGoneError, OffsetNotWrittenError } from '../errors.ts';
import type { LiveStream } from './live-stream.ts';
import type { Present } from './present.ts';
import { joinSignal, leaveSignal } from './shared-signal.ts';

const MAX_BYTES = 64 * 1024;

/**
 * One reader's place in a stream: an offset, and while it reads the past, a cursor of the backend. It holds no bytes.
 *
 * ```text
 *   behind the window ──▶ backend cursor ──▶ the present ──▶ waits there
 *          ▲                                     │
 *          └───── it did not ask for long ───────┘
 * ```
 */
export class HubReader {
  readonly #stream: LiveStream;
  readonly #onClose: () => void;
  #position: number;
  #cursor: BackendCursor | undefined;
  /** Whether the offset was found to lie in the stream. */
  #isChecked = false;
  #isReading = false;
  #isClosed = false;
  /** Stops waiting. */
  #unpark: () => void = nothing;

  /** @internal Readers are opened with `stream.read()`. */
  constructor(stream: LiveStream, position: number, onClose: () => void) {
    this.#stream = stream;
    this.#position = position;
    this.#onClose = onClose;
  }

  /** Offset of the next byte. */
  get position(): number {
    return this.#position;
  }

  /**
   * The next bytes, or the end: those that are there, else the first that come. One call at a time.
   *
   * Rejects with `OffsetGoneError`, `OffsetNotWrittenError`, `StreamDeletedError`, `StorageError`, `ServerClosedError`, the signal's
   * reason. It stays at its position then, and can be asked again.
   */
  next(options: NextOptions = {}): Promise<CursorResult> {
    const { maxBytes = MAX_BYTES, signal } = options;
    if (this.#isClosed) return Promise.reject(new InvalidArgumentError('The reader is closed'));
    if (this.#isReading) return Promise.reject(new InvalidArgumentError('next() was called while another one waits'));
    if (signal?.aborted) return Promise.reject(signal.reason);
    const taken = this.poll(maxBytes);
    if (taken !== undefined) return Promise.resolve(taken);
    return this.#nextSlowly(Math.max(1, maxBytes), signal);
  }

  /** The next bytes, or the end, if they are in memory now. Undefined too where `next` would reject. */
  poll(maxBytes: number = MAX_BYTES): CursorResult | undefined {
    const { present } = this.#stream;
    if (present === undefined || this.#isReading || this.#isClosed) return undefined;
    const result = present.take(this.#position, Math.max(1, maxBytes));
    if (result !== undefined) this.#moveTo(result.next);
    return result;
  }

  /** Goes on at a later offset: what lies before it has come to its owner otherwise. */
  skipTo(offset: number): void {
    if (!Number.isSafeInteger(offset) || offset < this.#position) {
      throw new InvalidArgumentError(`A reader at ${this.#position} cannot go to ${offset}`);
    }
    this.#moveTo(offset);
    if (offset > this.#stream.knownTail) this.#isChecked = false;
  }

  #moveTo(position: number): void {
    this.#position = position;
    this.#isChecked = true;
    if (this.#cursor === undefined) return;
    this.#cursor.close();
    this.#cursor = undefined;
  }

  async #nextSlowly(maxBytes: number, signal: AbortSignal | undefined): Promise<CursorResult> {
    this.#isReading = true;
    try {
      for (;;) {
        this.#stream.checkOpen();
        if (!this.#isChecked) await this.#check();
        if (this.#isClosed) return await new Promise<never>(nothing);
        const present = this.#presentHere();
        if (present === undefined) return await this.#fromBackend(maxBytes, signal);
        const result = present.take(this.#position, maxBytes);
        if (result !== undefined) {
          this.#moveTo(result.next);
          return result;
        }
        // It may have fired while something was awaited.
        signal?.throwIfAborted();
        await this.#park(present, signal);
      }
    } finally {
      this.#isReading = false;
    }
  }

  async #check(): Promise<void> {
    const { head, tail } = await this.#stream.state();
    if (this.#position > tail) throw new OffsetNotWrittenError(this.#position, tail);
    if (this.#position < head) throw new OffsetGoneError(this.#position, head);
    this.#isChecked = true;
  }

  /** The present, if this reader stands in it or before its first byte; undefined where only the backend has the bytes. */
  #presentHere(): Present | undefined {
    const { present } = this.#stream;
    if (present !== undefined && this.#position >= present.head) return present;
    if (this.#position < this.#stream.knownTail) return undefined;
    return this.#stream.startPresent(this.#position);
  }

  async #fromBackend(maxBytes: number, signal: AbortSignal | undefined): Promise<CursorResult> {
    this.#cursor ??= this.#stream.backendCursor(this.#position);
    const result = await this.#cursor.next(signal === undefined ? { maxBytes } : { maxBytes, signal });
    this.#position = result.next;
    this.#stream.sawTail(result.next);
    return result;
  }

  /** Waits until the present moves. */
  #park(present: Present, signal: AbortSignal | undefined): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const parked = {
        woken: (): void => {
          this.#unpark();
          // Where the present had not come to this place, it may be another one's trouble: this reader sees for itself.
          if (present.failure === undefined || this.#position > present.tail) resolve();
          else reject(present.failure.reason);
        },
        aborted: (reason: unknown): void => {
          this.#unpark();
          reject(reason);
        },
      };
      this.#unpark = () => {
        this.#unpark = nothing;
        present.leave(parked);
        if (signal !== undefined) leaveSignal(signal, parked);
      };
      present.wait(parked);
      if (signal !== undefined) joinSignal(signal, parked);
    });
  }

  /** Frees it. A `next` that waits resolves never: its owner has gone. May be called again. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unpark();
    this.#cursor?.close();
    this.#cursor = undefined;
    this.#onClose();
  }
}

function nothing(): void {}
