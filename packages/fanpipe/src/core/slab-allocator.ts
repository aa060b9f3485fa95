/**
 * Copies chunks into slabs, so that a caller may reuse its buffer after `write` without an allocation per write.
 *
 * The first slab is small and each following one twice as large up to {@link SLAB_SIZE}: a writer that ever sees a few
 * hundred bytes does not hold 64 KiB. A chunk of more than {@link OWN_MEMORY_FROM} gets memory of its own, so at most
 * an eighth of a slab is left unused. Memory that a slab holds is freed when the last chunk in it is.
 */
export class SlabAllocator {
  #slab: Uint8Array = new Uint8Array(0);
  #used = 0;
  #nextSize: number = FIRST_SLAB_SIZE;

  /** The slab that the last `copy` or `encode` wrote to, or null if the chunk got memory of its own. */
  slab: ArrayBuffer | null = null;
  /** Where in `slab` the chunk begins. */
  at = 0;
  /** The chunk, where it got memory of its own. */
  own: Uint8Array | null = null;
  /** Size of the last chunk in bytes. */
  size = 0;

  /** Copies `chunk`; the place is then in `slab`, `at` and `size`, or in `own`. */
  copy(chunk: Uint8Array): void {
    const size = chunk.length;
    this.size = size;
    if (size > OWN_MEMORY_FROM) {
      const own = new Uint8Array(size);
      own.set(chunk);
      this.own = own;
      this.slab = null;
      return;
    }
    if (this.#slab.length - this.#used < size) this.#grow(size);
    const at = this.#used;
    this.#slab.set(chunk, at);
    this.#take(at, size);
  }

  /** The chunk that got memory of its own, which is held here no longer: all may have read it long before the next one. */
  takeOwn(): Uint8Array {
    const own = this.own as Uint8Array;
    this.own = null;
    return own;
  }

  /** Encodes `text` as UTF-8 straight into the slab where it surely fits, else into memory of its own. */
  encode(text: string): void {
    // One UTF-16 code unit is at most three bytes of UTF-8.
    const atMost = text.length * 3;
    if (atMost > OWN_MEMORY_FROM) {
      this.own = encoder.encode(text);
      this.size = this.own.byteLength;
      this.slab = null;
      return;
    }
    if (this.#slab.length - this.#used < atMost) this.#grow(atMost);
    const at = this.#used;
    const { written } = encoder.encodeInto(text, this.#slab.subarray(at));
    this.size = written;
    this.#take(at, written);
  }

  #take(at: number, size: number): void {
    this.#used = at + size;
    this.slab = this.#slab.buffer as ArrayBuffer;
    this.at = at;
    this.own = null;
  }

  #grow(size: number): void {
    while (this.#nextSize < size) this.#nextSize *= 2;
    this.#slab = new Uint8Array(this.#nextSize);
    this.#used = 0;
    if (this.#nextSize < SLAB_SIZE) this.#nextSize *= 2;
  }
}

/** Size of a full slab in bytes. */
export const SLAB_SIZE: number = 64 * 1024;
const FIRST_SLAB_SIZE = 1024;
/** Chunks larger than this many bytes are copied into memory of their own. */
export const OWN_MEMORY_FROM: number = 8 * 1024;

const encoder = new TextEncoder();
