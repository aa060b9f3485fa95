/** SAFE: offsets are safe integers; what would pass the largest one is refused, and nothing wraps on the way. */

import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import { OVERFLOW_POLICIES } from '../../packages/fanpipe/src/core/policies.ts';
import { TypedWriter } from '../../packages/fanpipe/src/core/typed-writer.ts';
import { OffsetOverflowError } from '../../packages/fanpipe/src/errors.ts';
import { Rig, type RigKind } from '../support/core-rig.ts';

const MAX = Number.MAX_SAFE_INTEGER;

function refusalOf(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('SAFE: about the borders where numbers change', () => {
  const origins = { '2^31': 2 ** 31 - 100, '2^32': 2 ** 32 - 100, '2^52': 2 ** 52 - 101, '2^53': MAX - 20_000 };
  for (const [name, origin] of Object.entries(origins)) {
    test.for<RigKind>(['bytes', 'values', 'sized'])(
      `SAFE ACC ORD START POLICY: across ${name} everything is as at 0: %s`,
      async (kind) => {
        const rig = new Rig({ kind, offset: origin, replay: 40 });
        let x = 1;
        const random = (below: number): number => {
          x = (x * 48271) % 2147483647;
          return x % below;
        };
        for (let step = 0; step < 1500; step++) {
          const { tail } = rig.model.log;
          const policy = [...OVERFLOW_POLICIES, undefined][random(5)];
          switch (random(12)) {
            case 0: {
              const from = [undefined, 'start' as const, { last: random(50) }, tail - random(60), tail + random(2)][
                random(5)
              ];
              if (rig.streams.length < 40) rig.open({ from, policy, mark: random(20), copy: random(3) === 0 });
              break;
            }
            case 1:
              rig.writev([random(9), random(9)], 'view');
              break;
            case 2:
              rig.read(random(1000));
              break;
            case 3:
              rig.next(random(1000));
              break;
            case 4:
              rig.batch(random(1000));
              break;
            case 5:
              rig.fill(random(1000), 1 + random(9));
              break;
            case 6:
              rig.flush(false);
              break;
            case 7:
              if (random(10) === 0) rig.cancel(random(1000));
              break;
            case 8:
              await rig.turn();
              break;
            default:
              rig.write(random(12), 'view');
          }
        }
        expect(rig.model.log.tail - origin).toBeGreaterThan(500);
        rig.close();
        for (let i = 0; i < rig.streams.length; i++) rig.cancel(i);
        await rig.turn();
        rig.expectIdle();
      },
    );
  }
});

describe('SAFE: the largest offset', () => {
  test('SAFE END: a write that would pass it is refused, by every way to write, and nothing is taken', async () => {
    const writer = new ByteWriter({ offset: MAX - 5, replay: 'all' });
    const stream = writer.stream({ overflow: 'block', highWaterMark: 100 });
    for (const chunk of ['123456', new Uint8Array(6), new Uint8Array(100_000)]) {
      for (const copy of [true, false]) {
        const refusals = [
          await writer.write(chunk, { copy }).catch((error) => error),
          refusalOf(() => writer.writeSync(chunk, { copy })),
          await writer.writev([chunk], { copy }).catch((error) => error),
          refusalOf(() => writer.writevSync(['', chunk], { copy })),
        ];
        for (const error of refusals) {
          expect(error).toBeInstanceOf(OffsetOverflowError);
          expect(error).toMatchObject({ code: 'ERR_FANPIPE_OFFSET_OVERFLOW', offset: MAX - 5 });
          expect((error as OffsetOverflowError).size).toBe(typeof chunk === 'string' ? 6 : chunk.byteLength);
          expect((error as Error).message).toContain(`${MAX}`);
        }
      }
    }
    // Together too large, although each would fit.
    await expect(writer.writev(['123', '456'])).rejects.toBeInstanceOf(OffsetOverflowError);
    expect([writer.bytesWritten, stream.lag, stream.position, writer.desiredSize]).toEqual([0, 0, MAX - 5, 100]);
    // What fits is taken, up to the very end.
    expect(writer.writeSync('123')).toBe(true);
    await writer.writev(['4', '', '5']);
    expect([writer.bytesWritten, stream.lag, stream.position]).toEqual([5, 5, MAX - 5]);
    await expect(writer.write('6')).rejects.toMatchObject({ offset: MAX, size: 1 });
    await writer.write('');
    // Everything else works there as anywhere.
    const late = writer.stream({ from: MAX - 2 });
    expect(refusalOf(() => writer.stream({ from: MAX + 1 }))).toMatchObject({ code: 'ERR_FANPIPE_INVALID_ARGUMENT' });
    const flushed = writer.flush();
    expect(await writer.end()).toBe(5);
    expect(await late.text()).toBe('45');
    expect(await stream.text()).toBe('12345');
    await flushed;
    expect([late.position, stream.position]).toEqual([MAX, MAX]);
  });

  test('SAFE ORD: what was refused leaves no trace between its neighbours, which may be merged', async () => {
    const writer = new ByteWriter({ offset: MAX - 10, replay: 'all' });
    const texts = [writer.stream().text(), writer.stream({ highWaterMark: 100 }).text()];
    writer.writeSync('abcde');
    for (const chunk of ['too long', new Uint8Array(8)]) {
      expect(refusalOf(() => writer.writeSync(chunk))).toBeInstanceOf(OffsetOverflowError);
    }
    writer.writeSync('fgh');
    expect(refusalOf(() => writer.writevSync(['ij', 'k']))).toBeInstanceOf(OffsetOverflowError);
    writer.writeSync('ij');
    writer.close();
    texts.push(writer.stream({ from: MAX - 9 }).text());
    expect(await Promise.all(texts)).toEqual(['abcdefghij', 'abcdefghij', 'bcdefghij']);
  });

  test('SAFE: a writer that begins at the end can only be closed', async () => {
    const writer = new ByteWriter({ offset: MAX });
    const text = writer.stream().text();
    await expect(writer.write('x')).rejects.toBeInstanceOf(OffsetOverflowError);
    expect(await writer.end()).toBe(0);
    expect(await text).toBe('');
  });

  test('SAFE: values that count for much', async () => {
    const writer = new TypedWriter<number>({ size: (value) => value, replay: MAX });
    const stream = writer.stream({ overflow: 'drop-oldest', highWaterMark: MAX });
    const small = writer.stream({ overflow: 'drop-newest', highWaterMark: 10 });
    const half = 2 ** 52;
    await writer.write(half);
    // The sum of two safe integers need not be one.
    await expect(writer.writev([MAX, MAX])).rejects.toBeInstanceOf(OffsetOverflowError);
    await expect(writer.writev([1, half - 1])).rejects.toMatchObject({ offset: half, size: half });
    await expect(writer.write(half)).rejects.toMatchObject({ offset: half, size: half });
    expect(refusalOf(() => writer.writeSync(half))).toBeInstanceOf(OffsetOverflowError);
    expect([writer.valuesWritten, stream.lag]).toEqual([1, half]);
    await writer.write(half - 1);
    expect([stream.lag, stream.missed, stream.position]).toEqual([MAX, 0, 0]);
    expect([small.lag, small.missed]).toEqual([0, MAX]);
    await expect(writer.write(1)).rejects.toMatchObject({ offset: MAX, size: 1 });
    writer.close();
    expect(await stream.array()).toEqual([half, half - 1]);
    expect(await writer.stream({ from: { last: MAX } }).array()).toEqual([half, half - 1]);
  });

  test('SAFE POLICY: marks up to the largest, near the largest offset, count exactly', async () => {
    for (const mark of [MAX, MAX - 1, 2 ** 52 + 1, 1024 * 1024, 1024 * 1024 + 1]) {
      for (const distance of [1000, 1001]) {
        const writer = new ByteWriter({ offset: MAX - distance });
        const streams = OVERFLOW_POLICIES.map((overflow) => writer.stream({ overflow, highWaterMark: mark }));
        for (let i = 1; i <= 7; i++) {
          writer.writeSync('x'.repeat(i));
          expect(writer.desiredSize).toBe(mark - (i * (i + 1)) / 2);
        }
        for (const stream of streams) expect([stream.lag, stream.missed]).toEqual([28, 0]);
      }
    }
  });

  test('SAFE POLICY LOSS: policies act to the byte right before the end', () => {
    const writer = new ByteWriter({ offset: MAX - 30 });
    const open = (overflow: 'block' | 'drop-oldest' | 'drop-newest' | 'disconnect') =>
      writer.stream({ overflow, highWaterMark: 20 });
    const [oldest, newest, cut] = [open('drop-oldest'), open('drop-newest'), open('disconnect')];
    writer.writeSync('x'.repeat(30));
    expect([oldest.position, oldest.lag, oldest.missed]).toEqual([MAX - 20, 20, 10]);
    expect([newest.position, newest.lag, newest.missed]).toEqual([MAX - 30, 20, 10]);
    expect([cut.position, cut.lag, cut.missed]).toEqual([MAX, 0, 30]);
    expect(refusalOf(() => cut.read())).toMatchObject({ missed: 30, position: MAX - 30 });
    expect([oldest.read()?.length, newest.read()?.length]).toEqual([20, 20]);
    expect([oldest.position, newest.position, newest.missed]).toEqual([MAX, MAX, 10]);
  });
});
