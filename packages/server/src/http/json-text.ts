const QUOTE = 34;
const COMMA = 44;
const MINUS = 45;
const ZERO = 48;
const COLON = 58;
const OPEN_ARRAY = 91;
const BACKSLASH = 92;
const CLOSE_ARRAY = 93;
const SMALL_U = 117;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

const decoder = new TextDecoder('utf-8', { fatal: true });
const encoder = new TextEncoder();
const TRUE = encoder.encode('true');
const FALSE = encoder.encode('false');
const NULL = encoder.encode('null');
/** What may stand behind a backslash, apart from `u`. */
const ESCAPED = new Set(encoder.encode('"\\/bfnrt'));
/** Of most texts: what is deeper takes one of its own. */
const NESTING = new Uint8Array(256);

/**
 * Whether bytes are one JSON text (RFC 8259) in UTF-8, with a mark of the byte order before it or not: what `JSON.parse` takes.
 *
 * No values are made, so that time goes with the length of the text, and memory is never more than that: the values of a body of some MiB that is made
 * for that take many times its size, and seconds.
 */
export function isJsonText(bytes: Uint8Array): boolean {
  let nesting = NESTING;
  let depth = 0;
  let i = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  for (;;) {
    i = skipSpace(bytes, i);
    const first = bytes[i] as number;
    if (first === OPEN_ARRAY || first === OPEN_OBJECT) {
      i = skipSpace(bytes, i + 1);
      if (bytes[i] === (first === OPEN_ARRAY ? CLOSE_ARRAY : CLOSE_OBJECT)) i++;
      else {
        if (depth === nesting.length) {
          const deeper = new Uint8Array(depth * 4);
          deeper.set(nesting);
          nesting = deeper;
        }
        nesting[depth++] = first;
        if (first === OPEN_OBJECT && (i = keyEnd(bytes, i)) < 0) return false;
        continue;
      }
    } else {
      if (first === QUOTE) i = stringEnd(bytes, i);
      else i = first === MINUS || isDigit(first) ? numberEnd(bytes, i) : literalEnd(bytes, i);
      if (i < 0) return false;
    }
    // A value is over: what it stands in goes on, or ends with it.
    for (;;) {
      i = skipSpace(bytes, i);
      if (depth === 0) return i === bytes.length && isUtf8(bytes);
      const byte = bytes[i++];
      const isArray = nesting[depth - 1] === OPEN_ARRAY;
      if (byte === COMMA) {
        if (!isArray && (i = keyEnd(bytes, i)) < 0) return false;
        break;
      }
      if (byte !== (isArray ? CLOSE_ARRAY : CLOSE_OBJECT)) return false;
      depth--;
    }
  }
}

function skipSpace(bytes: Uint8Array, from: number): number {
  let i = from;
  while (isSpace(bytes[i] as number)) i++;
  return i;
}

/** Where the value of a key begins that is next; negative where none is. */
function keyEnd(bytes: Uint8Array, from: number): number {
  const quote = skipSpace(bytes, from);
  if (bytes[quote] !== QUOTE) return -1;
  const end = stringEnd(bytes, quote);
  if (end < 0) return -1;
  const colon = skipSpace(bytes, end);
  return bytes[colon] === COLON ? colon + 1 : -1;
}

/** Where the string ends whose first quote is there; negative where it does not. */
function stringEnd(bytes: Uint8Array, from: number): number {
  const { length } = bytes;
  for (let i = from + 1; i < length; i++) {
    const byte = bytes[i] as number;
    if (byte === QUOTE) return i + 1;
    if (byte < 0x20) return -1;
    if (byte !== BACKSLASH) continue;
    const escaped = bytes[++i] as number;
    if (escaped === SMALL_U) {
      for (const end = i + 4; i < end; ) if (!isHex(bytes[++i] as number)) return -1;
    } else if (!ESCAPED.has(escaped)) return -1;
  }
  return -1;
}

/** Where the number that begins there ends; negative where it is none. */
function numberEnd(bytes: Uint8Array, from: number): number {
  let i = bytes[from] === MINUS ? from + 1 : from;
  if (bytes[i] === ZERO) i++;
  else if ((i = digitsEnd(bytes, i)) < 0) return -1;
  if (bytes[i] === 46 && (i = digitsEnd(bytes, i + 1)) < 0) return -1;
  if (bytes[i] !== 69 && bytes[i] !== 101) return i;
  i++;
  if (bytes[i] === 43 || bytes[i] === MINUS) i++;
  return digitsEnd(bytes, i);
}

/** Where one digit or more end; negative where there is none. */
function digitsEnd(bytes: Uint8Array, from: number): number {
  let i = from;
  while (isDigit(bytes[i] as number)) i++;
  return i > from ? i : -1;
}

/** Where `true`, `false` or `null` ends; negative where it is none of them. */
function literalEnd(bytes: Uint8Array, from: number): number {
  const first = bytes[from];
  const literal = first === TRUE[0] ? TRUE : first === FALSE[0] ? FALSE : NULL;
  for (let i = 0; i < literal.length; i++) if (bytes[from + i] !== literal[i]) return -1;
  return from + literal.length;
}

function isUtf8(bytes: Uint8Array): boolean {
  const { length } = bytes;
  let i = 0;
  while (i < length && (bytes[i] as number) < 0x80) i++;
  if (i === length) return true;
  try {
    decoder.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 57;
}

function isHex(byte: number): boolean {
  return isDigit(byte) || (byte >= 65 && byte <= 70) || (byte >= 97 && byte <= 102);
}

function isSpace(byte: number): boolean {
  return byte === 32 || byte === 10 || byte === 13 || byte === 9;
}
