import { describe, expect, test, vi } from 'vitest';
import { settle } from '../../../../test/support/fake-clock.ts';
import { channelOf } from '../core/base-writer.ts';
import { openCursor } from '../core/open-cursor.ts';
import type { Seat } from '../core/seat.ts';
import { SlabAllocator } from '../core/slab-allocator.ts';
import { EntryWriter } from './entry-writer.ts';
import { openRange } from './open-range.ts';
import { resolveOpenOptions } from './options.ts';
import { type OpenRange, standAhead } from './range-borders.ts';

/** The sizes of the chunks that were written. */
function sizes(writer: EntryWriter): number[] {
  const stream = writer.stream({ from: 'start' });
  const found: number[] = [];
  for (let chunk = stream.read(); chunk; chunk = stream.read()) found.push(chunk.length);
  stream.cancel();
  return found;
}

/** Has the writer pause at `start` and `end`. */
function border(writer: EntryWriter, start: number, end: number): OpenRange {
  const seat = openCursor(channelOf(writer), {}, false, { onDetached: () => {} }).seat as Seat<Uint8Array>;
  const range = { seat, start, end };
  if (start > writer.bytesWritten) standAhead(seat, start);
  writer.borders.add(range, writer.bytesWritten);
  return range;
}

describe('EntryWriter', () => {
  test('KEEP: room is claimed for each write, before it; nothing is taken without', async () => {
    const claims: number[] = [];
    const reason = new Error('no room');
    const writer = new EntryWriter((size) => {
      claims.push(size);
      if (size === 5) throw reason;
    });
    await writer.write('abc');
    await writer.write('€');
    await expect(writer.write('abcde')).rejects.toBe(reason);
    await expect(writer.write(7 as never)).rejects.toMatchObject({ code: 'ERR_FANPIPE_INVALID_CHUNK' });
    expect([claims, writer.bytesWritten]).toEqual([[3, 3, 5], 6]);
    writer.close();
    await expect(writer.write('x')).rejects.toMatchObject({ code: 'ERR_FANPIPE_WRITER_ENDED' });
    expect(claims).toHaveLength(3);
  });

  test('KEEP: room for what could not be copied is given back', async () => {
    let claimed = 0;
    const writer = new EntryWriter((size) => {
      claimed += size;
    });
    await writer.write('abc');
    const reason = new RangeError('Array buffer allocation failed');
    const copy = vi.spyOn(SlabAllocator.prototype, 'copy').mockImplementation(() => {
      throw reason;
    });
    await expect(writer.write('abcde')).rejects.toBe(reason);
    await writer.write('');
    copy.mockRestore();
    expect([claimed, writer.bytesWritten]).toEqual([3, 3]);
  });

  test('RANGE: a chunk is cut at each border, and at none that is gone or passed', async () => {
    const claims: number[] = [];
    const writer = new EntryWriter((size) => claims.push(size));
    await writer.write('0123');
    border(writer, 0, 6);
    const gone = border(writer, 7, 9);
    border(writer, 5, 8);
    border(writer, 8, 20);
    writer.borders.delete(gone);
    writer.borders.delete(gone);
    await writer.write('4567890123');
    expect(sizes(writer)).toEqual([4, 1, 1, 2, 6]);
    expect(claims).toEqual([4, 1, 1, 2, 6]);
    expect(writer.borders.next).toBe(20);
    await writer.write('456789');
    expect([sizes(writer).length, writer.borders.next]).toEqual([6, 20]);
    // The border is where the tail is: what has to be done there is done before the next byte.
    await writer.write('x');
    expect([sizes(writer).length, writer.borders.next]).toEqual([7, Number.POSITIVE_INFINITY]);
  });

  test('RANGE: a seat that waits where the tail is keeps its border when another one goes', async () => {
    const writer = new EntryWriter(() => {});
    const gone = border(writer, 4, 9);
    const { seat } = border(writer, 4, 9);
    await writer.write('0123');
    writer.borders.delete(gone);
    expect(writer.borders.next).toBe(4);
    await writer.write('45');
    expect([seat.position, seat.lag, writer.borders.next]).toEqual([4, 2, 9]);
  });

  test('RANGE: a stream that has come to its start at the tail has read all there is', async () => {
    const writer = new EntryWriter(() => {});
    const cursor = openRange(writer, resolveOpenOptions({ start: 4 }), () => {});
    await writer.write('0123');
    expect(cursor.read()).toBe(undefined);
    let isFlushed = false;
    void writer.flush().then(() => {
      isFlushed = true;
    });
    await settle();
    expect(isFlushed).toBe(true);
  });

  test('RANGE: between two parts it waits for a blocking stream, and gives up when the writer ends', async () => {
    const writer = new EntryWriter(() => {});
    border(writer, 0, 3);
    const blocking = writer.stream({ highWaterMark: 1 });
    const write = writer.write('01234');
    const refused = expect(write).rejects.toMatchObject({ code: 'ERR_FANPIPE_WRITER_ENDED' });
    await settle();
    expect(writer.bytesWritten).toBe(3);
    writer.fail(new Error('stopped'));
    blocking.cancel();
    await refused;
    expect(writer.bytesWritten).toBe(3);
  });
});
