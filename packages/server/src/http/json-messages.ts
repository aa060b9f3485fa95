import { isJsonText } from './json-text.ts';
import { badRequest } from './refusal.ts';

const LF = 10;
const CR = 13;
const SPACE = 32;
const QUOTE = 34;
const COMMA = 44;
const OPEN_ARRAY = 91;
const BACKSLASH = 92;
const CLOSE_ARRAY = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

/**
 * The messages of a body as lines: each as it was sent, with raw line ends made spaces, and one line end after it. An array is
 * flattened one level; an empty one has none. Numbers and the order of keys stay as they are, since nothing is written anew.
 *
 * Throws 400 for what is no JSON in UTF-8.
 */
export function toJsonLines(body: Uint8Array): Uint8Array {
  if (!isJsonText(body)) throw badRequest('The body is not JSON in UTF-8');
  return body[firstOf(body)] === OPEN_ARRAY ? flatten(body) : toLine(body);
}

/** From here on the text is known to be JSON, so only strings and brackets need a look. */
function toLine(body: Uint8Array): Uint8Array {
  const from = firstOf(body);
  let to = body.length;
  while (isSpace(body[to - 1] as number)) to--;
  const line = new Uint8Array(to - from + 1);
  line.set(body.subarray(from, to));
  // Within strings there are no raw line ends.
  for (let i = 0; i < line.length; i++) if (line[i] === LF || line[i] === CR) line[i] = SPACE;
  line[line.length - 1] = LF;
  return line;
}

/** Index of the first byte that means something. */
function firstOf(body: Uint8Array): number {
  // A mark of the byte order, which the decoder passes over.
  let from = body[0] === 0xef ? 3 : 0;
  while (isSpace(body[from] as number)) from++;
  return from;
}

function flatten(body: Uint8Array): Uint8Array {
  // One byte for each comma and for the last bracket: never more than there were.
  const lines = new Uint8Array(body.length);
  let length = 0;
  let depth = 0;
  let isString = false;
  let lineFrom = 0;
  const endLine = (): void => {
    while (length > lineFrom && isSpace(lines[length - 1] as number)) length--;
    if (length === lineFrom) return;
    lines[length++] = LF;
    lineFrom = length;
  };
  for (let i = firstOf(body) + 1; i < body.length; i++) {
    const byte = body[i] as number;
    if (isString) {
      lines[length++] = byte;
      if (byte === BACKSLASH) lines[length++] = body[++i] as number;
      else if (byte === QUOTE) isString = false;
    } else if (isSpace(byte)) {
      if (length > lineFrom) lines[length++] = byte === LF || byte === CR ? SPACE : byte;
    } else if (byte === COMMA && depth === 0) endLine();
    else if (byte === CLOSE_ARRAY && depth === 0) {
      endLine();
      break;
    } else {
      lines[length++] = byte;
      if (byte === QUOTE) isString = true;
      else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) depth++;
      else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) depth--;
    }
  }
  // What is kept for long should hold no more memory than it needs.
  return length > body.length - 64 ? lines.subarray(0, length) : lines.slice(0, length);
}

function isSpace(byte: number): boolean {
  return byte === SPACE || byte === LF || byte === CR || byte === 9;
}

/** The offset just after the `count`-th line end in the bytes, or how many there are less than that. */
export function skipLines(bytes: Uint8Array, count: number): { readonly length: number; readonly missing: number } {
  let from = 0;
  for (let missing = count; missing > 0; missing--) {
    const end = bytes.indexOf(LF, from);
    if (end < 0) return { length: from, missing };
    from = end + 1;
  }
  return { length: from, missing: 0 };
}
