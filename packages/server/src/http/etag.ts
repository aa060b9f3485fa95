import type { StreamEnd, StreamState } from '../backends/backend.ts';

/**
 * Entity tags name what a read of a stream gave: its generation, the offsets from which and up to which, and how it ended. Bytes never
 * change, so a tag that begins where another does is a prefix of it.
 */
export interface EntityTag {
  readonly generation: number;
  readonly from: number;
  readonly to: number;
}

const TAG = /^"(\d{1,16}):(\d{1,16}):(\d{1,16})(?::[cf])?"$/;
const LISTED = /(?:W\/)?("[\x21\x23-\x7e\x80-\uffff]*")\s*(?:,|$)/gy;

/** The tag of the bytes of a stream from one offset to another. `end`: how the stream ended there. */
export function formatTag(state: Pick<StreamState, 'generation'>, from: number, to: number, end?: StreamEnd): string {
  const mark = end === undefined ? '' : end.kind === 'closed' ? ':c' : ':f';
  return `"${state.generation}:${from}:${to}${mark}"`;
}

/** Reads one of our strong tags. Undefined: it is none. */
export function parseTag(text: string): EntityTag | undefined {
  const match = TAG.exec(text.trim());
  if (match === null) return undefined;
  return { generation: Number(match[1]), from: Number(match[2]), to: Number(match[3]) };
}

/** Whether an `If-None-Match` names the tag (RFC 9110, section 13.1.2). */
export function isNoneMatch(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  let at = 0;
  const text = header.trim();
  while (at < text.length) {
    while (text[at] === ' ' || text[at] === ',' || text[at] === '\t') at++;
    LISTED.lastIndex = at;
    const match = LISTED.exec(text);
    if (match === null) return false;
    if (match[1] === tag) return true;
    at = LISTED.lastIndex;
  }
  return false;
}

/**
 * Whether bytes that a client has under the tag of an `If-Range` go on in the stream as it is now: they are of the same stream, from its
 * start, and it has not become shorter. Later bytes do not matter: those before them are the same.
 */
export function continues(header: string, state: StreamState): boolean {
  const tag = parseTag(header);
  return tag !== undefined && tag.generation === state.generation && tag.from === 0 && tag.to <= state.tail;
}
