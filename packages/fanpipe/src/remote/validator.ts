/**
 * What tells one version of a resource from another (RFC 9110, 8.8).
 *
 * Only *strong* validators prove that two responses hold parts of the same bytes (15.3.7.3): a strong `ETag`, or a
 * `Last-Modified` that lies so far before the response that a second change within its second cannot hide (8.8.2.2). A weak
 * validator proves nothing by being the same, but tells of a change by being another.
 *
 * @module
 */

import { parseHttpDate } from './http-date.ts';

/** The validators of one response. */
export interface Validator {
  /** As it was sent, also a weak one; null if there was none. */
  readonly etag: string | null;
  readonly lastModified: string | null;
  /**
   * What `If-Range` may carry; null if nothing. A date only where there is no tag at all, not even a weak one (RFC 9110,
   * 13.1.5).
   */
  readonly strong: string | null;
  /** Whether the date is strong, also beside a tag. */
  readonly isDateStrong: boolean;
  /** What proves that another response is of the same version. */
  readonly proof: 'tag' | 'date' | null;
}

/** Reads the validators of a response. */
export function validatorOf(headers: Headers): Validator {
  const etag = headers.get('etag');
  const lastModified = headers.get('last-modified');
  const hasStrongTag = isStrongTag(etag);
  const isDateStrong = isStrongDate(lastModified, headers.get('date'));
  let strong: string | null = null;
  if (hasStrongTag) strong = etag;
  else if (etag === null && isDateStrong) strong = lastModified;
  return { etag, lastModified, strong, isDateStrong, proof: hasStrongTag ? 'tag' : isDateStrong ? 'date' : null };
}

/**
 * How two responses differ, in words; null if nothing says that they do. Tags that are the same outweigh dates: servers of one
 * cluster write the same file at different times.
 */
export function difference(known: Validator, other: Validator): string | null {
  if (known.etag !== null && other.etag !== null) {
    if (opaque(known.etag) !== opaque(other.etag))
      return `its ETag was ${shown(known.etag)} and is ${shown(other.etag)}`;
    if (isStrongTag(known.etag) && isStrongTag(other.etag)) return null;
  }
  if (known.lastModified !== null && other.lastModified !== null && !sameDate(known.lastModified, other.lastModified)) {
    return `it was last modified ${shown(known.lastModified)} and now ${shown(other.lastModified)}`;
  }
  return null;
}

/**
 * Whether two responses between which there is no {@link difference} are known to be of one version. `asked` says that the other
 * one is a 206 to an `If-Range` with the known date: it says so by its status, and need not repeat the date (RFC 9110, 15.3.7);
 * a tag it would have to repeat. A date that it does send must be strong there too: a cache may still hold what was written
 * earlier in that second.
 */
export function isProven(known: Validator, other: Validator, asked: boolean): boolean {
  if (known.proof === 'tag') return isStrongTag(other.etag);
  if (known.proof === 'date') return other.lastModified === null ? asked : other.isDateStrong;
  return false;
}

/** RFC 9110, 8.8.3. Two tags in one header are none. */
function isStrongTag(etag: string | null): boolean {
  return etag !== null && /^"[\x21\x23-\x7e\x80-\uffff]*"$/.test(etag);
}

/** Without the `Date` of the response, which browsers do not show of another origin, nothing says how old the version is. */
function isStrongDate(lastModified: string | null, date: string | null): boolean {
  const modified = parseHttpDate(lastModified);
  const answered = parseHttpDate(date);
  return modified !== undefined && answered !== undefined && answered - modified >= 1000;
}

function sameDate(one: string, other: string): boolean {
  return one === other || (parseHttpDate(one) ?? Number.NaN) === parseHttpDate(other);
}

function opaque(etag: string): string {
  return etag.replace(/^W\//, '');
}

/** In a message a header is kept short. */
function shown(header: string): string {
  return header.length > 80 ? `${header.slice(0, 80)}…` : header;
}
