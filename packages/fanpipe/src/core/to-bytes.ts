import { DetachedBufferError, InvalidChunkError } from '../errors.ts';

/** What may be written to a writer of bytes. A string is written as UTF-8. */
export type Chunk = Uint8Array | ArrayBufferView | ArrayBufferLike | string;

/**
 * A chunk that is no string, as a `Uint8Array` on the same memory.
 *
 * @throws InvalidChunkError if it is nothing that holds bytes
 * @throws DetachedBufferError if its memory was transferred away
 */
export function toBytes(chunk: unknown): Uint8Array {
  // Both tests look at what the value is and not at its prototype, which says nothing about its memory.
  if (ArrayBuffer.isView(chunk)) {
    if (!(chunk instanceof Uint8Array)) {
      checkAttached(chunk, chunk.buffer);
      return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    }
    if (chunk.byteLength === 0) checkAttached(chunk, chunk.buffer);
    return chunk;
  }
  if (isBuffer(chunk)) {
    checkAttached(chunk, chunk);
    return new Uint8Array(chunk);
  }
  throw new InvalidChunkError(chunk);
}

/** Whether a value is of a kind that may be written to a writer of bytes. */
export function isChunk(value: unknown): value is Chunk {
  return typeof value === 'string' || ArrayBuffer.isView(value) || isBuffer(value);
}

// The getters read an internal slot, so buffers of other realms are taken, and objects that only look like one are not.
const sizeGetters = [ArrayBuffer, globalThis.SharedArrayBuffer]
  .filter((buffer) => buffer !== undefined)
  .map((buffer) => Object.getOwnPropertyDescriptor(buffer.prototype, 'byteLength')?.get as () => number);

function isBuffer(value: unknown): value is ArrayBufferLike {
  if (typeof value !== 'object' || value === null) return false;
  for (const getSize of sizeGetters) {
    try {
      getSize.call(value);
      return true;
    } catch {
      // Not of this kind.
    }
  }
  return false;
}

function checkAttached(chunk: unknown, buffer: ArrayBufferLike): void {
  if (buffer.byteLength > 0) return;
  try {
    // Older runtimes have no `detached`; making a view of a detached buffer throws everywhere.
    new Uint8Array(buffer);
  } catch {
    throw new DetachedBufferError(chunk);
  }
}
