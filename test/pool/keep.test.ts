/** KEEP: what is kept, for how long, and what goes first. */

import { describe, expect, test } from 'vitest';
import type { ByteStream } from '../../packages/fanpipe/src/core/byte-stream.ts';
import type { PoolOpenOptions, StreamPoolOptions } from '../../packages/fanpipe/src/pool/options.ts';
import { StreamPool } from '../../packages/fanpipe/src/pool/stream-pool.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { PushSource } from '../support/push-source.ts';

/** A pool of entries of a size that is named when they are opened. */
function scene(options: StreamPoolOptions = {}): {
  pool: StreamPool;
  /** Keys whose source was opened, in order. */
  opened: string[];
  open: (key: string, size?: number, options?: PoolOpenOptions) => ByteStream;
  fill: (key: string, size?: number) => Promise<void>;
  keys: () => string[];
} {
  const pool = new StreamPool(options);
  const opened: string[] = [];
  const open = (key: string, size = 10, openOptions: PoolOpenOptions = {}): ByteStream =>
    pool.open(
      key,
      () => {
        opened.push(key);
        return [new Uint8Array(size)];
      },
      openOptions,
    );
  return {
    pool,
    opened,
    open,
    fill: async (key, size) => void (await open(key, size).bytes()),
    keys: () => pool.stats().entries.map(({ key }) => key),
  };
}

describe('KEEP: the budget', () => {
  test('KEEP: the least recently used goes first, and no more than is needed', async () => {
    const { pool, fill, keys, opened } = scene({ budget: 35 });
    for (const key of ['a', 'b', 'c']) await fill(key);
    expect(pool.stats()).toMatchObject({ bytes: 30, budget: 35, evictions: 0 });
    // Used again: now b was idle for the longest time.
    await fill('a');
    await fill('d');
    expect(keys()).toEqual(['a', 'c', 'd']);
    expect(pool.stats()).toMatchObject({ bytes: 30, evictions: 1 });
    await fill('b');
    expect(keys()).toEqual(['a', 'd', 'b']);
    expect(opened).toEqual(['a', 'b', 'c', 'd', 'b']);
    // As large as all of it.
    await fill('e', 35);
    expect(keys()).toEqual(['e']);
    expect(pool.stats()).toMatchObject({ bytes: 35, evictions: 5 });
  });

  test('KEEP: entries in use are never evicted: the one that needs room fails, visibly', async () => {
    const { pool, open, fill, keys } = scene({ budget: 35 });
    await fill('idle');
    const inUse = open('in use', 20);
    await settle();
    expect(pool.stats().bytes).toBe(30);
    const large = open('large', 16).bytes();
    await expect(large).rejects.toMatchObject({
      code: 'ERR_FANPIPE_POOL_BUDGET',
      name: 'PoolBudgetError',
      limit: 'budget',
      bytes: 46,
      budget: 35,
    });
    // Nothing was evicted in vain.
    expect(keys()).toEqual(['idle', 'in use']);
    expect(pool.stats()).toMatchObject({ bytes: 30, evictions: 0, failures: 1 });
    await expect(open('fits', 15).bytes()).resolves.toHaveLength(15);
    expect(keys()).toEqual(['in use', 'fits']);
    expect(await inUse.bytes()).toHaveLength(20);
  });

  test('KEEP: bytes of entries that are forgotten count as long as somebody reads them', async () => {
    const { pool, open } = scene({ budget: 35 });
    const old = open('key', 20);
    await settle();
    pool.delete('key');
    expect(pool.stats()).toMatchObject({ entries: [], bytes: 20, readers: 1 });
    await expect(open('key', 20).bytes()).rejects.toMatchObject({ code: 'ERR_FANPIPE_POOL_BUDGET' });
    expect(await old.bytes()).toHaveLength(20);
    expect(pool.stats().bytes).toBe(0);
    expect(await open('key', 20).bytes()).toHaveLength(20);
  });

  test('KEEP WHOLE: who reads an entry that fails by the budget gets all bytes before that', async () => {
    const pool = new StreamPool({ budget: 25 });
    const source = new PushSource<Uint8Array>();
    const reader = pool.open('key', () => source);
    for (let i = 0; i < 4; i++) source.push(new Uint8Array(10));
    await settle();
    expect(pool.stats()).toMatchObject({ entries: [{ state: 'failed', bytes: 20 }], bytes: 20 });
    expect([source.returned, reader.lag]).toEqual([1, 20]);
    reader.read();
    reader.read();
    expect(() => reader.read()).toThrow('the pool to 30 bytes: expected at most its budget of 25');
    expect(pool.stats()).toMatchObject({ entries: [], bytes: 0 });
  });

  test('KEEP: maxBytes is a limit for one entry, set by who began it', async () => {
    const { pool, open, fill, keys } = scene({ budget: 100 });
    await fill('idle', 80);
    await expect(open('key', 31, { maxBytes: 30 }).bytes()).rejects.toMatchObject({
      code: 'ERR_FANPIPE_POOL_BUDGET',
      limit: 'maxBytes',
      bytes: 31,
      budget: 30,
    });
    expect(keys()).toEqual(['idle']);
    const first = open('key', 15, { maxBytes: 30 });
    expect(await open('key', 0, { maxBytes: 1 }).bytes()).toHaveLength(15);
    first.cancel();
    expect(pool.stats().failures).toBe(1);
  });

  test('KEEP: however small entries are, and there may be no byte in them, no more than maxEntries are kept', async () => {
    const { pool, open, fill, keys, opened } = scene({ maxEntries: 2 });
    for (const key of ['a', 'b', 'a', 'c']) await fill(key, 0);
    expect(keys()).toEqual(['a', 'c']);
    // One in use is none of them, and it takes its place when it is left.
    const reader = open('a', 0);
    await fill('d', 0);
    expect(keys()).toEqual(['a', 'c', 'd']);
    expect(await reader.bytes()).toHaveLength(0);
    expect(keys()).toEqual(['a', 'd']);
    expect(pool.stats()).toMatchObject({ evictions: 2, bytes: 0 });
    expect(opened).toEqual(['a', 'b', 'c', 'd']);
    // As a rule there is a limit too.
    const usual = scene();
    for (let i = 0; i < 10_010; i++) usual.pool.open(`${i}`, () => [], { onLastLeave: 'keep' }).cancel();
    await settle();
    expect(usual.pool.stats()).toMatchObject({ evictions: 10, misses: 10_010 });
  });

  test('KEEP ONCE: with maxEntries 0 an entry serves those who come while it is in use, and nobody later', async () => {
    const { pool, open, fill, keys, opened } = scene({ maxEntries: 0, ttl: 1000 });
    const reader = open('a');
    await fill('a');
    expect([opened, keys()]).toEqual([['a'], ['a']]);
    expect(await reader.bytes()).toHaveLength(10);
    expect(pool.stats()).toMatchObject({ entries: [], bytes: 0, evictions: 1 });
    await fill('a');
    expect(opened).toEqual(['a', 'a']);
  });

  test('KEEP: a budget of nothing keeps nothing but empty entries', async () => {
    const { open, keys } = scene({ budget: 0 });
    expect(await open('empty', 0).bytes()).toHaveLength(0);
    await expect(open('one', 1).bytes()).rejects.toMatchObject({ code: 'ERR_FANPIPE_POOL_BUDGET' });
    expect(keys()).toEqual(['empty']);
  });
});

describe('KEEP: time', () => {
  test('KEEP: ttl counts from completion, and an entry whose time is over is not joined', async () => {
    const clock = new FakeClock();
    const { pool, open, fill, opened } = scene({ clock, ttl: 100 });
    await fill('key');
    await clock.advance(99);
    await fill('key');
    expect(opened).toHaveLength(1);
    await clock.advance(1);
    expect(pool.stats()).toMatchObject({ entries: [], bytes: 0, evictions: 1 });
    expect(clock.pending).toBe(0);
    await fill('key');
    expect(opened).toHaveLength(2);
    // One that is in use is forgotten, and read to its end.
    const reader = open('key');
    await clock.advance(100);
    expect(pool.stats()).toMatchObject({ entries: [], bytes: 10, readers: 1 });
    expect(await reader.bytes()).toHaveLength(10);
    expect(pool.stats().bytes).toBe(0);
  });

  test('KEEP: a source that takes longer than the ttl is not cut by it', async () => {
    const clock = new FakeClock();
    const pool = new StreamPool({ clock, ttl: 100 });
    const source = new PushSource<Uint8Array>();
    const reader = pool.open('key', () => source);
    await clock.advance(1000);
    source.push(new Uint8Array(5));
    source.end();
    expect(await reader.bytes()).toHaveLength(5);
    await clock.advance(99);
    expect(pool.stats().entries).toHaveLength(1);
  });

  test('KEEP: the clock decides, also where its timer is late', async () => {
    const clock = new FakeClock();
    let ahead = 0;
    const late = {
      now: () => clock.now() + ahead,
      setTimeout: clock.setTimeout.bind(clock),
      clearTimeout: clock.clearTimeout.bind(clock),
    };
    const { fill, opened, pool } = scene({ clock: late, ttl: 100 });
    await fill('key');
    ahead = 100;
    await fill('key');
    expect(opened).toHaveLength(2);
    expect(pool.stats()).toMatchObject({ misses: 2, evictions: 1 });
  });

  test('KEEP CLEAN: no timer is left of what is evicted, deleted, stopped or closed', async () => {
    const clock = new FakeClock();
    const { pool, open, fill } = scene({ clock, ttl: 1000, budget: 20, onLastLeave: { stopAfter: 1000 } });
    await fill('a');
    await fill('b');
    expect(clock.pending).toBe(2);
    await fill('c');
    expect(clock.pending).toBe(2);
    pool.delete('c');
    expect(clock.pending).toBe(1);
    pool.open('silent', () => new PushSource<Uint8Array>()).cancel();
    expect(clock.pending).toBe(2);
    // Forgotten before it is complete: its time never begins.
    const forgotten = open('forgotten');
    pool.delete('forgotten');
    expect(await forgotten.bytes()).toHaveLength(10);
    expect(clock.pending).toBe(2);
    open('silent').cancel();
    expect(clock.pending).toBe(2);
    pool.close();
    expect(clock.pending).toBe(0);
  });
});

describe('KEEP: delete and close', () => {
  test('KEEP ONCE: delete forgets at once: who reads goes on, who comes gets another source', async () => {
    const pool = new StreamPool();
    const sources: PushSource<Uint8Array>[] = [];
    const opener = (): PushSource<Uint8Array> => {
      const source = new PushSource<Uint8Array>();
      sources.push(source);
      return source;
    };
    const before = pool.open('key', opener);
    await settle();
    expect([pool.delete('key'), pool.delete('key'), pool.delete('other')]).toEqual([true, false, false]);
    const after = pool.open('key', opener);
    await settle();
    sources[0]?.push(new Uint8Array([1]));
    sources[1]?.push(new Uint8Array([2]));
    for (const source of sources) source.end();
    expect([...(await before.bytes()), ...(await after.bytes())]).toEqual([1, 2]);
    expect(pool.stats()).toMatchObject({ entries: [{ state: 'complete' }], misses: 2, hits: 0, bytes: 1 });
  });

  for (const onLastLeave of ['keep', { stopAfter: 1000 }] as const) {
    test(`KEEP: what is forgotten and left is stopped at once, also with ${JSON.stringify(onLastLeave)}`, async () => {
      const clock = new FakeClock();
      const pool = new StreamPool({ onLastLeave, clock });
      const [left, unread] = [new PushSource<Uint8Array>(), new PushSource<Uint8Array>()];
      const reader = pool.open('left', () => left);
      pool.open('unread', () => unread).cancel();
      await settle();
      pool.delete('left');
      pool.delete('unread');
      reader.cancel();
      await settle();
      expect([left.returned, unread.returned, clock.pending]).toEqual([1, 1, 0]);
    });
  }

  test('KEEP WHOLE: close stops what is filling with a typed error, and lets what is complete be read', async () => {
    const pool = new StreamPool();
    const source = new PushSource<Uint8Array>();
    let signal: AbortSignal | undefined;
    const filling = pool.open('filling', (context) => {
      signal = context.signal;
      return source;
    });
    const waiting = pool.open('filling', () => [])[Symbol.asyncIterator]();
    const complete = pool.open('complete', () => ['all of it']);
    const unopened = pool.open('unopened', () => {
      throw new Error('must not be called');
    });
    void unopened;
    await settle();
    source.push(new Uint8Array(3));
    await settle();
    await waiting.next();
    const parked = waiting.next();
    const late = pool.open('late', () => {
      throw new Error('must not be called');
    });
    pool.close();
    pool.close();
    await expect(parked).rejects.toMatchObject({ code: 'ERR_FANPIPE_POOL_CLOSED', name: 'PoolClosedError' });
    expect(filling.read()).toHaveLength(3);
    expect(() => filling.read()).toThrow('The pool is closed');
    await expect(late.bytes()).rejects.toMatchObject({ code: 'ERR_FANPIPE_POOL_CLOSED' });
    expect(await complete.text()).toBe('all of it');
    await settle();
    expect([source.returned, signal?.reason?.code]).toEqual([1, 'ERR_FANPIPE_POOL_CLOSED']);
    expect(() => pool.open('key', () => [])).toThrow('The pool is closed: expected an open one');
    // The one whose opener threw had failed before.
    expect(pool.stats()).toMatchObject({ entries: [], readers: 1, failures: 1 });
    unopened.cancel();
    expect(pool.stats()).toMatchObject({ readers: 0, bytes: 0 });
    expect(pool.delete('key')).toBe(false);
  });

  test('KEEP: using closes', async () => {
    const pool = new StreamPool();
    pool[Symbol.dispose]();
    expect(() => pool.open('key', () => [])).toThrow('closed');
    const other = new StreamPool();
    await other[Symbol.asyncDispose]();
    expect(() => other.open('key', () => [])).toThrow('closed');
  });

  test('KEEP: no code of the caller runs inside open, cancel, delete, close or a read', async () => {
    const pool = new StreamPool<string>();
    let inside = '';
    const seen: string[] = [];
    const note = (what: string): void => {
      seen.push(what);
      if (inside !== '') throw new Error(`${what} ran inside ${inside}`);
    };
    const within = <T>(what: string, call: () => T): T => {
      inside = what;
      try {
        return call();
      } finally {
        inside = '';
      }
    };
    const open = (key: string, options: PoolOpenOptions = {}): ByteStream =>
      within('open', () =>
        pool.open(
          key,
          ({ signal }) => {
            note('the opener');
            signal.addEventListener('abort', () => note('a listener'));
            const items = ['x', 'y'];
            return {
              [Symbol.asyncIterator]: () => ({
                next: () => {
                  note('next');
                  const value = items.shift();
                  return value === undefined ? new Promise(() => {}) : Promise.resolve({ value, done: false });
                },
                return: async () => {
                  note('return');
                  return { value: undefined, done: true };
                },
              }),
            } as AsyncIterable<string>;
          },
          options,
        ),
      );
    const ways: Record<string, (stream: ByteStream) => void> = {
      cancel: (stream) => stream.cancel(),
      delete: (stream) => {
        pool.delete('delete');
        stream.cancel();
      },
      'the end of a range': (stream) => void stream.read(),
    };
    for (const [way, leave] of Object.entries(ways)) {
      seen.length = 0;
      const stream = open(way, way.includes('range') ? { end: 1 } : {});
      await settle();
      within(way, () => leave(stream));
      expect(seen).toEqual(['the opener', 'next', 'next', 'next']);
      await settle();
      expect(seen.slice(4).sort()).toEqual(['a listener', 'return']);
    }
    const controller = new AbortController();
    open('abort', { signal: controller.signal });
    open('close');
    await settle();
    seen.length = 0;
    within('abort', () => controller.abort());
    within('close', () => pool.close());
    expect(seen).toEqual([]);
    await settle();
    expect(seen.sort()).toEqual(['a listener', 'a listener', 'return', 'return']);
  });
});
