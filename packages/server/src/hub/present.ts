import { type ByteStream, ByteWriter } from 'fanpipe';
import type { BackendCursor, CursorResult, StreamEnd } from '../backends/backend.ts';
import { StreamFailedError } from '../errors.ts';

/** How much the pump asks of the backend at once. */
const PUMP_BYTES = 64 * 1024;
/** Chunks that are smaller on average are copied together: a view costs more than its bytes. */
const SMALL = 1024;
/** While nobody follows, the pump goes on for so many bytes: whoever polls comes back. */
const LINGER = 64 * 1024;

/** Whoever waits for the present to move. Must not throw. */
export interface PresentWaiter {
  /** There are new bytes, the end, or a failure. */
  woken(): void;
}

/** What a present belongs to. */
export interface PresentOwner {
  readonly name: string;
  /** Bytes below `tail` are acknowledged. */
  sawTail(tail: number): void;
  /** The present brings nothing more: nobody follows, or it has failed. */
  presentStopped(present: Present): void;
}

/**
 * The newest bytes of a stream, in memory, while somebody follows it.
 *
 * ```text
 *   backend cursor ──pump──▶ ByteWriter: [head ······ window ······ tail]
 *                                           ▲                ▲        ▲
 *                                  take(position)      follow(from)  who waits
 * ```
 *
 * One pump reads one cursor, so bytes of this process and of others come the same way, and only acknowledged ones. It never waits for a
 * reader. Readers hold no place in it but an offset, and only for the time of a call, so none of them can make it grow.
 */
export class Present {
  readonly #owner: PresentOwner;
  readonly #cursor: BackendCursor;
  readonly #writer: ByteWriter;
  readonly #window: number;
  readonly #origin: number;
  readonly #waiters: Set<PresentWaiter> = new Set();
  #end: StreamEnd | undefined;
  #failure: { readonly reason: unknown } | undefined;
  #isStopped = false;
  /** The tail when a reader last came. */
  #lastUse: number;
  #uses = 0;
  #usedBefore = -1;
  /** Bytes up to the tail, the newest or those that were asked for last: readers that keep up all ask for the same. */
  #piece: Extract<CursorResult, { chunks: unknown }> | undefined;

  /** Begins at the cursor's position. */
  constructor(owner: PresentOwner, cursor: BackendCursor, window: number) {
    const { position } = cursor;
    this.#owner = owner;
    this.#cursor = cursor;
    this.#window = window;
    this.#origin = position;
    this.#lastUse = position;
    this.#writer = new ByteWriter({ offset: position, replay: window, copy: false });
    void this.#pump();
  }

  /** Oldest offset in memory. */
  get head(): number {
    return Math.max(this.#origin, this.tail - this.#window);
  }

  /** Offset after the newest byte in memory. */
  get tail(): number {
    return this.#origin + this.#writer.bytesWritten;
  }

  /** Whether somebody waits, or has a stream of it. */
  get isFollowed(): boolean {
    return this.#waiters.size > 0 || this.#writer.streamCount > 0;
  }

  /** Why it cannot go on. */
  get failure(): { readonly reason: unknown } | undefined {
    return this.#failure;
  }

  async #pump(): Promise<void> {
    try {
      while (!this.#isStopped) {
        const result = await this.#cursor.next({ maxBytes: PUMP_BYTES });
        if (this.#isStopped) return;
        if (result.end !== undefined) {
          this.#ended(result.end);
          return;
        }
        const { chunks, offset, next } = result;
        this.#write(chunks, next - offset);
        this.#owner.sawTail(next);
        this.#piece = { chunks: merged(chunks, next - offset), offset, next };
        this.#wake();
        if (!this.isFollowed && this.tail - this.#lastUse > LINGER) this.stop();
      }
    } catch (error) {
      this.fail(error);
    }
  }

  #write(chunks: readonly Uint8Array[], size: number): void {
    const copy = size < chunks.length * SMALL;
    // Nobody blocks this writer, so there is nothing to wait for.
    if (chunks.length === 1) void this.#writer.write(chunks[0] as Uint8Array, { copy });
    else void this.#writer.writev(chunks, { copy });
  }

  #ended(end: StreamEnd): void {
    this.#end = end;
    this.#piece = undefined;
    this.#cursor.close();
    if (end.kind === 'closed') this.#writer.close();
    else this.#writer.fail(new StreamFailedError(this.#owner.name, end.reason));
    this.#wake();
  }

  /** The bytes at `position`, or the end; undefined where nothing is there yet, or no longer. */
  take(position: number, maxBytes: number): CursorResult | undefined {
    const { tail } = this;
    if (position > tail || position < this.head) return undefined;
    this.#lastUse = tail;
    this.#uses++;
    if (position === tail) return this.#end === undefined ? undefined : { end: this.#end, next: tail };
    const piece = this.#piece;
    if (piece?.offset === position && tail - position <= maxBytes) return piece;
    return this.#cut(position, Math.min(tail, position + maxBytes));
  }

  #cut(offset: number, next: number): CursorResult {
    const stream = this.#writer.stream({ from: offset });
    const chunks: Uint8Array[] = [];
    for (let rest = next - offset; rest > 0; ) {
      const chunk = stream.read() as Uint8Array;
      chunks.push(chunk.byteLength > rest ? chunk.subarray(0, rest) : chunk);
      rest -= chunk.byteLength;
    }
    stream.cancel();
    const result = { chunks: merged(chunks, next - offset), offset, next };
    // What does not reach the tail is asked for by one that is behind, and by nobody else.
    if (next === this.tail) this.#piece = result;
    return result;
  }

  /** The bytes from an offset between head and tail on, and all that follow. One that falls behind the window is cut off. */
  follow(from: number): ByteStream {
    this.#lastUse = this.tail;
    this.#uses++;
    return this.#writer.stream({ from, overflow: 'disconnect', highWaterMark: this.#window });
  }

  /** Has `waiter` woken once, at the next change. */
  wait(waiter: PresentWaiter): void {
    this.#waiters.add(waiter);
  }

  /** Undoes `wait`. */
  leave(waiter: PresentWaiter): void {
    this.#waiters.delete(waiter);
  }

  #wake(): void {
    if (this.#waiters.size === 0) return;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter.woken();
  }

  /** Whether nobody follows, and nobody has come since this was asked the last time. */
  checkUnused(): boolean {
    const before = this.#usedBefore;
    this.#usedBefore = this.#uses;
    return !this.isFollowed && before === this.#uses;
  }

  /** Ends the pump. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#piece = undefined;
    this.#cursor.close();
    this.#owner.presentStopped(this);
    this.#wake();
  }

  /** Ends the pump, and tells all that follow why. */
  fail(reason: unknown): void {
    if (this.#isStopped) return;
    this.#failure = { reason };
    this.#writer.fail(reason);
    this.stop();
  }
}

/** Many small chunks as one: whoever gets them does not pay for each. */
function merged(chunks: readonly Uint8Array[], size: number): readonly Uint8Array[] {
  if (chunks.length < 2 || size >= chunks.length * SMALL) return chunks;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return [whole];
}
