import { type BaseWriter, channelOf } from '../core/base-writer.ts';
import { WriterEndedError } from '../errors.ts';
import { type EndTarget, EndWatch } from './end-watch.ts';

/** A writer that takes `T` and keeps it as `V`. */
export type WriterOf<T, V> = BaseWriter<V> & {
  write(chunk: T, options?: { readonly signal?: AbortSignal }): Promise<void>;
};

/**
 * What a WHATWG stream is made of that feeds a writer.
 *
 * - Each write of the web stream takes as long as the writer's, so its backpressure is that of the blocking streams.
 * - Closing the web stream closes the writer, and takes as long as its `end()`, which may have more to do than a plain writer's;
 *   aborting it fails the writer, at once, with the reason.
 * - A chunk that the writer refuses errors the web stream for good, as the standard has it, and nobody could end the
 *   writer any more. So it is failed with the refusal: its readers get what was written before, then that error.
 * - A writer that ends otherwise errors the web stream with a `WriterEndedError`, also a write that is waiting.
 * - Dropping the web stream does nothing to the writer, and the writer does not keep it alive.
 */
export class WritableSink<T, V> implements UnderlyingSink<T>, EndTarget {
  readonly #writer: WriterOf<T, V>;
  #controller!: WritableStreamDefaultController;
  #watch: EndWatch | null = null;
  /** Ends a write that waits for room: what it wrote is taken, and the web stream is over. */
  readonly #interrupt: AbortController = new AbortController();

  constructor(writer: WriterOf<T, V>) {
    this.#writer = writer;
  }

  start(controller: WritableStreamDefaultController): void {
    this.#controller = controller;
    const channel = channelOf(this.#writer);
    if (channel.state !== 'open') {
      this.channelEnded();
      return;
    }
    this.#watch = new EndWatch(channel, this);
    // The standard has `abort` wait for a write that is under way; that may wait for a reader that never reads again.
    controller.signal?.addEventListener('abort', () => this.#interrupt.abort(controller.signal.reason));
  }

  write(chunk: T): Promise<void> {
    return this.#writer.write(chunk, { signal: this.#interrupt.signal }).then(undefined, (reason) => {
      if (!this.#interrupt.signal.aborted) {
        this.#watch?.stop();
        this.#writer.fail(reason);
      }
      throw reason;
    });
  }

  async close(): Promise<void> {
    this.#watch?.stop();
    await this.#writer.end();
  }

  abort(reason: unknown): void {
    this.#watch?.stop();
    this.#writer.fail(reason);
  }

  channelEnded(): void {
    const { state, reason } = channelOf(this.#writer);
    const error = new WriterEndedError(state === 'closed' ? 'closed' : 'failed', reason);
    this.#interrupt.abort(error);
    this.#controller.error(error);
  }
}
