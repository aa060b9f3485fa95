import { createHash, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGzip } from 'node:zlib';
import { formatBytes, formatCount, formatSeconds, formatShare } from '../format.ts';

/** What came out of a reader. */
export interface Outcome {
  readonly text: string;
  /** SHA-256 of what this reader worked with, where it knows one by itself. */
  readonly digest?: string;
}

/** One reader of the demo: `run` reads `chunks` to the end. */
export interface Reader {
  readonly name: string;
  readonly does: string;
  run(chunks: AsyncIterable<Uint8Array>): Promise<Outcome>;
}

/** What the slow reader takes, in bytes per second. */
const SLOW_RATE = 24 * 1024 * 1024;

/** The five readers. `folder` is where the copy goes; `signal` ends the waits of the slow one. */
export function createReaders(folder: string, signal: AbortSignal): Reader[] {
  return [
    { name: 'digest', does: 'SHA-256', run: digest },
    { name: 'gzip', does: 'compressed size', run: compress },
    { name: 'statistics', does: 'lines and bytes', run: count },
    { name: 'copy', does: 'a file on disk', run: (chunks) => copy(chunks, join(folder, 'copy')) },
    { name: 'slow', does: `${formatBytes(SLOW_RATE)}/s at most`, run: (chunks) => dawdle(chunks, signal) },
  ];
}

async function hashInto(hash: Hash, chunks: AsyncIterable<Uint8Array>): Promise<string> {
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}

async function digest(chunks: AsyncIterable<Uint8Array>): Promise<Outcome> {
  const text = await hashInto(createHash('sha256'), chunks);
  return { text, digest: text };
}

async function compress(chunks: AsyncIterable<Uint8Array>): Promise<Outcome> {
  let before = 0;
  let after = 0;
  await pipeline(
    async function* () {
      for await (const chunk of chunks) {
        before += chunk.byteLength;
        yield chunk;
      }
    },
    createGzip({ level: 1 }),
    async (packed: AsyncIterable<Uint8Array>) => {
      for await (const chunk of packed) after += chunk.byteLength;
    },
  );
  return { text: `${formatBytes(after)} at level 1 (${formatShare(after, before)})` };
}

async function count(chunks: AsyncIterable<Uint8Array>): Promise<Outcome> {
  const counts = new Float64Array(256);
  let total = 0;
  for await (const chunk of chunks) {
    total += chunk.byteLength;
    for (let i = 0; i < chunk.byteLength; i++) (counts[chunk[i] as number] as number)++;
  }
  const most = counts.indexOf(Math.max(...counts));
  let entropy = 0;
  for (const each of counts) if (each > 0) entropy -= (each / total) * Math.log2(each / total);
  const common = `0x${most.toString(16).padStart(2, '0')} (${formatShare(counts[most] ?? 0, total)})`;
  const lines = `${formatCount(counts[10] ?? 0)} line ends`;
  return { text: total === 0 ? lines : `${lines}, most often ${common}, ${entropy.toFixed(2)} bits per byte` };
}

async function copy(chunks: AsyncIterable<Uint8Array>, path: string): Promise<Outcome> {
  await pipeline(chunks, createWriteStream(path, { flags: 'wx' }));
  const readBack = await hashInto(createHash('sha256'), createReadStream(path));
  return { text: 'written, read back, removed', digest: readBack };
}

async function dawdle(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Outcome> {
  const start = performance.now();
  let taken = 0;
  let waited = 0;
  for await (const chunk of chunks) {
    taken += chunk.byteLength;
    const wait = start + (taken / SLOW_RATE) * 1000 - performance.now();
    if (wait > 0) {
      waited += wait;
      await sleep(wait, undefined, { signal });
    }
  }
  return { text: `waited ${formatSeconds(waited)} on purpose` };
}
