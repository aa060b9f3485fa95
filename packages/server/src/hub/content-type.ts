/** A parameter of a media type (RFC 9110, section 5.6.6): its name, and its value as it is or in quotes. */
const PARAMETER = /;[ \t]*([^\s;="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))/g;

/**
 * Whether what has the one content type belongs into a stream that has the other: type and subtype are the same, and so is every
 * parameter that both have, whatever its case. One that only one of them has says nothing against it: many clients add a `charset` of their own.
 */
export function isSameType(one: string, other: string): boolean {
  if (one === other) return true;
  if (essenceOf(one) !== essenceOf(other)) return false;
  const own = parametersOf(other);
  for (const [name, value] of parametersOf(one)) {
    if ((own.get(name) ?? value) !== value) return false;
  }
  return true;
}

/** Type and subtype, in small letters. */
export function essenceOf(contentType: string): string {
  const mark = contentType.indexOf(';');
  return (mark < 0 ? contentType : contentType.slice(0, mark)).trim().toLowerCase();
}

/** In small letters, as most of them are meant. */
function parametersOf(contentType: string): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const [, name, quoted, plain] of contentType.toLowerCase().matchAll(PARAMETER)) {
    parameters.set(name as string, quoted?.replace(/\\(.)/g, '$1') ?? (plain as string));
  }
  return parameters;
}
