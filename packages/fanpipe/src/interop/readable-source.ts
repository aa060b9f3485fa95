import type { Cursor } from '../core/cursor.ts';
import { cutOff } from './cut-off.ts';
import { type EndTarget, EndWatch } from './end-watch.ts';

/** What the controllers of both kinds of stream have in common. */
interface Controller {
  readonly desiredSize: number | null;
  close(): void;
  error(reason?: unknown): void;
}

/**
 * What a WHATWG stream is made of that reads from a cursor.
 *
 * - Nothing is taken from the cursor before somebody reads from the web stream. Backpressure is the channel's: the lag of
 *   the stream grows, and its policy acts.
 * - The web stream closes or errors as soon as nothing can come any more: inside `close` or `fail` if all is read by
 *   then, else together with the last chunk, without a further read. A failure comes after all bytes before it.
 * - Whatever detaches the stream from outside, a signal, `disconnect` or `cancel()`, errors the web stream at once. A
 *   cancel becomes a `CancelledError`: a web stream that closes says that it was read to its end.
 * - A web stream that is dropped takes its cursor along. The channel knows of it by weak references only, unless a read
 *   is under way.
 */
export abstract class ReadableSource<T, C extends Controller> implements EndTarget {
  protected readonly cursor: Cursor<T>;
  protected controller!: C;
  #watch: EndWatch | null = null;
  readonly #onDetached: () => void;
  /** A read from the cursor is under way, and will itself tell of an end. */
  #isReading = false;
  /** The web stream is closed, errored or cancelled. */
  #isOver = false;

  constructor(cursor: Cursor<T>) {
    this.cursor = cursor;
    const held = new WeakRef<ReadableSource<T, C>>(this);
    this.#onDetached = () => held.deref()?.detached();
  }

  /** Hands on what is there; false if that is nothing. Throws what the cursor throws. */
  protected abstract give(): boolean;

  /** Hands on a chunk for which a read had to wait. */
  protected abstract giveChunk(chunk: T): void;

  /** Whether something was taken from the cursor and not handed on yet. */
  protected get hasRest(): boolean {
    return false;
  }

  protected closeController(): void {
    this.controller.close();
  }

  start(controller: C): void {
    this.controller = controller;
    const { channel } = this.cursor;
    if (channel.state === 'open') this.#watch = new EndWatch(channel, this);
    this.#settle();
  }

  pull(): Promise<void> | undefined {
    const { cursor } = this;
    this.#isReading = true;
    try {
      if (!this.give() && !this.#hasEnded) return cursor.next().then(this.#arrived, this.#failed);
    } catch (reason) {
      this.#error(reason);
    }
    this.#isReading = false;
    this.#settle();
    return undefined;
  }

  cancel(reason: unknown): void {
    this.#over();
    this.cursor.cancel(reason);
  }

  channelEnded(): void {
    this.#settle();
  }

  detached(): void {
    this.#settle();
  }

  readonly #arrived = ({ value, done }: IteratorResult<T, undefined>): void => {
    this.#isReading = false;
    if (!done && !this.#isOver) this.giveChunk(value);
    this.#settle();
  };

  readonly #failed = (reason: unknown): void => {
    this.#isReading = false;
    this.#error(reason);
  };

  /** Nothing can come from the cursor any more. */
  get #hasEnded(): boolean {
    const { channel, ending, lag } = this.cursor;
    return ending !== null || (channel.state !== 'open' && lag === 0);
  }

  /** Ends the web stream where nothing can come any more; else watches for what may happen until the next read. */
  #settle(): void {
    if (this.#isOver || this.#isReading) return;
    const cut = cutOff(this.cursor);
    if (cut !== null) this.#error(cut.reason);
    else if (this.#hasEnded && !this.hasRest) this.#end();
    else this.cursor.watch(this.#onDetached);
  }

  /** All is read: tells the web stream how the cursor has ended. */
  #end(): void {
    this.#isReading = true;
    try {
      this.cursor.read();
    } catch (reason) {
      this.#isReading = false;
      // What the web stream still holds came before the failure, and an error would drop it. The next pull comes here.
      if (this.controller.desiredSize === 0) this.#error(reason);
      return;
    }
    this.#over();
    this.closeController();
  }

  #error(reason: unknown): void {
    if (this.#isOver) return;
    this.#over();
    // A callback that threw leaves the stream attached, but nobody will read on.
    this.cursor.cancel(reason);
    this.controller.error(reason);
  }

  #over(): void {
    this.#isOver = true;
    this.#watch?.stop();
    this.cursor.unwatch();
  }
}
