import { CancelledError, LimitExceededError } from '../errors.ts';
import { checkAmount } from './check.ts';
import type { Cursor } from './cursor.ts';

/** How much a collector may take. */
export interface CollectOptions {
  /**
   * Most that is collected, in bytes (typed: items). Beyond it the collector rejects with a `LimitExceededError` and
   * the stream is detached. Default: no limit, so give one where the other side is not trusted.
   */
  readonly limit?: number | undefined;
}

/** Refuses a bad limit, before the stream's iterator is taken. */
export function checkCollectOptions(options: CollectOptions | undefined): void {
  if (options?.limit !== undefined) checkAmount('limit', options.limit);
}

/**
 * Reads `cursor` to its end and hands each batch to `add`, once `measure` has said that it is within the limit.
 *
 * Rejects with what the stream failed with, with a `CancelledError` if it was cancelled meanwhile (what is there is not
 * the whole then), with a `LimitExceededError`, and with what `add` throws. The stream is detached afterwards.
 */
export async function collect<T>(
  cursor: Cursor<T>,
  options: CollectOptions | undefined,
  measure: (chunks: readonly T[]) => number,
  add: (chunks: readonly T[]) => void,
): Promise<void> {
  const limit = options?.limit;
  let collected = 0;
  try {
    for (;;) {
      const { value, done } = await cursor.nextBatch();
      if (done) break;
      collected += measure(value);
      if (limit !== undefined && collected > limit) throw new LimitExceededError(limit);
      add(value);
    }
  } catch (error) {
    // Nobody will read on. After a failure of the writer the stream is detached already.
    cursor.cancel(error);
    throw error;
  }
  const { ending } = cursor;
  if (ending?.kind === 'cancelled') throw new CancelledError(ending.reason);
}

/** How many bytes a batch holds. */
export function bytesIn(chunks: readonly Uint8Array[]): number {
  let size = 0;
  for (const chunk of chunks) size += chunk.length;
  return size;
}
