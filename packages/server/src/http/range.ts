/** Bytes from one offset up to, and without, another. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/** No blanks stand where two of its parts could take them: time that grows with their square would be the server's. */
const RANGE = /^bytes[ \t]*=[ \t]*(?:(\d+)[ \t]*-(?:[ \t]*(\d+))?|-[ \t]*(\d+))$/i;

/**
 * The one range of bytes that a `Range` asks of `size` bytes (RFC 9110, section 14). Undefined: it is to be passed over, being of another unit,
 * malformed, reversed, or more than one, which would only make work. `unsatisfiable`: it has none of them.
 */
export function parseRange(header: string, size: number): ByteRange | 'unsatisfiable' | undefined {
  const match = RANGE.exec(header.trim());
  if (match === null) return undefined;
  const [, first, last, suffix] = match;
  if (suffix !== undefined) {
    const length = Number(suffix);
    return length === 0 || size === 0 ? 'unsatisfiable' : { from: Math.max(0, size - length), to: size };
  }
  const from = Number(first);
  if (last === undefined) return from >= size ? 'unsatisfiable' : { from, to: size };
  // Numbers beyond 2^53 lie beyond every size, so that it does not matter that they are rounded.
  const to = Number(last);
  if (to < from) return undefined;
  return from >= size ? 'unsatisfiable' : { from, to: Math.min(size, to + 1) };
}
