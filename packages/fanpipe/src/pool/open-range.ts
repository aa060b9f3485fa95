import { channelOf } from '../core/base-writer.ts';
import type { Cursor, OnMissed } from '../core/cursor.ts';
import { openCursor } from '../core/open-cursor.ts';
import type { Seat } from '../core/seat.ts';
import { OffsetNotWrittenError } from '../errors.ts';
import type { EntryWriter } from './entry-writer.ts';
import type { ResolvedOpenOptions } from './options.ts';
import { type OpenRange, seal } from './range-borders.ts';
import { RangeCursor } from './range-cursor.ts';

/**
 * Opens a stream of `[start, end)` on the writer of an entry. `onDetached` is told once, when the stream is detached by
 * whatever; it may be told before this returns.
 *
 * @throws InvalidArgumentError for a bad option of the stream
 * @throws OffsetNotWrittenError if the writer has closed before the start
 */
export function openRange(
  writer: EntryWriter,
  options: ResolvedOpenOptions,
  onDetached: () => void,
): Cursor<Uint8Array> {
  const { start, overflow, highWaterMark, onMissed, signal, copy } = options;
  const channel = channelOf(writer);
  const tail = channel.tail.start;
  const isClosed = channel.state === 'closed';
  if (isClosed && start > tail) throw new OffsetNotWrittenError(start, tail);
  const end = isClosed ? Math.min(options.end, tail) : options.end;
  const streamOptions = { from: Math.min(start, tail), overflow, highWaterMark, signal };
  if (start <= tail && end === Number.POSITIVE_INFINITY) {
    return openCursor(channel, { ...streamOptions, onMissed }, copy, { onDetached });
  }

  let range: OpenRange | undefined;
  const cursor = openCursor(channel, { ...streamOptions, onMissed: clipped(onMissed, end) }, copy, {
    createCursor: (itsChannel, node) => new RangeCursor(itsChannel, node, start, end),
    onDetached: () => {
      if (range !== undefined) writer.borders.delete(range);
      onDetached();
    },
  }) as RangeCursor;
  const seat = cursor.seat as Seat<Uint8Array>;
  if (start > tail) cursor.waitAhead();
  const hasPolicy = overflow !== undefined || highWaterMark !== undefined;
  if (hasPolicy && seat.ending === null) {
    // All of it is there: whatever is written from now on is none of its business.
    if (end <= tail) {
      seal(seat);
    } else {
      range = { seat, start, end };
      writer.borders.add(range, tail);
    }
  }
  return cursor;
}

/** A gap may go on beyond the end, of which the reader knows nothing. */
function clipped(onMissed: OnMissed | undefined, end: number): OnMissed | undefined {
  if (typeof onMissed !== 'function' || end === Number.POSITIVE_INFINITY) return onMissed;
  return (missed, from) => onMissed(Math.min(missed, end - from), from);
}
