import { RangeWaiter } from './range-waiter.ts';

/**
 * Waits for the next chunk that holds the byte at `from`, whatever its size, and hands it on without a copy. Once it was told, it
 * may wait again.
 */
export class ChunkWaiter extends RangeWaiter {
  readonly #got: (chunk: Uint8Array | null) => void;
  readonly #failed: (reason: unknown) => void;
  #chunk: Uint8Array | null = null;

  /** `got` is called with null if the resource ends at `from`. */
  constructor(
    from: number,
    got: (chunk: Uint8Array | null) => void,
    failed: (reason: unknown) => void,
    to: number = Number.POSITIVE_INFINITY,
  ) {
    super(from, to);
    this.#got = got;
    this.#failed = failed;
  }

  /** To be called before it waits again. */
  reset(from: number): void {
    this.from = from;
    this.to = Number.POSITIVE_INFINITY;
  }

  override receive(bytes: Uint8Array): void {
    this.#chunk = bytes;
    this.to = this.from + bytes.length;
  }

  override finish(): void {
    const chunk = this.#chunk;
    this.#chunk = null;
    this.#got(chunk);
  }

  override fail(reason: unknown): void {
    this.#failed(reason);
  }
}
