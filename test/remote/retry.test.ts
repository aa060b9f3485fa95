/** When a request is made again, after how long, and when no more. */

import { describe, expect, test } from 'vitest';
import type { RemoteByteStream, RemoteOptions } from '../../packages/fanpipe/src/remote/index.ts';
import { type Answer, honest, type Resource, type Script, type Seen } from '../support/fault-server.ts';
import * as faults from '../support/faults.ts';
import { until } from '../support/in-parallel.ts';
import { Random } from '../support/random.ts';
import { iterated, rejection, sha256 } from '../support/remote-reading.ts';
import { type RemoteScene, remoteScenes } from '../support/remote-scene.ts';

const SIZE = 200_000;
const resource: Resource = { body: new Random(9).bytes(SIZE), etag: '"r"' };
const digest = sha256(resource.body);

let { server, clock, open } = {} as RemoteScene;
let remote: RemoteByteStream;
let told: { attempt: number; delay: number; offset: number; code: string | undefined }[];
remoteScenes((scene) => {
  ({ server, clock, open } = scene);
  told = [];
});

function remoteAt(script: Script, options: RemoteOptions = {}): RemoteByteStream {
  remote = open(script, {
    onRetry: ({ attempt, delay, offset, error }) =>
      told.push({ attempt, delay, offset, code: (error as { code?: string }).code }),
    ...options,
  });
  return remote;
}

const serve: Script = (request) => honest(resource, request);
/** The first answers as given, the rest honest. */
const first =
  (...answers: (Answer | ((request: Seen) => Answer))[]): Script =>
  (request) => {
    const answer = answers[request.index];
    return answer === undefined ? serve(request) : typeof answer === 'function' ? answer(request) : answer;
  };
const arrivals = (): number[] => server.seen('/x').map(({ at }) => at);

describe('Retry-After', () => {
  test.each([429, 503, 500])('RESUME: %i: seconds are waited for', async (status) => {
    remoteAt(first(faults.refused(status, 3)));
    expect(sha256(await iterated(remote))).toBe(digest);
    expect(told).toEqual([{ attempt: 1, delay: 3000, offset: 0, code: 'ERR_FANPIPE_HTTP_STATUS' }]);
    expect(arrivals().slice(0, 2)).toEqual([0, 3000]);
  });

  test('RESUME: up to the cap, and no longer', async () => {
    remoteAt(
      first(faults.refused(503, 10 ** 9), faults.refused(503, '99999999999999999999999'), faults.refused(429, 6)),
    );
    expect(await remote.read(5)).toEqual(resource.body.slice(0, 5));
    expect(arrivals().slice(0, 4)).toEqual([0, 5000, 10_000, 15_000]);
  });

  test('RESUME: a cap of one’s own', async () => {
    remoteAt(first(faults.refused(503, 10 ** 9)), { retry: { maxDelay: 250 } });
    await remote.read(5);
    expect(arrivals().slice(0, 2)).toEqual([0, 250]);
  });

  test('RESUME: a date is a moment, one that has passed is now', async () => {
    const now = Date.now();
    const at = (ms: number): string => new Date(now + ms).toUTCString();
    remoteAt(first(faults.refused(503, at(3500)), faults.refused(503, at(-100_000)), faults.refused(503, at(10 ** 9))));
    await remote.read(5);
    const [, one = 0, two = 0, three = 0] = arrivals();
    // Dates have whole seconds, and the answer takes its time.
    expect(one).toBeGreaterThanOrEqual(1000);
    expect(one).toBeLessThanOrEqual(4500);
    expect(two).toBe(one);
    expect(three).toBe(two + 5000);
  });

  test.each(['soon', '', '-5', '3.5s', '0x10', 'Infinity'])('RESUME: what is no delay is none: %j', async (value) => {
    remoteAt(first(faults.refused(503, value)));
    await remote.read(5);
    expect(arrivals().slice(0, 2)).toEqual([0, 0]);
  });

  test('RESUME: it is a minimum: the backoff may be longer', async () => {
    remoteAt(first(faults.refused(503, 1), faults.refused(503, 1)), {
      random: () => 0.999_999,
      retry: { baseDelay: 2000, maxDelay: 60_000, timeLimit: 600_000 },
    });
    await remote.read(5);
    expect(told.map(({ delay }) => Math.round(delay / 100))).toEqual([20, 40]);
  });
});

describe('backoff', () => {
  test('RESUME: full jitter: up to twice as long each time, up to the cap', async () => {
    const values = [0.5, 0.25, 0.75, 0.999_999, 0.999_999, 0.999_999, 0];
    remoteAt((request) => (request.index < values.length ? faults.hungUp() : serve(request)), {
      random: () => values[told.length] ?? 0,
      retry: { attempts: 10, baseDelay: 1000, maxDelay: 7000 },
    });
    await remote.read(5);
    expect(told.map(({ delay }) => Math.round(delay))).toEqual([500, 500, 3000, 7000, 7000, 7000, 0]);
    expect(told.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test('RESUME: attempts are counted in a row without a new byte', async () => {
    // Each cut after a little more: never two in a row, however many there are.
    const received = (bytes: number) => () => until(() => remote.stats().bytesFetched >= bytes, `${bytes} bytes`);
    remoteAt(
      (request) =>
        request.index < 30
          ? faults.stopAt(serve(request), 100, 'cut', received((request.index + 1) * 100))
          : serve(request),
      { retry: { attempts: 2 } },
    );
    expect(sha256(await iterated(remote))).toBe(digest);
    expect(told).toHaveLength(30);
    expect(new Set(told.map(({ attempt }) => attempt))).toEqual(new Set([1]));
  });

  test.each([1, 2, 7])('RESUME: after %i attempts without a byte no more', async (attempts) => {
    remoteAt(() => faults.refused(503), { retry: { attempts } });
    const error = await rejection(remote.read(5));
    expect(error).toMatchObject({
      name: 'RetriesExhaustedError',
      code: 'ERR_FANPIPE_RETRIES_EXHAUSTED',
      attempts,
      cause: { code: 'ERR_FANPIPE_HTTP_STATUS', status: 503 },
    });
    expect(server.seen('/x')).toHaveLength(attempts);
    expect([remote.position, remote.stats().requests]).toEqual([0, attempts]);
    // A later read tries again.
    const before = server.seen('/x').length;
    server.on('/x', serve, { clock });
    expect(before).toBe(attempts);
    expect(await remote.read(5)).toEqual(resource.body.slice(0, 5));
  });

  test('RESUME: after the time limit no more', async () => {
    remoteAt(() => faults.refused(503, 4), { retry: { attempts: 1000, timeLimit: 30_000 } });
    const error = await rejection(remote.read(5));
    expect(error.code).toBe('ERR_FANPIPE_RETRIES_EXHAUSTED');
    expect(clock.now()).toBeLessThanOrEqual(30_000);
    expect(clock.now()).toBeGreaterThan(20_000);
  });

  test('RESUME: the time limit counts from the first failure in a row', async () => {
    remoteAt(
      (request) => {
        const { index } = request;
        if (index >= 40) return serve(request);
        // One that fails, then one that brings something and fails.
        return index % 2 === 0 ? faults.refused(503, 4) : faults.stopAt(serve(request), 200);
      },
      { retry: { attempts: 4, timeLimit: 10_000 } },
    );
    expect(sha256(await iterated(remote))).toBe(digest);
    expect(clock.now()).toBeGreaterThan(60_000);
  });

  test('RESUME: retry: false: the first failure is the last', async () => {
    remoteAt(first(faults.refused(503, 1)), { retry: false });
    const error = await rejection(remote.read(5));
    expect(error.code).toMatch(/^ERR_FANPIPE_(RETRIES_EXHAUSTED|HTTP_STATUS)$/);
    expect([server.seen('/x').length, clock.now(), told]).toEqual([1, 0, []]);
  });

  test('RESUME: the signal ends a backoff at once', async () => {
    const controller = new AbortController();
    remoteAt(() => faults.refused(503, 4), { signal: controller.signal });
    const read = rejection(remote.read(5));
    await clock.sleep(1500);
    const reason = new Error('no longer');
    controller.abort(reason);
    expect(await read).toBe(reason);
    expect(clock.now()).toBe(1500);
    expect(server.seen('/x')).toHaveLength(1);
  });

  test('RESUME: close ends a backoff at once', async () => {
    remoteAt(() => faults.refused(503, 4));
    const read = rejection(remote.read(5));
    await clock.sleep(1500);
    remote.close();
    expect((await read).code).toBe('ERR_FANPIPE_REMOTE_CLOSED');
    expect([clock.now(), clock.pending]).toEqual([1500, 0]);
  });

  test('RESUME: onRetry that throws fails the reads and nothing else', async () => {
    remoteAt(first(faults.refused(503)), {
      onRetry: () => {
        throw new Error('callback');
      },
    });
    const error = await rejection(remote.read(5));
    expect(error).toMatchObject({ code: 'ERR_FANPIPE_CALLBACK', callback: 'onRetry', cause: { message: 'callback' } });
    expect(await remote.read(5)).toEqual(resource.body.slice(0, 5));
  });
});

describe('what is not tried again', () => {
  test.each([400, 401, 403, 404, 405, 410, 501, 505, 204, 304])('EXACT: status %i fails at once', async (status) => {
    const body = new Uint8Array(0);
    remoteAt(() => ({ status, headers: { 'retry-after': '3' }, body }));
    const error = await rejection(remote.read(5));
    expect(error).toMatchObject({ name: 'HttpStatusError', code: 'ERR_FANPIPE_HTTP_STATUS', status });
    expect(error.message).toContain(String(status));
    expect([server.seen('/x').length, clock.now(), told.length, remote.position]).toEqual([1, 0, 0, 0]);
  });

  test.each([408, 425, 429, 500, 502, 503, 504])('RESUME: status %i is tried again', async (status) => {
    remoteAt(first(faults.refused(status)));
    expect(await remote.read(5)).toEqual(resource.body.slice(0, 5));
    expect(told).toHaveLength(1);
  });

  const final: [string, string, (request: Seen) => Answer][] = [
    ['a wrong start', 'WRONG_RANGE', (request) => faults.ranged(resource, request, 1, 1000)],
    ['no range', 'WRONG_RANGE', (request) => faults.mislabelled(serve(request), null)],
    ['nonsense', 'WRONG_RANGE', (request) => faults.mislabelled(serve(request), 'bytes 0-x/*')],
    ['parts', 'WRONG_RANGE', (request) => faults.multipart(serve(request))],
    ['parts that call themselves a range', 'WRONG_RANGE', (request) => faults.labelledParts(serve(request))],
    ['gzip', 'ENCODED_BODY', (request) => faults.gzipped(serve(request))],
    ['too long by its length', 'BODY_TOO_LONG', (request) => faults.bringsMore(serve(request), 1)],
    ['too long by its length alone', 'BODY_TOO_LONG', (request) => faults.promisesMore(serve(request), 1)],
    ['too long, in chunks', 'BODY_TOO_LONG', (request) => faults.bringsMore(serve(request), 70_000, 'chunked')],
    ['too long, until it closes', 'BODY_TOO_LONG', (request) => faults.bringsMore(serve(request), 1, 'close')],
    [
      'too long, by what comes after a pause',
      'BODY_TOO_LONG',
      (request) => faults.trickled(faults.bringsMore(serve(request), 10, 'chunked'), SIZE, 10),
    ],
  ];
  test.each(final)('EXACT: %s is told at once as %s', async (_, code, fault) => {
    remoteAt(fault, { readAhead: 32 * 1024 });
    const chunks: Uint8Array[] = [];
    const error = await rejection(
      (async () => {
        for await (const chunk of remote) chunks.push(chunk.slice());
      })(),
    );
    expect(error.code).toBe(`ERR_FANPIPE_${code}`);
    expect([server.seen('/x').length, told]).toEqual([1, []]);
    expect(clock.now()).toBeLessThan(100);
    // What came before the fault was known is right.
    const got = Buffer.concat(chunks);
    expect(remote.position).toBe(got.length);
    expect(sha256(got)).toBe(sha256(resource.body.subarray(0, got.length)));
  });

  test.each(['length', 'chunked'] as const)('EXACT: more than was asked for is no answer (%s)', async (framing) => {
    remoteAt((request) => faults.framed(faults.ranged(resource, request, 100, 151), framing));
    const error = await rejection(remote.readAt(100, 50));
    expect(error).toMatchObject({ name: 'WrongRangeError', code: 'ERR_FANPIPE_WRONG_RANGE', offset: 100 });
    expect([server.seen('/x').length, remote.stats().bytesFetched]).toEqual([1, 0]);
  });

  test('EXACT: a body that is always too short: told as that, after all attempts', async () => {
    remoteAt((request) => faults.bringsLess(serve(request), SIZE, 'chunked'), { retry: { attempts: 3 } });
    const error = await rejection(remote.read(5));
    expect(error).toMatchObject({
      code: 'ERR_FANPIPE_RETRIES_EXHAUSTED',
      cause: { code: 'ERR_FANPIPE_BODY_TOO_SHORT' },
    });
    expect(server.seen('/x')).toHaveLength(3);
  });

  test('EXACT: a resource that changes: what was read stays valid, and all that follows fails', async () => {
    const other: Resource = { body: new Random(10).bytes(SIZE), etag: '"s"' };
    for (const ignoreIfRange of [false, true]) {
      remoteAt((request) => (request.index === 0 ? serve(request) : faults.changed(other, request, ignoreIfRange)));
      const before = await remote.read(1000);
      expect(before).toEqual(resource.body.slice(0, 1000));
      const error = await rejection(remote.readAt(150_000, 10));
      expect(error).toMatchObject({ name: 'ResourceChangedError', code: 'ERR_FANPIPE_RESOURCE_CHANGED' });
      expect((await rejection(remote.read(10))).code).toBe('ERR_FANPIPE_RESOURCE_CHANGED');
      expect((await rejection(remote.readAt(0, 10))).code).toBe('ERR_FANPIPE_RESOURCE_CHANGED');
      expect(told).toEqual([]);
      remote.close();
    }
  });

  test.each([
    ['no validator', {}],
    ['a weak ETag', { etag: 'W/"r"' }],
    [
      'a date of this very second',
      { lastModified: 'Sun, 22 Nov 2026 10:00:00 GMT', date: 'Sun, 22 Nov 2026 10:00:00 GMT' },
    ],
  ])('EXACT: %s: nothing is spliced, unless told to', async (_, validators) => {
    const unsure: Resource = { body: resource.body, ...validators };
    // In one transfer nothing has to be spliced.
    for (const seekable of [true, false]) {
      remoteAt((request) => honest(unsure, request), { seekable });
      expect(sha256(await iterated(remote))).toBe(digest);
      expect(server.seen('/x')).toHaveLength(1);
      remote.close();
    }

    remoteAt((request) => honest(unsure, request));
    expect(await remote.readAt(0, 10)).toEqual(resource.body.slice(0, 10));
    const error = await rejection(remote.readAt(150_000, 10));
    expect(error).toMatchObject({ name: 'UnverifiableResourceError', code: 'ERR_FANPIPE_UNVERIFIABLE_RESOURCE' });
    // What could not be used was not asked for.
    expect(server.seen('/x')).toHaveLength(1);
    remote.close();

    // Two at once, and no byte yet by which the second could be refused.
    remoteAt((request) => honest(unsure, request));
    const both = await Promise.allSettled([remote.readAt(0, 10), remote.readAt(150_000, 10)]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    remote.close();

    remoteAt(
      first((request) =>
        faults.stopAt(honest(unsure, request), 70_000, 'cut', () => until(() => remote.stats().bytesFetched >= 70_000)),
      ),
    );
    const chunks: Uint8Array[] = [];
    const broken = await rejection(
      (async () => {
        for await (const chunk of remote) chunks.push(chunk.slice());
      })(),
    );
    expect(broken.code).toBe('ERR_FANPIPE_UNVERIFIABLE_RESOURCE');
    expect([server.seen('/x').length, told]).toEqual([1, []]);
    expect(sha256(Buffer.concat(chunks))).toBe(sha256(resource.body.subarray(0, 70_000)));
    remote.close();

    remoteAt((request) => honest(unsure, request), { unverified: true });
    expect(sha256(await iterated(remote))).toBe(digest);
    for (const { headers } of server.seen('/x')) expect(headers['if-range']).toBeUndefined();
  });
});

describe('a server without ranges', () => {
  const whole: Script = (request) => faults.whole(resource, request);

  test('SEEK: a 200 is read through to the offset, up to the limit', async () => {
    remoteAt(whole, { skipLimit: 100_000 });
    expect(await remote.readAt(100_000, 500)).toEqual(resource.body.slice(100_000, 100_500));
    remote.close();
    remoteAt(whole, { skipLimit: 100_000 });
    const error = await rejection(remote.readAt(100_001, 500));
    expect(error).toMatchObject({ name: 'NotSeekableError', code: 'ERR_FANPIPE_NOT_SEEKABLE' });
    expect(told).toEqual([]);
  });

  test('SEEK: a body that will not be read is cancelled', async () => {
    const big: Resource = { body: new Uint8Array(16 * 2 ** 20), etag: '"big"' };
    remoteAt((request) => faults.whole(big, request));
    expect((await rejection(remote.readAt(9 * 2 ** 20, 5))).code).toBe('ERR_FANPIPE_NOT_SEEKABLE');
    await until(() => server.seen('/x')[0]?.aborted === true, 'the connection is closed');
    expect(remote.stats().bytesFetched).toBe(0);
  });

  test('EXACT: read from the start to the end', async () => {
    remoteAt(whole);
    expect(sha256(await iterated(remote))).toBe(digest);
    expect([remote.finished, remote.size]).toEqual([true, SIZE]);
  });
});

describe('the size', () => {
  test('EXACT: a given one that is not right is told', async () => {
    for (const size of [SIZE - 1, SIZE + 1]) {
      remoteAt(serve, { size });
      const error = await rejection(iterated(remote));
      expect(error.code).toMatch(/^ERR_FANPIPE_(WRONG_RANGE|RESOURCE_CHANGED)$/);
      remote.close();
    }
    remoteAt((request) => faults.framed(faults.whole(resource, request), 'close'), { size: SIZE + 1, retry: false });
    const error = await rejection(iterated(remote));
    expect(error).not.toMatchObject({ name: 'AssertionError' });
    expect(error.code).toMatch(/^ERR_FANPIPE_/);
    remote.close();
    remoteAt((request) => faults.framed(faults.whole(resource, request), 'close'), { size: SIZE - 1, retry: false });
    expect((await rejection(iterated(remote))).code).toMatch(/^ERR_FANPIPE_/);
  });

  test('EXACT: is learnt from a range, a length, an end, or a 416', async () => {
    const scripts: Script[] = [
      serve,
      (request) => faults.whole(resource, request),
      (request) => faults.framed(faults.whole(resource, request), 'chunked'),
      (request) => {
        const answer = serve(request);
        return answer.status === 206
          ? faults.mislabelled(answer, (answer.headers['content-range'] ?? '').replace(/\d+$/, '*'))
          : answer;
      },
    ];
    for (const script of scripts) {
      remoteAt(script);
      expect(sha256(await iterated(remote))).toBe(digest);
      expect([remote.size, remote.finished, remote.position]).toEqual([SIZE, true, SIZE]);
      expect(await remote.read(10)).toHaveLength(0);
      remote.close();
    }
  });

  test('SEEK: an empty resource', async () => {
    const empty: Resource = { body: new Uint8Array(0), etag: '"e"' };
    for (const script of [
      (request: Seen) => honest(empty, request),
      (request: Seen) => faults.whole(empty, request),
    ] satisfies Script[]) {
      remoteAt(script);
      expect(await iterated(remote)).toHaveLength(0);
      expect([remote.size, remote.finished]).toEqual([0, true]);
      remote.close();
    }
  });
});
