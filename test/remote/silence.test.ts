/** Servers that say nothing, or too little, and readers that do not ask. All of it by a clock that no machine can make late. */

import { describe, expect, test } from 'vitest';
import type { RemoteByteStream, RemoteOptions } from '../../packages/fanpipe/src/remote/index.ts';
import { honest, type Resource, type Script } from '../support/fault-server.ts';
import { lateHead, stopAt, trickled, whole } from '../support/faults.ts';
import { until } from '../support/in-parallel.ts';
import { Random } from '../support/random.ts';
import { iterated, rejection, sha256 } from '../support/remote-reading.ts';
import { type RemoteScene, remoteScenes } from '../support/remote-scene.ts';

const SIZE = 400_000;
const resource: Resource = { body: new Random(7).bytes(SIZE), etag: '"quiet"' };
const digest = sha256(resource.body);
const serve: Script = (request) => honest(resource, request);

let { server, clock, open } = {} as RemoteScene;
let told: { code: string | undefined; kind: string | undefined; offset: number; at: number }[];
let remote: RemoteByteStream;
remoteScenes((scene) => {
  ({ server, clock, open } = scene);
  told = [];
});

/** No jitter: every backoff takes no time, so all that passes is silence. */
function remoteAt(script: Script, options: RemoteOptions = {}): RemoteByteStream {
  remote = open(script, {
    onRetry: ({ error, offset }) => {
      const { code, kind } = error as { code?: string; kind?: string };
      told.push({ code, kind, offset, at: clock.now() });
    },
    ...options,
  });
  return remote;
}

const stalled = (offset: number, at: number, kind = 'timeout') => ({ code: 'ERR_FANPIPE_STALLED', kind, offset, at });

describe('a server that is silent', () => {
  test('RESUME: before the headers: cut after the timeout and asked again', async () => {
    remoteAt((request) => (request.index === 0 ? lateHead(serve(request)) : serve(request)));
    expect(sha256(await iterated(remote))).toBe(digest);
    expect(told).toEqual([stalled(0, 10_000)]);
    await until(() => server.seen('/x')[0]?.aborted === true, 'the silent connection is closed');
    expect(clock.now()).toBe(10_000);
  });

  test('RESUME: in the body: cut after the timeout and resumed at that byte', async () => {
    remoteAt(
      (request) =>
        request.index === 0
          ? stopAt(serve(request), 1234, 'stall')
          : request.index === 1
            ? stopAt(serve(request), 0, 'stall')
            : serve(request),
      { timeout: 3000 },
    );
    expect(sha256(await iterated(remote))).toBe(digest);
    expect(told).toEqual([stalled(1234, 3000), stalled(1234, 6000)]);
    expect(server.seen('/x').map(({ range }) => range?.from)).toEqual(expect.arrayContaining([0, 1234]));
    expect(server.seen('/x')[1]?.range?.from).toBe(1234);
  });

  test('RESUME: always: after all attempts the read fails, and says why', async () => {
    remoteAt((request) => lateHead(serve(request)), { timeout: 2000, retry: { attempts: 3 } });
    const error = await rejection(remote.read(10));
    expect(error).toMatchObject({
      code: 'ERR_FANPIPE_RETRIES_EXHAUSTED',
      attempts: 3,
      cause: { code: 'ERR_FANPIPE_STALLED', kind: 'timeout' },
    });
    expect([server.seen('/x').length, clock.now()]).toEqual([3, 6000]);
    expect(remote.position).toBe(0);
  });

  test('RESUME: one that is late, but not too late, is waited for', async () => {
    remoteAt((request) => lateHead(trickled(serve(request), 100_000, 9_900), 9_900));
    expect(sha256(await iterated(remote))).toBe(digest);
    expect(told).toEqual([]);
  });

  test('RESUME: slower than minThroughput: cut after the grace period and resumed', async () => {
    remoteAt((request) => (request.index === 0 ? trickled(serve(request), 10, 500) : serve(request)), {
      minThroughput: 1000,
    });
    expect(sha256(await iterated(remote))).toBe(digest);
    expect(told).toHaveLength(1);
    const [{ code, kind, offset, at }] = told as [(typeof told)[0]];
    expect([code, kind]).toEqual(['ERR_FANPIPE_STALLED', 'throughput']);
    expect([at >= 20_000, at < 22_000]).toEqual([true, true]);
    expect(offset).toBeGreaterThan(300);
    expect(server.seen('/x')[1]?.range?.from).toBe(offset);
  });

  test('RESUME: a trickle without minThroughput is slow, and no stall', async () => {
    remoteAt((request) => (request.index === 0 ? trickled(serve(request), 1000, 9_000) : serve(request)));
    expect(await remote.read(20_000)).toEqual(resource.body.slice(0, 20_000));
    expect([told, clock.now()]).toEqual([[], 180_000]);
  });

  test('RESUME: the signal ends a wait for a silent server at once', async () => {
    const controller = new AbortController();
    remoteAt((request) => stopAt(serve(request), 10, 'stall'), { signal: controller.signal });
    const read = rejection(remote.read(100));
    await clock.sleep(500);
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await read).toBe(reason);
    expect(clock.now()).toBe(500);
    await until(() => server.seen('/x')[0]?.aborted === true, 'the connection is closed');
  });
});

describe('a reader that does not ask', () => {
  test('WINDOW: is never taken for a stall, however long', async () => {
    remoteAt(serve, { idleTimeout: 10_000_000, minThroughput: 100_000, readAhead: 64 * 1024, cacheSize: 128 * 1024 });
    const parts = [await remote.read(100_000)];
    await clock.sleep(1_000_000);
    parts.push(await remote.read(150_000));
    await clock.sleep(1_000_000);
    parts.push(await remote.read(SIZE));
    expect(sha256(Buffer.concat(parts))).toBe(digest);
    expect([told, remote.stats().retries, clock.now()]).toEqual([[], 0, 2_000_000]);
  });

  test('WINDOW: has its connection given up after idleTimeout, and goes on where it was', async () => {
    const big: Resource = { body: new Random(8).bytes(8 * 2 ** 20), etag: '"big"' };
    remoteAt((request) => honest(big, request), { idleTimeout: 3000, readAhead: 256 * 1024, cacheSize: 2 ** 20 });
    const parts = [await remote.read(2 ** 20)];
    const open = server.seen('/x').at(-1);
    expect(open?.aborted).toBe(false);
    const paused = remote.stats().requests;
    await clock.sleep(2_900);
    expect(open?.aborted).toBe(false);
    await clock.sleep(200);
    await until(() => open?.aborted === true, 'the paused transfer is given up');
    await clock.sleep(1_000_000);
    expect(remote.stats().requests).toBe(paused);
    parts.push(await remote.read(7 * 2 ** 20));
    expect(sha256(Buffer.concat(parts))).toBe(sha256(big.body));
    expect([told, remote.stats().retries]).toEqual([[], 0]);
  });

  test.each([true, false])('WINDOW: makes room for who waits for a connection, ranges served: %s', async (ranges) => {
    const big: Resource = { body: new Random(8).bytes(8 * 2 ** 20), etag: '"big"' };
    remoteAt((request) => (ranges ? honest(big, request) : whole(big, request)), {
      maxConnections: 1,
      cacheSize: 2 ** 18,
      skipLimit: 8 * 2 ** 20,
    });
    const place = 6 * 2 ** 20;
    const first = await Promise.all([remote.read(100_000), remote.readAt(place, 100)]);
    const later = await Promise.all([remote.read(1_000_000), remote.readAt(place, 100), remote.readAt(5, 10)]);
    const wanted = [
      [0, 100_000],
      [place, 100],
      [100_000, 1_000_000],
      [place, 100],
      [5, 10],
    ] as const;
    for (const [i, bytes] of [...first, ...later].entries()) {
      const [from, length] = wanted[i] as (typeof wanted)[0];
      expect([i, sha256(bytes)]).toEqual([i, sha256(big.body.subarray(from, from + length))]);
    }
    // Nobody had to wait for the idle timeout.
    expect(clock.now()).toBe(0);
  });

  test('WINDOW: fetching stops a window beyond the reader', async () => {
    const big: Resource = { body: new Random(8).bytes(8 * 2 ** 20), etag: '"big"' };
    const readAhead = 256 * 1024;
    remoteAt((request) => honest(big, request), { idleTimeout: 10_000_000, readAhead, cacheSize: 2 ** 20 });
    for (let read = 0; read < 4 * 2 ** 20; ) {
      read += (await remote.read(100_000)).length;
      await clock.sleep(1000);
      // The chunk that reaches the border may pass it: those of Node's fetch have at most 128 KiB.
      expect(remote.stats().bytesFetched - read).toBeLessThanOrEqual(readAhead + 2 ** 17);
      expect(remote.stats().bytesCached).toBeLessThanOrEqual(2 ** 20);
    }
    expect(remote.stats().bytesFetched).toBeGreaterThan(4 * 2 ** 20);
  });
});
