import { describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../../../../test/support/fake-clock.ts';
import {
  BodyTooLongError,
  BodyTooShortError,
  EncodedBodyError,
  HttpStatusError,
  NotSeekableError,
  ResourceChangedError,
  RetriesExhaustedError,
  UnverifiableResourceError,
  WrongRangeError,
} from './errors.ts';
import { type RemoteOptions, resolveRemoteOptions } from './options.ts';
import { RemoteResource } from './remote-resource.ts';
import type { Transfer } from './transfer.ts';

const URL_ = new URL('http://origin.test/file?secret=1');
const SIZE = 100;
const BYTES = Uint8Array.from({ length: SIZE }, (_, n) => n);

interface Asked {
  readonly range: string | null;
  readonly headers: Headers;
  readonly signal: AbortSignal;
}

type Reply = (asked: Asked, from: number, to: number) => Response | Promise<Response>;

/** The bytes `[from, to)` as a 206, in chunks, which may break off, and with headers of one's own. */
function part(
  from: number,
  to: number,
  { headers = {}, chunk = 7, cutAt = to, error = new TypeError('terminated') } = {},
): Response {
  let at = from;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const end = Math.min(at + chunk, cutAt);
        if (end > at) controller.enqueue(BYTES.slice(at, end));
        at = end;
        if (at < cutAt) return;
        if (cutAt < to) controller.error(error);
        else controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  const defaults = { etag: '"v1"', 'content-range': `bytes ${from}-${to - 1}/${SIZE}` };
  return new Response(body, { status: 206, headers: { ...defaults, ...headers } });
}

const answer: Reply = (_, from, to) => part(from, to);

/** A resource whose requests are answered by `replies`, one after the other; the last one answers all that follow. */
function resource(replies: Reply[], options: RemoteOptions = {}) {
  const asked: Asked[] = [];
  const clock = new FakeClock();
  const fetcher = async (_url: string, init: RequestInit): Promise<Response> => {
    const headers = new Headers(init.headers);
    const range = headers.get('range');
    const [, first = '0', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
    const entry = { range, headers, signal: init.signal as AbortSignal };
    asked.push(entry);
    const reply = replies[Math.min(asked.length, replies.length) - 1] as Reply;
    return reply(entry, Number(first), last === '' ? SIZE : Number(last) + 1);
  };
  const resolved = resolveRemoteOptions({ fetcher, clock, random: () => 0, ...options });
  return { remote: new RemoteResource(URL_, resolved), asked, clock };
}

async function readAll(transfer: Transfer): Promise<number[]> {
  const bytes: number[] = [];
  for (;;) {
    const { value, done } = await transfer.next();
    if (done) return bytes;
    bytes.push(...value);
  }
}

/** Settles `promise` although it waits for delays of no time at all. */
async function now<T>(clock: FakeClock, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const settled = promise.finally(() => {
    isSettled = true;
  });
  settled.catch(() => {});
  while (!isSettled) await clock.advance(0);
  return settled;
}

/** Reads until it fails; what came before, and what it failed with. */
async function readUntilError(transfer: Transfer): Promise<{ bytes: number[]; error: unknown }> {
  const bytes: number[] = [];
  try {
    for (;;) {
      const { value, done } = await transfer.next();
      if (done) throw new Error('ended, and should have failed');
      bytes.push(...value);
    }
  } catch (error) {
    await expect(transfer.next()).rejects.toBe(error);
    return { bytes, error };
  }
}

const range = (from: number, to: number): number[] => [...BYTES.subarray(from, to)];

describe('EXACT: what is given', () => {
  test('a range, whatever its borders', async () => {
    for (const [from, to] of [
      [0, undefined],
      [0, SIZE],
      [17, 60],
      [99, undefined],
      [0, 1],
      [50, 500],
    ] as const) {
      const { remote, asked } = resource([(_, a, b) => part(a, Math.min(b, SIZE))]);
      const transfer = remote.transfer(from, to);
      expect(asked).toEqual([]);
      expect(await readAll(transfer)).toEqual(range(from, to ?? SIZE));
      expect(asked.map((one) => one.range)).toEqual([`bytes=${from}-${to === undefined ? '' : to - 1}`]);
      expect(asked[0]?.headers.get('accept-encoding')).toBe('identity');
      expect(remote.size).toBe(SIZE);
      expect(remote.rangeSupport).toBe('ranges');
    }
  });

  test('an end that is known needs no request', async () => {
    const { remote, asked } = resource([answer], { size: SIZE });
    expect(await readAll(remote.transfer(SIZE, undefined))).toEqual([]);
    expect(await readAll(remote.transfer(SIZE + 5, SIZE + 9))).toEqual([]);
    expect(asked).toEqual([]);
  });

  test('a 416 behind the end is the end', async () => {
    const { remote } = resource([
      () => new Response('none', { status: 416, headers: { 'content-range': `bytes */${SIZE}` } }),
    ]);
    expect(await readAll(remote.transfer(SIZE, undefined))).toEqual([]);
    expect(remote.size).toBe(SIZE);
  });

  test('a total that the server does not know is found', async () => {
    const unknown: Reply = (_, from) =>
      from >= SIZE
        ? new Response(null, { status: 416, headers: { 'content-range': `bytes */${SIZE}` } })
        : part(from, Math.min(from + 30, SIZE), {
            headers: { 'content-range': `bytes ${from}-${Math.min(from + 30, SIZE) - 1}/*` },
          });
    const { remote, asked } = resource([unknown]);
    expect(await readAll(remote.transfer(0, undefined))).toEqual(range(0, SIZE));
    expect(asked.map((one) => one.range)).toEqual(['bytes=0-', 'bytes=30-', 'bytes=60-', 'bytes=90-', 'bytes=100-']);
    expect(asked[1]?.headers.get('if-range')).toBe('"v1"');
  });

  test('a 200 is read through to the offset, up to a limit', async () => {
    const whole: Reply = () => new Response(BYTES, { headers: { etag: '"v1"', 'content-length': String(SIZE) } });
    const { remote } = resource([whole], { skipLimit: 40 });
    expect(await readAll(remote.transfer(40, 50))).toEqual(range(40, 50));
    expect(remote.rangeSupport).toBe('none');
    const { error } = await readUntilError(remote.transfer(41, 50));
    expect(error).toBeInstanceOf(NotSeekableError);
  });

  test('a 200 without a length ends where its body ends, and must be as long as was said', async () => {
    const whole: Reply = () => new Response(new Blob([BYTES]).stream(), { headers: { etag: '"v1"' } });
    const { remote } = resource([whole], { seekable: false });
    expect(await readAll(remote.transfer(0, undefined))).toEqual(range(0, SIZE));
    expect(remote.size).toBe(SIZE);
    const short = resource([whole], { seekable: false, size: SIZE + 1, retry: false });
    const { bytes, error } = await readUntilError(short.remote.transfer(0, undefined));
    expect(bytes).toEqual(range(0, SIZE));
    expect((error as RetriesExhaustedError).cause).toBeInstanceOf(BodyTooShortError);
  });

  test('without seeking no range is asked for', async () => {
    const { remote, asked } = resource([() => new Response(BYTES)], { seekable: false });
    expect(await readAll(remote.transfer(0, undefined))).toEqual(range(0, SIZE));
    expect(asked[0]?.range).toBeNull();
  });

  test.each([
    [
      'another start',
      WrongRangeError,
      (from: number, to: number) =>
        part(from, to, { headers: { 'content-range': `bytes ${from + 1}-${to - 1}/${SIZE}` } }),
    ],
    [
      'a later end',
      WrongRangeError,
      (from: number, to: number) => part(from, to, { headers: { 'content-range': `bytes ${from}-${to}/${SIZE}` } }),
    ],
    [
      'no Content-Range',
      WrongRangeError,
      (from: number, to: number) => new Response(BYTES.slice(from, to), { status: 206 }),
    ],
    [
      'a broken one',
      WrongRangeError,
      (from: number, to: number) => part(from, to, { headers: { 'content-range': 'bytes all' } }),
    ],
    [
      'a greater length',
      BodyTooLongError,
      (from: number, to: number) => part(from, to, { headers: { 'content-length': '11' } }),
    ],
    [
      'several parts',
      WrongRangeError,
      (from: number, to: number) => part(from, to, { headers: { 'content-type': 'multipart/byteranges; boundary=x' } }),
    ],
    ['a 416 where there are bytes', WrongRangeError, () => new Response(null, { status: 416 })],
    [
      'a 416 with a range',
      WrongRangeError,
      () => new Response(null, { status: 416, headers: { 'content-range': 'bytes 5-9/10' } }),
    ],
    [
      'an encoding',
      EncodedBodyError,
      (from: number, to: number) => part(from, to, { headers: { 'content-encoding': 'gzip' } }),
    ],
    ['a status', HttpStatusError, () => new Response('no', { status: 404 })],
    ['nothing at all', HttpStatusError, () => new Response(null, { status: 204 })],
  ])('refused at once: %s', async (_, errorClass, reply) => {
    const { remote, asked } = resource([(_asked, from, to) => reply(from, to)]);
    const { bytes, error } = await readUntilError(remote.transfer(10, 20));
    expect(error).toBeInstanceOf(errorClass);
    expect((error as Error).message).not.toContain('secret');
    expect(bytes).toEqual([]);
    expect(asked.length).toBe(1);
  });

  test('a body that goes on beyond its promise is refused, and the surplus is not given', async () => {
    const long: Reply = () =>
      new Response(BYTES.slice(10, 25), { status: 206, headers: { 'content-range': 'bytes 10-19/100', etag: '"v1"' } });
    const { bytes, error } = await readUntilError(resource([long]).remote.transfer(10, 20));
    expect(error).toBeInstanceOf(BodyTooLongError);
    expect(bytes.every((byte) => byte < 20)).toBe(true);
  });
});

describe('EXACT: one version only', () => {
  test.each([
    ['its tag', { etag: '"v2"' }],
    ['its size', { 'content-range': 'bytes 50-98/99' }],
  ])('a change of %s ends it, for good', async (_, headers) => {
    const { remote, clock } = resource([
      (_asked, from, to) => part(from, to, { cutAt: 50 }),
      (_asked, from, to) => part(from, to, { headers }),
    ]);
    const { bytes, error } = await now(clock, readUntilError(remote.transfer(0, undefined)));
    expect(bytes).toEqual(range(0, 50));
    expect(error).toBeInstanceOf(ResourceChangedError);
    expect((await readUntilError(remote.transfer(0, 5))).error).toBe(error);
  });

  test('a 200 in answer to If-Range tells of the new version', async () => {
    const renewed: Reply = () => new Response(BYTES, { headers: { etag: '"v2"' } });
    const { remote, asked, clock } = resource([(_, from, to) => part(from, to, { cutAt: 49 }), renewed]);
    expect((await now(clock, readUntilError(remote.transfer(0, undefined)))).error).toBeInstanceOf(
      ResourceChangedError,
    );
    expect(asked[1]?.headers.get('if-range')).toBe('"v1"');
  });

  test('nothing is put together without proof, unless it is wanted', async () => {
    const weak = { headers: { etag: 'W/"v1"' } };
    const replies: Reply[] = [
      (_, from, to) => part(from, to, { ...weak, cutAt: 49 }),
      (_, from, to) => part(from, to, weak),
    ];
    const { remote, asked, clock } = resource(replies);
    const { bytes, error } = await now(clock, readUntilError(remote.transfer(0, undefined)));
    expect(bytes).toEqual(range(0, 49));
    expect(error).toBeInstanceOf(UnverifiableResourceError);
    expect(asked.length).toBe(1);
    const trusting = resource(replies, { unverified: true });
    expect(await now(trusting.clock, readAll(trusting.remote.transfer(0, undefined)))).toEqual(range(0, SIZE));
  });

  test('a first attempt that gave nothing binds to nothing', async () => {
    const replies: Reply[] = [(_, from, to) => part(from, to, { headers: { etag: 'W/"a"' }, cutAt: 0 }), answer];
    const { remote, clock } = resource(replies);
    expect(await now(clock, readAll(remote.transfer(0, undefined)))).toEqual(range(0, SIZE));
  });
});

describe('RESUME: where it breaks off', () => {
  test('at every byte: exactly from there', async () => {
    for (let cutAt = 0; cutAt < SIZE; cutAt++) {
      const { remote, asked, clock } = resource([(_, from, to) => part(from, to, { cutAt, chunk: 5 }), answer]);
      const all = readAll(remote.transfer(0, undefined));
      await clock.advance(0);
      expect(await all).toEqual(range(0, SIZE));
      // What a web stream holds when it errors is lost with it.
      const again = Number(asked[1]?.range?.slice(6, -1));
      expect(again).toBeLessThanOrEqual(cutAt);
      expect(remote.stats.retries).toBe(1);
    }
  });

  test('every attempt fails: typed, with the cause and the bytes so far', async () => {
    const { remote, asked, clock } = resource(
      [(_, from, to) => part(from, to, { cutAt: 14 }), () => Promise.reject(new TypeError('fetch failed'))],
      {
        retry: { attempts: 3 },
      },
    );
    const reading = readUntilError(remote.transfer(0, undefined));
    await clock.advance(10_000);
    const { bytes, error } = await reading;
    expect(bytes.length).toBeLessThanOrEqual(14);
    expect(error).toBeInstanceOf(RetriesExhaustedError);
    expect(error).toMatchObject({ attempts: 3, cause: { message: 'fetch failed' } });
    expect(asked.length).toBe(3);
    expect(clock.pending).toBe(0);
  });

  test('a status that may pass, with the time that the server asks for', async () => {
    const busy: Reply = () => new Response('later', { status: 503, headers: { 'retry-after': '2' } });
    const { remote, asked, clock } = resource([busy, answer]);
    const all = readAll(remote.transfer(0, 10));
    await clock.advance(1999);
    expect(asked.length).toBe(1);
    await clock.advance(1);
    expect(await all).toEqual(range(0, 10));
  });

  test('silence before the headers and in the body is cut', async () => {
    const never: Reply = () => new Promise(() => {});
    const mute: Reply = (_, from, to) => {
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(BYTES.slice(from, from + 5)),
      });
      return new Response(body, {
        status: 206,
        headers: { etag: '"v1"', 'content-range': `bytes ${from}-${to - 1}/${SIZE}` },
      });
    };
    const { remote, asked, clock } = resource([never, mute, answer], { timeout: 1000 });
    const all = readAll(remote.transfer(0, undefined));
    await clock.advance(1000);
    expect(asked[0]?.signal.aborted).toBe(true);
    await clock.advance(1000);
    expect(await all).toEqual(range(0, SIZE));
    expect(asked.map((one) => one.range)).toEqual(['bytes=0-', 'bytes=0-', 'bytes=5-']);
    expect(clock.pending).toBe(0);
  });

  test('a reader that does not ask is not silence', async () => {
    const { remote, asked, clock } = resource([answer], { timeout: 1000 });
    const transfer = remote.transfer(0, undefined);
    await transfer.next();
    await clock.advance(3_600_000);
    expect((await readAll(transfer)).length).toBe(SIZE - 7);
    expect(asked.length).toBe(1);
  });

  test('what is told of a retry', async () => {
    const events: unknown[] = [];
    const options = { onRetry: (event: unknown) => events.push(event), random: () => 0.5 };
    const { remote, clock } = resource([() => Promise.reject(new TypeError('reset')), answer], options);
    const all = readAll(remote.transfer(3, 9));
    await clock.advance(50);
    expect(await all).toEqual(range(3, 9));
    expect(events).toEqual([{ error: new TypeError('reset'), attempt: 1, delay: 50, offset: 3 }]);
    const throwing = resource([() => Promise.reject(new TypeError('reset'))], {
      onRetry: () => {
        throw new Error('mine');
      },
    });
    expect((await readUntilError(throwing.remote.transfer(3, 9))).error).toMatchObject({
      code: 'ERR_FANPIPE_CALLBACK',
      cause: { message: 'mine' },
    });
  });
});

describe('a transfer that is left', () => {
  const never: Reply = () => new Promise(() => {});

  test.each([
    ['while it waits for the headers', [never]],
    ['in the body', [answer]],
    ['between two attempts', [() => Promise.reject(new TypeError('reset'))]],
  ])('%s: nothing is left', async (_, replies) => {
    const { remote, asked, clock } = resource(replies as Reply[], { random: () => 0.5 });
    const transfer = remote.transfer(0, undefined);
    const first = transfer.next();
    await settle();
    await transfer.return();
    expect((await first).done ?? false).toBe(replies[0] !== answer);
    expect(await transfer.next()).toEqual({ value: undefined, done: true });
    expect(asked[0]?.signal.aborted || replies[0] !== never).toBe(true);
    expect(clock.pending).toBe(0);
  });

  test('by its signal: rejects with the reason, and leaves no listener', async () => {
    const abort = new AbortController();
    const { remote, clock } = resource([never]);
    const transfer = remote.transfer(0, undefined, abort.signal);
    const first = transfer.next();
    await settle();
    abort.abort('enough');
    await expect(first).rejects.toBe('enough');
    await expect(transfer.next()).rejects.toBe('enough');
    expect(clock.pending).toBe(0);
    await expect(remote.transfer(0, 5, abort.signal).next()).rejects.toBe('enough');
  });

  test('an answer that comes too late is not read', async () => {
    let reply: (response: Response) => void = () => {};
    const { remote } = resource([
      () =>
        new Promise((resolve) => {
          reply = resolve;
        }),
    ]);
    const transfer = remote.transfer(0, undefined);
    const first = transfer.next();
    await settle();
    await transfer.return();
    expect((await first).done).toBe(true);
    let isCancelled = false;
    const body = new ReadableStream({
      cancel: () => {
        isCancelled = true;
      },
    });
    reply(new Response(body, { status: 206, headers: { 'content-range': `bytes 0-99/${SIZE}` } }));
    await settle();
    expect(isCancelled).toBe(true);
  });
});
