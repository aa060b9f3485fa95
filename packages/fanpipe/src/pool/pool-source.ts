/**
 * How a writer is fed from what an opener returned.
 *
 * The reading itself is that of `ByteWriter.from`. Here is what a pool adds: it refuses what was read before, or what does
 * not say success, since an entry must never look whole that is not.
 *
 * @module
 */

import { isNodeStream, pump } from '../core/pump.ts';
import { type Chunk, isChunk } from '../core/to-bytes.ts';
import { describeValue } from '../errors.ts';
import type { EntryWriter } from './entry-writer.ts';
import { PoolSourceError } from './errors.ts';
import type { PoolSource } from './options.ts';

/**
 * Feeds `writer` from `source`, which is left at once if the writer has ended.
 *
 * @throws PoolSourceError if it cannot be read, or is a Response that does not say success; its body is cancelled then
 */
export function feed(source: PoolSource, writer: EntryWriter): void {
  if (isChunk(source)) {
    // Iterable too, by characters or numbers, which nobody means.
    pump<Chunk, Uint8Array>([source], writer);
    return;
  }
  writer.takesOver = checkSource(source) === 'handed over';
  pump<Chunk, Uint8Array>(source, writer);
}

/** Refuses what cannot be read. Says whether its chunks are handed over, so that nobody else changes them. */
function checkSource(source: PoolSource): 'handed over' | 'borrowed' {
  if (typeof Response === 'function' && source instanceof Response) {
    checkResponse(source);
    return 'handed over';
  }
  if (typeof ReadableStream === 'function' && source instanceof ReadableStream) {
    if (source.locked) throw new PoolSourceError('a ReadableStream that is locked: expected one that nobody reads');
    return 'handed over';
  }
  if (!isIterable(source)) {
    throw new PoolSourceError(
      `${describeValue(source)}: expected an iterable, an async iterable, a ReadableStream or a Response`,
    );
  }
  if (isNodeStream(source) && source.readableEnded === true) {
    throw new PoolSourceError('a Readable that was read to its end: expected one that nobody has read');
  }
  return 'borrowed';
}

function checkResponse(response: Response): void {
  const { status, body } = response;
  if (response.bodyUsed || body?.locked === true) {
    throw new PoolSourceError('a Response whose body is read already: expected an unread one', status);
  }
  if (response.ok) return;
  // Nobody will read it, and an unread body holds its connection.
  body?.cancel().catch(() => {});
  throw new PoolSourceError(`a Response with the status ${status}: expected 200 to 299`, status);
}

function isIterable(source: unknown): boolean {
  if (source === null || (typeof source !== 'object' && typeof source !== 'function')) return false;
  const candidate = source as Partial<AsyncIterable<unknown> & Iterable<unknown>>;
  return typeof candidate[Symbol.asyncIterator] === 'function' || typeof candidate[Symbol.iterator] === 'function';
}
