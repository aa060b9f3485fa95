/** `readAt`: which requests are made for calls at the same time. */

import { getEventListeners } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../../../../test/support/fake-clock.ts';
import { MemoryOrigin, type OriginOptions } from '../../../../test/support/memory-origin.ts';
import { Random } from '../../../../test/support/random.ts';
import type { RemoteOptions } from './options.ts';
import { RemoteByteStream } from './remote-byte-stream.ts';

const KIB = 1024;
const body = new Random(23).bytes(2048 * KIB);
const open: RemoteByteStream[] = [];
afterEach(() => {
  for (const remote of open.splice(0)) remote.close();
});

function remoteOf(options: RemoteOptions = {}, how: OriginOptions = {}) {
  const origin = new MemoryOrigin(body, how);
  const clock = new FakeClock();
  const remote = new RemoteByteStream('http://origin.test/file', { fetcher: origin.fetcher, clock, ...options });
  open.push(remote);
  return { remote, origin };
}

const same = (actual: Uint8Array, from: number, length = actual.length): void => {
  expect(Buffer.compare(actual, body.subarray(from, from + length))).toBe(0);
};

async function readAll(remote: RemoteByteStream, places: readonly (readonly [number, number])[]): Promise<void> {
  const parts = await Promise.all(places.map(([at, length]) => remote.readAt(at, length)));
  for (const [index, [at, length]] of places.entries()) same(parts[index] as Uint8Array, at, length);
}

describe('readAt', () => {
  test('SEEK: neighbours share a request, up to the merge gap; in whatever order they come', async () => {
    const { remote, origin } = remoteOf({ mergeGap: 1000 });
    await readAll(remote, [
      [5000, 100],
      [1000, 100],
      [2100, 100],
      [3201, 100],
      [3000, 50],
      [2150, 200],
    ]);
    expect(origin.ranges.sort()).toEqual(['bytes=1000-3300', 'bytes=5000-5099']);
    expect(remote.position).toBe(0);
  });

  test('SEEK: no request for what is here; one for each gap that is not', async () => {
    const { remote, origin } = remoteOf({ mergeGap: 0 });
    await readAll(remote, [
      [1000, 1000],
      [4000, 1000],
    ]);
    origin.requests.length = 0;
    await readAll(remote, [[1000, 1000]]);
    expect(origin.requests).toHaveLength(0);
    await readAll(remote, [[500, 6000]]);
    expect(origin.ranges.sort()).toEqual(['bytes=2000-3999', 'bytes=500-999', 'bytes=5000-6499']);
  });

  test('SEEK: what a request under way will bring is waited for', async () => {
    const { remote, origin } = remoteOf({ mergeGap: 0 }, { isLate: true });
    const first = remote.readAt(100_000, 200_000);
    await settle();
    await settle();
    const inside = remote.readAt(150_000, 100);
    const partly = remote.readAt(299_000, 2000);
    same(await inside, 150_000, 100);
    same(await partly, 299_000, 2000);
    same(await first, 100_000, 200_000);
    expect(origin.ranges).toEqual(['bytes=100000-299999', 'bytes=300000-300999']);
  });

  test('SEEK: what is read ahead is waited for too, and what is just behind it', async () => {
    const { remote, origin } = remoteOf({}, { isLate: true });
    const read = remote.read(1000);
    await settle();
    await readAll(remote, [
      [60_000, 100],
      [64 * KIB, 20_000],
    ]);
    same(await read, 0);
    expect(origin.requests).toHaveLength(1);
  });

  test('EXACT: shorter only at the end, in memory of its own', async () => {
    const { remote, origin } = remoteOf();
    const last = await remote.readAt(body.length - 10, 1e15);
    expect([last.length, last.buffer.byteLength]).toEqual([10, 10]);
    same(last, body.length - 10);
    const { length } = origin.requests;
    expect(await remote.readAt(body.length, 10)).toHaveLength(0);
    expect(await remote.readAt(body.length + 5, 10)).toHaveLength(0);
    expect(await remote.readAt(5, 0)).toHaveLength(0);
    expect(origin.requests).toHaveLength(length);
  });

  test('EXACT: beyond the end while the size is not known', async () => {
    for (const tellsSize of [true, false]) {
      const { remote } = remoteOf({}, { tellsSize });
      expect(await remote.readAt(body.length + 5, 10)).toHaveLength(0);
      same(await remote.readAt(body.length - 5, 10), body.length - 5, 5);
      // And at once, by one that does not know it yet.
      const { remote: other } = remoteOf({}, { tellsSize });
      expect(await other.readAt(body.length - 5, 10)).toEqual(body.slice(-5));
    }
  });

  test('its signal ends it alone; a request that nobody waits for any more is aborted', async () => {
    const { remote, origin } = remoteOf({}, { isLate: true });
    const controller = new AbortController();
    const { signal } = controller;
    const reason = new Error('no longer');
    const gone = [remote.readAt(0, 100_000, { signal }), remote.readAt(500_000, 100_000, { signal })];
    const stays = remote.readAt(50_000, 100_000);
    await settle();
    await settle();
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    controller.abort(reason);
    for (const read of gone) await expect(read).rejects.toBe(reason);
    await expect(remote.readAt(0, 1, { signal })).rejects.toBe(reason);
    same(await stays, 50_000, 100_000);
    await settle();
    expect(origin.requests.map(({ from, state }) => [from, state])).toEqual([
      [0, 'ended'],
      [500_000, 'cancelled'],
    ]);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test('its signal also ends one that waits for a connection; what is left is asked for, and no more', async () => {
    const { remote, origin } = remoteOf({ maxConnections: 1 }, { isLate: true });
    const controller = new AbortController();
    const { signal } = controller;
    const running = remote.readAt(0, 1000);
    await settle();
    const left = [remote.readAt(500_000, 100), remote.readAt(540_000, 100)];
    const gone = remote.readAt(500_000, 45_000, { signal });
    await settle();
    controller.abort();
    await expect(gone).rejects.toBe(signal.reason);
    await running;
    same((await left[0]) as Uint8Array, 500_000, 100);
    same((await left[1]) as Uint8Array, 540_000, 100);
    expect(origin.ranges.slice(1)).toEqual(['bytes=500000-500099', 'bytes=540000-540099']);
  });

  test('SEEK: who waits longest comes first, also when another one leaves', async () => {
    const { remote, origin } = remoteOf({ maxConnections: 1 }, { isLate: true });
    const controller = new AbortController();
    const { signal } = controller;
    const reads = [remote.readAt(0, 1000), remote.readAt(500_000, 100), remote.readAt(540_000, 100)];
    const gone = remote.readAt(500_000, 45_000, { signal });
    reads.push(remote.readAt(900_000, 100));
    await Promise.resolve();
    controller.abort();
    await expect(gone).rejects.toBe(signal.reason);
    await Promise.all(reads);
    expect(origin.requests.map(({ from }) => from)).toEqual([0, 500_000, 540_000, 900_000]);
  });

  test('EXACT: one that fails fails alone, and leaves nothing under way', async () => {
    const { remote, origin } = remoteOf({ mergeGap: 0, retry: false }, { isLate: true });
    origin.before = (_, { from }) => (from === 500_000 ? new Response(null, { status: 404 }) : undefined);
    // A gap in the middle that fails, beside one that would go on for long.
    await remote.readAt(600_000, 10);
    const failing = remote.readAt(500_000, 1_000_000);
    const fine = remote.readAt(0, 1000);
    await expect(failing).rejects.toMatchObject({ status: 404 });
    same(await fine, 0, 1000);
    await settle();
    expect(origin.requests.every(({ state }) => state !== 'open')).toBe(true);
  });

  test('SEEK: many of them: no more requests than calls, and far fewer where they come again', async () => {
    const random = new Random(24);
    const { remote, origin } = remoteOf({ mergeGap: 0 });
    const size = 4 * KIB;
    for (let n = 0; n < 1000; n++) {
      const hot = random.chance(0.95);
      const at = hot ? random.between(0, 50) * size : random.between(0, body.length / size) * size;
      same(await remote.readAt(at, size), at, size);
    }
    expect(origin.requests.length).toBeLessThan(120);
    expect(origin.bytesRead).toBe(origin.requests.length * size);
  });

  test('SEEK: thousands at a time', async () => {
    const random = new Random(25);
    const { remote, origin } = remoteOf({ mergeGap: 100 });
    const places = Array.from({ length: 5000 }, () => [random.between(0, body.length - 50), 50] as const);
    await readAll(remote, places);
    expect(origin.requests.length).toBeLessThan(5000);
    expect(origin.most).toBeLessThanOrEqual(6);
    // Every byte that is asked for is asked for once.
    expect(origin.bytesRead).toBeLessThanOrEqual(body.length);
  });
});
