/**
 * Messages that tell who wrote them, which one of that writer they are and whether they are whole. Appends are whole lines, in streams of
 * JSON too, as that is how they are kept.
 */

import { createHash } from 'node:crypto';
import type { Random } from '../../support/random.ts';
import type { Encoding } from './live-reader.ts';

/** One message as it stands in a stream. */
export interface Message {
  readonly writer: string;
  /** Number of the append, from 0. */
  readonly append: number;
  /** Which one of the messages of that append, from 1, and how many there are. */
  readonly part: number;
  readonly parts: number;
}

/** Types of streams that show their bytes so. */
export const TYPES: Readonly<Record<Encoding, string>> = {
  bytes: 'application/octet-stream',
  text: 'text/plain; charset=utf-8',
  json: 'application/json',
};

const sumOf = (text: string): string => createHash('sha1').update(text).digest('hex').slice(0, 12);
const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789äöüß€😀漢字';
const ALPHABET = [...LETTERS];
const FILLING = Array.from({ length: 4096 }, (_, i) => ALPHABET[(i * i + 7 * i) % ALPHABET.length]).join('');

/** Mostly small ones, and now and then one that is larger than what is read or sent at a time. */
function sizeOf(random: Random): number {
  if (random.chance(0.02)) return random.between(20_000, 150_000);
  return random.chance(0.2) ? random.between(500, 4000) : random.between(0, 200);
}

/** The messages of one append: lines, or JSON texts that are kept as lines. */
export function makeAppend(encoding: Encoding, writer: string, append: number, random: Random): string[] {
  const parts = random.chance(0.2) ? random.between(2, 6) : 1;
  return Array.from({ length: parts }, (_, i) => {
    const size = sizeOf(random);
    // A half of a surrogate pair would not come back as it was.
    const payload = FILLING.repeat(1 + Math.floor(size / FILLING.length))
      .slice(0, size)
      .replace(/[\ud800-\udbff]$/, '');
    const text = `${writer} ${append} ${i + 1}/${parts} ${payload}`;
    return encoding === 'json' ? JSON.stringify({ text, sum: sumOf(text) }) : `${text} ${sumOf(text)}`;
  });
}

/** The body of a request that appends these messages. */
export function bodyOf(encoding: Encoding, lines: readonly string[]): string {
  if (encoding !== 'json') return lines.map((line) => `${line}\n`).join('');
  return lines.length === 1 ? (lines[0] as string) : `[${lines.join(',')}]`;
}

/** Reads a line. Throws when it is not one that was written. */
export function readMessage(encoding: Encoding, line: string): Message {
  let text: string;
  let sum: string;
  if (encoding === 'json') {
    ({ text, sum } = JSON.parse(line));
  } else {
    text = line.slice(0, line.lastIndexOf(' '));
    sum = line.slice(line.lastIndexOf(' ') + 1);
  }
  const [, writer = '', append, part, parts] = /^(\S+) (\d+) (\d+)\/(\d+) /.exec(text) ?? [];
  if (writer === '' || sumOf(text) !== sum)
    throw new Error(`no message of ours: ${JSON.stringify(line.slice(0, 200))}`);
  return { writer, append: Number(append), part: Number(part), parts: Number(parts) };
}
