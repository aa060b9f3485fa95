/**
 * GONE and CLEAN: nothing stays behind of streams that are cancelled, dropped or done, neither memory nor listeners nor
 * anything that keeps the process alive.
 */

import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import { OVERFLOW_POLICIES, type OverflowPolicy } from '../../packages/fanpipe/src/core/policies.ts';
import { TypedWriter } from '../../packages/fanpipe/src/core/typed-writer.ts';
import { collect, collectUntil, Living, liveMemory } from '../support/collector.ts';
import { settle } from '../support/fake-clock.ts';
import { runToExit } from '../support/run-to-exit.ts';

const MIB = 1024 * 1024;

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length;
}

/** What keeps the process alive now and did not before. */
function newResources(before: readonly string[]): string[] {
  const after = process.getActiveResourcesInfo();
  for (const resource of before) {
    const index = after.indexOf(resource);
    if (index >= 0) after.splice(index, 1);
  }
  return after;
}

/** The ratio of two times, each the best of several. Another process may take the machine, so one good round is enough. */
async function ratioOf(large: () => number, small: () => number, good: number): Promise<number> {
  let ratio = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5 && ratio > good; round++) {
    const best = { large: Number.POSITIVE_INFINITY, small: Number.POSITIVE_INFINITY };
    for (let i = 0; i < 5; i++) {
      // A collection of its own for each, and none of the garbage of the other.
      for (const [key, time] of Object.entries({ small, large }) as ['small' | 'large', () => number][]) {
        await collect();
        best[key] = Math.min(best[key], time());
      }
    }
    ratio = Math.min(ratio, best.large / best.small);
  }
  return ratio;
}

/** How much the heap has grown after `work`, which runs once before to warm up. */
async function growth(work: () => Promise<void> | void): Promise<number> {
  await work();
  const { heap: before } = await liveMemory();
  await work();
  const { heap: after } = await liveMemory();
  return after - before;
}

describe('CLEAN: opening and leaving', () => {
  test('CLEAN DETACH: 10,000 cycles of every kind leave no memory, no listener and no resource', async () => {
    const writer = new ByteWriter({ replay: 1000 });
    writer.writeSync(new Uint8Array(1000));
    const { signal } = new AbortController();
    const resources = process.getActiveResourcesInfo();
    const cycle = async (i: number): Promise<void> => {
      const overflow = OVERFLOW_POLICIES[i % OVERFLOW_POLICIES.length] as OverflowPolicy;
      const bounded = writer.stream({ overflow, highWaterMark: 10, signal, onMissed: () => {} });
      const plain = writer.stream({ from: 'start' });
      const late = writer.stream({ from: { last: 500 }, copy: true, signal });
      const parked = plain[Symbol.asyncIterator]();
      await parked.next();
      const waiting = [parked.next(), parked.next()];
      const collecting = late.bytes();
      void bounded[Symbol.asyncIterator]().next();
      bounded.cancel();
      late.cancel();
      await parked.return?.();
      await Promise.all(waiting);
      if (listeners(signal) !== 0) throw new Error(`${listeners(signal)} listeners stay behind`);
      // Not by expect(), which keeps the promises that it was given.
      const failure = await collecting.catch((error) => error.code);
      if (failure !== 'ERR_FANPIPE_CANCELLED') throw failure;
    };
    const grown = await growth(async () => {
      for (let i = 0; i < 10_000; i++) await cycle(i);
    });
    expect(Math.abs(grown)).toBeLessThan(5 * MIB);
    expect(writer.streamCount).toBe(0);
    expect(listeners(signal)).toBe(0);
    expect(newResources(resources)).toEqual([]);
  });

  test('CLEAN GONE: a million streams come and go', async () => {
    const writer = new ByteWriter();
    const { signal } = new AbortController();
    const grown = await growth(() => {
      for (let i = 0; i < 500_000; i++) {
        writer.stream().cancel();
        if (i % 5 === 0) writer.stream({ overflow: 'drop-oldest', signal }).cancel();
        // A leak would make this take for ever rather than fail.
        if (i % 1000 === 0) expect(listeners(signal)).toBe(0);
      }
    });
    expect(Math.abs(grown)).toBeLessThan(5 * MIB);
    expect(writer.streamCount).toBe(0);
    expect(listeners(signal)).toBe(0);
  });

  test('CLEAN: writers come and go, ended or dropped, under one signal', async () => {
    const { signal } = new AbortController();
    const grown = await growth(async () => {
      for (let i = 0; i < 5000; i++) {
        const writer = new ByteWriter({ signal });
        const text = writer.stream().text();
        writer.writeSync('x');
        if (i % 2 === 0) writer.close();
        else writer.fail(new Error('on purpose'));
        await text.catch(() => {});
      }
    });
    expect(Math.abs(grown)).toBeLessThan(5 * MIB);
    expect(listeners(signal)).toBe(0);
  });

  test('DETACH: the cost of coming and going does not grow with how many there are', async () => {
    const time = (count: number): number => {
      const writer = new ByteWriter();
      const start = performance.now();
      const streams = Array.from({ length: count }, (_, i) => {
        const stream = writer.stream(i % 2 === 0 ? {} : { overflow: 'drop-oldest', highWaterMark: i });
        void stream[Symbol.asyncIterator]().next();
        return stream;
      });
      writer.writeSync('x');
      // Neither in the order of coming nor backwards.
      for (let i = 0; i < count; i++) streams[(i * 7919) % count]?.cancel();
      return performance.now() - start;
    };
    // 10 were linear.
    const ratio = await ratioOf(
      () => time(10_000),
      () => time(1000),
      15,
    );
    expect(ratio).toBeLessThanOrEqual(15);
  });

  test('ALONE GONE: the cost of a write does not grow with streams that are stalled', async () => {
    const time = (stalled: number): number => {
      const writer = new ByteWriter({ copy: false });
      const streams = Array.from({ length: stalled }, (_, i) =>
        writer.stream({ overflow: i % 2 === 0 ? 'drop-oldest' : 'drop-newest', highWaterMark: 100 }),
      );
      const chunk = new Uint8Array(60);
      for (let i = 0; i < 10; i++) writer.writeSync(chunk);
      const start = performance.now();
      for (let i = 0; i < 5000; i++) writer.writeSync(chunk);
      const duration = performance.now() - start;
      expect(streams[0]?.missed ?? 0).toBe(stalled === 0 ? 0 : 5010 * 60 - 100);
      return duration;
    };
    const ratio = await ratioOf(
      () => time(5000),
      () => time(10),
      5,
    );
    expect(ratio).toBeLessThanOrEqual(5);
  });
});

describe('CLEAN: signals', () => {
  test('CLEAN: 100,000 reads with one long-lived signal', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const writer = new ByteWriter({ signal });
    const streams = Array.from({ length: 50 }, () => writer.stream({ signal }));
    expect(listeners(signal)).toBe(1);
    const readers = streams.map(async (stream) => {
      let size = 0;
      for await (const chunk of stream) size += chunk.byteLength;
      return size;
    });
    for (let i = 0; i < 2000; i++) {
      writer.writeSync('x');
      if (i % 4 === 0) await settle();
      expect(listeners(signal)).toBe(1);
    }
    writer.close();
    expect(await Promise.all(readers)).toEqual(Array(50).fill(2000));
    expect(listeners(signal)).toBe(0);
    controller.abort();
    expect(writer.state).toBe('closed');
  });

  test('CLEAN WAIT: writes and flushes that wait leave no listener, however they end', async () => {
    const long = new AbortController();
    const writer = new ByteWriter();
    const stream = writer.stream({ highWaterMark: 0 });
    for (let i = 0; i < 1000; i++) {
      const short = new AbortController();
      const waits = [
        writer.write('x', { signal: long.signal }),
        writer.flush({ signal: long.signal }),
        writer.write('x', { signal: short.signal }),
        writer.flush({ signal: short.signal }),
      ];
      expect(listeners(long.signal)).toBe(1);
      if (i % 2 === 0) {
        const reason = new Error('no longer');
        short.abort(reason);
        await expect(waits[2]).rejects.toBe(reason);
        await expect(waits[3]).rejects.toBe(reason);
      }
      while (stream.read() !== undefined);
      await Promise.allSettled(waits);
      expect(listeners(long.signal)).toBe(0);
      expect(listeners(short.signal)).toBe(0);
    }
  });

  test('CLEAN DETACH: a signal that fires while streams of several writers use it', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const writers = Array.from({ length: 20 }, () => new ByteWriter());
    const reads = writers.flatMap((writer) =>
      Array.from({ length: 20 }, () => writer.stream({ signal })[Symbol.asyncIterator]().next()),
    );
    expect(listeners(signal)).toBe(1);
    const reason = { any: 'value' };
    controller.abort(reason);
    expect(listeners(signal)).toBe(0);
    for (const outcome of await Promise.allSettled(reads))
      expect(outcome).toMatchObject({ status: 'rejected', reason });
    for (const writer of writers) expect(writer.streamCount).toBe(0);
  });

  test('CLEAN: a finished stream does not hear of its signal, nor is it held by it', async () => {
    const controller = new AbortController();
    const living = new Living();
    const finish = async (): Promise<void> => {
      const writer = new ByteWriter();
      const stream = living.add(writer.stream({ signal: controller.signal }));
      writer.close();
      await stream.bytes();
    };
    for (let i = 0; i < 100; i++) await finish();
    expect(await living.count()).toBe(0);
    expect(listeners(controller.signal)).toBe(0);
  });
});

describe('GONE: streams that are dropped without cancel', () => {
  // Each in a function of its own: what a frame has touched, it may hold.
  const kinds: Record<string, (writer: ByteWriter, signal: AbortSignal) => void> = {
    'that never read': (writer, signal) => void writer.stream({ signal }),
    'that read a little': (writer, signal) => {
      const stream = writer.stream({ signal });
      writer.writeSync(new Uint8Array(9));
      stream.read();
    },
    'whose iterator is dropped': (writer, signal) => {
      const iterator = writer.stream({ signal })[Symbol.asyncIterator]();
      writer.writeSync('x');
      void iterator.next();
    },
    'whose reads all settled': (writer, signal) => {
      const iterator = writer.stream({ signal })[Symbol.asyncIterator]();
      for (let i = 0; i < 3; i++) void iterator.next();
      for (let i = 0; i < 4; i++) writer.writeSync('x');
    },
    'with copies': (writer, signal) => void writer.stream({ copy: true, signal }),
    'that began in the past': (writer, signal) => void writer.stream({ from: 'start', signal }),
  };

  for (const [name, open] of Object.entries(kinds)) {
    test(`GONE CLEAN: with a signal, ${name}: detached, no bytes, no listener`, async () => {
      const writer = new ByteWriter({ copy: false, replay: 1 });
      const { signal } = new AbortController();
      const living = new Living();
      for (let i = 0; i < 20; i++) open(writer, signal);
      const write = (): boolean => writer.writeSync(living.add(new Uint8Array(10)));
      for (let i = 0; i < 10; i++) write();
      await collectUntil(() => writer.streamCount === 0, 'the streams are detached');
      await collectUntil(() => listeners(signal) === 0, 'the signal has no listener');
      // What the replay keeps.
      expect(await living.count()).toBeLessThanOrEqual(1);
    });
  }

  for (const overflow of OVERFLOW_POLICIES) {
    for (const withSignal of [false, true]) {
      test(`GONE: ${overflow}${withSignal ? ' with a signal' : ''}: detached, holds no bytes`, async () => {
        const writer = new ByteWriter({ copy: false });
        const { signal } = new AbortController();
        const living = new Living();
        const open = (): void => {
          const stream = writer.stream({
            overflow,
            highWaterMark: 25,
            ...(withSignal ? { signal } : {}),
            // It refers to its stream, which must not keep it alive.
            onMissed: () => stream.cancel(),
          });
          stream.read();
        };
        for (let i = 0; i < 20; i++) open();
        const write = (): Promise<void> => writer.write(living.add(new Uint8Array(10)));
        const writes = Array.from({ length: 10 }, write);
        await collectUntil(() => writer.streamCount === 0, 'the streams are detached');
        await collectUntil(() => listeners(signal) === 0, 'the signal has no listener');
        expect(await living.count()).toBe(0);
        // Whoever waited for one of them is awake.
        await Promise.all(writes);
        expect(writer.desiredSize).toBe(Number.POSITIVE_INFINITY);
        await writer.flush();
      });
    }
  }

  test('GONE WAIT: a writer that a dropped stream blocked wakes, and its flush resolves', async () => {
    const writer = new ByteWriter();
    const drop = (): void => void writer.stream({ highWaterMark: 1 });
    drop();
    let woken = 0;
    void writer.write('more than one').then(() => woken++);
    void writer.flush().then(() => woken++);
    await settle();
    expect([woken, writer.writeSync('x')]).toEqual([0, false]);
    await collectUntil(() => woken === 2, 'the writer is awake');
    expect(writer.writeSync('x')).toBe(true);
  });

  test('GONE: plain, without a signal: holds no bytes, although it may be counted', async () => {
    const writer = new ByteWriter({ copy: false });
    const living = new Living();
    const kinds: (() => void)[] = [
      () => void writer.stream(),
      () => void writer.stream().read(),
      () => void writer.stream().batches(),
      // Several reads, and one chunk read in part, give it a seat.
      () => {
        const iterator = writer.stream()[Symbol.asyncIterator]();
        void iterator.next();
        void iterator.next();
        writer.writeSync('x');
        writer.writeSync('x');
      },
    ];
    const write = (): boolean => writer.writeSync(living.add(new Uint8Array(10)));
    for (let i = 0; i < 40; i++) {
      kinds[i % kinds.length]?.();
      write();
    }
    expect(await living.count()).toBeLessThanOrEqual(1);
  });

  test('GONE BOUND: the last chunk that was delivered is not held, by a parked reader or by the module', async () => {
    const living = new Living();
    const deliver = async (waits: boolean, ...policy: OverflowPolicy[]): Promise<void> => {
      const writer = new ByteWriter({ copy: false });
      const stream = writer.stream(policy.length === 0 ? {} : { overflow: policy[0] });
      const iterator = stream[Symbol.asyncIterator]();
      const read = waits ? iterator.next() : undefined;
      writer.writeSync(living.add(new Uint8Array(MIB)));
      await (read ?? iterator.next());
    };
    for (const waits of [true, false]) {
      await deliver(waits);
      for (const overflow of OVERFLOW_POLICIES) await deliver(waits, overflow);
    }
    expect(await living.count()).toBe(0);
  });

  test('GONE: a dropped writer takes its streams and its chunks along', async () => {
    const living = new Living();
    const open = (): void => {
      const writer = living.add(new TypedWriter<object>({ replay: 'all' }));
      writer.writeSync(living.add({}));
      void writer.stream()[Symbol.asyncIterator]().next();
      // Who waits is known to the channel, which must not be held by what watches for dropped streams.
      for (const overflow of OVERFLOW_POLICIES) {
        void writer.stream({ overflow })[Symbol.asyncIterator]().next();
        void writer.stream({ overflow, from: 'start', highWaterMark: 0 });
      }
    };
    for (let i = 0; i < 50; i++) open();
    await collect();
    expect(await living.count()).toBe(0);
  });
});

describe('CLEAN: the process', () => {
  test('CLEAN: a process that has used everything exits by itself at once', async () => {
    const { code, output, lingered } = await runToExit('./exiting-process.ts');
    expect(output).toBe('finished, new resources: none\n');
    expect(code).toBe(0);
    expect(lingered).toBeLessThan(1000);
  });
});
