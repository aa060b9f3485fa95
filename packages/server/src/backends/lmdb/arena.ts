const SIZE = 1024 * 1024;

/**
 * Memory for the values of one transaction, used again for the next one. LMDB keeps the address of each `ArrayBuffer` that it was given a
 * part of; to have few of them is what makes it cheap.
 */
export class Arena {
  readonly #first: Buffer = Buffer.allocUnsafeSlow(SIZE);
  #block: Buffer = this.#first;
  #used = 0;

  /** So many bytes, until `reset`. */
  take(size: number): Buffer {
    if (this.#used + size > this.#block.length) {
      // The one before is kept alive by what was taken of it.
      this.#block = Buffer.allocUnsafeSlow(Math.max(SIZE, size));
      this.#used = 0;
    }
    const taken = this.#block.subarray(this.#used, this.#used + size);
    this.#used += size;
    return taken;
  }

  /** Nobody uses what was taken any more. */
  reset(): void {
    this.#block = this.#first;
    this.#used = 0;
  }
}
