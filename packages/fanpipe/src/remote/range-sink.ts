import { InvalidArgumentError } from '../errors.ts';

/** First allocation for a read of which nobody knows whether there is so much. */
const FIRST_SIZE = 64 * 1024;

/**
 * The memory that a read fills, in any order.
 *
 * Without memory of the caller's it is allocated when the first bytes come, since only then the size of the resource is known: a
 * read may ask for far more than there is.
 */
export class RangeSink {
  /** Offset of the first byte. */
  readonly offset: number;
  /** How many bytes are wanted at most. */
  readonly length: number;
  readonly #sizeOf: () => number | undefined;
  readonly #isOwn: boolean;
  #memory: Uint8Array;

  /** `sizeOf` says how large the resource is, as soon as that is known. */
  constructor(offset: number, length: number, sizeOf: () => number | undefined, into?: Uint8Array) {
    this.offset = offset;
    this.length = length;
    this.#sizeOf = sizeOf;
    this.#isOwn = into === undefined;
    this.#memory = into ?? new Uint8Array(0);
  }

  /** Offset after the last byte that is wanted. */
  get end(): number {
    return this.offset + this.length;
  }

  /**
   * Copies `bytes` to their place.
   *
   * @throws InvalidArgumentError if the caller's memory is gone
   */
  put(at: number, bytes: Uint8Array): void {
    const index = at - this.offset;
    const end = index + bytes.length;
    if (end > this.#memory.length) this.#grow(end);
    this.#memory.set(bytes, index);
  }

  /** The first `size` bytes, in memory of their own and no more of it than that. */
  take(size: number): Uint8Array {
    return size === this.#memory.length ? this.#memory : this.#memory.slice(0, size);
  }

  #grow(end: number): void {
    if (!this.#isOwn) {
      throw new InvalidArgumentError('into', this.#memory, 'memory that is not transferred away while a read fills it');
    }
    const size = this.#sizeOf();
    const goal = size === undefined ? Math.max(FIRST_SIZE, 2 * this.#memory.length) : size - this.offset;
    const memory = new Uint8Array(Math.min(this.length, Math.max(end, goal)));
    memory.set(this.#memory);
    this.#memory = memory;
  }
}
