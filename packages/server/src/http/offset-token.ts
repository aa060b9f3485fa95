/**
 * Offsets as clients see them: `GGGGGGGGGGGGGGGG_OOOOOOOOOOOOOOOO`, the generation that wrote the byte before and the number of bytes
 * before, 16 decimal digits each. So tokens sort as positions do, and one behind a byte of a deleted stream is never taken for one
 * of the stream that has its name now. The start of every stream is all zeros: nothing was read of whatever stream it was.
 *
 * A fork shows the bytes of its source under the source's own tokens, up to where it left it.
 */
import type { StreamState } from '../backends/backend.ts';
import { Refusal } from './refusal.ts';

/** What a token needs to know of a stream. */
export type Lineage = Pick<StreamState, 'generation' | 'inherited'>;

/** A place that a client names. */
export type OffsetToken =
  | { readonly kind: 'start' }
  | { readonly kind: 'now' }
  | { readonly kind: 'at'; readonly generation: number; readonly offset: number };

const DIGITS = 16;
const TOKEN = /^(\d{16})_(\d{16})$/;
const ZEROS = '0'.repeat(DIGITS);
const digits = (value: number): string => (ZEROS + value).slice(-DIGITS);

/** The token of an offset up to the tail. */
export function formatOffset(lineage: Lineage, offset: number): string {
  if (offset === 0) return `${digits(0)}_${digits(0)}`;
  return `${digits(generationAt(lineage, offset))}_${digits(offset)}`;
}

/** The generation that wrote the byte before the offset. */
function generationAt({ generation, inherited }: Lineage, offset: number): number {
  for (const part of inherited) if (offset <= part.to) return part.generation;
  return generation;
}

/** Reads `-1`, `now` or a token. Undefined: it is none of them. */
export function parseOffset(text: string): OffsetToken | undefined {
  if (text === '-1') return { kind: 'start' };
  if (text === 'now') return { kind: 'now' };
  const match = TOKEN.exec(text);
  if (match === null) return undefined;
  const generation = Number(match[1]);
  const offset = Number(match[2]);
  if (!Number.isSafeInteger(generation) || !Number.isSafeInteger(offset)) return undefined;
  // Only the start has no generation, and a generation has written at least one byte.
  if ((generation === 0) !== (offset === 0)) return undefined;
  return { kind: 'at', generation, offset };
}

/**
 * The offset in bytes that a token means in a stream. The start is the oldest retained offset.
 *
 * Throws a `Refusal`: 410 where it is of a deleted stream of that name or no longer retained, with the oldest offset to go on from;
 * 400 where it is beyond the tail, or of a byte that the fork does not share with its source.
 */
export function resolveOffset(token: OffsetToken, state: StreamState): number {
  if (token.kind === 'start') return state.head;
  if (token.kind === 'now') return state.tail;
  const { generation, offset } = token;
  if (
    offset > 0 &&
    generation !== state.generation &&
    !state.inherited.some((part) => part.generation === generation)
  ) {
    throw offsetGone(state, 'is of a stream that was deleted');
  }
  if (offset > state.tail) {
    throw new Refusal(
      400,
      'BAD_REQUEST',
      `The offset is not written yet: the stream ends at ${formatOffset(state, state.tail)}`,
    );
  }
  if (offset > 0 && generationAt(state, offset) !== generation) {
    throw new Refusal(400, 'BAD_REQUEST', 'The offset is not one of this stream: it leaves its source before it');
  }
  if (offset < state.head) throw offsetGone(state, 'is no longer retained');
  return offset;
}

/** 410, with the offset to go on from. */
export function offsetGone(state: StreamState, why: string): Refusal {
  const oldest = formatOffset(state, state.head);
  return new Refusal(410, 'OFFSET_GONE', `The offset ${why}: the oldest is ${oldest}`, [
    'stream-oldest-offset',
    oldest,
  ]);
}
