/** The monitor, under a clock that moves only when told to. */
import { ByteWriter, StalledReadMonitor, TypedWriter } from 'fanpipe';
import { equal, isSettled, ok, rejects, same, sameText } from './assert.ts';
import { test } from './case.ts';
import { FakeClock } from './fake-clock.ts';
import { type Case, turn } from './harness.ts';

export const monitorCases: readonly Case[] = [
  test('monitor: a silent source rejects that next() and the monitor stays usable', async () => {
    const clock = new FakeClock();
    const writer = new TypedWriter<string>();
    const monitor = new StalledReadMonitor(writer.stream(), { clock }).withTimeout(100);
    const iterator = monitor[Symbol.asyncIterator]();
    const first = iterator.next();
    await clock.advance(99);
    ok(!(await isSettled(first)), 'not before its time');
    await clock.advance(1);
    await rejects(first, 'ERR_FANPIPE_STALLED', 'at its time');
    const second = iterator.next();
    writer.writeSync('late');
    equal((await second).value, 'late', 'nothing is lost');
    await iterator.return?.();
    equal(clock.pending, 0, 'no timer is left');
    equal(writer.streamCount, 0, 'the stream is detached');
  }),

  test('monitor: a reader that does not ask is slow, not stalled', async () => {
    const clock = new FakeClock();
    const writer = new ByteWriter();
    const iterator = new StalledReadMonitor(writer.stream(), { clock }).withTimeout(100)[Symbol.asyncIterator]();
    await clock.advance(10_000);
    writer.writeSync('there');
    await clock.advance(10_000);
    sameText((await iterator.next()).value, 'there', 'the item');
    equal(clock.pending, 0, 'no timer runs while nobody waits');
    writer.close();
    equal((await iterator.next()).done, true, 'the end');
  }),

  test('monitor: a throttle lets at most one item pass per interval', async () => {
    const clock = new FakeClock();
    const writer = new TypedWriter<number>();
    const monitor = new StalledReadMonitor(writer.stream(), { clock }).withThrottle(50);
    const seen: [number, number][] = [];
    for (let i = 0; i < 4; i++) writer.writeSync(i);
    writer.close();
    const loop = (async () => {
      for await (const value of monitor) seen.push([value, clock.now()]);
    })();
    await clock.advance(1000);
    await loop;
    same(
      seen.map(([value]) => value),
      [0, 1, 2, 3],
      'all items in order',
    );
    for (let i = 1; i < seen.length; i++) {
      const gap = (seen[i]?.[1] ?? 0) - (seen[i - 1]?.[1] ?? 0);
      ok(gap >= 50, `a gap of ${gap} ms before item ${i}`);
    }
    equal(clock.pending, 0, 'no timer is left');
  }),

  test('monitor: onStall is told, and an error of the source passes unchanged', async () => {
    const clock = new FakeClock();
    const writer = new ByteWriter();
    const kinds: string[] = [];
    const monitor = new StalledReadMonitor(writer.stream(), { clock })
      .onStall((event) => void kinds.push(event.kind))
      .withTimeout(10);
    const iterator = monitor[Symbol.asyncIterator]();
    const stalled = rejects(iterator.next(), 'ERR_FANPIPE_STALLED', 'the stall');
    await clock.advance(10);
    await stalled;
    same(kinds, ['timeout'], 'told once');
    const reason = new Error('broken');
    const failed = rejects(iterator.next(), reason, 'the failure');
    writer.fail(reason);
    await failed;
    equal(clock.pending, 0, 'no timer is left');
  }),

  test('monitor: any async iterable, and real time by default', async () => {
    async function* generate() {
      yield 1;
      await turn();
      yield 2;
    }
    const seen: number[] = [];
    for await (const value of new StalledReadMonitor(generate()).withTimeout(5_000).withThrottle(1)) seen.push(value);
    same(seen, [1, 2], 'items');
    const writer = new ByteWriter();
    const stalled = writer.stream().stalledMonitor().withTimeout(5)[Symbol.asyncIterator]();
    await rejects(stalled.next(), 'ERR_FANPIPE_STALLED', 'a real timer');
    await stalled.return?.();
    writer.close();
  }),
];
