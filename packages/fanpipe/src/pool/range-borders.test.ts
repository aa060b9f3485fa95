import { describe, expect, test } from 'vitest';
import type { Seat } from '../core/seat.ts';
import { EntryWriter } from './entry-writer.ts';
import { openRange } from './open-range.ts';
import { resolveOpenOptions } from './options.ts';
import { RangeBorders } from './range-borders.ts';

describe('RangeBorders', () => {
  test('RANGE DETACH: the cost of coming and going does not grow with how many there are', () => {
    const borders = new RangeBorders();
    let looks = 0;
    const ranges = Array.from({ length: 1000 }, (_, i) => ({
      seat: {} as Seat<Uint8Array>,
      get start(): number {
        looks++;
        return 10 + 3 * (i % 700);
      },
      end: 10_000 + i,
    }));
    for (const range of ranges) borders.add(range, 0);
    for (let tail = 0; tail < 10; tail++) borders.reach(tail);
    expect(borders.next).toBe(10);
    // Neither in the order of coming nor backwards.
    for (let i = 0; i < ranges.length; i++) borders.delete(ranges[(i * 7919) % ranges.length] as (typeof ranges)[0]);
    expect(borders.next).toBe(Number.POSITIVE_INFINITY);
    expect(looks).toBeLessThan(5 * ranges.length);
  });

  test('RANGE: the next border is right, however many have come and gone at the same places', async () => {
    const writer = new EntryWriter(() => {});
    const open = (start: number, end: number) =>
      openRange(writer, resolveOpenOptions({ start, end, highWaterMark: 100 }), () => {});
    const stays = open(10, 50);
    for (let round = 0; round < 100; round++) {
      const others = [open(7, 50), open(10, 20), open(3 + (round % 5), 60)];
      expect(writer.borders.next).toBe(3 + (round % 5));
      for (const other of others) other.cancel(undefined);
      expect(writer.borders.next).toBe(10);
    }
    await writer.write(new Uint8Array(12));
    expect([stays.position, stays.lag, writer.borders.next]).toEqual([10, 2, 50]);
    stays.cancel(undefined);
    expect(writer.borders.next).toBe(Number.POSITIVE_INFINITY);
  });
});
