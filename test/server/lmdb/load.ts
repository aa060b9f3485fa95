/** What `load` appends, so that who reads it knows what must be there. */

import { Random } from '../../support/random.ts';

/** Streams that are appended to at a time. */
export const LOADED = 8;
/** What fits into one value of the store; larger ones are in pieces. */
const PIECE = 4096 - 24;

export const loadedName = (stream: number): string => `loaded ${stream}`;

/** The chunks of an append: mostly small, now and then in pieces. */
export function appendOf(seed: number, stream: number, append: number): Uint8Array[] {
  const random = new Random(seed ^ (stream * 0x9e3779b1) ^ (append * 0x85ebca6b));
  const size = random.chance(0.02) ? random.between(PIECE - 2, 20 * PIECE) : random.between(1, 600);
  const bytes = Buffer.alloc(size, random.bytes(Math.min(size, 251)));
  const cut = random.between(0, size);
  return cut === 0 ? [bytes] : [bytes.subarray(0, cut), bytes.subarray(cut)];
}
