/**
 * What the bytes of a stream are in an event of SSE. Text and JSON are cut where appends and reads happen to end, so what cannot be shown
 * yet is held back until the rest of it comes: a character of UTF-8, a carriage return that may be half a line end, a message.
 */
import { toBase64 } from './base64.ts';
import { concat } from './concat.ts';
import type { EventEncoding } from './content-type.ts';

const LF = 10;
const CR = 13;
const LINE_END = /\r\n|\r|\n/;
const DATA = 'data:';
const encoder = new TextEncoder();
const PREFIX = encoder.encode(DATA);
const NEW_LINE = new Uint8Array([LF]);

/** Turns bytes into lines of data. */
export interface EventData {
  /** How many bytes have come that are not shown yet. */
  readonly held: number;
  /** Lines for all that can be shown now, each with its line end; undefined: nothing can. */
  push(chunks: readonly Uint8Array[]): Uint8Array | undefined;
  /** Lines for what was held back: nothing more comes. Undefined: nothing was. */
  end(): Uint8Array | undefined;
}

export function eventData(encoding: EventEncoding): EventData {
  if (encoding === 'text') return new TextData();
  return encoding === 'json' ? new JsonData() : new Base64Data();
}

class TextData implements EventData {
  #rest: Uint8Array | undefined;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  get held(): number {
    return this.#rest?.length ?? 0;
  }

  push(chunks: readonly Uint8Array[]): Uint8Array | undefined {
    const bytes = concat(this.#rest === undefined ? chunks : [this.#rest, ...chunks]);
    const length = bytes.length - unfinished(bytes);
    this.#rest = length === bytes.length ? undefined : bytes.slice(length);
    return length === 0 ? undefined : this.#lines(bytes.subarray(0, length));
  }

  end(): Uint8Array | undefined {
    const rest = this.#rest;
    this.#rest = undefined;
    return rest === undefined ? undefined : this.#lines(rest);
  }

  #lines(bytes: Uint8Array): Uint8Array {
    const text = this.#decoder.decode(bytes);
    if (!LINE_END.test(text)) return encoder.encode(`${toLine(text)}\n`);
    return encoder.encode(`${text.split(LINE_END).map(toLine).join('\n')}\n`);
  }
}

/** Readers take one space away. */
function toLine(line: string): string {
  return line.startsWith(' ') ? `${DATA} ${line}` : DATA + line;
}

/** How many bytes at the end are the beginning of a character that is not all there, or a carriage return. */
function unfinished(bytes: Uint8Array): number {
  const { length } = bytes;
  if (bytes[length - 1] === CR) return 1;
  for (let back = 1; back <= 3 && back <= length; back++) {
    const byte = bytes[length - back] as number;
    if (byte >= 0xf0) return byte <= 0xf4 ? back : 0;
    if (byte >= 0xe0) return back < 3 ? back : 0;
    if (byte >= 0xc0) return back < 2 ? back : 0;
    if (byte < 0x80) return 0;
  }
  return 0;
}

class JsonData implements EventData {
  #rest: Uint8Array[] = [];
  held = 0;

  push(chunks: readonly Uint8Array[]): Uint8Array | undefined {
    let last = chunks.length - 1;
    while (last >= 0 && (chunks[last] as Uint8Array).indexOf(LF) < 0) last--;
    if (last < 0) {
      this.#hold(chunks);
      return undefined;
    }
    const chunk = chunks[last] as Uint8Array;
    const end = chunk.lastIndexOf(LF) + 1;
    const lines = concat([...this.#rest, ...chunks.slice(0, last), chunk.subarray(0, end)]);
    this.#rest = [];
    this.held = 0;
    this.#hold([chunk.subarray(end), ...chunks.slice(last + 1)]);
    return toArray(lines);
  }

  /** Messages are appended whole: at the end nothing is left. */
  end(): undefined {
    return undefined;
  }

  #hold(chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) {
      if (chunk.length === 0) continue;
      this.#rest.push(chunk);
      this.held += chunk.length;
    }
  }
}

const [OPEN, CLOSE, COMMA] = [91, 93, 44];

/** `data:[` and the lines with `,` between them and `]`. */
function toArray(lines: Uint8Array): Uint8Array {
  const { length } = PREFIX;
  const data = new Uint8Array(length + lines.length + 2);
  data.set(PREFIX);
  data[length] = OPEN;
  data.set(lines, length + 1);
  for (let i = data.indexOf(LF); i >= 0; i = data.indexOf(LF, i + 1)) data[i] = COMMA;
  // In place of the last comma.
  data[data.length - 2] = CLOSE;
  data[data.length - 1] = LF;
  return data;
}

class Base64Data implements EventData {
  readonly held = 0;

  push(chunks: readonly Uint8Array[]): Uint8Array | undefined {
    const bytes = concat(chunks);
    return bytes.length === 0 ? undefined : concat([PREFIX, toBase64(bytes), NEW_LINE]);
  }

  end(): undefined {
    return undefined;
  }
}
