/** What a `Content-Range` of bytes says. */
export interface ContentRange {
  /** First offset, and the one after the last; both undefined in an answer to a range that cannot be had. */
  readonly from: number | undefined;
  readonly to: number | undefined;
  /** Size of the whole; undefined where the server does not know it. */
  readonly size: number | undefined;
}

const SATISFIED = /^bytes (\d+)-(\d+)\/(\d+|\*)$/i;
const UNSATISFIED = /^bytes \*\/(\d+)$/i;

/** Reads a `Content-Range` (RFC 9110, 14.4); null if it is none, or contradicts itself. */
export function parseContentRange(header: string | null): ContentRange | null {
  const text = header?.trim() ?? '';
  const unsatisfied = UNSATISFIED.exec(text);
  if (unsatisfied !== null) {
    const size = offsetIn(unsatisfied[1]);
    return size === null ? null : { from: undefined, to: undefined, size };
  }
  const satisfied = SATISFIED.exec(text);
  if (satisfied === null) return null;
  const from = offsetIn(satisfied[1]);
  const last = offsetIn(satisfied[2]);
  const size = satisfied[3] === '*' ? undefined : offsetIn(satisfied[3]);
  if (from === null || last === null || size === null || last < from) return null;
  if (size !== undefined && last >= size) return null;
  return { from, to: last + 1, size };
}

/** Reads a `Content-Length`; undefined if there is none, or it is no number. */
export function parseLength(header: string | null): number | undefined {
  const text = header?.trim() ?? '';
  return /^\d+$/.test(text) ? (offsetIn(text) ?? undefined) : undefined;
}

function offsetIn(digits: string | undefined): number | null {
  const offset = Number(digits);
  return Number.isSafeInteger(offset) && offset < Number.MAX_SAFE_INTEGER ? offset : null;
}
