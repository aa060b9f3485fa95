const CRLF = 2;
const encoder = new TextEncoder();

/**
 * Some bytes of a body, made once and sent to any number of readers. Nobody changes them.
 *
 * Over HTTP/1.1 each reader gets the same bytes of a chunk too (RFC 9112, section 7.1), with the length before it and a line end
 * behind, in one piece, so that it costs one write.
 */
export class Frame {
  readonly bytes: Uint8Array;
  #chunk: Uint8Array | undefined;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** The bytes as a chunk of the `chunked` transfer coding. Empty for no bytes: that would be the last chunk. */
  get chunk(): Uint8Array {
    return (this.#chunk ??= toChunk(this.bytes));
  }
}

function toChunk(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  if (length === 0) return bytes;
  const size = encoder.encode(`${length.toString(16)}\r\n`);
  const chunk = new Uint8Array(size.length + length + CRLF);
  chunk.set(size);
  chunk.set(bytes, size.length);
  chunk[chunk.length - 2] = 13;
  chunk[chunk.length - 1] = 10;
  return chunk;
}
