import { describe, expect, test } from 'vitest';
import { SlabLog } from '../../../packages/server/src/backends/memory/slab-log.ts';
import { Random } from '../../support/random.ts';
import { randomSeed } from '../../support/seed.ts';
import { until } from './rig.ts';

const seed = randomSeed();

/** The memory behind what is kept. */
function buffersOf(log: SlabLog): number {
  const chunks = log.read(log.head, log.tail, Number.MAX_SAFE_INTEGER);
  return [...new Set(chunks.map(({ buffer }) => buffer))].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

const readAll = (log: SlabLog, from: number, to: number): Buffer => {
  const parts: Uint8Array[] = [];
  for (let at = from; at < to; ) {
    const chunks = log.read(at, to, 1000);
    for (const { length } of chunks) at += length;
    if (chunks.length === 0) throw new Error(`Nothing at ${at}`);
    parts.push(...chunks);
  }
  return Buffer.concat(parts);
};

describe('SlabLog', () => {
  test(`what is kept is what was appended, with holes in it too, seed ${seed}`, () => {
    const random = new Random(seed);
    for (let run = 0; run < 40; run++) {
      const start = random.pick([0, 7, 100_000]);
      const log = new SlabLog(start);
      let all = Buffer.alloc(0);
      const borders = [start];
      let held: { from: number; to: number }[] = [];
      for (let i = 0; i < 60; i++) {
        const size = random.chance(0.1) ? random.between(10_000, 80_000) : random.between(1, 300);
        const bytes = random.bytes(size);
        const cut = random.between(0, size);
        log.append([bytes.slice(0, cut), bytes.slice(cut)], i * 400);
        all = Buffer.concat([all, bytes]);
        borders.push(start + all.length);
        if (random.chance(0.3)) {
          const head = random.pick(borders.filter((at) => at >= log.head));
          held = held.filter(() => random.chance(0.7));
          const from = log.head;
          if (random.chance(0.4) && (held.at(-1)?.to ?? -1) < from)
            held.push({ from, to: from + random.between(1, 50) });
          held = held.filter(({ to }) => to <= start + all.length);
          log.trim(head, held);
        }
        expect([log.tail, log.head <= log.tail]).toEqual([start + all.length, true]);
        expect(log.appends).toBe(borders.filter((at) => at >= log.head && at < log.tail).length);
        const intervals = [
          ...held.map(({ from, to }) => ({ from, to: Math.min(to, log.head) })),
          { from: log.head, to: log.tail },
        ];
        let kept = 0;
        for (const { from, to } of intervals) {
          if (from >= to) continue;
          kept += to - from;
          expect(readAll(log, from, to).equals(all.subarray(from - start, to - start))).toBe(true);
        }
        expect(log.bytes).toBe(kept);
      }
    }
  });

  test('what is let go of is freed, a slab at a time, and all when nothing is left', () => {
    const log = new SlabLog(0);
    const chunk = new Uint8Array(100);
    for (let i = 0; i < 100_000; i++) {
      log.append([chunk], i);
      if (i % 100 === 99) log.trim(log.tail - 10_000);
    }
    expect(buffersOf(log)).toBeLessThan(10_000 + 2 * 65_536);
    log.trim(log.tail);
    expect(log.read(log.head, log.tail, 1)).toEqual([]);
    expect(log.bytes).toBe(0);
    log.append([chunk], 0);
    expect(buffersOf(log)).toBe(512);
  });

  test('where appends begin costs memory only for those that are kept', async () => {
    const log = new SlabLog(0);
    for (let i = 0; i < 300_000; i++) log.append([new Uint8Array(1)], 0);
    globalThis.gc?.();
    const before = process.memoryUsage().arrayBuffers;
    log.trim(log.tail - 10);
    // 2.4 MB of numbers, and 300 KB of bytes. The collector frees them when it likes.
    await until('they are freed', () => {
      globalThis.gc?.();
      return before - process.memoryUsage().arrayBuffers > 2_000_000;
    });
    expect(log.retainFrom(5, undefined)).toBe(log.tail - 5);
  });

  test('what lies between the head and what is held is freed', async () => {
    const log = new SlabLog(0);
    for (let i = 0; i < 100; i++) log.append([new Uint8Array(100_000)], 0);
    globalThis.gc?.();
    const before = process.memoryUsage().arrayBuffers;
    log.trim(log.tail - 10, [{ from: 0, to: 10 }]);
    expect(log.bytes).toBe(20);
    await until('it is freed', () => {
      globalThis.gc?.();
      return before - process.memoryUsage().arrayBuffers > 9_000_000;
    });
    expect(log.read(0, 10, 100)[0]).toHaveLength(10);
  });

  test('a clock that is put back does not keep bytes for longer than from then', () => {
    const log = new SlabLog(0);
    const hour = 3_600_000;
    log.append([new Uint8Array(1)], 100 * hour);
    log.append([new Uint8Array(1)], 200 * hour);
    log.append([new Uint8Array(1)], hour);
    expect(log.retainFrom(undefined, hour)).toBe(0);
    expect(log.retainFrom(undefined, hour + 1000)).toBe(3);
    log.append([new Uint8Array(1)], 2 * hour);
    expect(log.retainFrom(undefined, hour + 1000)).toBe(3);
  });

  test('large appends that fill their buffer are kept as they are, others are copied', () => {
    const log = new SlabLog(0);
    const large = new Uint8Array(20_000);
    log.append([large], 0);
    expect(log.read(0, 20_000, 1e6)[0]?.buffer).toBe(large.buffer);
    const part = new Uint8Array(1_000_000).subarray(0, 20_000);
    log.append([part], 0);
    for (const { buffer } of log.read(20_000, 40_000, 1e6)) expect(buffer).not.toBe(part.buffer);
  });
});
