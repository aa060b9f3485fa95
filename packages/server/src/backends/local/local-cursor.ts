import type { BackendCursor, CursorResult, NextOptions } from '../backend.ts';
import type { LocalStream } from './local-stream.ts';

/** Bytes that `next` brings where nothing else is said. */
const MAX_BYTES = 64 * 1024;

interface Wait {
  readonly resolve: (result: CursorResult) => void;
  readonly reject: (reason: unknown) => void;
  readonly maxBytes: number;
  readonly signal: AbortSignal | undefined;
}

/** A place in a stream. What it waits for is told by the stream, which knows those that wait. */
export class LocalCursor implements BackendCursor {
  readonly #stream: LocalStream;
  #position: number;
  #wait: Wait | undefined;
  #isClosed = false;

  constructor(stream: LocalStream, offset: number) {
    this.#stream = stream;
    this.#position = offset;
  }

  get position(): number {
    return this.#position;
  }

  async next(options: NextOptions = {}): Promise<CursorResult> {
    const { maxBytes = MAX_BYTES, signal } = options;
    if (this.#wait !== undefined) throw new TypeError('next() is called while another one waits');
    signal?.throwIfAborted();
    if (this.#isClosed) return new Promise(() => {});
    const here = this.#read(maxBytes);
    if (here !== undefined) return here;
    return new Promise((resolve, reject) => {
      this.#wait = { resolve, reject, maxBytes, signal };
      this.#stream.wait(this);
      signal?.addEventListener('abort', this.#aborted);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#leave();
  }

  /** Something has been appended, or the stream has ended. `chunks` begin at `offset`, if they are known. */
  wake(offset: number, chunks: readonly Uint8Array[], size: number): void {
    const wait = this.#wait;
    if (wait === undefined) return;
    let result: CursorResult | undefined;
    try {
      if (size > 0 && offset === this.#position && size <= wait.maxBytes) {
        this.#position += size;
        result = { chunks, offset, next: this.#position };
      } else {
        result = this.#read(wait.maxBytes);
        if (result === undefined) return;
      }
    } catch (error) {
      this.#leave();
      wait.reject(error);
      return;
    }
    this.#leave();
    wait.resolve(result);
  }

  /** Nothing more will come. */
  fail(reason: unknown): void {
    const wait = this.#wait;
    this.#leave();
    wait?.reject(reason);
  }

  /** @throws what the stream says of this place */
  #read(maxBytes: number): CursorResult | undefined {
    const offset = this.#position;
    const chunks = this.#stream.read(offset, maxBytes);
    if (chunks.length === 0) {
      const { end } = this.#stream;
      return end === undefined ? undefined : { end, next: offset };
    }
    for (const chunk of chunks) this.#position += chunk.length;
    return { chunks, offset, next: this.#position };
  }

  readonly #aborted = (): void => {
    const wait = this.#wait;
    this.#leave();
    wait?.reject(wait.signal?.reason);
  };

  #leave(): void {
    const wait = this.#wait;
    if (wait === undefined) return;
    this.#wait = undefined;
    this.#stream.leave(this);
    wait.signal?.removeEventListener('abort', this.#aborted);
  }
}
