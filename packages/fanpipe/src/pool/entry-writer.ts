import { ByteWriter, type WriteOptions } from '../core/byte-writer.ts';
import { type Chunk, toBytes } from '../core/to-bytes.ts';
import { RangeBorders } from './range-borders.ts';

const BY_REFERENCE: WriteOptions = { copy: false };

/** From this size in bytes on, chunks that are handed over are kept as they are; smaller ones fill slabs. */
export const BY_REFERENCE_FROM: number = 8 * 1024;

const encoder = new TextEncoder();

/**
 * The writer of an entry. It keeps all that it is given, asks for room in the pool before it takes a chunk, and pauses where
 * ranges with a policy begin and end.
 */
export class EntryWriter extends ByteWriter {
  readonly borders: RangeBorders = new RangeBorders();
  /** The chunks of the source are handed over: nobody else changes them. */
  takesOver = false;
  readonly #claim: (size: number) => void;

  /** `claim` takes room for so many bytes, or throws; below zero it gives room back. */
  constructor(claim: (size: number) => void) {
    super({ replay: 'all' });
    this.#claim = claim;
  }

  /** As `ByteWriter.write`; rejects, and has taken nothing, with what `claim` throws. */
  override write(chunk: Chunk): Promise<void> {
    let bytes: Uint8Array;
    try {
      bytes = typeof chunk === 'string' ? encoder.encode(chunk) : toBytes(chunk);
    } catch (error) {
      return Promise.reject(error);
    }
    const isOurs = this.takesOver || typeof chunk === 'string';
    const options = isOurs && fillsItsBuffer(bytes) ? BY_REFERENCE : undefined;
    return this.borders.next < this.bytesWritten + bytes.length
      ? this.#writeInParts(bytes, options, isOurs)
      : this.#take(bytes, options);
  }

  #take(bytes: Uint8Array, options: WriteOptions | undefined): Promise<void> {
    if (this.state !== 'open') return super.write(bytes, options);
    const { bytesWritten } = this;
    try {
      this.#claim(bytes.length);
    } catch (error) {
      return Promise.reject(error);
    }
    const written = super.write(bytes, options);
    // The runtime has no memory for a copy.
    if (this.bytesWritten === bytesWritten) this.#claim(-bytes.length);
    return written;
  }

  /** Writes up to each border by itself, and goes on from there when no blocking stream is over its mark. */
  async #writeInParts(bytes: Uint8Array, options: WriteOptions | undefined, isOurs: boolean): Promise<void> {
    const { borders } = this;
    for (let rest = bytes; rest.length > 0; ) {
      const tail = this.bytesWritten;
      borders.reach(tail);
      const size = Math.min(rest.length, borders.next - tail);
      const taken = this.#take(rest.subarray(0, size), options);
      // Its owner may use it again as soon as `write` returns.
      rest = isOurs || rest !== bytes ? rest.subarray(size) : new Uint8Array(rest.subarray(size));
      await taken;
    }
  }
}

/** Whether a chunk that is kept by reference keeps little else alive. A slab leaves no more than an eighth unused either. */
function fillsItsBuffer({ buffer, byteLength }: Uint8Array): boolean {
  return (
    byteLength >= BY_REFERENCE_FROM &&
    buffer instanceof ArrayBuffer &&
    (buffer as { readonly resizable?: boolean }).resizable !== true &&
    byteLength * 8 >= buffer.byteLength * 7
  );
}
