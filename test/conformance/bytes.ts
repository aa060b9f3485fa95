import type { ByteStream } from 'fanpipe';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encode(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(encoder.encode(text));
}

export function decode(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** The chunks that a stream yields up to its end, as texts. */
export async function chunksOf(stream: AsyncIterable<Uint8Array>): Promise<string[]> {
  const chunks: string[] = [];
  for await (const chunk of stream) chunks.push(decode(chunk));
  return chunks;
}

/** What a stream has waiting now, as one text; its end is not looked at. */
export function readNow(stream: ByteStream): string {
  let text = '';
  for (let chunk = stream.read(); chunk instanceof Uint8Array; chunk = stream.read()) text += decode(chunk);
  return text;
}

/** Bytes that repeat only after a long while, the same in every run. */
export function noise(size: number, seed: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < size; i++) {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state;
  }
  return bytes;
}

/** FNV-1a over all bytes so far: equal for equal bytes, however they are cut. */
export class Checksum {
  #hash = 0x811c9dc5;
  size = 0;

  add(bytes: Uint8Array): void {
    let hash = this.#hash;
    for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
    this.#hash = hash;
    this.size += bytes.byteLength;
  }

  get value(): string {
    return `${this.size}:${this.#hash >>> 0}`;
  }
}

/** All that a web stream yields, as a text. */
export async function drain(stream: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stream.getReader();
  const bytes: number[] = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return decode(new Uint8Array(bytes));
    bytes.push(...value);
  }
}
