/** ONCE and FIRST: one source for all who ask, and what it gives reaches all of them at the same time. */

import { describe, expect, test } from 'vitest';
import type { PoolContext, PoolSource } from '../../packages/fanpipe/src/pool/options.ts';
import { StreamPool } from '../../packages/fanpipe/src/pool/stream-pool.ts';
import { settle } from '../support/fake-clock.ts';
import { PushSource } from '../support/push-source.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('ONCE: one source', () => {
  test('ONCE: 1,000 concurrent opens call the opener once', async () => {
    const pool = new StreamPool<number>();
    const calls: PoolContext<number>[] = [];
    const opener = async (context: PoolContext<number>): Promise<PoolSource> => {
      calls.push(context);
      await settle();
      return new Response('x'.repeat(100_000));
    };
    const streams = Array.from({ length: 1000 }, () => pool.open(7, opener));
    expect(calls).toEqual([]);
    expect(pool.stats()).toMatchObject({
      entries: [{ state: 'filling', readers: 1000, hits: 999 }],
      misses: 1,
      hits: 999,
    });
    const sizes = await Promise.all(streams.map(async (stream) => (await stream.bytes()).byteLength));
    expect(sizes).toEqual(Array(1000).fill(100_000));
    expect(calls.map(({ key }) => key)).toEqual([7]);
    expect(pool.stats()).toMatchObject({ entries: [{ state: 'complete', readers: 0, bytes: 100_000 }], readers: 0 });
  });

  test('ONCE: opens at any moment of a source’s life share it, also with ranges', async () => {
    const pool = new StreamPool();
    let calls = 0;
    async function* source(): AsyncGenerator<string> {
      calls++;
      for (const part of ['one ', 'two ', 'three ', 'four']) {
        await settle();
        yield part;
      }
    }
    const texts: Promise<string>[] = [];
    for (let i = 0; i < 10; i++) {
      texts.push(pool.open('key', source).text(), pool.open('key', source, { start: 4, end: 7 }).text());
      await settle();
    }
    expect(await Promise.all(texts)).toEqual(Array(10).fill(['one two three four', 'two']).flat());
    expect(calls).toBe(1);
  });

  test('ONCE: keys are told apart as in a Map, and may be anything', async () => {
    const pool = new StreamPool<unknown>();
    const keys = ['1', 1, {}, {}, Number.NaN, Number.NaN, undefined, null];
    let calls = 0;
    const texts = keys.map((key) => pool.open(key, (context) => [`${++calls}${Object.is(context.key, key)}`]).text());
    await Promise.all(texts);
    expect(calls).toBe(7);
  });

  test('ONCE: an open between the last leave and the stop joins, in the same turn', async () => {
    const pool = new StreamPool();
    const sources: PushSource<Uint8Array>[] = [];
    const opener = (): PoolSource => {
      const source = new PushSource<Uint8Array>();
      sources.push(source);
      return source;
    };
    const first = pool.open('key', opener);
    await settle();
    first.cancel();
    const second = pool.open('key', opener);
    await settle();
    expect(sources).toHaveLength(1);
    expect(sources[0]?.returned).toBe(0);
    second.cancel();
    await settle();
    expect(sources[0]?.returned).toBe(1);
  });

  test('ONCE: a reader that leaves before the opener is called, or that asks for nothing, opens no source', async () => {
    const pool = new StreamPool();
    let calls = 0;
    const opener = (): PoolSource => {
      calls++;
      return ['x'];
    };
    pool.open('key', opener).cancel();
    const reason = new Error('before');
    const aborted = pool.open('key', opener, { signal: AbortSignal.abort(reason), onLastLeave: 'keep', start: 3 });
    const empty = pool.open('key', opener, { start: 5, end: 5, onLastLeave: 'keep' });
    await settle();
    expect(calls).toBe(0);
    expect(aborted.position).toBe(3);
    await expect(aborted.text()).rejects.toBe(reason);
    expect(await empty.text()).toBe('');
    expect(pool.stats()).toMatchObject({ entries: [], readers: 0, hits: 0, failures: 0 });
  });
});

describe('FIRST: nobody waits for completion', () => {
  test('FIRST: followers, late ones and ranges get a chunk in the same turn as the first reader', async () => {
    const pool = new StreamPool();
    const source = new PushSource<Uint8Array>();
    const open = (options = {}) => pool.open('key', () => source, options)[Symbol.asyncIterator]();
    const log: string[] = [];
    const read = (name: string, iterator: AsyncIterator<Uint8Array>): void => {
      void iterator.next().then(({ value }) => log.push(`${name} ${new TextDecoder().decode(value)}`));
    };
    const first = open();
    const follower = open();
    const range = open({ start: 1, end: 4 });
    for (const [name, iterator] of Object.entries({ first, follower, range })) read(name, iterator);
    await settle();
    expect(log).toEqual([]);
    source.push(bytes('abc'));
    await settle();
    expect(log).toEqual(['first abc', 'follower abc', 'range bc']);
    log.length = 0;
    const late = open();
    for (const [name, iterator] of Object.entries({ first, follower, range, late })) read(name, iterator);
    // What is there is read without another turn of the source.
    await settle();
    expect(log).toEqual(['late abc']);
    read('late', late);
    source.push(bytes('def'));
    await settle();
    expect(log.slice(1)).toEqual(['first def', 'follower def', 'range d', 'late def']);
    for (const iterator of [first, follower, late]) await iterator.return?.();
  });

  test('FIRST: a slow reader without a policy delays nobody, one that blocks delays the source alone', async () => {
    const pool = new StreamPool();
    const source = new PushSource<Uint8Array>();
    const slow = pool.open('key', () => source);
    const fast = pool.open('key', () => source);
    for (let i = 0; i < 10; i++) source.push(bytes('0123456789'));
    await settle();
    expect([slow.lag, fast.lag]).toEqual([100, 100]);
    const blocking = pool.open('key', () => source, { start: 100, highWaterMark: 5 });
    for (let i = 0; i < 10; i++) source.push(bytes('0123456789'));
    await settle();
    expect([fast.lag, blocking.lag]).toEqual([110, 10]);
    blocking.cancel();
    await settle();
    expect(fast.lag).toBe(200);
    for (const stream of [slow, fast]) stream.cancel();
  });
});
