/** The four known mistakes of pools and caches of streams, each as a test that a pool with the mistake fails. */

import { describe, expect, test } from 'vitest';
import type { ByteStream } from '../../packages/fanpipe/src/core/byte-stream.ts';
import type { PoolOpenOptions, PoolSource, StreamPoolOptions } from '../../packages/fanpipe/src/pool/options.ts';
import { StreamPool } from '../../packages/fanpipe/src/pool/stream-pool.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { PushSource } from '../support/push-source.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A pool whose openers give sources that the test drives. */
function scene(options: StreamPoolOptions = {}): {
  pool: StreamPool;
  sources: PushSource<Uint8Array>[];
  signals: AbortSignal[];
  open: (options?: PoolOpenOptions) => ByteStream;
} {
  const pool = new StreamPool(options);
  const sources: PushSource<Uint8Array>[] = [];
  const signals: AbortSignal[] = [];
  const opener = ({ signal }: { signal: AbortSignal }): PoolSource => {
    signals.push(signal);
    const source = new PushSource<Uint8Array>();
    sources.push(source);
    return source;
  };
  return { pool, sources, signals, open: (openOptions) => pool.open('key', opener, openOptions) };
}

describe('the mistake: the first caller aborts, and all fail', () => {
  test('GROUP: the source belongs to the group, not to who opened it first', async () => {
    const { sources, signals, open } = scene();
    const controller = new AbortController();
    const first = open({ signal: controller.signal }).text();
    const others = [open(), open()].map((stream) => stream.text());
    await settle();
    sources[0]?.push(bytes('half '));
    await settle();
    const reason = new Error('no longer wanted');
    controller.abort(reason);
    await expect(first).rejects.toBe(reason);
    await settle();
    expect(signals[0]?.aborted).toBe(false);
    sources[0]?.push(bytes('and half'));
    sources[0]?.end();
    expect(await Promise.all(others)).toEqual(['half and half', 'half and half']);
    expect(sources).toHaveLength(1);
    expect(sources[0]?.returned).toBe(0);
  });

  test('GROUP ONCE: also where the first one aborts before the source is there', async () => {
    const pool = new StreamPool();
    let resolve: (source: PoolSource) => void = () => {};
    let calls = 0;
    const opener = (): Promise<PoolSource> => {
      calls++;
      return new Promise((done) => {
        resolve = done;
      });
    };
    const controller = new AbortController();
    const first = pool.open('key', opener, { signal: controller.signal });
    const second = pool.open('key', opener).text();
    await settle();
    controller.abort();
    await expect(first.text()).rejects.toThrow();
    resolve(['all of it']);
    expect(await second).toBe('all of it');
    expect(calls).toBe(1);
  });
});

describe('the mistake: everyone left, and a cut-off entry is served as whole', () => {
  test('WHOLE: after the last leave the next open starts afresh', async () => {
    const { pool, sources, signals, open } = scene();
    const reader = open();
    await settle();
    sources[0]?.push(bytes('half'));
    await settle();
    expect(new TextDecoder().decode(reader.read() as Uint8Array)).toBe('half');
    reader.cancel();
    await settle();
    expect(signals[0]?.reason).toMatchObject({ code: 'ERR_FANPIPE_POOL_ABANDONED', bytes: 4 });
    expect(sources[0]?.returned).toBe(1);
    expect(pool.stats()).toMatchObject({ entries: [], bytes: 0 });
    // What a source says when it is left must not look like its end either.
    sources[0]?.end();
    await settle();
    const next = open().text();
    await settle();
    expect(sources).toHaveLength(2);
    sources[1]?.push(bytes('half and half'));
    sources[1]?.end();
    expect(await next).toBe('half and half');
  });

  test('WHOLE: a source that ends itself when it is aborted does not complete its entry', async () => {
    const pool = new StreamPool();
    let calls = 0;
    async function* obedient({ signal }: { signal: AbortSignal }): AsyncGenerator<string> {
      calls++;
      yield 'half';
      if (calls > 1) yield ' and half';
      else await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    }
    const reader = pool.open('key', obedient);
    await settle();
    expect(reader.read()).toHaveLength(4);
    reader.cancel();
    await settle();
    expect(pool.stats().entries).toEqual([]);
    expect(await pool.open('key', obedient).text()).toBe('half and half');
    expect(calls).toBe(2);
  });

  test('WHOLE: a web stream that is cancelled says done, which is no end', async () => {
    const pool = new StreamPool();
    const web = (): ReadableStream<Uint8Array> =>
      new ReadableStream({
        start(controller) {
          controller.enqueue(bytes('half'));
        },
      });
    const reader = pool.open('key', web);
    await settle();
    reader.cancel();
    await settle();
    const stats = pool.stats();
    expect(stats.entries).toEqual([]);
    expect(stats.misses).toBe(1);
    const again = pool.open('key', web);
    await settle();
    expect(pool.stats()).toMatchObject({ misses: 2, entries: [{ state: 'filling', bytes: 4 }] });
    again.cancel();
  });

  test('WHOLE: leaving within stopAfter does not stop, and the time over it does', async () => {
    const clock = new FakeClock();
    const { pool, sources, open } = scene({ clock, onLastLeave: { stopAfter: 100 } });
    open().cancel();
    await clock.advance(99);
    sources[0]?.push(bytes('half'));
    await settle();
    const joined = open();
    expect(clock.pending).toBe(0);
    await clock.advance(1000);
    expect(joined.read()).toHaveLength(4);
    joined.cancel();
    await clock.advance(100);
    expect(sources[0]?.returned).toBe(1);
    expect(pool.stats().entries).toEqual([]);
  });

  test('WHOLE: keep reads to the end without readers, and that is a whole', async () => {
    const { pool, sources, open } = scene({ onLastLeave: 'keep' });
    open().cancel();
    await settle();
    sources[0]?.push(bytes('all of it'));
    sources[0]?.end();
    await settle();
    expect(pool.stats().entries).toEqual([{ key: 'key', state: 'complete', bytes: 9, readers: 0, hits: 0 }]);
    expect(await open().text()).toBe('all of it');
    expect(sources).toHaveLength(1);
  });
});

describe('the mistake: an error that looks like the end', () => {
  test('WHOLE: all readers get the bytes so far and then the source’s own error, late ones too', async () => {
    const { pool, sources, open } = scene();
    const early = open();
    await settle();
    sources[0]?.push(bytes('half'));
    await settle();
    const late = open();
    const text = open().text();
    const reason = new Error('connection reset');
    sources[0]?.fail(reason);
    await expect(text).rejects.toBe(reason);
    for (const stream of [early, late]) {
      expect(stream.read()).toHaveLength(4);
      expect(() => stream.read()).toThrow(reason);
      expect(() => stream.read()).toThrow(reason);
    }
    expect(pool.stats()).toMatchObject({ entries: [], failures: 1, readers: 0, bytes: 0 });
  });

  test('WHOLE: a failed entry is not joined while others still read it', async () => {
    const { pool, sources, open } = scene();
    const early = open();
    await settle();
    sources[0]?.push(bytes('half'));
    await settle();
    sources[0]?.fail(new Error('connection reset'));
    await settle();
    expect(pool.stats().entries).toEqual([{ key: 'key', state: 'failed', bytes: 4, readers: 1, hits: 0 }]);
    const afresh = open().text();
    await settle();
    expect(pool.stats()).toMatchObject({ entries: [{ state: 'filling', bytes: 0, readers: 1 }], bytes: 4, readers: 2 });
    sources[1]?.push(bytes('all of it'));
    sources[1]?.end();
    expect(await afresh).toBe('all of it');
    expect(early.read()).toHaveLength(4);
    expect(() => early.read()).toThrow('connection reset');
    expect(pool.stats()).toMatchObject({ bytes: 9, readers: 0 });
  });

  test('WHOLE: a failure is one for ranges too, unless theirs was delivered before', async () => {
    const { sources, open } = scene();
    const there = open({ start: 1, end: 3 }).text();
    const across = open({ start: 2, end: 9 }).text();
    const ahead = open({ start: 50 }).text();
    await settle();
    sources[0]?.push(bytes('half'));
    await settle();
    const reason = new Error('connection reset');
    sources[0]?.fail(reason);
    expect(await there).toBe('al');
    await expect(across).rejects.toBe(reason);
    await expect(ahead).rejects.toBe(reason);
  });
});

describe('the mistake: waiters that give up and fetch again', () => {
  test('ONCE: however long a source takes, nobody opens a second one', async () => {
    const clock = new FakeClock();
    const { pool, sources, open } = scene({ clock });
    const texts = Array.from({ length: 5 }, () => open().text());
    for (let round = 0; round < 10; round++) {
      await clock.advance(3_600_000);
      texts.push(open().text());
    }
    expect(sources).toHaveLength(1);
    sources[0]?.push(bytes('late, '));
    await clock.advance(3_600_000);
    texts.push(open().text());
    sources[0]?.push(bytes('but one'));
    sources[0]?.end();
    expect(await Promise.all(texts)).toEqual(Array(16).fill('late, but one'));
    expect([sources.length, pool.stats().misses]).toEqual([1, 1]);
  });

  test('ONCE: a failure is told to all who waited, and does not make each of them open its own', async () => {
    const pool = new StreamPool();
    let calls = 0;
    const reason = new Error('not to be had');
    const failing = async (): Promise<PoolSource> => {
      calls++;
      await settle();
      throw reason;
    };
    const waiting = Array.from({ length: 100 }, () => pool.open('key', failing).text());
    for (const outcome of await Promise.allSettled(waiting))
      expect(outcome).toMatchObject({ status: 'rejected', reason });
    expect(calls).toBe(1);
    // They may try again, and once more that is one source.
    const again = Array.from({ length: 100 }, () => pool.open('key', failing).text());
    await Promise.allSettled(again);
    expect([calls, pool.stats().failures]).toEqual([2, 2]);
  });
});
