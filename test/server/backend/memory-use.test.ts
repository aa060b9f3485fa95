/** What is deleted, has expired or is let go of takes no memory, and no more is taken than may be. */
import { expect, test } from 'vitest';
import { type Backend, memoryBackend } from '../../../packages/server/src/backends/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { append, bytes, created, EPOCH, forked } from './rig.ts';

const clock = new FakeClock();
const backend = memoryBackend({ clock, time: () => EPOCH + clock.now() });

function heap(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** That the heap comes back to what it was, give or take so much. The collector may take its time. */
async function comesBack(before: number, more: number): Promise<void> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 30 && least > before + more; i++) {
    await settle();
    least = Math.min(least, heap());
  }
  expect(least - before).toBeLessThan(more);
}

const LIMIT = 8 * 1024 * 1024;

/** What clients can make many of, each without many bytes. */
const FILLINGS: Record<string, (full: Backend) => Promise<(i: number) => Promise<unknown>>> = {
  'empty streams': async (full) => (i) => full.create(`s${i}`, { contentType: 'text/plain' }),
  'empty streams with long names': async (full) => (i) => full.create(`${i}`.padEnd(500, 'n'), { contentType: 'a/b' }),
  'streams of a byte': async (full) => (i) => full.create(`s${i}`, { contentType: 'a/b' }, { chunks: [bytes('x')] }),
  'appends of a byte': async (full) => {
    const { writer } = await (await full.create('s', { contentType: 'text/plain' })).stream.acquire();
    return () => writer.append([bytes('x')]);
  },
  'facts of a stream': async (full) => {
    const { writer } = await (await full.create('s', { contentType: 'text/plain' })).stream.acquire();
    return (i) => writer.append([bytes('x')], { facts: new Map([[`p:${i}`, `0:0:${i}`]]) });
  },
  'long facts of streams': async (full) => (i) =>
    full.create(`s${i}`, { contentType: 'a/b' }, { facts: new Map([[`p:${i}`.padEnd(1000, 'i'), '0:0:0']]) }),
};

test.each(Object.entries(FILLINGS))('%s take no more memory than the limit', async (_what, begin) => {
  const before = heap();
  const full = memoryBackend({ maxBytes: LIMIT });
  const more = await begin(full);
  let i = 0;
  const fill = async (): Promise<void> => {
    for (;;) await more(i++);
  };
  await expect(fill()).rejects.toMatchObject({ code: 'ERR_FANPIPE_STORAGE', isFull: true });
  await settle();
  const held = heap() - before;
  expect(held).toBeLessThan(LIMIT * 1.5);
  // Nor is so much counted that little fits.
  expect(held).toBeGreaterThan(LIMIT * 0.3);
  expect(await full.stats()).toMatchObject({ bytes: expect.any(Number) });
  await full.close();
});

/** That so many rounds leave at most so many bytes behind, each. */
async function leaves(most: number, rounds: number, run: (i: number) => Promise<void>): Promise<void> {
  for (let i = 0; i < 200; i++) await run(i);
  await settle();
  const before = heap();
  for (let i = 0; i < rounds; i++) await run(i);
  expect(await backend.stats()).toEqual({ streams: 0, bytes: 0 });
  await comesBack(before, most * rounds);
}

test('streams that are created and deleted long before they expire leave nothing', async () => {
  const config = { ttl: 1e12, retainFor: 1e12 };
  await leaves(50, 20_000, async (i) => {
    await created(backend, `s${i}`, config, { text: 'abc', facts: new Map([['a', 'b']]) });
    await backend.delete(`s${i}`);
  });
  expect(clock.pending).toBe(0);
});

test('forks that come and go leave nothing', async () => {
  await leaves(200, 3000, async () => {
    const source = await created(backend, 'source', { retainFor: 1e9 }, { text: 'abc' });
    const fork = await forked(source, backend, 'fork', 2, { ttl: 1e9 });
    await forked(fork, backend, 'second', 1);
    await backend.delete('source');
    await backend.delete('fork');
    await backend.delete('second');
  });
});

test('forks of one source that come and go leave nothing', async () => {
  const source = await created(backend, 'source', { retainBytes: 100 }, { text: 'abc' });
  const { writer } = await source.acquire();
  const round = async (i: number): Promise<void> => {
    await append(writer, `${i}`.padStart(50, '.'));
    const { head, tail } = await source.state();
    await forked(source, backend, `f${i}`, tail - 1);
    if (i >= 3) await backend.delete(`f${i - 3}`);
    expect(tail - head).toBeLessThanOrEqual(100);
    if (i % 10 === 0) await clock.advance(1000);
  };
  for (let i = 0; i < 2000; i++) await round(i);
  expect((await backend.stats()).bytes).toBeLessThan(3000);
  for (let i = 1997; i < 2000; i++) await backend.delete(`f${i}`);
  expect((await backend.stats()).bytes).toBe(100);
  await backend.delete('source');
  expect(await backend.stats()).toEqual({ streams: 0, bytes: 0 });
});

test('a reader that waits and gives up, again and again, leaves nothing', async () => {
  const stream = await created(backend, 'read');
  const { signal } = new AbortController();
  const before = heap();
  for (let i = 0; i < 20_000; i++) {
    const cursor = stream.cursor(0);
    void cursor.next({ signal });
    cursor.close();
  }
  await comesBack(before, 20_000 * 50);
  await backend.delete('read');
});

test('a stream that is written for long keeps no more than its limit', async () => {
  const stream = await created(backend, 's', { retainBytes: 100_000 });
  const { writer } = await stream.acquire();
  const write = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      await Promise.all(Array.from({ length: 100 }, () => writer.append([bytes('x'.repeat(100))])));
    }
  };
  await write(50);
  const before = heap();
  await write(500);
  await comesBack(before, 300_000);
  expect(await stream.state()).toMatchObject({ tail: 5_500_000, head: 5_400_000 });
  await backend.delete('s');
});
