/** A large zip that is the same in every run: photographs, which are stored, and texts, which are deflated. */
import { createHash } from 'node:crypto';
import { type Zippable, zipSync } from 'fflate';

export interface MadeZip {
  readonly bytes: Uint8Array;
  /** SHA-256 of each member, before it was packed. */
  readonly digests: ReadonlyMap<string, string>;
}

const MiB = 1024 * 1024;
/** Without a time zone, so it is the same everywhere; a zip holds local time. */
const DATE = '2026-11-22T12:00:00';

/** Random numbers, always the same ones. */
function* numbers(seed: number): Generator<number, never> {
  for (let n = seed; ; ) yield (n = Math.imul(n, 1664525) + 1013904223);
}

/** What a compressor can do nothing with. */
function photograph(size: number, seed: number): Uint8Array {
  const random = numbers(seed);
  const values = new Uint32Array(size / 4);
  for (let i = 0; i < values.length; i++) values[i] = random.next().value;
  return new Uint8Array(values.buffer);
}

const WORDS = 'one writer many readers each at its own pace with bounded memory when you ask for it'.split(' ');

function text(size: number, seed: number): Uint8Array {
  const random = numbers(seed);
  let words = '';
  while (words.length < size) words += `${WORDS[(random.next().value >>> 16) % WORDS.length]} `;
  return new TextEncoder().encode(words.slice(0, size));
}

/** Packs about 64 MiB in memory. */
export function makeZip(): MadeZip {
  const stored = { level: 0, mtime: DATE } as const;
  const deflated = { level: 6, mtime: DATE } as const;
  const members: Zippable = {
    'README.txt': [text(2_000, 1), deflated],
    'photographs/spring.raw': [photograph(16 * MiB, 2), stored],
    'photographs/summer.raw': [photograph(16 * MiB, 3), stored],
    'manual.txt': [text(3 * MiB, 4), deflated],
    'photographs/autumn.raw': [photograph(16 * MiB, 5), stored],
    'photographs/winter.raw': [photograph(15 * MiB, 6), stored],
  };
  const digests = new Map<string, string>();
  for (const [name, member] of Object.entries(members)) {
    const [bytes] = member as [Uint8Array, unknown];
    digests.set(name, createHash('sha256').update(bytes).digest('hex'));
  }
  return { bytes: zipSync(members), digests };
}
