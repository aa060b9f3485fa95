/** What tells one version of a resource from another. */
export interface Validator {
  /** As it was sent, also a weak one; null if there was none. */
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** What `If-Range` may carry; null where nothing proves that two responses hold the same bytes. */
  readonly strong: string | null;
}

/** Reads the validators of a response. */
export function validatorOf(headers: Headers): Validator {
  const etag = headers.get('etag');
  const lastModified = headers.get('last-modified');
  return { etag, lastModified, strong: strongIn(etag, lastModified, headers.get('date')) };
}

/**
 * A strong ETag; else, without any ETag, a date of modification that is strong by RFC 9110, 8.8.2.2: it lies far enough before
 * the response was made for a second change within its second not to hide.
 */
function strongIn(etag: string | null, lastModified: string | null, date: string | null): string | null {
  if (etag !== null) return /^"[\x21\x23-\x7e\x80-\uffff]*"$/.test(etag) ? etag : null;
  if (lastModified === null || date === null) return null;
  return Date.parse(date) - Date.parse(lastModified) >= 1000 ? lastModified : null;
}

/**
 * How two responses differ, in words; null if nothing says that they do. Weak tags are compared too: they differ for a reason.
 * An answer to an `If-Range` may leave out what the asker has (RFC 9110, 15.3.7), so what is missing says nothing.
 */
export function difference(known: Validator, other: Validator): string | null {
  if (known.etag !== null && other.etag !== null) {
    return bare(known.etag) === bare(other.etag) ? null : `its ETag was ${known.etag} and is ${other.etag}`;
  }
  if (known.lastModified !== other.lastModified && known.lastModified !== null && other.lastModified !== null) {
    return `it was last modified ${known.lastModified} and now ${other.lastModified}`;
  }
  return null;
}

function bare(etag: string): string {
  return etag.replace(/^W\//, '');
}
