/** Keys sort as the numbers in them: fixed width, the highest byte first. */

const HALF = 2 ** 32;
/** LMDB takes no longer ones. */
const LONGEST_KEY = 1978;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The longest name of a fact, in bytes of UTF-8. */
export const LONGEST_FACT_NAME: number = LONGEST_KEY - 8;

function putNumber(key: Buffer, value: number, at: number): void {
  key.writeUInt32BE(Math.floor(value / HALF), at);
  key.writeUInt32BE(value % HALF, at + 4);
}

function numberAt(key: Buffer, at: number): number {
  return key.readUInt32BE(at) * HALF + key.readUInt32BE(at + 4);
}

/** Key of what belongs to a stream as a whole. All other keys of the stream come after it, and before that of the next generation. */
export function streamKey(generation: number): Buffer {
  const key = Buffer.allocUnsafe(8);
  putNumber(key, generation, 0);
  return key;
}

/** The generation in any key of a stream. */
export function generationOf(key: Buffer): number {
  return numberAt(key, 0);
}

/** Key of the first piece of an append that was made at `time`. */
export function appendKey(generation: number, offset: number, time: number): Buffer {
  const key = Buffer.allocUnsafe(24);
  putNumber(key, generation, 0);
  putNumber(key, offset, 8);
  putNumber(key, time, 16);
  return key;
}

/** Key of a further piece of an append. It comes before all others with that offset, so it is also the lower bound of these. */
export function pieceKey(generation: number, offset: number): Buffer {
  const key = Buffer.allocUnsafe(16);
  putNumber(key, generation, 0);
  putNumber(key, offset, 8);
  return key;
}

/** The offset in the key of a piece. */
export function offsetOf(key: Buffer): number {
  return numberAt(key, 8);
}

/** The time in the key of the first piece of an append; undefined if it is a further piece. */
export function timeOf(key: Buffer): number | undefined {
  return key.length === 24 ? numberAt(key, 16) : undefined;
}

/** Key of a fact. */
export function factKey(generation: number, name: string): Buffer {
  return Buffer.concat([streamKey(generation), encoder.encode(name)]);
}

/** The name in the key of a fact. */
export function factName(key: Uint8Array): string {
  return decoder.decode(key.subarray(8));
}
