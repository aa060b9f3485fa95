import type { LineagePart } from '../backend.ts';
import type { LocalStream } from './local-stream.ts';

/** The parts that a stream inherits, oldest first. */
export function inheritedParts(stream: LocalStream): readonly LineagePart[] {
  if (stream.source === undefined) return [];
  const parts: LineagePart[] = [];
  let to = Number.POSITIVE_INFINITY;
  for (let at = stream; at.source !== undefined; at = at.source) {
    // What a source inherits itself ends where that fork of it ends at the latest.
    const ends = Math.min(at.border, to);
    // Its own part is not shown where its fork left it before it began.
    if (ends > at.source.border) parts.push({ generation: at.source.generation, to: ends });
    to = ends;
  }
  return parts.reverse();
}
