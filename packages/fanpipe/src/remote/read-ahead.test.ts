/** How far is fetched ahead, in which requests, and when that stops. */

import { getEventListeners } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { collectUntil } from '../../../../test/support/collector.ts';
import { FakeClock, settle } from '../../../../test/support/fake-clock.ts';
import { MemoryOrigin, type OriginOptions } from '../../../../test/support/memory-origin.ts';
import { Random } from '../../../../test/support/random.ts';
import type { Fetcher, RemoteOptions } from './options.ts';
import { RemoteByteStream } from './remote-byte-stream.ts';

const KIB = 1024;
const CHUNK = 8 * KIB;
const body = new Random(22).bytes(4096 * KIB);
const open: RemoteByteStream[] = [];
afterEach(() => {
  for (const remote of open.splice(0)) remote.close();
});

function remoteOf(options: RemoteOptions = {}, how: OriginOptions = {}) {
  const origin = new MemoryOrigin(body, { chunk: () => CHUNK, ...how });
  const clock = new FakeClock();
  const signals: (AbortSignal | null | undefined)[] = [];
  const fetcher: Fetcher = (url, init) => {
    signals.push(init.signal);
    return origin.fetcher(url, init);
  };
  const remote = new RemoteByteStream('http://origin.test/file', { fetcher, clock, ...options });
  open.push(remote);
  return { remote, origin, clock, signals };
}

/** A remote stream that has met a server with ranges, so that its requests have ends. */
async function knownRemoteOf(options: RemoteOptions = {}) {
  const all = remoteOf(options);
  await all.remote.readAt(body.length - 1, 1);
  all.origin.requests.length = 0;
  return all;
}

const same = (actual: Uint8Array, from: number): void => {
  expect(Buffer.compare(actual, body.subarray(from, from + actual.length))).toBe(0);
};

describe('the window', () => {
  test('WINDOW: a reader that stops stops the fetch, a window ahead; it grows with what is read in a row', async () => {
    const { remote, origin } = remoteOf({ readAhead: 512 * KIB });
    const ahead: number[] = [];
    for (let read = 0; read < 2048 * KIB; read += 32 * KIB) {
      same(await remote.read(32 * KIB), read);
      await settle();
      ahead.push((origin.requests[0]?.read as number) - remote.position);
    }
    expect(ahead.slice(0, 3)).toEqual([64 * KIB, 128 * KIB, 128 * KIB]);
    expect([...new Set(ahead)]).toEqual([64, 128, 256, 512].map((size) => size * KIB));
    expect(Math.max(...ahead)).toBe(512 * KIB);
    expect(origin.requests).toHaveLength(1);
  });

  test('WINDOW: where ranges are known, requests end with the window until it is the largest', async () => {
    const { remote, origin } = await knownRemoteOf({ readAhead: 256 * KIB });
    for (let read = 0; read < 2048 * KIB; read += 16 * KIB) {
      same(await remote.read(16 * KIB), read);
      await settle();
      const last = origin.requests.at(-1);
      expect((last?.read as number) - remote.position).toBeLessThanOrEqual(256 * KIB);
    }
    const ranges = origin.ranges.map((range) => /^bytes=(\d+)-(\d*)$/.exec(range ?? '') as RegExpExecArray);
    // Each begins where the one before has ended, and only the last is without end.
    for (const [index, [, from, to]] of ranges.entries()) {
      expect(Number(from)).toBe(index === 0 ? 0 : Number(ranges[index - 1]?.[2]) + 1);
      expect(to === '').toBe(index === ranges.length - 1);
    }
    expect(ranges[0]?.[2]).toBe(String(64 * KIB - 1));
    expect(ranges.length).toBeLessThan(8);
    expect(origin.requests.slice(0, -1).every(({ state }) => state === 'ended')).toBe(true);
  });

  test('WINDOW: a read that is longer than the window is one request', async () => {
    const { remote, origin } = await knownRemoteOf();
    same(await remote.read(1000 * KIB), 0);
    expect(origin.ranges).toEqual([`bytes=0-${1000 * KIB - 1}`]);
  });

  test('WINDOW: a seek away begins with a small one again', async () => {
    const { remote, origin } = await knownRemoteOf({ readAhead: 512 * KIB, skipLimit: 0 });
    for (let n = 0; n < 40; n++) await remote.read(16 * KIB);
    await remote.seek(3000 * KIB);
    await remote.read(10);
    await settle();
    expect(origin.ranges.at(-1)).toBe(`bytes=${3000 * KIB}-${3064 * KIB - 1}`);
  });

  test('SEEK, WINDOW: what is read ahead stops where the cache goes on', async () => {
    const { remote, origin } = await knownRemoteOf();
    await remote.readAt(100 * KIB, 500 * KIB);
    origin.requests.length = 0;
    await remote.seek(80 * KIB);
    same(await remote.read(400 * KIB), 80 * KIB);
    expect(origin.ranges).toEqual([`bytes=${80 * KIB}-${100 * KIB - 1}`]);
    expect(origin.bytesRead).toBe(20 * KIB);
  });

  test('SEEK, WINDOW: and also where the window is the largest', async () => {
    const { remote, origin } = await knownRemoteOf({ readAhead: 64 * KIB });
    await remote.readAt(100 * KIB, 500 * KIB);
    origin.requests.length = 0;
    await remote.seek(80 * KIB);
    same(await remote.read(400 * KIB), 80 * KIB);
    expect(origin.ranges).toEqual([`bytes=${80 * KIB}-${100 * KIB - 1}`]);
  });

  test('WINDOW: the next request is made when half of what the last one brought is read, and for what is not here', async () => {
    const { remote, origin } = await knownRemoteOf();
    await remote.readAt(64 * KIB, 20 * KIB);
    origin.requests.length = 0;
    await remote.read(32 * KIB - 1);
    await settle();
    expect(origin.ranges).toEqual([`bytes=0-${64 * KIB - 1}`]);
    await remote.read(1);
    await settle();
    expect(origin.ranges.slice(1)).toEqual([`bytes=${84 * KIB}-${96 * KIB - 1}`]);
    same(await remote.read(64 * KIB), 32 * KIB);
  });

  test('WINDOW: no request is made for a window that is here', async () => {
    const { remote, origin } = await knownRemoteOf();
    await remote.readAt(64 * KIB, 500 * KIB);
    origin.requests.length = 0;
    for (let n = 0; n < 10; n++) {
      same(await remote.read(10 * KIB), n * 10 * KIB);
      await settle();
    }
    expect(origin.ranges).toEqual([`bytes=0-${64 * KIB - 1}`]);
  });

  test('WINDOW: a request with an end is read to that, whatever the chunks are', async () => {
    const { remote, origin } = await knownRemoteOf();
    origin.options.chunk = () => 10 * KIB;
    await remote.read(10);
    await settle();
    expect(origin.requests.map(({ read, state }) => [read, state])).toEqual([[64 * KIB, 'ended']]);
  });

  test('WINDOW: autostart fetches a chunk also where nothing is read ahead', async () => {
    const { remote, origin } = remoteOf({ autostart: true, readAhead: 0 });
    await settle();
    expect([origin.bytesRead, remote.size]).toEqual([CHUNK, body.length]);
  });

  test('SEEK: a seek into what is on its way makes no request', async () => {
    const { remote, origin } = remoteOf({ autostart: true, skipLimit: 0, mergeGap: 0 }, { isLate: true });
    await settle();
    await remote.seek(50 * KIB);
    same(await remote.read(20 * KIB), 50 * KIB);
    expect(origin.requests).toHaveLength(1);
  });

  test('WINDOW: at most half the cache, and nothing where there is room for a few chunks only', async () => {
    const { remote, origin } = remoteOf({ cacheSize: 400 * KIB });
    for (let read = 0; read < 2048 * KIB; read += 64 * KIB) {
      await remote.read(64 * KIB);
      await settle();
      expect((origin.requests[0]?.read as number) - remote.position).toBeLessThanOrEqual(200 * KIB);
      expect(remote.stats().bytesCached).toBeLessThanOrEqual(400 * KIB);
    }
    expect(origin.bytesRead).toBeGreaterThan(2100 * KIB);
    const { remote: small, origin: other } = remoteOf({ cacheSize: 100 * KIB });
    for (let read = 0; read < 500 * KIB; read += 1000) same(await small.read(1000), read);
    await settle();
    expect([other.requests.length, (other.requests[0]?.read as number) - small.position < CHUNK]).toEqual([1, true]);
  });

  test('WINDOW: who reads what is cached, far ahead of the request, does not have it fetch all that lies between', async () => {
    const { remote, origin } = remoteOf({ skipLimit: 500 * KIB });
    await remote.read(10);
    await remote.readAt(3000 * KIB, 100 * KIB);
    origin.requests.length = 1;
    await remote.seek(3000 * KIB);
    for (let n = 0; n < 100; n++) same(await remote.read(KIB), (3000 + n) * KIB);
    await settle();
    expect([origin.requests.length, origin.bytesRead]).toEqual([1, 64 * KIB]);
    // Where it is, it goes on.
    await remote.seek(0);
    same(await remote.read(200 * KIB), 0);
    expect(origin.requests).toHaveLength(1);
  });

  test('WINDOW: chunks of which the next one would pass the border are left', async () => {
    const { remote, origin } = remoteOf({ readAhead: 256 * KIB }, { chunk: () => 100 * KIB });
    for (let read = 0; read < 2048 * KIB; read += 40 * KIB) {
      await remote.read(40 * KIB);
      await settle();
      expect((origin.requests[0]?.read as number) - remote.position).toBeLessThanOrEqual(256 * KIB);
    }
  });
});

describe('what is kept behind the reader', () => {
  const MIB = 2 ** 20;
  const readOn = async (remote: RemoteByteStream, to: number): Promise<void> => {
    while (remote.position < to) {
      const at = remote.position;
      same(await remote.read(Math.min(50_000, to - at)), at);
    }
  };

  test('WINDOW: from front to back a short part, a seek back into which makes no request', async () => {
    const { remote, origin } = remoteOf({ readAhead: 64 * KIB, skipLimit: MIB });
    // Also where some of it is passed over.
    await remote.seek(100 * KIB);
    await readOn(remote, body.length);
    expect(remote.stats().bytesCached).toBeLessThanOrEqual(2 * MIB + 64 * KIB);
    expect(remote.stats().bytesCached).toBeGreaterThan(1900 * KIB);
    await remote.seek(1900 * KIB, 'end');
    await readOn(remote, body.length);
    expect(origin.requests).toHaveLength(1);
  });

  test('SEEK, WINDOW: after a seek back it is the whole cache', async () => {
    const { remote, origin } = remoteOf({ readAhead: 64 * KIB });
    await readOn(remote, body.length);
    for (const requests of [2, 2, 2]) {
      await remote.seek(0);
      await readOn(remote, body.length);
      expect(origin.requests).toHaveLength(requests);
    }
    expect(remote.stats().bytesCached).toBe(body.length);
  });

  test('SEEK, WINDOW: and after a readAt', async () => {
    const { remote, origin } = remoteOf({ readAhead: 64 * KIB });
    await remote.readAt(100, 10);
    await readOn(remote, body.length);
    origin.requests.length = 0;
    await remote.seek(0);
    await readOn(remote, body.length);
    expect([remote.stats().bytesCached, origin.requests.length]).toEqual([body.length, 0]);
  });

  test('WINDOW: never more than the cache', async () => {
    const { remote } = remoteOf({ cacheSize: MIB });
    await readOn(remote, body.length);
    expect(remote.stats().bytesCached).toBeLessThanOrEqual(MIB);
  });
});

describe('a reader that has stopped', () => {
  test('WINDOW: its request is given up after idleTimeout, and a later read goes on where it was', async () => {
    const { remote, origin, clock } = remoteOf({ idleTimeout: 3000, timeout: 1_000_000 });
    same(await remote.read(10), 0);
    await clock.advance(2999);
    expect([origin.requests[0]?.state, clock.pending]).toEqual(['open', 1]);
    await clock.advance(1);
    expect([origin.requests[0]?.state, clock.pending]).toEqual(['cancelled', 0]);
    await clock.advance(100_000);
    const got = origin.requests[0]?.read as number;
    same(await remote.read(1000 * KIB), 10);
    expect(origin.requests.map(({ from }) => from)).toEqual([0, got]);
    expect(remote.stats().retries).toBe(0);
  });

  test('WINDOW: each read starts that time anew', async () => {
    const { remote, origin, clock } = remoteOf({ idleTimeout: 3000 });
    for (let n = 0; n < 5; n++) {
      await remote.read(60 * KIB);
      await clock.advance(2900);
    }
    expect(origin.requests).toHaveLength(1);
    expect(clock.pending).toBe(1);
  });

  test.each([
    ['further on', 10],
    ['somewhere else, with another request', 3000 * KIB],
  ])('WINDOW: while someone waits it does not count, however late the bytes come: %s', async (_, place) => {
    const { remote, origin, clock } = remoteOf({ idleTimeout: 3000, timeout: 1_000_000 });
    // All but the first window comes late.
    origin.before = (_count, { from, to }) => {
      let at = from;
      const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
        if (at >= 64 * KIB) await clock.sleep(10_000);
        if (at >= to) controller.close();
        else controller.enqueue(body.slice(at, Math.min(to, at + 64 * KIB)));
        at += 64 * KIB;
      };
      const headers = { etag: '"v1"', 'content-range': `bytes ${from}-${to - 1}/${body.length}` };
      return new Response(new ReadableStream({ pull }, { highWaterMark: 0 }), { status: 206, headers });
    };
    await remote.read(10);
    await clock.advance(2000);
    await remote.seek(place);
    const read = remote.read(64 * KIB);
    // Until all has come, and no longer than that.
    await clock.advance(20_000);
    same(await read, place);
    expect(origin.requests.slice(0, 2).map(({ from }) => from)).toEqual(place === 10 ? [0] : [0, place]);
  });

  test('CLEAN: no timer is left of a request that was given up earlier', async () => {
    const { remote, clock } = remoteOf({ maxConnections: 1, skipLimit: 0 });
    await remote.read(10);
    await settle();
    expect(clock.pending).toBe(1);
    await remote.readAt(3000 * KIB, 10);
    expect(clock.pending).toBe(0);

    const { remote: shared, clock: other } = remoteOf();
    const writer = shared.share();
    await writer.stream({ highWaterMark: 0 })[Symbol.asyncIterator]().next();
    await settle();
    expect(other.pending).toBe(1);
    writer.close();
    await settle();
    expect(other.pending).toBe(0);
  });

  test('WINDOW: the timer does not keep the process alive', async () => {
    let unrefs = 0;
    const timers = new Set<object>();
    const clock = {
      now: () => 0,
      setTimeout: () => {
        const timer = { unref: () => void unrefs++ };
        timers.add(timer);
        return timer;
      },
      clearTimeout: (timer: unknown) => void timers.delete(timer as object),
    };
    const { remote } = remoteOf({ clock });
    await remote.read(10);
    await settle();
    expect([timers.size, unrefs]).toEqual([1, 1]);
    remote.close();
    expect(timers.size).toBe(0);
  });

  test('CLEAN: one that is dropped is collected, and its signal knows nothing of it any more', async () => {
    const { signal } = new AbortController();
    const drop = async (): Promise<WeakRef<RemoteByteStream>> => {
      const origin = new MemoryOrigin(body, { ranges: false });
      const remote = new RemoteByteStream('http://origin.test/', { fetcher: origin.fetcher, signal });
      await remote.read(10);
      return new WeakRef(remote);
    };
    const dropped = await drop();
    await collectUntil(() => dropped.deref() === undefined, 'it is collected');
    await collectUntil(() => getEventListeners(signal, 'abort').length === 0, 'its listener is gone');
  });
});

describe('the end of a request', () => {
  /** Its last byte is read, and its end comes in a later turn. */
  async function atItsEnd() {
    const all = await knownRemoteOf({ skipLimit: 0 });
    all.origin.options.isLate = true;
    const chunks = all.remote[Symbol.asyncIterator]();
    for (let at = 0; at < 64 * KIB; at += CHUNK) same((await chunks.next()).value as Uint8Array, at);
    expect(all.origin.requests.map(({ to, state }) => [to, state])).toEqual([[64 * KIB, 'open']]);
    return { ...all, chunks };
  }

  test('SEEK: a seek away then leaves its connection to be used again', async () => {
    const { remote, origin, signals } = await atItsEnd();
    await remote.seek(3000 * KIB);
    same(await remote.read(10), 3000 * KIB);
    await settle();
    expect(origin.requests.map(({ state }) => state)).toEqual(['ended', 'open']);
    expect(signals.at(-2)?.aborted).toBe(false);
  });

  test('SEEK: a step that waits for it, to go on with the next request, can be left', async () => {
    const { remote, origin, chunks } = await atItsEnd();
    const step = chunks.next();
    await chunks.return?.();
    expect(await step).toEqual({ done: true, value: undefined });
    for (let turn = 0; turn < 20; turn++) await settle();
    expect(remote.position).toBe(64 * KIB);
    same(await remote.read(100 * KIB), 64 * KIB);
    expect(origin.requests.every(({ state }) => state !== 'cancelled')).toBe(true);
  });
});

describe('connections', () => {
  test('WINDOW: a request that is paused makes room for others', async () => {
    const { remote, origin, clock } = remoteOf({ maxConnections: 1, skipLimit: 0 });
    const [first, far] = await Promise.all([remote.read(1000), remote.readAt(3_000_000, 10)]);
    same(first, 0);
    same(far, 3_000_000);
    same(await remote.read(200 * KIB), 1000);
    expect([origin.most, clock.now()]).toEqual([1, 0]);
  });

  test('SEEK: a readAt waits for the request of the reader also while that has no connection yet', async () => {
    const { remote, origin } = remoteOf({ maxConnections: 1 }, { isLate: true });
    const far = remote.readAt(3000 * KIB, 10);
    await Promise.resolve();
    const [first, near] = await Promise.all([remote.read(1000), remote.readAt(30 * KIB, 10), far]);
    same(first, 0);
    same(near, 30 * KIB);
    expect(origin.requests.map(({ from }) => from)).toEqual([3000 * KIB, 0]);
  });

  test('WINDOW: never more than maxConnections at a time', async () => {
    const { remote, origin } = remoteOf({ maxConnections: 3 }, { isLate: true });
    const places = Array.from({ length: 40 }, (_, n) => n * 100 * KIB);
    const parts = await Promise.all([
      remote.read(300 * KIB),
      ...places.map((at) => remote.readAt(at, 1000)),
      remote.read(10),
    ]);
    for (const [index, at] of places.entries()) same(parts[index + 1] as Uint8Array, at);
    expect(origin.most).toBe(3);
  });
});
