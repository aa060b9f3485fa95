import { getEventListeners } from 'node:events';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { FakeClock, settle } from '../../../../test/support/fake-clock.ts';
import { PushSource } from '../../../../test/support/push-source.ts';
import { CallbackError, InvalidArgumentError, IteratorTakenError, StalledReadError } from '../errors.ts';
import { type Clock, type StallEvent, StalledReadMonitor } from './index.ts';

const DONE = { done: true, value: undefined };

/** What became of a promise, noted when it settles, with the time. */
interface Outcome {
  at?: number;
  value?: unknown;
  done?: boolean;
  reason?: unknown;
}

function watched<T>(clock: Clock, promise: Promise<IteratorResult<T, undefined>>): Outcome {
  const outcome: Outcome = {};
  promise.then(
    (result) =>
      Object.assign(outcome, { at: clock.now(), ...(result.done ? { done: true } : { value: result.value }) }),
    (reason: unknown) => Object.assign(outcome, { at: clock.now(), reason }),
  );
  return outcome;
}

function setUp<T = string>(): {
  clock: FakeClock;
  source: PushSource<T>;
  monitor: StalledReadMonitor<T>;
  ask: () => Outcome;
} {
  const clock = new FakeClock();
  const source = new PushSource<T>();
  const monitor = new StalledReadMonitor(source, { clock });
  return { clock, source, monitor, ask: () => watched(clock, monitor.next()) };
}

describe('without rules', () => {
  test('gives what the source gives, and its end', async () => {
    const items: string[] = [];
    for await (const item of new StalledReadMonitor(['a', 'b', 'c'])) items.push(item);
    expect(items).toEqual(['a', 'b', 'c']);
  });

  test('asks the source only when it is asked', async () => {
    const { source, ask } = setUp();
    expect(source.asked).toBe(0);
    source.push('a', 'b');
    ask();
    await settle();
    expect(source.asked).toBe(1);
  });

  test('keeps the type of the items', () => {
    expectTypeOf(new StalledReadMonitor([new Uint8Array(1)]).withTimeout(5)).toEqualTypeOf<
      StalledReadMonitor<Uint8Array<ArrayBuffer>>
    >();
    expectTypeOf(new StalledReadMonitor(new ReadableStream<{ n: number }>()).withThrottle(5)).toEqualTypeOf<
      StalledReadMonitor<{ n: number }>
    >();
  });
});

describe('withTimeout', () => {
  test('a silent source: a stall at the timeout, never before, and once', async () => {
    const { clock, monitor, ask } = setUp();
    const events: StallEvent[] = [];
    monitor.withTimeout(100).onStall((event) => events.push(event));
    const read = ask();
    await clock.advance(99);
    expect(read).toEqual({});
    expect(events).toEqual([]);
    await clock.advance(1);
    expect(read.at).toBe(100);
    expect(read.reason).toBeInstanceOf(StalledReadError);
    expect(read.reason).toMatchObject({ code: 'ERR_FANPIPE_STALLED', kind: 'timeout', waitedMs: 100 });
    await clock.advance(10_000);
    expect(events).toEqual([{ kind: 'timeout', waitedMs: 100, error: read.reason }]);
  });

  test('an item in time is no stall, and the clock begins anew for the next', async () => {
    const { clock, source, monitor, ask } = setUp();
    monitor.withTimeout(100);
    for (let i = 0; i < 20; i++) {
      const read = ask();
      await clock.advance(99);
      source.push(`item ${i}`);
      await settle();
      expect(read.value).toBe(`item ${i}`);
    }
  });

  test('a reader that does not ask never makes a stall, however slow it is', async () => {
    const { clock, source, monitor, ask } = setUp();
    let stalls = 0;
    monitor.withTimeout(100).onStall(() => stalls++);
    await clock.advance(1_000_000);
    for (let i = 0; i < 10; i++) {
      source.push('x');
      const read = ask();
      await settle();
      expect(read.value).toBe('x');
      expect(clock.pending).toBe(0);
      await clock.advance(1_000_000);
    }
    expect(stalls).toBe(0);
  });

  test('nothing is lost over repeated timeouts: the item on its way is the answer to a later next()', async () => {
    const { clock, source, monitor, ask } = setUp();
    monitor.withTimeout(100);
    for (let i = 1; i <= 3; i++) {
      const read = ask();
      await clock.advance(100);
      expect(read.reason).toMatchObject({ kind: 'timeout', waitedMs: 100 });
    }
    expect(source.asked).toBe(1);
    const read = ask();
    await clock.advance(60);
    source.push('late', 'next');
    await settle();
    expect(read).toEqual({ at: 360, value: 'late' });
    const after = ask();
    await settle();
    expect(after.value).toBe('next');
    expect(source.asked).toBe(2);
  });

  test('an item that comes while nobody asks is kept', async () => {
    const { clock, source, monitor, ask } = setUp();
    monitor.withTimeout(100);
    ask();
    await clock.advance(100);
    source.push('late');
    await clock.advance(5000);
    const read = ask();
    expect(clock.pending).toBe(0);
    await settle();
    expect(read).toEqual({ at: 5100, value: 'late' });
  });

  test('an end or a failure that comes while nobody asks is kept too', async () => {
    const boom = new Error('boom');
    for (const failing of [false, true]) {
      const { clock, source, monitor, ask } = setUp();
      monitor.withTimeout(100);
      ask();
      await clock.advance(100);
      if (failing) source.fail(boom);
      else source.end();
      await settle();
      const read = ask();
      await settle();
      expect(read).toMatchObject(failing ? { reason: boom } : { done: true });
    }
  });

  test('may be set anew, also while a reader waits: it counts from then', async () => {
    const { clock, monitor, ask } = setUp();
    monitor.withTimeout(1000);
    const read = ask();
    await clock.advance(500);
    monitor.withTimeout(100);
    expect(clock.pending).toBe(1);
    await clock.advance(99);
    expect(read).toEqual({});
    await clock.advance(1);
    expect(read).toMatchObject({ at: 600, reason: { waitedMs: 100 } });
  });

  test('may be set while a reader waits without one', async () => {
    const { clock, monitor, ask } = setUp();
    const read = ask();
    await clock.advance(500);
    monitor.withTimeout(100);
    await clock.advance(100);
    expect(read).toMatchObject({ at: 600, reason: { kind: 'timeout' } });
  });

  test('for await goes on with the same iterator after a stall', async () => {
    const { clock, source, monitor } = setUp();
    const items = monitor.withTimeout(100)[Symbol.asyncIterator]();
    const seen: string[] = [];
    let stalls = 0;
    const reading = (async (): Promise<void> => {
      for (;;) {
        try {
          for await (const item of items) seen.push(item);
          return;
        } catch (error) {
          if (!(error instanceof StalledReadError)) throw error;
          stalls++;
        }
      }
    })();
    source.push('a');
    await clock.advance(250);
    source.push('b');
    source.end();
    await reading;
    expect(seen).toEqual(['a', 'b']);
    expect(stalls).toBe(2);
    expect(source.returned).toBe(0);
  });
});

describe('timers', () => {
  test('CLEAN: none is left after an item, a stall, an end, a failure, return() or an abort', async () => {
    const endings: ((source: PushSource<string>, monitor: StalledReadMonitor<string>, abort: () => void) => void)[] = [
      (source) => source.push('x'),
      (source) => source.end(),
      (source) => source.fail(new Error('boom')),
      (_, monitor) => void monitor.return(),
      (_, __, abort) => abort(),
    ];
    for (const rule of ['timeout', 'throughput', 'throttle'] as const) {
      for (const ending of endings) {
        const clock = new FakeClock();
        const source = new PushSource<string>();
        const controller = new AbortController();
        const monitor = new StalledReadMonitor(source, { clock, signal: controller.signal });
        if (rule === 'timeout') monitor.withTimeout(100);
        if (rule === 'throughput') monitor.minThroughput(1);
        if (rule === 'throttle') monitor.withThrottle(100).withTimeout(100);
        expect(clock.pending).toBe(0);
        watched(clock, monitor.next());
        expect(clock.pending).toBe(1);
        if (rule === 'throttle') await clock.advance(150);
        expect(clock.pending).toBe(1);
        ending(source, monitor, () => controller.abort());
        await settle();
        expect(clock.pending).toBe(0);
      }
    }
    const { clock, monitor, ask } = setUp();
    monitor.withTimeout(100);
    ask();
    await clock.advance(100);
    expect(clock.pending).toBe(0);
  });

  test('CLEAN: return() and an abort clear the timer of a closed gate', async () => {
    for (const way of ['return', 'abort']) {
      const clock = new FakeClock();
      const controller = new AbortController();
      const monitor = new StalledReadMonitor(new PushSource(), { clock, signal: controller.signal }).withThrottle(100);
      const read = watched(clock, monitor.next());
      expect(clock.pending).toBe(1);
      if (way === 'return') void monitor.return();
      else controller.abort('why');
      expect(clock.pending).toBe(0);
      await settle();
      expect(read).toMatchObject(way === 'return' ? { done: true } : { reason: 'why' });
    }
  });

  test('items that lie ready cost no timer each, and yet the first that does not has its timeout', async () => {
    const { clock, source, monitor, ask } = setUp<number>();
    monitor.withTimeout(100);
    source.push(...Array.from({ length: 10_000 }, (_, i) => i));
    for (let i = 0; i < 10_000; i++) expect(await monitor.next()).toEqual({ done: false, value: i });
    expect(clock.timersSet).toBeLessThan(10);
    expect(clock.pending).toBe(0);
    const read = ask();
    await settle();
    expect(clock.pending).toBe(1);
    await clock.advance(99);
    expect(read).toEqual({});
    await clock.advance(1);
    expect(read).toMatchObject({ at: 100, reason: { kind: 'timeout', waitedMs: 100 } });
  });

  test('after a stall or a real wait the timer is set at once again', async () => {
    const { clock, source, monitor, ask } = setUp<number>();
    monitor.withTimeout(100);
    for (const wait of ['stall', 'item']) {
      source.push(...Array.from({ length: 10 }, (_, i) => i));
      for (let i = 0; i < 10; i++) await monitor.next();
      ask();
      expect(clock.pending).toBe(0);
      await clock.advance(50);
      expect(clock.pending).toBe(1);
      if (wait === 'stall') await clock.advance(50);
      else source.push(10);
      await settle();
      expect(clock.pending).toBe(0);
      const read = ask();
      expect(clock.pending).toBe(1);
      source.push(11);
      // In the first round the item that was on its way answers the read of the stall.
      await settle();
      expect(read.value).toBe(11);
    }
  });

  test('a rule that is set between an item that lay ready and the next leaves one timer', async () => {
    const { clock, source, monitor, ask } = setUp<number>();
    monitor.withTimeout(100);
    source.push(...Array.from({ length: 10 }, (_, i) => i));
    for (let i = 0; i < 10; i++) await monitor.next();
    ask();
    monitor.withTimeout(200);
    expect(clock.pending).toBe(1);
    await settle();
    expect(clock.pending).toBe(1);
    await monitor.return();
    expect(clock.pending).toBe(0);
  });

  test('a rule that is set while nobody waits sets none', async () => {
    const { clock, source, monitor, ask } = setUp();
    monitor.withTimeout(100).minThroughput(1);
    expect(clock.pending).toBe(0);
    ask();
    await clock.advance(100);
    monitor.withTimeout(200).minThroughput(2);
    expect(clock.pending).toBe(0);
    source.push('late', 'next');
    await monitor.next();
    await monitor.next();
    monitor.withTimeout(300).minThroughput(3);
    expect(clock.pending).toBe(0);
  });

  test('items that pass through a chain of async generators count as ready', async () => {
    async function* count(): AsyncGenerator<number> {
      for (let i = 0; i < 1000; i++) yield i;
    }
    async function* passed(source: AsyncIterable<number>): AsyncGenerator<number> {
      for await (const item of source) yield item;
    }
    const clock = new FakeClock();
    let items = 0;
    for await (const _ of new StalledReadMonitor(passed(passed(count())), { clock }).withTimeout(100)) items++;
    expect(items).toBe(1000);
    expect(clock.timersSet).toBeLessThan(10);
  });
});

describe('withThrottle', () => {
  test('at most one item an interval, the first too', async () => {
    const { clock, source, monitor, ask } = setUp();
    monitor.withThrottle(50);
    source.push('a', 'b', 'c');
    await clock.advance(1000);
    const reads = [ask(), ask(), ask()];
    await clock.advance(1000);
    expect(reads).toEqual([
      { at: 1050, value: 'a' },
      { at: 1100, value: 'b' },
      { at: 1150, value: 'c' },
    ]);
  });

  test('the source is asked when the time has come', async () => {
    const { clock, source, monitor, ask } = setUp();
    monitor.withThrottle(50);
    ask();
    await clock.advance(49);
    expect(source.asked).toBe(0);
    await clock.advance(1);
    expect(source.asked).toBe(1);
  });

  test('a reader slower than the throttle is not held back, and gets no burst afterwards', async () => {
    const { clock, source, monitor, ask } = setUp();
    monitor.withThrottle(50);
    source.push('a', 'b', 'c', 'd');
    ask();
    await clock.advance(50);
    await clock.advance(500);
    const second = ask();
    await settle();
    expect(second).toEqual({ at: 550, value: 'b' });
    const third = ask();
    await clock.advance(50);
    expect(third).toEqual({ at: 600, value: 'c' });
  });

  test('a source slower than the throttle: an interval from one item to the next at least', async () => {
    const { clock, source, monitor, ask } = setUp();
    monitor.withThrottle(50);
    ask();
    await clock.advance(80);
    source.push('a', 'b');
    await settle();
    const second = ask();
    await clock.advance(100);
    expect(second).toEqual({ at: 130, value: 'b' });
  });

  test('may be set anew', async () => {
    const { clock, source, monitor, ask } = setUp();
    monitor.withThrottle(50);
    source.push('a', 'b');
    ask();
    await clock.advance(50);
    monitor.withThrottle(10);
    const read = ask();
    await clock.advance(100);
    expect(read).toEqual({ at: 60, value: 'b' });
  });
});

describe.each([
  ['withTimeout, then withThrottle', (m: StalledReadMonitor<string>) => m.withTimeout(30).withThrottle(100)],
  ['withThrottle, then withTimeout', (m: StalledReadMonitor<string>) => m.withThrottle(100).withTimeout(30)],
])('%s', (_, chain) => {
  test('each returns the monitor', () => {
    const { monitor } = setUp();
    expect(chain(monitor)).toBe(monitor);
    expect(monitor.minThroughput(1).onStall(() => {})).toBe(monitor);
  });

  test('the wait for the throttle is not the silence of the source', async () => {
    const { clock, source, monitor, ask } = setUp();
    chain(monitor);
    source.push('a', 'b');
    const reads = [ask(), ask()];
    await clock.advance(1000);
    expect(reads).toEqual([
      { at: 100, value: 'a' },
      { at: 200, value: 'b' },
    ]);
  });

  test('a silent source is reported its timeout after the gate has opened', async () => {
    const { clock, source, monitor, ask } = setUp();
    chain(monitor);
    const first = ask();
    await clock.advance(129);
    expect(first).toEqual({});
    await clock.advance(1);
    expect(first).toMatchObject({ at: 130, reason: { kind: 'timeout', waitedMs: 30 } });
    // No item was delivered, so the gate is open; what comes late is delivered at once.
    const second = ask();
    await clock.advance(10);
    source.push('late', 'next');
    await settle();
    expect(second).toEqual({ at: 140, value: 'late' });
    const third = ask();
    await clock.advance(1000);
    expect(third).toEqual({ at: 240, value: 'next' });
  });

  test('an item that comes while the throttle holds the reader back is kept until the gate opens', async () => {
    const { clock, source, monitor, ask } = setUp();
    chain(monitor);
    source.push('a');
    ask();
    await clock.advance(100);
    ask();
    await clock.advance(130);
    monitor.withThrottle(500);
    const read = ask();
    source.push('late');
    await clock.advance(370 - 1);
    expect(read).toEqual({});
    await clock.advance(1);
    expect(read).toEqual({ at: 600, value: 'late' });
  });
});

describe('minThroughput', () => {
  const chunk = (bytes: number): Uint8Array => new Uint8Array(bytes);

  /** Reads all the time; pushes `bytes` every 100 ms for `ms` milliseconds. Returns the stalls. */
  async function run(
    { clock, source, monitor }: ReturnType<typeof setUp<Uint8Array>>,
    bytes: (at: number) => number,
    ms: number,
  ): Promise<{ at: number; error: unknown }[]> {
    const stalls: { at: number; error: unknown }[] = [];
    let stop = false;
    const reading = (async (): Promise<void> => {
      while (!stop) {
        try {
          if ((await monitor.next()).done) return;
        } catch (error) {
          stalls.push({ at: clock.now(), error });
        }
      }
    })();
    for (let at = 0; at < ms; at += 100) {
      await clock.advance(100);
      const size = bytes(clock.now());
      if (size > 0) source.push(chunk(size));
    }
    await settle();
    stop = true;
    await monitor.return();
    await reading;
    return stalls;
  }

  test('a source that is just fast enough never stalls', async () => {
    const test = setUp<Uint8Array>();
    test.monitor.minThroughput(1000, { gracePeriod: 2000 });
    expect(await run(test, () => 100, 60_000)).toEqual([]);
  });

  test('a source that is too slow stalls after the grace period, and again after another', async () => {
    const test = setUp<Uint8Array>();
    const events: StallEvent[] = [];
    test.monitor.minThroughput(1000, { gracePeriod: 2000 }).onStall((event) => events.push(event));
    const stalls = await run(test, () => 90, 5000);
    expect(stalls.map((stall) => stall.at)).toEqual([2000, 4000]);
    expect(stalls[0]?.error).toBeInstanceOf(StalledReadError);
    expect(stalls[0]?.error).toMatchObject({ kind: 'throughput', waitedMs: 2000 });
    // It was never fast enough in between, so this is one stall.
    expect(events).toEqual([{ kind: 'throughput', waitedMs: 2000, bytesPerSecond: 810, error: stalls[0]?.error }]);
  });

  test('a silent source stalls after the grace period, never before', async () => {
    const { clock, monitor, ask } = setUp<Uint8Array>();
    monitor.minThroughput(1, { gracePeriod: 5000 });
    const read = ask();
    await clock.advance(4999);
    expect(read).toEqual({});
    await clock.advance(1);
    expect(read).toMatchObject({ at: 5000, reason: { kind: 'throughput', waitedMs: 5000 } });
    expect(String((read.reason as Error).message)).toContain('fewer than 1 bytes per second');
  });

  test('the grace period is 20 seconds unless told otherwise', async () => {
    const { clock, monitor, ask } = setUp<Uint8Array>();
    monitor.minThroughput(1);
    const read = ask();
    await clock.advance(19_999);
    expect(read).toEqual({});
    await clock.advance(1);
    expect(read.at).toBe(20_000);
  });

  test('slowness within the grace period is forgiven', async () => {
    const test = setUp<Uint8Array>();
    test.monitor.minThroughput(1000, { gracePeriod: 2000 });
    const stalls = await run(test, (at) => (at % 2500 < 1000 ? 150 : 10), 50_000);
    expect(stalls).toEqual([]);
  });

  test('a source that recovers and slows down again is a new stall', async () => {
    const test = setUp<Uint8Array>();
    const events: StallEvent[] = [];
    test.monitor.minThroughput(1000, { gracePeriod: 2000 }).onStall((event) => events.push(event));
    const stalls = await run(test, (at) => (at > 5000 && at <= 10_000 ? 200 : 10), 16_000);
    expect(stalls.map((stall) => stall.at)).toEqual([2000, 4000, 12_600, 14_600]);
    expect(events.map((event) => event.error)).toEqual([stalls[0]?.error, stalls[2]?.error]);
  });

  test('a slow reader of a fast source never makes a stall', async () => {
    const { clock, source, monitor, ask } = setUp<Uint8Array>();
    monitor.minThroughput(1_000_000, { gracePeriod: 10 });
    for (let i = 0; i < 100; i++) {
      source.push(chunk(1));
      const read = ask();
      await settle();
      expect(read.value).toHaveLength(1);
      await clock.advance(60_000);
    }
  });

  test('the wait for the throttle does not count', async () => {
    const { clock, source, monitor } = setUp<Uint8Array>();
    monitor.minThroughput(1000, { gracePeriod: 100 }).withThrottle(10_000);
    source.push(...Array.from({ length: 20 }, () => chunk(1)));
    const reads = Array.from({ length: 20 }, () => watched(clock, monitor.next()));
    await clock.advance(200_000);
    expect(reads.map((read) => read.at)).toEqual(Array.from({ length: 20 }, (_, i) => 10_000 * (i + 1)));
  });

  test('time is added up over the waits of several next()', async () => {
    const { clock, source, monitor, ask } = setUp<Uint8Array>();
    monitor.minThroughput(1000, { gracePeriod: 1000 });
    for (let i = 0; i < 4; i++) {
      const read = ask();
      await clock.advance(200);
      source.push(chunk(1));
      await settle();
      expect(read.value).toHaveLength(1);
      await clock.advance(5000);
    }
    const asked = clock.now();
    const read = ask();
    await clock.advance(199);
    expect(read).toEqual({});
    await clock.advance(1);
    expect(read).toMatchObject({ at: asked + 200, reason: { waitedMs: 1000 } });
  });

  test('beside a timeout, the one whose time comes first is reported', async () => {
    const { clock, source, monitor, ask } = setUp<Uint8Array>();
    const kinds: string[] = [];
    monitor
      .withTimeout(400)
      .minThroughput(1000, { gracePeriod: 1000 })
      .onStall((event) => kinds.push(event.kind));
    const reads = [ask(), ask(), ask(), ask()];
    await clock.advance(10_000);
    expect(reads.map((read) => [read.at, (read.reason as StalledReadError).kind])).toEqual([
      [400, 'timeout'],
      [800, 'timeout'],
      [1000, 'throughput'],
      [1400, 'timeout'],
    ]);
    expect(kinds).toEqual(['timeout', 'throughput']);
    expect(source.asked).toBe(1);
  });

  test('beside a timeout of the same length, the timeout is reported', async () => {
    const { clock, monitor, ask } = setUp<Uint8Array>();
    monitor.minThroughput(1000, { gracePeriod: 400 }).withTimeout(400);
    const read = ask();
    await clock.advance(400);
    expect(read).toMatchObject({ at: 400, reason: { kind: 'timeout' } });
  });

  test('measures with size, once per item, and in bytes otherwise', async () => {
    const { clock, source, monitor } = setUp<{ weight: number }>();
    const measured: unknown[] = [];
    monitor.minThroughput(1000, {
      gracePeriod: 1000,
      size: (item) => {
        measured.push(item);
        return item.weight;
      },
    });
    const heavy = { weight: 1_000_000 };
    source.push(heavy);
    await monitor.next();
    expect(measured).toEqual([heavy]);
    const read = watched(clock, monitor.next());
    // The item fills the window of 500 ms; then the grace period begins.
    await clock.advance(1499);
    expect(read).toEqual({});
    await clock.advance(1);
    expect(read.at).toBe(1500);
  });

  test('strings are measured without being asked for', async () => {
    const { source, monitor } = setUp();
    monitor.minThroughput(1);
    source.push('grüß');
    expect(await monitor.next()).toEqual({ done: false, value: 'grüß' });
  });

  test('an item of unknown size is refused by a typed error, and not lost', async () => {
    const { source, monitor } = setUp<unknown>();
    monitor.minThroughput(1);
    const item = { a: 1 };
    source.push(item, 'next');
    const error = await monitor.next().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect(error).toMatchObject({ code: 'ERR_FANPIPE_INVALID_ARGUMENT', argument: 'size' });
    expect((await monitor.next()).value).toBe(item);
    expect((await monitor.next()).value).toBe('next');
  });

  test('a size callback that throws rejects one next(), and the item is not lost', async () => {
    const { source, monitor } = setUp();
    const boom = new Error('boom');
    monitor.minThroughput(1, {
      size: (item) => {
        if (item === 'bad') throw boom;
        return 1;
      },
    });
    source.push('good', 'bad', 'more');
    const reads = [monitor.next(), monitor.next(), monitor.next(), monitor.next()];
    const settled = await Promise.allSettled(reads);
    expect(settled[0]).toMatchObject({ value: { value: 'good' } });
    expect(settled[1]).toMatchObject({ reason: { code: 'ERR_FANPIPE_CALLBACK', callback: 'size', cause: boom } });
    expect(settled[1]).toMatchObject({ reason: expect.any(CallbackError) });
    expect(settled[2]).toMatchObject({ value: { value: 'bad' } });
    expect(settled[3]).toMatchObject({ value: { value: 'more' } });
  });

  test('a size callback may end the monitor and throw as well', async () => {
    const { clock, source, monitor } = setUp();
    monitor.minThroughput(1, {
      size: () => {
        void monitor.return();
        throw new Error('boom');
      },
    });
    source.push('a', 'b');
    const reads = [monitor.next(), monitor.next(), monitor.next()];
    expect(await Promise.all(reads)).toEqual([DONE, DONE, DONE]);
    expect(clock.pending).toBe(0);
    expect(await monitor.next()).toEqual(DONE);
    expect(source.asked).toBe(1);
  });

  test('a size callback may ask for more', async () => {
    const { source, monitor } = setUp();
    const more: Promise<IteratorResult<string, undefined>>[] = [];
    monitor.minThroughput(1, {
      size: () => {
        if (more.length < 2) more.push(monitor.next());
        return 1;
      },
    });
    source.push('a', 'b', 'c');
    expect((await monitor.next()).value).toBe('a');
    await settle();
    expect((await Promise.all(more)).map((result) => result.value)).toEqual(['b', 'c']);
  });

  test('a size callback may ask for more and throw: the one that it was called for rejects', async () => {
    const { source, monitor } = setUp();
    let more: Promise<IteratorResult<string, undefined>> | undefined;
    monitor.minThroughput(1, {
      size: () => {
        more ??= monitor.next();
        throw new Error('boom');
      },
    });
    source.push('a');
    await expect(monitor.next()).rejects.toBeInstanceOf(CallbackError);
    expect(await more).toEqual({ done: false, value: 'a' });
  });

  test('a rule that takes the place of another begins anew, also with its stalls', async () => {
    const { clock, monitor, ask } = setUp<Uint8Array>();
    let told = 0;
    monitor.minThroughput(1000, { gracePeriod: 100 }).onStall(() => told++);
    ask();
    await clock.advance(100);
    monitor.minThroughput(500, { gracePeriod: 200 });
    const read = ask();
    await clock.advance(199);
    expect(read).toEqual({});
    await clock.advance(1);
    expect(read.at).toBe(300);
    expect(told).toBe(2);
  });

  test('a size callback may end the monitor', async () => {
    const { source, monitor } = setUp();
    monitor.minThroughput(1, {
      size: () => {
        void monitor.return();
        return 1;
      },
    });
    source.push('a');
    expect(await monitor.next()).toEqual(DONE);
    expect(source.returned).toBe(1);
  });
});

describe('onStall', () => {
  test('is told once of a silence, and again of the next one', async () => {
    const { clock, source, monitor, ask } = setUp();
    const at: number[] = [];
    monitor.withTimeout(100).onStall(() => at.push(clock.now()));
    for (let i = 0; i < 3; i++) {
      ask();
      await clock.advance(100);
    }
    expect(at).toEqual([100]);
    source.push('over');
    await settle();
    await monitor.next();
    ask();
    await clock.advance(100);
    expect(at).toEqual([100, 400]);
  });

  test('is told before the next() rejects, when all is in order', async () => {
    const { clock, source, monitor } = setUp();
    const order: string[] = [];
    let again: Outcome | undefined;
    monitor.withTimeout(100).onStall(() => {
      order.push('told');
      again = watched(clock, monitor.next());
    });
    monitor.next().catch(() => order.push('rejected'));
    await clock.advance(100);
    expect(order).toEqual(['told', 'rejected']);
    source.push('late');
    await settle();
    expect(again).toEqual({ at: 100, value: 'late' });
  });

  test('may end the monitor: the stall still rejects, the others are done', async () => {
    const { clock, source, monitor, ask } = setUp();
    monitor.withTimeout(100).onStall(() => void monitor.return());
    const reads = [ask(), ask()];
    await clock.advance(100);
    expect(reads[0]?.reason).toBeInstanceOf(StalledReadError);
    expect(reads[1]).toEqual({ at: 100, done: true });
    expect(source.returned).toBe(1);
    expect(clock.pending).toBe(0);
  });

  test('that throws: a typed error with the cause rejects that next(), and nothing is lost', async () => {
    const { clock, source, monitor, ask } = setUp();
    const boom = new Error('boom');
    monitor.withTimeout(100).onStall(() => {
      throw boom;
    });
    const reads = [ask(), ask()];
    await clock.advance(100);
    expect(reads[0]?.reason).toBeInstanceOf(CallbackError);
    expect(reads[0]?.reason).toMatchObject({ code: 'ERR_FANPIPE_CALLBACK', callback: 'onStall', cause: boom });
    expect(reads[1]).toEqual({});
    source.push('late');
    await settle();
    expect(reads[1]).toEqual({ at: 100, value: 'late' });
  });

  test('a second callback takes the place of the first', async () => {
    const { clock, monitor, ask } = setUp();
    const told: string[] = [];
    monitor
      .withTimeout(100)
      .onStall(() => told.push('first'))
      .onStall(() => told.push('second'));
    ask();
    await clock.advance(100);
    expect(told).toEqual(['second']);
  });
});

describe('NEXT: several next() outstanding', () => {
  test('are answered in order, one read of the source at a time', async () => {
    const { clock, source, monitor } = setUp();
    const order: string[] = [];
    for (let i = 0; i < 5; i++) void monitor.next().then((result) => order.push(`${i}:${result.value}`));
    await settle();
    expect(source.waiting).toBe(1);
    source.push('a', 'b', 'c');
    source.end();
    await settle();
    expect(order).toEqual(['0:a', '1:b', '2:c', '3:undefined', '4:undefined']);
    expect(clock.timersSet).toBe(0);
  });

  test('the clock runs for the first of them, then for the next', async () => {
    const { clock, source, monitor, ask } = setUp();
    monitor.withTimeout(100);
    const reads = [ask(), ask(), ask()];
    await clock.advance(250);
    source.push('late');
    await settle();
    expect(reads.map((read) => read.at)).toEqual([100, 200, 250]);
    expect(reads[2]?.value).toBe('late');
  });

  test('a failure rejects all of them with the same reason', async () => {
    const { source, ask } = setUp();
    const boom = new Error('boom');
    const reads = [ask(), ask(), ask()];
    source.fail(boom);
    await settle();
    expect(reads.map((read) => read.reason)).toEqual([boom, boom, boom]);
  });
});

describe('NEXT: one iterator', () => {
  test('a second one is a typed error, and the first goes on', async () => {
    const { source, monitor } = setUp();
    const items = monitor[Symbol.asyncIterator]();
    expect(() => monitor[Symbol.asyncIterator]()).toThrow(IteratorTakenError);
    source.push('a', 'b');
    expect(await items.next()).toEqual({ done: false, value: 'a' });
    expect(await monitor.next()).toEqual({ done: false, value: 'b' });
    expect(items[Symbol.asyncIterator]()).toBe(items);
  });
});

describe('the end', () => {
  test('END: is done for ever, and the source is asked no more', async () => {
    const { source, monitor } = setUp();
    source.end();
    for (let i = 0; i < 3; i++) expect(await monitor.next()).toEqual(DONE);
    expect(source.asked).toBe(1);
    await monitor.return();
    expect(source.returned).toBe(0);
  });

  test('the value of the end is dropped', async () => {
    async function* source(): AsyncGenerator<string, number> {
      yield 'a';
      return 17;
    }
    const monitor = new StalledReadMonitor(source());
    await monitor.next();
    expect(await monitor.next()).toEqual(DONE);
  });

  test('FAIL: the reason of the source comes unchanged, and again with every later next()', async () => {
    const { source, monitor } = setUp();
    const boom = new Error('boom');
    source.push('a');
    source.fail(boom);
    expect(await monitor.next()).toEqual({ done: false, value: 'a' });
    for (let i = 0; i < 3; i++) await expect(monitor.next()).rejects.toBe(boom);
    expect(source.asked).toBe(2);
    expect(source.returned).toBe(0);
  });

  test('FAIL: a next() of the source that throws counts as a rejection', async () => {
    const boom = new Error('boom');
    const monitor = new StalledReadMonitor<string>({
      [Symbol.asyncIterator]: () => ({
        next: () => {
          throw boom;
        },
      }),
    });
    await expect(monitor.withTimeout(60_000).next()).rejects.toBe(boom);
    await expect(monitor.next()).rejects.toBe(boom);
  });

  test.each([[undefined], [null], [5]])('FAIL: a source that answers %s has failed', async (answer) => {
    const monitor = new StalledReadMonitor<string>({
      [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve(answer as never) }),
    });
    await expect(monitor.next()).rejects.toThrow(TypeError);
    await expect(monitor.next()).rejects.toThrow(/must give an object/);
  });
});

describe('DETACH: return()', () => {
  test('settles every parked next() at once and closes the source, though its read is under way', async () => {
    const { clock, source, monitor, ask } = setUp();
    monitor.withTimeout(100);
    const reads = [ask(), ask()];
    await settle();
    expect(await monitor.return()).toEqual(DONE);
    expect(reads).toEqual([
      { at: 0, done: true },
      { at: 0, done: true },
    ]);
    expect(source.returned).toBe(1);
    expect(clock.pending).toBe(0);
    expect(await monitor.next()).toEqual(DONE);
  });

  test('does not wait for an async generator that hangs, whose late failure disturbs nobody', async () => {
    let fail = (_: unknown): void => {};
    async function* hanging(): AsyncGenerator<string> {
      await new Promise((_, reject) => {
        fail = reject;
      });
    }
    const monitor = new StalledReadMonitor(hanging());
    const parked = monitor.next();
    await settle();
    expect(await monitor.return()).toEqual(DONE);
    expect(await parked).toEqual(DONE);
    fail(new Error('late'));
    await settle();
  });

  test('a late item or a late end after it is dropped', async () => {
    for (const late of ['item', 'end']) {
      const { source, monitor, ask } = setUp();
      ask();
      await monitor.return();
      if (late === 'item') source.push('late');
      else source.end();
      await settle();
      expect(await monitor.next()).toEqual(DONE);
    }
  });

  test('waits for the cleanup of an idle source, and passes on its failure', async () => {
    const clock = new FakeClock();
    let clean = false;
    async function* source(): AsyncGenerator<string> {
      try {
        yield 'a';
      } finally {
        await clock.sleep(10);
        clean = true;
      }
    }
    const monitor = new StalledReadMonitor(source(), { clock });
    await monitor.next();
    let returned = false;
    const returning = monitor.return().then(() => {
      returned = true;
    });
    await clock.advance(9);
    expect([clean, returned]).toEqual([false, false]);
    await clock.advance(1);
    await returning;
    expect([clean, returned]).toEqual([true, true]);

    const failing = new PushSource<string>();
    failing.returnFails = new Error('cannot close');
    await expect(new StalledReadMonitor(failing).return()).rejects.toBe(failing.returnFails);
  });

  test('CLEAN: a source that fails to close while it reads, or when the signal aborts, rejects nothing unhandled', async () => {
    const controller = new AbortController();
    for (const way of ['return', 'abort']) {
      const source = new PushSource<string>();
      source.returnFails = new Error('cannot close');
      const monitor = new StalledReadMonitor(source, { signal: controller.signal });
      monitor.next().catch(() => {});
      if (way === 'return') await monitor.return();
      else controller.abort();
      await settle();
      expect(source.returned).toBe(1);
    }
  });

  test('a second call does nothing', async () => {
    const { source, monitor } = setUp();
    await monitor.return();
    expect(await monitor.return()).toEqual(DONE);
    expect(source.returned).toBe(1);
  });

  test('break and a throwing loop body close the source', async () => {
    for (const way of ['break', 'throw']) {
      const { source, monitor } = setUp();
      source.push('a', 'b');
      try {
        for await (const _ of monitor.withTimeout(100)) {
          if (way === 'break') break;
          throw new Error('body');
        }
      } catch (error) {
        expect(error).toMatchObject({ message: 'body' });
      }
      expect(source.returned).toBe(1);
    }
  });

  test('drops an item that is held', async () => {
    const { clock, source, monitor, ask } = setUp();
    monitor.withTimeout(100);
    ask();
    await clock.advance(100);
    source.push('late');
    await settle();
    await monitor.return();
    expect(await monitor.next()).toEqual(DONE);
    expect(source.returned).toBe(1);
  });

  test('lets go of the source and of what it brought', async () => {
    const clock = new FakeClock();
    const gone: WeakRef<object>[] = [];
    const monitor = await (async (): Promise<StalledReadMonitor<object>> => {
      const source = new PushSource<object>();
      const item = { held: true };
      gone.push(new WeakRef(source), new WeakRef(item));
      const monitor = new StalledReadMonitor(source, { clock }).withTimeout(100);
      watched(clock, monitor.next());
      await clock.advance(100);
      source.push(item);
      await settle();
      await monitor.return();
      return monitor;
    })();
    await settle();
    globalThis.gc?.();
    await settle();
    globalThis.gc?.();
    expect(gone.map((reference) => reference.deref())).toEqual([undefined, undefined]);
    expect(await monitor.next()).toEqual(DONE);
  });

  test('await using closes the source', async () => {
    const { source, monitor } = setUp();
    await monitor[Symbol.asyncDispose]();
    expect(source.returned).toBe(1);
    expect(await monitor.next()).toEqual(DONE);
  });
});

describe('DETACH: a signal', () => {
  const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

  test('rejects every parked next() and all later ones with its reason, and closes the source', async () => {
    const clock = new FakeClock();
    const source = new PushSource<string>();
    const controller = new AbortController();
    const monitor = new StalledReadMonitor(source, { clock, signal: controller.signal }).withTimeout(100);
    const reads = [watched(clock, monitor.next()), watched(clock, monitor.next())];
    await settle();
    const reason = new Error('enough');
    controller.abort(reason);
    expect(source.returned).toBe(1);
    expect(clock.pending).toBe(0);
    await settle();
    expect(reads.map((read) => read.reason)).toEqual([reason, reason]);
    await expect(monitor.next()).rejects.toBe(reason);
    await monitor.return();
    await expect(monitor.next()).rejects.toBe(reason);
    expect(source.returned).toBe(1);
    expect(listeners(controller.signal)).toBe(0);
  });

  test('that is aborted already: nothing is asked, the source is closed', async () => {
    const source = new PushSource<string>();
    const monitor = new StalledReadMonitor(source, { signal: AbortSignal.abort('before') });
    await expect(monitor.next()).rejects.toBe('before');
    expect([source.asked, source.returned]).toEqual([0, 1]);
  });

  test('after the end it changes nothing', async () => {
    const controller = new AbortController();
    const monitor = new StalledReadMonitor<string>([], { signal: controller.signal });
    expect(await monitor.next()).toEqual(DONE);
    controller.abort();
    expect(await monitor.next()).toEqual(DONE);
  });

  test('CLEAN: one listener for many monitors, none when they have ended in whatever way', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const monitors = Array.from({ length: 40 }, (_, i) => {
      const source = new PushSource<string>();
      if (i % 4 === 0) source.end();
      if (i % 4 === 1) source.fail(new Error('boom'));
      return new StalledReadMonitor(source, { signal });
    });
    expect(listeners(signal)).toBe(1);
    for (const [i, monitor] of monitors.entries()) {
      if (i % 4 > 1) await monitor.return();
      else await monitor.next().catch(() => {});
    }
    expect(listeners(signal)).toBe(0);
  });
});

describe('CLEAN: many cycles', () => {
  test('leave no timer, no listener and no read', async () => {
    const clock = new FakeClock();
    const { signal } = new AbortController();
    for (let i = 0; i < 10_000; i++) {
      const monitor = new StalledReadMonitor(new PushSource<string>(), { clock, signal })
        .withTimeout(100)
        .withThrottle(5);
      const read = monitor.next();
      void monitor.return();
      await read;
    }
    expect(clock.pending).toBe(0);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});

describe('bad arguments are typed errors that change nothing', () => {
  const { monitor } = setUp();

  test.each([[0], [-1], [Number.NaN], [Number.POSITIVE_INFINITY], ['5'], [undefined], [null], [5n]])(
    'a time of %s',
    (ms) => {
      const bad = ms as number;
      for (const call of [
        () => monitor.withTimeout(bad),
        () => monitor.withThrottle(bad),
        () => monitor.minThroughput(bad),
        () => monitor.minThroughput(1, { gracePeriod: bad === undefined ? 0 : bad }),
        () => monitor.minThroughput(1, { window: bad === undefined ? 0 : bad }),
      ]) {
        expect(call).toThrow(InvalidArgumentError);
        expect(call).toThrow(/must be a finite number above 0, got/);
      }
    },
  );

  test('a window longer than the grace period', () => {
    expect(() => monitor.minThroughput(1, { gracePeriod: 100, window: 101 })).toThrow(
      /window must be at most the gracePeriod of 100, got 101/,
    );
    expect(monitor.minThroughput(1, { gracePeriod: 100, window: 100 })).toBe(monitor);
  });

  test('a size or a callback that is no function', () => {
    expect(() => monitor.minThroughput(1, { size: 5 as never })).toThrow(/size must be a function/);
    expect(() => monitor.onStall(undefined as never)).toThrow(/callback must be a function, got undefined/);
  });

  test('a clock or a signal that is none, before the iterator is taken', () => {
    let taken = 0;
    const source = {
      [Symbol.asyncIterator]: () => {
        taken++;
        return new PushSource<string>();
      },
    };
    for (const clock of [null, {}, { now: () => 0, setTimeout() {} }]) {
      expect(() => new StalledReadMonitor(source, { clock: clock as never })).toThrow(
        /clock must be an object with now/,
      );
    }
    for (const signal of [null, {}, 'signal']) {
      expect(() => new StalledReadMonitor(source, { signal: signal as never })).toThrow(
        /signal must be an AbortSignal/,
      );
    }
    expect(taken).toBe(0);
  });

  test('the rules that were set before still hold', async () => {
    const { clock, monitor, ask } = setUp();
    monitor.withTimeout(100);
    expect(() => monitor.withTimeout(-1)).toThrow(InvalidArgumentError);
    const read = ask();
    await clock.advance(100);
    expect(read.reason).toBeInstanceOf(StalledReadError);
  });
});
