/** What is deleted, has expired or is let go of takes no memory. */
import { expect, test } from 'vitest';
import { memoryBackend } from '../../../packages/server/src/backends/index.ts';
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
