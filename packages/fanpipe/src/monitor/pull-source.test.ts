import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../../../../test/support/fake-clock.ts';
import { InvalidArgumentError } from '../errors.ts';
import { type MonitorSource, StalledReadMonitor } from './index.ts';

async function all<T>(source: MonitorSource<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of new StalledReadMonitor(source).withTimeout(60_000)) items.push(item);
  return items;
}

async function* generated(...items: number[]): AsyncGenerator<number> {
  yield* items;
}

function streamOf(...items: number[]): ReadableStream<number> {
  return new ReadableStream({
    start(controller) {
      for (const item of items) controller.enqueue(item);
      controller.close();
    },
  });
}

describe('what a monitor can wrap', () => {
  test.each<[string, () => MonitorSource<number>]>([
    ['an array', () => [1, 2, 3]],
    ['a Set', () => new Set([1, 2, 3])],
    ['an array of promises', () => [Promise.resolve(1), 2, Promise.resolve(3)]],
    ['an async generator', () => generated(1, 2, 3)],
    ['a ReadableStream', () => streamOf(1, 2, 3)],
    ['a Node Readable', () => Readable.from([1, 2, 3])],
    ['another monitor', () => new StalledReadMonitor([1, 2, 3])],
    [
      'an iterator whose next() gives no promise',
      () => {
        let n = 0;
        const next = (): IteratorResult<number> =>
          n < 3 ? { done: false, value: ++n } : { done: true, value: undefined };
        return { [Symbol.asyncIterator]: () => ({ next }) as unknown as AsyncIterator<number> };
      },
    ],
  ])('%s', async (_, make) => {
    expect(await all(make())).toEqual([1, 2, 3]);
  });

  test.each([[undefined], [null], [17], [{}], [() => {}]])('%s is refused by a typed error', (source) => {
    expect(() => new StalledReadMonitor(source as never)).toThrow(InvalidArgumentError);
    expect(() => new StalledReadMonitor(source as never)).toThrow(/source must be an async iterable/);
  });

  test('NEXT: a source whose iterator is taken is refused when the monitor is made', () => {
    const stream = streamOf(1);
    stream.getReader();
    expect(() => new StalledReadMonitor(stream)).toThrow(TypeError);
  });

  test('the iterator of the source is taken when the monitor is made, and asked for nothing', () => {
    let taken = 0;
    let asked = 0;
    const source: AsyncIterable<number> = {
      [Symbol.asyncIterator]() {
        taken++;
        return { next: () => Promise.resolve({ done: true, value: asked++ }) };
      },
    };
    const monitor = new StalledReadMonitor(source);
    expect([taken, asked]).toEqual([1, 0]);
    void monitor.return();
    expect([taken, asked]).toEqual([1, 0]);
  });
});

describe('a rejected promise in an iterable', () => {
  test('is the failure of the source', async () => {
    const boom = new Error('boom');
    const failing = Promise.reject(boom);
    failing.catch(() => {});
    const monitor = new StalledReadMonitor([1, failing, 3]);
    expect(await monitor.next()).toEqual({ done: false, value: 1 });
    await expect(monitor.next()).rejects.toBe(boom);
    await expect(monitor.next()).rejects.toBe(boom);
  });
});

describe('a generator that yields a promise that rejects', () => {
  test('cleans up, and a failure of that does not hide the reason', async () => {
    const boom = new Error('boom');
    let cleaned = 0;
    function* items(): Generator<Promise<number>> {
      try {
        yield Promise.reject(boom);
      } finally {
        cleaned++;
        // biome-ignore lint/correctness/noUnsafeFinally: a cleanup that fails is what this test is about
        throw new Error('cannot clean up');
      }
    }
    await expect(new StalledReadMonitor(items()).next()).rejects.toBe(boom);
    expect(cleaned).toBe(1);
  });
});

describe('DETACH: closing a source', () => {
  test('that is a plain iterable runs its return()', async () => {
    let returned = 0;
    function* items(): Generator<number> {
      try {
        yield 1;
        yield 2;
      } finally {
        returned++;
      }
    }
    for await (const item of new StalledReadMonitor(items())) {
      expect(item).toBe(1);
      break;
    }
    expect(returned).toBe(1);
  });

  test('that has no return() is fine', async () => {
    const monitor = new StalledReadMonitor({
      [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }),
    });
    await expect(monitor.return()).resolves.toEqual({ done: true, value: undefined });
  });

  test('that is a ReadableStream cancels it, though a read is under way', async () => {
    let cancelled: unknown = 'not yet';
    const stream = new ReadableStream<number>({
      cancel(reason) {
        cancelled = reason;
      },
    });
    const monitor = new StalledReadMonitor(stream);
    const parked = monitor.next();
    await settle();
    await monitor.return();
    expect(await parked).toEqual({ done: true, value: undefined });
    expect(cancelled).toBe(undefined);
    expect(stream.locked).toBe(false);
  });

  test('that is a ReadableStream tells it why the signal aborted', async () => {
    let cancelled: unknown;
    const stream = new ReadableStream<number>({
      cancel(reason) {
        cancelled = reason;
      },
    });
    const controller = new AbortController();
    const monitor = new StalledReadMonitor(stream, { signal: controller.signal });
    const parked = monitor.next();
    controller.abort('enough');
    await expect(parked).rejects.toBe('enough');
    expect(cancelled).toBe('enough');
  });

  test('that has ended by itself gives its lock back', async () => {
    const stream = streamOf(1);
    const monitor = new StalledReadMonitor(stream);
    await monitor.next();
    expect(stream.locked).toBe(true);
    await monitor.next();
    expect(stream.locked).toBe(false);
  });

  test('that has failed by itself gives its lock back', async () => {
    const boom = new Error('boom');
    const stream = new ReadableStream<number>({
      pull() {
        throw boom;
      },
    });
    await expect(new StalledReadMonitor(stream).next()).rejects.toBe(boom);
    expect(stream.locked).toBe(false);
  });

  test('that is a silent Node Readable destroys it at once, though its iterator cannot return yet', async () => {
    const clock = new FakeClock();
    const readable = new Readable({ read() {} });
    const monitor = new StalledReadMonitor(readable, { clock }).withTimeout(100);
    const stalled = monitor.next();
    stalled.catch(() => {});
    await clock.advance(100);
    await expect(stalled).rejects.toMatchObject({ kind: 'timeout' });
    expect(readable.destroyed).toBe(false);
    await monitor.return();
    expect(readable.destroyed).toBe(true);
  });

  test('that is an idle Node Readable destroys it, and waits for that', async () => {
    const readable = Readable.from([1, 2, 3]);
    for await (const item of new StalledReadMonitor(readable)) {
      expect(item).toBe(1);
      break;
    }
    expect(readable.destroyed).toBe(true);
  });
});
