/** What a remote stream gives and where it stands, over an origin in memory that keeps record of what was fetched. */

import { getEventListeners } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../../../../test/support/fake-clock.ts';
import { MemoryOrigin, type OriginOptions } from '../../../../test/support/memory-origin.ts';
import { Random } from '../../../../test/support/random.ts';
import { HttpStatusError, NotSeekableError, RemoteClosedError, ResourceChangedError } from './errors.ts';
import type { RemoteOptions } from './options.ts';
import { RemoteByteStream } from './remote-byte-stream.ts';

const KIB = 1024;
const body = new Random(21).bytes(400 * KIB);
const open: RemoteByteStream[] = [];
afterEach(() => {
  for (const remote of open.splice(0)) remote.close();
});

function remoteOf(
  options: RemoteOptions = {},
  how: OriginOptions = {},
  bytes = body,
): { remote: RemoteByteStream; origin: MemoryOrigin; clock: FakeClock } {
  const origin = new MemoryOrigin(bytes, how);
  const clock = new FakeClock();
  const remote = new RemoteByteStream('http://origin.test/file', {
    fetcher: origin.fetcher,
    clock,
    retry: false,
    ...options,
  });
  open.push(remote);
  return { remote, origin, clock };
}

const slice = (from: number, length: number): Uint8Array => body.slice(from, from + length);
const same = (actual: Uint8Array, expected: Uint8Array): void => {
  if (Buffer.compare(actual, expected) !== 0) throw new Error(`${actual.length} other bytes`);
};
async function rest(remote: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of remote) chunks.push(chunk.slice());
  return Buffer.concat(chunks);
}

describe('read', () => {
  test('EXACT: by length, into memory, and by iteration, one after the other', async () => {
    const { remote, origin } = remoteOf();
    expect([remote.position, remote.size, remote.finished, origin.requests.length]).toEqual([0, undefined, false, 0]);
    same(await remote.read(1000), slice(0, 1000));
    const into = new Uint8Array(500).fill(7);
    expect(await remote.read(into.subarray(0, 400))).toBe(400);
    same(into.subarray(0, 400), slice(1000, 400));
    expect(into.subarray(400).every((byte) => byte === 7)).toBe(true);
    expect([remote.position, remote.size]).toEqual([1400, body.length]);
    same(await rest(remote), body.slice(1400));
    expect([remote.finished, remote.position]).toEqual([true, body.length]);
    expect(await remote.read(into)).toBe(0);
    expect(await remote.read(10)).toHaveLength(0);
  });

  test('EXACT: fewer bytes only at the end, and memory of its own', async () => {
    const { remote } = remoteOf();
    await remote.seek(body.length - 10);
    const got = await remote.read(1e12);
    expect([got.length, got.buffer.byteLength]).toEqual([10, 10]);
    got.fill(0);
    same(await remote.readAt(body.length - 10, 10), slice(body.length - 10, 10));
  });

  test('EXACT: larger than the cache', async () => {
    for (const cacheSize of [0, 1000, 40 * KIB, 100 * KIB]) {
      const { remote, origin } = remoteOf({ cacheSize });
      same(await remote.read(body.length), body);
      expect(origin.requests).toHaveLength(1);
      same(await remote.readAt(5, 300_000), slice(5, 300_000));
      expect(remote.stats().bytesCached).toBeLessThanOrEqual(cacheSize);
    }
  });

  test('EXACT: without a cache, small reads go on in the chunk that came', async () => {
    for (const seekable of [true, false]) {
      const { remote, origin } = remoteOf({ cacheSize: 0, seekable });
      for (let at = 0; at < 100_000; at += 1000) same(await remote.read(1000), slice(at, 1000));
      expect(origin.requests).toHaveLength(1);
    }
  });

  test('SEEK: concurrent calls run in their order', async () => {
    const { remote } = remoteOf({}, { chunk: () => 700 });
    const into = new Uint8Array(3000);
    const iterator = remote[Symbol.asyncIterator]();
    const [first, second, place, third, chunk, position] = await Promise.all([
      remote.read(2000),
      remote.read(into),
      remote.seek(-1000, 'current'),
      remote.read(5),
      iterator.next(),
      remote.seek(0, 'current'),
    ]);
    same(first, slice(0, 2000));
    expect([second, place]).toEqual([3000, 4000]);
    same(into, slice(2000, 3000));
    same(third, slice(4000, 5));
    same(chunk.value as Uint8Array, slice(4005, (chunk.value as Uint8Array).length));
    expect(position).toBe(4005 + (chunk.value as Uint8Array).length);
  });

  test('memory that is transferred away while a read fills it fails that read alone', async () => {
    const { remote } = remoteOf();
    const into = new Uint8Array(1000);
    const read = remote.read(into);
    structuredClone(into.buffer, { transfer: [into.buffer] });
    await expect(read).rejects.toMatchObject({ code: 'ERR_FANPIPE_INVALID_ARGUMENT', argument: 'into' });
    expect(remote.position).toBe(0);
    same(await remote.read(1000), slice(0, 1000));
  });
});

describe('iteration', () => {
  test('EXACT: leaving a loop keeps the stream usable, and a later loop goes on', async () => {
    const { remote, origin } = remoteOf();
    const parts: Uint8Array[] = [];
    for (let round = 0; round < 3; round++) {
      for await (const chunk of remote) {
        parts.push(chunk.slice());
        break;
      }
    }
    parts.push(await rest(remote));
    same(Buffer.concat(parts), body);
    expect(origin.requests).toHaveLength(1);
  });

  test('SEEK: return() settles a step that waits, and that has taken nothing', async () => {
    const { remote } = remoteOf({}, { isLate: true });
    const iterator = remote[Symbol.asyncIterator]();
    const steps = [iterator.next(), iterator.next()];
    await iterator.return?.();
    expect(await Promise.all(steps)).toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined },
    ]);
    expect([await iterator.next(), remote.position]).toEqual([{ done: true, value: undefined }, 0]);
    same(await remote.read(50_000), slice(0, 50_000));
  });

  test('a chunk that came is handed on and cached without a copy', async () => {
    const { remote } = remoteOf({}, { chunk: () => 50_000 });
    const { value: one } = await remote[Symbol.asyncIterator]().next();
    await remote.seek(0);
    const { value: other } = await remote[Symbol.asyncIterator]().next();
    expect(other?.buffer).toBe((one as Uint8Array).buffer);
  });

  test('EXACT: a chunk that its reader has transferred away is fetched again', async () => {
    const { remote, origin } = remoteOf({}, { chunk: () => 50_000 });
    const { value } = (await remote[Symbol.asyncIterator]().next()) as { value: Uint8Array };
    structuredClone(value.buffer, { transfer: [value.buffer] });
    await remote.seek(10);
    same(await remote.read(1000), slice(10, 1000));
    expect(origin.requests.length).toBeGreaterThan(1);
  });

  test('EXACT: the end is told only when its request has ended well', async () => {
    // One byte too many, in a chunk that comes late.
    const { remote, origin } = remoteOf({}, {}, body.slice(0, 5000));
    origin.before = () => {
      const parts = [body.slice(0, 5000), new Uint8Array(1)];
      const stream = new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            await settle();
            const part = parts.shift();
            if (part === undefined) controller.close();
            else controller.enqueue(part);
          },
        },
        { highWaterMark: 0 },
      );
      return new Response(stream, { status: 206, headers: { etag: '"v1"', 'content-range': 'bytes 0-4999/5000' } });
    };
    const iterator = remote[Symbol.asyncIterator]();
    same((await iterator.next()).value as Uint8Array, slice(0, 5000));
    await expect(iterator.next()).rejects.toMatchObject({ code: 'ERR_FANPIPE_BODY_TOO_LONG' });
  });
});

describe('seek', () => {
  test('SEEK: from the start, from here, back from the end, and past it', async () => {
    const { remote, origin } = remoteOf({ size: body.length });
    expect(await remote.seek(10, 'end')).toBe(body.length - 10);
    expect(await remote.seek(-5, 'current')).toBe(body.length - 15);
    expect(await remote.seek(-100, 'end')).toBe(body.length + 100);
    expect([remote.finished, await remote.read(5), await remote.read(new Uint8Array(5))]).toEqual([
      true,
      new Uint8Array(0),
      0,
    ]);
    expect((await remote[Symbol.asyncIterator]().next()).done).toBe(true);
    expect(origin.requests).toHaveLength(0);
    await expect(remote.seek(-1)).rejects.toMatchObject({ code: 'ERR_FANPIPE_INVALID_ARGUMENT', argument: 'offset' });
    await expect(remote.seek(body.length + 1, 'end')).rejects.toMatchObject({ argument: 'offset' });
    expect(remote.position).toBe(body.length + 100);
  });

  test('SEEK: past the end of an unknown size', async () => {
    const { remote, origin } = remoteOf();
    await remote.seek(10_000_000);
    expect(await remote.read(5)).toHaveLength(0);
    expect([remote.size, remote.finished, origin.ranges]).toEqual([body.length, true, ['bytes=10000000-']]);
  });

  test("SEEK: 'end' asks for one byte, and for nothing where a request is under way", async () => {
    const { remote, origin } = remoteOf();
    expect(await remote.seek(22, 'end')).toBe(body.length - 22);
    expect(origin.ranges).toEqual(['bytes=0-0']);
    const { remote: started, origin: other } = remoteOf({ autostart: true });
    expect(await started.seek(22, 'end')).toBe(body.length - 22);
    expect(other.requests).toHaveLength(1);
  });

  test("SEEK: 'end' where no response tells the size: by reading to it, if that is near enough", async () => {
    for (const seekable of [true, false]) {
      const { remote } = remoteOf({ seekable }, { tellsSize: false, ranges: false });
      expect(await remote.seek(22, 'end')).toBe(body.length - 22);
      if (seekable) same(await remote.read(50), slice(body.length - 22, 22));
    }
    const { remote } = remoteOf({ skipLimit: 100_000 }, { tellsSize: false });
    await expect(remote.seek(22, 'end')).rejects.toBeInstanceOf(NotSeekableError);
    expect(remote.position).toBe(0);
  });

  test('SEEK: no request for what is here, backwards too, nor a new one for what is near', async () => {
    const { remote, origin } = remoteOf({ skipLimit: 50 * KIB });
    await remote.read(100 * KIB);
    for (const at of [0, 99 * KIB, 50 * KIB, 1]) {
      await remote.seek(at);
      same(await remote.read(1000), slice(at, 1000));
    }
    same(await remote.readAt(10, 90_000), slice(10, 90_000));
    expect(origin.requests).toHaveLength(1);
    // A little further than what is read ahead: read through.
    const near = (origin.requests[0]?.read as number) + 40 * KIB;
    await remote.seek(near);
    same(await remote.read(10), slice(near, 10));
    expect(origin.requests).toHaveLength(1);
    await remote.seek(near + 5);
    same(await remote.read(2000), slice(near + 5, 2000));
    expect(origin.requests).toHaveLength(1);
  });

  test('SEEK: a long way forward is a new range, and the old request is given up', async () => {
    const { remote, origin } = remoteOf({ skipLimit: 50 * KIB });
    await remote.read(10);
    await remote.seek(300 * KIB);
    same(await remote.read(1000), slice(300 * KIB, 1000));
    expect(origin.requests.map(({ from, state }) => [from, state === 'cancelled'])).toEqual([
      [0, true],
      [300 * KIB, false],
    ]);
  });

  test('SEEK: unless a readAt waits for it: then it goes on for that', async () => {
    const { remote, origin } = remoteOf({ skipLimit: 20 * KIB }, { isLate: true });
    await remote.read(10);
    const joined = remote.readAt(60 * KIB, 40 * KIB);
    await Promise.resolve();
    await remote.seek(300 * KIB);
    same(await remote.read(1000), slice(300 * KIB, 1000));
    same(await joined, slice(60 * KIB, 40 * KIB));
    await settle();
    expect(origin.requests.map(({ from, state }) => [from, state === 'cancelled'])).toEqual([
      [0, true],
      [300 * KIB, false],
    ]);
  });
});

describe('seekable: false', () => {
  test('SEEK: one plain GET, read in order; what lies ahead is read through to', async () => {
    const { remote, origin } = remoteOf({ seekable: false, skipLimit: 10, cacheSize: 70 * KIB });
    expect(remote.seekable).toBe(false);
    same(await remote.readAt(20_000, 10), slice(20_000, 10));
    same(await remote.read(100), slice(0, 100));
    await remote.seek(300 * KIB);
    same(await remote.read(100), slice(300 * KIB, 100));
    await expect(remote.readAt(0, 10)).rejects.toBeInstanceOf(NotSeekableError);
    await remote.seek(5);
    await expect(remote.read(1)).rejects.toMatchObject({ code: 'ERR_FANPIPE_NOT_SEEKABLE', offset: 5 });
    expect(remote.position).toBe(5);
    await remote.seek(301 * KIB);
    same(await rest(remote), body.slice(301 * KIB));
    expect(origin.ranges).toEqual([null]);
  });

  test('EXACT: is read to the end also after a request that went on with a range and failed then', async () => {
    const retry = { attempts: 2, baseDelay: 0 };
    const atOnce = {
      now: () => 0,
      setTimeout: (ring: () => void, ms: number) => ms || setImmediate(ring),
      clearTimeout() {},
    };
    const { remote, origin } = remoteOf({ seekable: false, retry, clock: atOnce });
    const cut = (from: number, to: number): ReadableStream<Uint8Array> => {
      const parts = [body.slice(from, to)];
      return new ReadableStream(
        { pull: (into) => (parts.length > 0 ? into.enqueue(parts.pop() as Uint8Array) : into.error(new Error('cut'))) },
        { highWaterMark: 0 },
      );
    };
    const etag = '"v1"';
    const whole = { etag, 'content-length': String(body.length) };
    const part = { etag, 'content-range': `bytes 1000-${body.length - 1}/${body.length}` };
    const answers = [
      () => new Response(cut(0, 1000), { headers: whole }),
      () => new Response(cut(1000, 2000), { status: 206, headers: part }),
      () => new Response(null, { status: 503 }),
    ];
    origin.before = () => answers.shift()?.();
    await expect(remote.read(3000)).rejects.toMatchObject({ code: 'ERR_FANPIPE_RETRIES_EXHAUSTED' });
    same(await rest(remote), body);
    expect(origin.ranges).toEqual([null, 'bytes=1000-', 'bytes=2000-', null]);
  });

  test('WINDOW: a readAt far ahead that is given up leaves no more to fetch than any other', async () => {
    const { remote, origin } = remoteOf({ seekable: false }, { isLate: true });
    const controller = new AbortController();
    const read = remote.readAt(300 * KIB, 10, { signal: controller.signal });
    await settle();
    controller.abort();
    await expect(read).rejects.toBe(controller.signal.reason);
    for (let turn = 0; turn < 50; turn++) await settle();
    expect(origin.bytesRead).toBe(64 * KIB);
    same(await remote.read(100 * KIB), slice(0, 100 * KIB));
    expect(origin.requests).toHaveLength(1);
  });

  test('WINDOW: its request is kept open however long the reader pauses', async () => {
    const { remote, origin, clock } = remoteOf({ seekable: false, idleTimeout: 100 });
    await remote.read(10);
    await clock.advance(100_000);
    expect(clock.pending).toBe(0);
    same(await rest(remote), body.slice(10));
    expect(origin.requests).toHaveLength(1);
  });
});

describe('a server without ranges', () => {
  test('SEEK, EXACT: is read in one go, with or without a validator', async () => {
    for (const etag of ['"v1"', undefined]) {
      const { remote, origin } = remoteOf({ skipLimit: 1000 }, { ranges: false, etag });
      same(await remote.read(1000), slice(0, 1000));
      same(await rest(remote), body.slice(1000));
      expect(origin.requests).toHaveLength(1);
    }
  });

  test('SEEK: what is too far ahead or behind is refused, and the request goes on', async () => {
    const { remote, origin } = remoteOf({ skipLimit: 20 * KIB, cacheSize: 70 * KIB }, { ranges: false });
    await remote.read(100 * KIB);
    await remote.seek(300 * KIB);
    await expect(remote.read(1)).rejects.toBeInstanceOf(NotSeekableError);
    await expect(remote.readAt(300 * KIB, 1)).rejects.toBeInstanceOf(NotSeekableError);
    await remote.seek(100 * KIB);
    same(await remote.read(200 * KIB), slice(100 * KIB, 200 * KIB));
    expect(origin.requests[0]?.state).toBe('open');
    // From the start again, where that is near enough.
    same(await remote.readAt(10, 100), slice(10, 100));
  });
});

describe('a server without ranges, and readAt', () => {
  const how = { ranges: false, isLate: true };

  test('SEEK: what is on its way anyhow is waited for, however far it is', async () => {
    const { remote, origin } = remoteOf({ skipLimit: 20 * KIB }, how);
    for (let at = 0; at < 200 * KIB; at += 25 * KIB) await remote.read(25 * KIB);
    const [ahead] = await Promise.all([remote.readAt(300 * KIB, 10), remote.read(25 * KIB)]);
    same(ahead, slice(300 * KIB, 10));
    expect(origin.requests).toHaveLength(1);
  });

  test('SEEK: what is near is read through to, rather than to begin anew', async () => {
    const { remote, origin } = remoteOf({ skipLimit: 200 * KIB, mergeGap: 0 }, how);
    await remote.read(10);
    same(await remote.readAt(200 * KIB, 10), slice(200 * KIB, 10));
    expect(origin.requests).toHaveLength(1);
  });
});

describe('what goes wrong', () => {
  test('EXACT: a failed read leaves the position, and the next one tries again', async () => {
    const { remote, origin } = remoteOf();
    await remote.seek(5);
    origin.before = (count) => (count < 3 ? new Response(null, { status: 404 }) : undefined);
    await expect(remote.read(10)).rejects.toBeInstanceOf(HttpStatusError);
    await expect(remote[Symbol.asyncIterator]().next()).rejects.toMatchObject({ status: 404 });
    expect(remote.position).toBe(5);
    same(await remote.read(10), slice(5, 10));
  });

  test('EXACT: what comes behind a read that failed in the middle', async () => {
    const { remote, origin } = remoteOf({ seekable: false });
    origin.before = (count) => {
      if (count > 1) return undefined;
      const stream = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(body.slice(0, 500));
          controller.error(new Error('broken'));
        },
      });
      return new Response(stream, { headers: { etag: '"v1"', 'content-length': String(body.length) } });
    };
    await expect(remote.read(1000)).rejects.toMatchObject({ code: 'ERR_FANPIPE_RETRIES_EXHAUSTED' });
    expect(remote.position).toBe(0);
    same(await remote.read(1000), slice(0, 1000));
    expect(origin.requests).toHaveLength(2);
  });

  test('EXACT: a resource that has changed is for good', async () => {
    const { remote, origin } = remoteOf({ skipLimit: 0 });
    await remote.read(10);
    origin.options.etag = '"v2"';
    const later = [remote.readAt(300_000, 5), remote.readAt(200_000, 5)];
    for (const read of later) await expect(read).rejects.toBeInstanceOf(ResourceChangedError);
    const { length } = origin.requests;
    for (const read of [() => remote.read(1), () => remote.readAt(0, 1), () => rest(remote), () => remote.seek(0)]) {
      await expect(read()).rejects.toBeInstanceOf(ResourceChangedError);
    }
    expect([remote.position, remote.stats().bytesCached, origin.requests.length]).toEqual([10, 0, length]);
    expect(origin.requests.every(({ state }) => state !== 'open')).toBe(true);
  });

  test('close: who waits and who comes later gets a RemoteClosedError; all requests are aborted, the cache is free', async () => {
    const { remote, origin, clock } = remoteOf({}, { isLate: true });
    await remote.read(10);
    const waiting = [remote.read(200_000), remote.read(5), remote.readAt(300_000, 5), rest(remote), remote.seek(1)];
    await Promise.resolve();
    remote.close();
    remote.close();
    for (const read of waiting) await expect(read).rejects.toBeInstanceOf(RemoteClosedError);
    await expect(remote.read(0)).rejects.toBeInstanceOf(RemoteClosedError);
    await expect(remote.readAt(0, 0)).rejects.toBeInstanceOf(RemoteClosedError);
    await settle();
    expect(origin.requests.map(({ state }) => state)).not.toContain('open');
    expect([remote.stats().bytesCached, clock.pending, remote.position, remote.size]).toEqual([0, 0, 10, body.length]);
  });

  test('close between two parts of a read or of a search for the end: that is no hole to fall into', async () => {
    const late = { isLate: true };
    const { remote } = remoteOf({}, late);
    await remote.readAt(8000, 1000);
    // It has its bytes with the first part of the read, just before that goes on.
    void remote.readAt(0, 100).then(() => remote.close());
    await settle();
    await expect(remote.read(64 * KIB)).rejects.toBeInstanceOf(RemoteClosedError);
    await expect(remote.read(1)).rejects.toBeInstanceOf(RemoteClosedError);

    const { remote: endless } = remoteOf({ seekable: false }, { ...late, ranges: false, tellsSize: false });
    void endless.readAt(0, 100).then(() => endless.close());
    await settle();
    await expect(endless.seek(0, 'end')).rejects.toBeInstanceOf(RemoteClosedError);
  });

  test('the signal does the same with its reason, before the first read too, and keeps no listener', async () => {
    const reason = new Error('enough');
    const { remote: early } = remoteOf({ signal: AbortSignal.abort(reason), autostart: true });
    await expect(early.read(1)).rejects.toBe(reason);
    const controller = new AbortController();
    const { signal } = controller;
    const { remote, origin } = remoteOf({ signal }, { isLate: true });
    const { remote: closed } = remoteOf({ signal });
    await closed.read(1);
    const waiting = [remote.read(200_000), remote.readAt(300_000, 5)];
    await settle();
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    closed.close();
    controller.abort(reason);
    for (const read of [...waiting, remote.read(1)]) await expect(read).rejects.toBe(reason);
    await settle();
    expect(origin.requests.map(({ state }) => state)).not.toContain('open');
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test('autostart fetches the first window; what goes wrong is told at the first read, and then tried again', async () => {
    const { remote, origin } = remoteOf({ autostart: true });
    await settle();
    expect([origin.requests.length, remote.stats().bytesCached]).toEqual([1, 64 * KIB]);
    same(await remote.read(60_000), slice(0, 60_000));
    expect(origin.requests).toHaveLength(1);

    const failing = new MemoryOrigin(body);
    failing.before = (count) => (count === 1 ? new Response(null, { status: 403 }) : undefined);
    const other = new RemoteByteStream('http://origin.test/', { fetcher: failing.fetcher, autostart: true });
    open.push(other);
    await settle();
    await expect(other.read(10)).rejects.toMatchObject({ status: 403 });
    expect(failing.requests).toHaveLength(1);
    same(await other.read(10), slice(0, 10));
  });

  test('what went wrong with autostart is forgotten when the first read is somewhere else', async () => {
    const { remote, origin } = remoteOf({ autostart: true });
    origin.before = (count) => (count === 1 ? new Response(null, { status: 403 }) : undefined);
    await settle();
    await remote.seek(300 * KIB);
    same(await remote.read(10), slice(300 * KIB, 10));
    await remote.seek(0);
    same(await remote.read(10), slice(0, 10));
  });
});

describe('share', () => {
  test('EXACT: one fetch for many streams, under the offsets of the resource', async () => {
    const { remote, origin } = remoteOf();
    await remote.seek(1000);
    const writer = remote.share({ replay: 'all' });
    const streams = [writer.stream(), writer.stream({ from: 'start' })];
    const all = await Promise.all(streams.map((stream) => stream.bytes()));
    for (const bytes of all) same(bytes, body.slice(1000));
    same(await writer.stream({ from: 2000 }).bytes(), body.slice(2000));
    expect([origin.requests.length, remote.position, writer.state]).toEqual([1, body.length, 'closed']);
  });

  test('EXACT: a seek and a read in between move the position, and not the bytes of the writer', async () => {
    const { remote } = remoteOf({}, { isLate: true });
    const stream = remote.share().stream({ highWaterMark: 20_000 });
    const chunks: Uint8Array[] = [];
    for await (const chunk of stream) {
      chunks.push(chunk.slice());
      if (chunks.length % 3 === 0) {
        const [, bytes] = await Promise.all([remote.seek(123), remote.read(10)]);
        same(bytes, slice(123, 10));
      }
    }
    same(Buffer.concat(chunks), body);
  });

  test('WINDOW: closing the writer stops the fetch, and the remote stream stays usable', async () => {
    const { remote, origin } = remoteOf({}, { isLate: true });
    const writer = remote.share();
    const stream = writer.stream({ highWaterMark: 0 });
    await stream[Symbol.asyncIterator]().next();
    writer.close();
    await settle();
    await settle();
    expect(origin.requests.map(({ state }) => state)).toEqual(['cancelled']);
    same(await remote.readAt(300_000, 10), slice(300_000, 10));
  });

  test('a failure of the remote stream is that of the writer', async () => {
    const { remote, origin } = remoteOf();
    origin.before = () => new Response(null, { status: 410 });
    await expect(remote.share().stream().bytes()).rejects.toMatchObject({ status: 410 });
  });
});
