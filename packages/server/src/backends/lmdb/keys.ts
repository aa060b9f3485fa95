/** Keys sort as the numbers in them: fixed width, the highest byte first. */

const HALF = 2 ** 32;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function putNumber(key: Buffer, value: number, at: number): void {
  key.writeUInt32BE(Math.floor(value / HALF), at);
  key.writeUInt32BE(value % HALF, at + 4);
}

/** Key of what belongs to a stream as a whole. */
export function streamKey(generation: number): Buffer {
  const key = Buffer.allocUnsafe(8);
  putNumber(key, generation, 0);
  return key;
}

/** Key of the append that begins at `offset`. */
export function appendKey(generation: number, offset: number): Buffer {
  const key = Buffer.allocUnsafe(16);
  putNumber(key, generation, 0);
  putNumber(key, offset, 8);
  return key;
}

/** The offset in the key of an append. */
export function offsetOf(key: Uint8Array): number {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  return view.getUint32(8) * HALF + view.getUint32(12);
}

/** Key of a fact. */
export function factKey(generation: number, name: string): Buffer {
  return Buffer.concat([streamKey(generation), encoder.encode(name)]);
}

/** The name in the key of a fact. */
export function factName(key: Uint8Array): string {
  return decoder.decode(key.subarray(8));
}
