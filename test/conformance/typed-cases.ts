/** Values instead of bytes. */
import { TypedWriter } from 'fanpipe';
import { equal, isSettled, ok, rejects, same, throws } from './assert.ts';
import { test } from './case.ts';
import type { Case } from './harness.ts';

async function valuesOf<T>(source: AsyncIterable<T>): Promise<T[]> {
  const values: T[] = [];
  for await (const value of source) values.push(value);
  return values;
}

export const typedCases: readonly Case[] = [
  test('typed: every stream yields the very values, undefined and null among them', async () => {
    const writer = new TypedWriter<unknown>();
    const readers = [writer.stream(), writer.stream()].map(valuesOf);
    const object = { a: 1 };
    const values = [object, undefined, null, 0, '', Number.NaN, 10n, () => 1];
    for (const value of values) await writer.write(value);
    writer.close();
    for (const seen of await Promise.all(readers)) {
      equal(seen.length, values.length, 'how many');
      for (const [index, value] of values.entries()) equal(seen[index], value, `value ${index}`);
    }
  }),

  test('typed: read() wraps the value, so that undefined and null are told from nothing and the end', () => {
    const writer = new TypedWriter<number | null | undefined>();
    const stream = writer.stream();
    equal(stream.read(), undefined, 'nothing now');
    writer.writeSync(null);
    writer.writeSync(undefined);
    const first = stream.read();
    ok(first !== null && first !== undefined && first.value === null, 'a null');
    const second = stream.read();
    ok(second !== null && second !== undefined && second.value === undefined, 'an undefined');
    writer.close();
    equal(stream.read(), null, 'the end');
  }),

  test('typed START: replay, offsets and { last } count records', async () => {
    const writer = new TypedWriter<string>({ replay: 3 });
    for (const value of ['a', 'b', 'c', 'd', 'e']) writer.writeSync(value);
    writer.close();
    same(await valuesOf(writer.stream({ from: 'start' })), ['c', 'd', 'e'], 'start');
    same(await valuesOf(writer.stream({ from: 3 })), ['d', 'e'], 'an offset');
    same(await valuesOf(writer.stream({ from: { last: 1 } })), ['e'], 'last');
    throws(() => writer.stream({ from: 1 }), 'ERR_FANPIPE_OFFSET_EVICTED', 'evicted');
  }),

  test('typed POLICY: whole records, with marks in items', async () => {
    const writer = new TypedWriter<number>();
    const oldest = writer.stream({ highWaterMark: 2, overflow: 'drop-oldest' });
    const newest = writer.stream({ highWaterMark: 2, overflow: 'drop-newest' });
    const cut = writer.stream({ highWaterMark: 2, overflow: 'disconnect' });
    for (let i = 0; i < 5; i++) writer.writeSync(i);
    const block = writer.stream({ highWaterMark: 0, overflow: 'block' });
    const write = writer.write(5);
    ok(!(await isSettled(write)), 'block');
    block.cancel();
    await write;
    writer.close();
    same(await valuesOf(oldest), [4, 5], 'drop-oldest');
    same(await valuesOf(newest), [0, 1], 'drop-newest');
    same([oldest.missed, newest.missed], [4, 4], 'missed');
    await rejects(valuesOf(cut), 'ERR_FANPIPE_DISCONNECTED', 'disconnect');
  }),

  test('typed POLICY: size(value) gives the marks another unit; its throw refuses the write', async () => {
    const size = (value: string) => {
      if (value === 'bad') throw new Error('cannot be measured');
      return value.length;
    };
    const writer = new TypedWriter<string>({ size });
    const stream = writer.stream({ highWaterMark: 5, overflow: 'drop-oldest' });
    for (const value of ['aaa', 'bb', 'cc']) writer.writeSync(value);
    await rejects(writer.write('bad'), 'ERR_FANPIPE_CALLBACK', 'write');
    writer.close();
    same(await valuesOf(stream), ['bb', 'cc'], 'whole records within 5');
    equal(stream.missed, 3, 'missed in the same unit');
  }),

  test('typed FAIL and batches', async () => {
    const writer = new TypedWriter<number>();
    const stream = writer.stream();
    for (let i = 0; i < 100; i++) writer.writeSync(i);
    const reason = new Error('broken');
    writer.fail(reason);
    const seen: number[] = [];
    const loop = (async () => {
      for await (const batch of stream.batches()) seen.push(...batch);
    })();
    await rejects(loop, reason, 'the loop');
    same(
      seen,
      Array.from({ length: 100 }, (_, i) => i),
      'all that was written before',
    );
  }),
];
