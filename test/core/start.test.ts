/** START: where streams begin, what is retained for them, and that an offset is found without a walk. */

import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import { OVERFLOW_POLICIES } from '../../packages/fanpipe/src/core/policies.ts';
import { TypedWriter } from '../../packages/fanpipe/src/core/typed-writer.ts';
import { collect } from '../support/collector.ts';

const text = (bytes: Uint8Array | null | undefined): string | null | undefined =>
  bytes && Buffer.from(bytes).toString();

describe('START: places', () => {
  test('START: every place in what is retained, for every replay, against the plain text', async () => {
    const whole = 'abcdefghijklmnopqrst';
    for (let replay = 0; replay <= whole.length + 2; replay++) {
      for (const sizes of [[1], [3], [7], [1, 6, 2], [20]]) {
        const writer = new ByteWriter({ replay, offset: 50 });
        for (let at = 0, i = 0; at < whole.length; i++) {
          const size = sizes[i % sizes.length] as number;
          writer.writeSync(whole.slice(at, at + size));
          at += size;
        }
        writer.close();
        const retained = Math.min(replay, whole.length);
        for (let offset = 50; offset <= 71; offset++) {
          const at = offset - 50;
          const open = (): Promise<string> => writer.stream({ from: offset }).text();
          if (at > whole.length) expect(open).toThrow(`tail is ${50 + whole.length}`);
          else if (at < whole.length - retained) expect(open).toThrow(`can be read is ${70 - retained}`);
          else expect(await open()).toBe(whole.slice(at));
        }
        for (let last = 0; last <= 22; last++) {
          const expected = whole.slice(whole.length - Math.min(last, retained));
          expect(await writer.stream({ from: { last } }).text()).toBe(expected);
        }
        expect(await writer.stream({ from: 'start' }).text()).toBe(whole.slice(whole.length - retained));
      }
    }
  });

  test('START: records are whole: a start that falls into one begins at the next', async () => {
    const records = ['ab', 'cdefg', 'h', 'ijk'];
    const borders = [0, 2, 7, 8, 11];
    for (let replay = 0; replay <= 12; replay++) {
      const writer = new TypedWriter<string>({ size: (record) => record.length, replay });
      for (const record of records) writer.writeSync(record);
      writer.close();
      for (let last = 0; last <= 12; last++) {
        const first = borders.findIndex((border) => border >= 11 - Math.min(last, replay));
        expect(await writer.stream({ from: { last } }).array()).toEqual(records.slice(first));
      }
      const head = borders.findIndex((border) => border >= 11 - replay);
      expect(writer.stream({ from: 'start' }).position).toBe(borders[head]);
    }
  });

  test('START ORD: late joiners share what is retained with those who were there, whatever their policy', async () => {
    const writer = new ByteWriter({ replay: 'all' });
    const early = writer.stream();
    const chunks = [];
    for (let i = 0; i < 50; i++) {
      const chunk = `${i},`;
      chunks.push(chunk);
      writer.writeSync(chunk);
      const policy = OVERFLOW_POLICIES[i % 4];
      const late = writer.stream({ from: 'start', overflow: policy, highWaterMark: 1000 });
      let seen = '';
      for (let chunk = late.read(); chunk; chunk = late.read()) seen += text(chunk);
      expect(seen).toBe(chunks.join(''));
      expect(late.missed).toBe(0);
      late.cancel();
    }
    expect(text(early.read())).toBe('0,');
    expect(early.lag).toBe(chunks.join('').length - 2);
  });

  test('START: a stream may begin beyond its mark: that counts from the next write', () => {
    const open = (overflow: 'block' | 'drop-oldest' | 'drop-newest' | 'disconnect') => {
      const writer = new ByteWriter({ replay: 'all' });
      writer.writeSync('0123456789');
      return { writer, stream: writer.stream({ from: 'start', overflow, highWaterMark: 4 }) };
    };
    const oldest = open('drop-oldest');
    expect([oldest.stream.lag, oldest.stream.missed]).toEqual([10, 0]);
    oldest.writer.writeSync('ab');
    expect([oldest.stream.lag, oldest.stream.missed, text(oldest.stream.read())]).toEqual([4, 8, '89']);
    const newest = open('drop-newest');
    newest.writer.writeSync('ab');
    expect([newest.stream.lag, newest.stream.missed, text(newest.stream.read())]).toEqual([4, 8, '0123']);
    const cut = open('disconnect');
    expect(cut.writer.streamCount).toBe(1);
    cut.writer.writeSync('ab');
    expect([cut.writer.streamCount, cut.stream.missed]).toEqual([0, 12]);
    // Who blocks, blocks at once: nothing more would be taken for it.
    const block = open('block');
    expect([block.writer.desiredSize, block.writer.writeSync('ab')]).toEqual([0, false]);
    expect(text(block.stream.read())).toBe('0123456789');
    expect([block.writer.desiredSize, block.writer.writeSync('ab')]).toEqual([4, true]);
  });
});

describe('START: finding a place', () => {
  test('START: the time to open at an offset does not grow with what is retained', async () => {
    const prepare = (count: number): (() => number) => {
      const writer = new TypedWriter<number>({ replay: 'all' });
      for (let i = 0; i < count; i++) writer.writeSync(i);
      return () => {
        const start = performance.now();
        for (let i = 0; i < 3000; i++) {
          const offset = (i * 7919 + 13) % count;
          const stream = writer.stream({ from: offset });
          if (stream.read()?.value !== offset) throw new Error(`not at ${offset}`);
          stream.cancel();
        }
        return performance.now() - start;
      };
    };
    const [few, many] = [prepare(1000), prepare(300_000)];
    await collect();
    let ratio = Number.POSITIVE_INFINITY;
    // A walk would take 300 times as long, a search a little more for its misses in the cache.
    for (let round = 0; round < 10 && ratio > 15; round++) {
      few();
      ratio = Math.min(ratio, many() / few());
    }
    expect(ratio).toBeLessThanOrEqual(15);
  });

  test('START BOUND: places stay right while the window moves over millions of bytes', () => {
    const writer = new ByteWriter({ replay: 1000 });
    const shadow: number[] = [];
    let x = 7;
    for (let i = 0; i < 20_000; i++) {
      x = (x * 48271) % 2147483647;
      const chunk = Uint8Array.from({ length: 1 + (x % 90) }, (_, k) => x + k);
      for (const byte of chunk) shadow.push(byte);
      if (shadow.length > 100_000) shadow.splice(0, 50_000);
      writer.writeSync(chunk);
      if (i % 7 !== 0 || i < 200) continue;
      const last = x % 1001;
      const stream = writer.stream({ from: writer.bytesWritten - last });
      const seen: number[] = [];
      for (let chunk = stream.read(); chunk; chunk = stream.read()) seen.push(...chunk);
      expect(seen.length).toBe(last);
      if (last > 0) expect(seen).toEqual(shadow.slice(-last));
      stream.cancel();
    }
  });
});
