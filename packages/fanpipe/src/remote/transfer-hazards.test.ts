/** What a transfer meets at its borders: leaving, the last byte, two first requests at a time, clocks and validators. */

import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../../../../test/support/fake-clock.ts';
import type { Clock } from '../monitor/index.ts';
import { type RemoteOptions, type RetryEvent, resolveRemoteOptions } from './options.ts';
import { RemoteResource } from './remote-resource.ts';
import type { Transfer } from './transfer.ts';

const SIZE = 100;
const BYTES = Uint8Array.from({ length: SIZE }, (_, n) => n);
const LONGEST_TIMER = 2 ** 31 - 1;

interface Asked {
  readonly url: string;
  readonly init: RequestInit;
  readonly headers: Headers;
  readonly from: number;
  readonly to: number;
}

type Reply = (asked: Asked) => Response | Promise<Response>;

/** What a body does: gives chunks, fails, or says nothing more. Without `fail` and `silent` it ends. */
interface Course {
  readonly chunks: readonly unknown[];
  readonly fail?: Error;
  readonly silent?: boolean;
  readonly onCancel?: () => void;
}

function bodyOf({ chunks, fail, silent = false, onCancel }: Course): ReadableStream<Uint8Array> {
  let next = 0;
  return new ReadableStream(
    {
      pull(controller): Promise<void> | void {
        if (next < chunks.length) controller.enqueue(chunks[next++] as Uint8Array);
        else if (silent) return new Promise(() => {});
        else if (fail) controller.error(fail);
        else controller.close();
      },
      cancel: () => onCancel?.(),
    },
    { highWaterMark: 0 },
  ) as ReadableStream<Uint8Array>;
}

const strong = { etag: '"v1"' };

function part(from: number, to: number, headers: Record<string, string> = strong, course?: Partial<Course>): Response {
  const chunks = [BYTES.slice(from, (from + to) >> 1), BYTES.slice((from + to) >> 1, to)];
  return new Response(bodyOf({ chunks, ...course }), {
    status: 206,
    headers: { 'content-range': `bytes ${from}-${to - 1}/${SIZE}`, ...headers },
  });
}

const honest: Reply = ({ from, to }) => part(from, to);

interface Scene {
  readonly remote: RemoteResource;
  readonly asked: Asked[];
  readonly clock: FakeClock;
  readonly told: RetryEvent[];
}

function scene(replies: readonly Reply[], options: RemoteOptions = {}): Scene {
  const asked: Asked[] = [];
  const told: RetryEvent[] = [];
  const clock = new FakeClock();
  const fetcher = async (url: string, init: RequestInit): Promise<Response> => {
    const headers = new Headers(init.headers);
    const [, first = '0', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(headers.get('range') ?? '') ?? [];
    const one = { url, init, headers, from: Number(first), to: last === '' ? SIZE : Math.min(Number(last) + 1, SIZE) };
    asked.push(one);
    return (replies[Math.min(asked.length, replies.length) - 1] as Reply)(one);
  };
  const resolved = resolveRemoteOptions({
    fetcher,
    clock,
    random: () => 0,
    onRetry: (event) => told.push(event),
    ...options,
  });
  return { remote: new RemoteResource(new URL('http://origin.test/file'), resolved), asked, clock, told };
}

interface Outcome {
  bytes: number[];
  /** Set if one was given. */
  empty?: boolean;
  done?: boolean;
  error?: { code?: string; cause?: unknown; message?: string };
}

/** Reads on until the end or an error; moves no clock. */
function readAll(transfer: Transfer): Outcome {
  const outcome: Outcome = { bytes: [] };
  const read = async (): Promise<void> => {
    try {
      for (let result = await transfer.next(); !result.done; result = await transfer.next()) {
        outcome.bytes.push(...result.value);
        if (result.value.length === 0) outcome.empty = true;
      }
      outcome.done = true;
    } catch (error) {
      outcome.error = error as NonNullable<Outcome['error']>;
    }
  };
  void read();
  return outcome;
}

const range = (from: number, to: number): number[] => [...BYTES.subarray(from, to)];

describe('a transfer that is left in a body of unknown length', () => {
  const endless: Reply = () =>
    new Response(bodyOf({ chunks: [BYTES.slice(0, 10)], silent: true }), { headers: strong });

  test('EXACT: by return(): where it was left is not taken for the end', async () => {
    const { remote } = scene([endless]);
    const transfer = remote.transfer(0, undefined);
    await transfer.next();
    const waiting = transfer.next();
    await settle();
    await transfer.return();
    expect((await waiting).done).toBe(true);
    await settle();
    expect(remote.size).toBeUndefined();
  });

  test('EXACT: by its signal: likewise', async () => {
    const { remote } = scene([endless]);
    const controller = new AbortController();
    const transfer = remote.transfer(0, undefined, controller.signal);
    await transfer.next();
    const waiting = transfer.next();
    await settle();
    controller.abort('enough');
    await expect(waiting).rejects.toBe('enough');
    await settle();
    expect(remote.size).toBeUndefined();
  });
});

describe('two first requests at a time', () => {
  /** Both responses are there before either body is read. */
  async function both(first: Record<string, string>, second: Record<string, string>, options: RemoteOptions = {}) {
    const { remote } = scene(
      [({ from, to }) => part(from, to, first), ({ from, to }) => part(from, to, second)],
      options,
    );
    const [one, two] = [readAll(remote.transfer(0, 20)), readAll(remote.transfer(50, 70))];
    await settle();
    return [one, two] as const;
  }

  test('EXACT: of one version: both are right', async () => {
    const [one, two] = await both(strong, strong);
    expect([one.bytes, two.bytes]).toEqual([range(0, 20), range(50, 70)]);
  });

  test('EXACT: of two versions: the bytes of one only', async () => {
    const [one, two] = await both(strong, { etag: '"v2"' });
    expect([one.bytes, two.bytes]).toEqual([range(0, 20), []]);
    expect(two.error?.code).toBe('ERR_FANPIPE_RESOURCE_CHANGED');
  });

  test.each([[{}], [{ etag: 'W/"v1"' }]])(
    'EXACT: that nothing holds together: the bytes of one only (%j)',
    async (weak) => {
      const [one, two] = await both(weak as Record<string, string>, weak as Record<string, string>);
      expect([one, two].filter(({ bytes }) => bytes.length > 0)).toHaveLength(1);
      expect([one, two].map(({ error }) => error?.code).filter(Boolean)).toEqual(['ERR_FANPIPE_UNVERIFIABLE_RESOURCE']);
      const unverified = await both(weak as Record<string, string>, weak as Record<string, string>, {
        unverified: true,
      });
      expect(unverified.map(({ bytes }) => bytes)).toEqual([range(0, 20), range(50, 70)]);
    },
  );
});

describe('behind the last byte that was promised', () => {
  const last =
    (course: Partial<Course>): Reply =>
    ({ from, to }) =>
      part(from, to, strong, course);

  test.each([{ retry: false as const }, {}])('RESUME: a failure changes nothing: all is here (%j)', async (options) => {
    const { remote, asked, told, clock } = scene([last({ fail: new Error('reset') })], options);
    const outcome = readAll(remote.transfer(0, undefined));
    await settle();
    expect(outcome).toEqual({ bytes: range(0, SIZE), done: true });
    expect([asked.length, told, clock.pending]).toEqual([1, [], 0]);
  });

  test('RESUME: silence ends with the timeout, and is no failure', async () => {
    const { remote, asked, told, clock } = scene([last({ silent: true })], { timeout: 1000 });
    const outcome = readAll(remote.transfer(10, 30));
    await clock.advance(1000);
    expect(outcome).toEqual({ bytes: range(10, 30), done: true });
    expect([asked.length, told, clock.pending]).toEqual([1, [], 0]);
    expect(asked[0]?.init.signal?.aborted).toBe(true);
  });

  test('CLEAN: who has all bytes need not ask for the end', async () => {
    const { signal } = new AbortController();
    const { remote, asked, clock } = scene([honest]);
    const transfer = remote.transfer(0, 20, signal);
    while (transfer.position < 20) await transfer.next();
    await settle();
    expect([clock.pending, getEventListeners(signal, 'abort').length]).toEqual([0, 0]);
    await transfer.return();
    // Aborted after its last byte, a connection could not be used again.
    expect(asked[0]?.init.signal?.aborted).toBe(false);
  });

  test('CLEAN: nor wait for it', async () => {
    const { remote, asked } = scene([honest]);
    const transfer = remote.transfer(0, 20);
    while (transfer.position < 20) await transfer.next();
    await transfer.return();
    expect(asked[0]?.init.signal?.aborted).toBe(false);
  });

  test('CLEAN: of a part, silence is aborted before the next is asked for', async () => {
    const half: Reply = ({ from }) =>
      part(from, 50, { ...strong, 'content-range': 'bytes 0-49/*' }, { chunks: [BYTES.slice(0, 50)], silent: true });
    const { remote, asked, clock, told } = scene([half, honest], { timeout: 1000 });
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(1000);
    expect(outcome).toEqual({ bytes: range(0, SIZE), done: true });
    expect([asked.map(({ init }) => init.signal?.aborted), told]).toEqual([[true, false], []]);
  });

  test('EXACT: nothing more is nothing more, also if it comes in a chunk', async () => {
    const chunks = [BYTES.slice(0, 20), new Uint8Array(0)];
    const { remote } = scene([({ from, to }) => part(from, to, strong, { chunks })]);
    const outcome = readAll(remote.transfer(0, 20));
    await settle();
    expect(outcome).toEqual({ bytes: range(0, 20), done: true });
  });

  test('EXACT: more of a body is an error, also in a chunk of its own', async () => {
    const chunks = [BYTES.slice(0, 20), BYTES.slice(20, 21)];
    const { remote } = scene([({ from, to }) => part(from, to, strong, { chunks })]);
    const outcome = readAll(remote.transfer(0, 20));
    await settle();
    expect([outcome.bytes, outcome.error?.code]).toEqual([range(0, 20), 'ERR_FANPIPE_BODY_TOO_LONG']);
  });
});

describe('a body of which only a part is wanted', () => {
  const tens = Array.from({ length: 10 }, (_, n) => BYTES.slice(n * 10, n * 10 + 10));
  const whole: Reply = () =>
    new Response(bodyOf({ chunks: tens }), { headers: { ...strong, 'content-length': '100' } });

  test('EXACT: is read through to it, given without empty chunks, and read no further', async () => {
    const { remote, asked, clock } = scene([whole]);
    const outcome = readAll(remote.transfer(25, 42));
    await settle();
    expect(outcome).toEqual({ bytes: range(25, 42), done: true });
    expect([remote.stats.bytesFetched, asked[0]?.init.signal?.aborted, clock.pending]).toEqual([50, true, 0]);
    expect(remote.rangeSupport).toBe('none');
  });

  test('EXACT: says nothing of ranges where none was asked for', async () => {
    const { remote } = scene([whole], { seekable: false });
    readAll(remote.transfer(0, 20));
    await settle();
    expect(remote.rangeSupport).toBe('unknown');
  });

  test('RESUME: failures are counted from the last new byte on', async () => {
    const little: Reply = ({ from, to }) =>
      part(from, to, strong, { chunks: [BYTES.slice(from, from + 10)], fail: new Error('cut') });
    const { remote, clock, told } = scene([little], { retry: { attempts: 2 } });
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(0);
    expect(outcome).toEqual({ bytes: range(0, SIZE), done: true });
    expect(told.map(({ attempt, offset }) => [attempt, offset])).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => [1, n * 10]),
    );
  });

  test('CLEAN: is given to nobody who has left in the turn in which it comes', async () => {
    let push: (chunk: Uint8Array) => void = () => {};
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        push = (chunk) => controller.enqueue(chunk);
      },
    });
    const { remote } = scene([() => new Response(body, { headers: { ...strong, 'content-length': '100' } })]);
    const transfer = remote.transfer(0, undefined);
    const first = transfer.next();
    await settle();
    push(BYTES.slice(0, 10));
    void transfer.return();
    expect([(await first).done, transfer.position]).toEqual([true, 0]);
  });

  test('RESUME: slower than minThroughput it is cut, and gone on with', async () => {
    const clock = new FakeClock();
    let sent = 0;
    const trickle = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          await clock.sleep(1000);
          controller.enqueue(BYTES.slice(sent, ++sent));
        },
      },
      { highWaterMark: 0 },
    );
    const headers = { ...strong, 'content-range': 'bytes 0-99/100' };
    const { remote, told } = scene([() => new Response(trickle, { status: 206, headers }), honest], {
      clock,
      minThroughput: 10,
    });
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(25_000);
    expect(outcome).toEqual({ bytes: range(0, SIZE), done: true });
    expect(told).toMatchObject([{ error: { code: 'ERR_FANPIPE_STALLED', kind: 'throughput' } }]);
  });
});

describe('CLEAN: a body that is not read', () => {
  const refused = (
    status: number,
    headers: Record<string, string>,
    from: number,
  ): [number, Record<string, string>, number] => [status, headers, from];
  test.each([
    ['behind the end', refused(416, { 'content-range': 'bytes */100' }, 100)],
    ['of a wrong range', refused(206, { 'content-range': 'bytes 6-9/100' }, 5)],
    ['of an error', refused(404, {}, 5)],
    ['of a moment’s error', refused(503, {}, 5)],
    ['that is encoded', refused(206, { 'content-range': 'bytes 5-99/100', 'content-encoding': 'br' }, 5)],
    ['too far behind the start', refused(200, {}, 50)],
  ])('CLEAN: %s: is cancelled', async (_, [status, headers, from]) => {
    let cancelled = 0;
    const body = bodyOf({ chunks: [BYTES], silent: true, onCancel: () => cancelled++ });
    const { remote, clock } = scene([() => new Response(body, { status, headers })], { skipLimit: 10, retry: false });
    readAll(remote.transfer(from, undefined));
    await settle();
    expect([cancelled, clock.pending]).toEqual([1, 0]);
  });
});

describe('lengths', () => {
  test.each(['identity', 'Identity', 'identity, identity', ''])('EXACT: the encoding %j is none', async (encoding) => {
    const { remote } = scene([({ from, to }) => part(from, to, { ...strong, 'content-encoding': encoding })]);
    const outcome = readAll(remote.transfer(0, 20));
    await settle();
    expect(outcome).toEqual({ bytes: range(0, 20), done: true });
  });

  test.each(['gzip', 'identity, gzip', 'identityx', 'br'])('EXACT: the encoding %j is one', async (encoding) => {
    const { remote } = scene([({ from, to }) => part(from, to, { ...strong, 'content-encoding': encoding })]);
    const outcome = readAll(remote.transfer(0, 20));
    await settle();
    expect([outcome.bytes, outcome.error?.code]).toEqual([[], 'ERR_FANPIPE_ENCODED_BODY']);
  });

  test('EXACT: a 416 for bytes that it says there are is no end', async () => {
    const { remote } = scene([() => new Response(null, { status: 416, headers: { 'content-range': 'bytes */100' } })]);
    const outcome = readAll(remote.transfer(5, undefined));
    await settle();
    expect([outcome.done, outcome.error?.code]).toEqual([undefined, 'ERR_FANPIPE_WRONG_RANGE']);
  });

  test('EXACT: a range of an unknown total that goes beyond the size is a change', async () => {
    const { remote } = scene([({ from, to }) => part(from, to, { ...strong, 'content-range': 'bytes 0-49/*' })], {
      size: 40,
    });
    const outcome = readAll(remote.transfer(0, 50));
    await settle();
    expect([outcome.bytes, outcome.error?.code]).toEqual([[], 'ERR_FANPIPE_RESOURCE_CHANGED']);
  });

  test('EXACT: a Content-Length beyond the range is a body that is too long', async () => {
    const { remote } = scene([({ from, to }) => part(from, to, { ...strong, 'content-length': '21' })]);
    const outcome = readAll(remote.transfer(0, 20));
    await settle();
    expect([outcome.bytes, outcome.error?.code]).toEqual([[], 'ERR_FANPIPE_BODY_TOO_LONG']);
  });

  test('RESUME: a shorter one is a body that is too short: taken, and gone on with', async () => {
    const { remote, asked, told, clock } = scene([
      ({ from }) => part(from, 20, { ...strong, 'content-length': '10' }, { chunks: [BYTES.slice(from, from + 10)] }),
      honest,
    ]);
    const outcome = readAll(remote.transfer(0, 20));
    await clock.advance(0);
    expect(outcome).toEqual({ bytes: range(0, 20), done: true });
    expect(asked.map(({ from }) => from)).toEqual([0, 10]);
    expect(told).toMatchObject([{ error: { code: 'ERR_FANPIPE_BODY_TOO_SHORT', offset: 10, expected: 20 } }]);
  });

  test('EXACT: a 416 that puts the end before bytes that were given is a change', async () => {
    const total = (value: string): Record<string, string> => ({ ...strong, 'content-range': value });
    const { remote } = scene([
      ({ from }) => part(from, 60, total('bytes 0-59/*')),
      () => new Response(null, { status: 416, headers: { 'content-range': 'bytes */40' } }),
    ]);
    const outcome = readAll(remote.transfer(0, undefined));
    await settle();
    expect([outcome.bytes, outcome.error?.code]).toEqual([range(0, 60), 'ERR_FANPIPE_RESOURCE_CHANGED']);
    expect(remote.size).toBeUndefined();
  });
});

describe('validators', () => {
  const modified = { 'last-modified': 'Sun, 22 Nov 2026 10:00:00 GMT', date: 'Sun, 22 Nov 2026 10:00:05 GMT' };
  const cut: Reply = ({ from, to }) =>
    part(from, to, strong, { chunks: [BYTES.slice(from, from + 10)], fail: new Error('cut') });
  const withHeaders =
    (headers: Record<string, string>, course?: Partial<Course>): Reply =>
    ({ from, to }) =>
      part(from, to, headers, course);
  const broken: Partial<Course> = { chunks: [BYTES.slice(0, 10)], fail: new Error('cut') };

  test('EXACT: If-Range is sent with a Range only', async () => {
    const whole: Reply = () => new Response(BYTES, { headers: strong });
    const { remote, asked } = scene([whole], { seekable: false });
    for (let time = 0; time < 2; time++) {
      const outcome = readAll(remote.transfer(0, undefined));
      await settle();
      expect(outcome.bytes).toEqual(range(0, SIZE));
    }
    expect(asked.map(({ headers }) => [headers.get('range'), headers.get('if-range')])).toEqual([
      [null, null],
      [null, null],
    ]);
  });

  test('EXACT: a 206 to an If-Range may leave out the date, a 200 may not', async () => {
    const second = scene([withHeaders(modified, broken), withHeaders({})]);
    const outcome = readAll(second.remote.transfer(0, undefined));
    await second.clock.advance(0);
    expect(outcome).toEqual({ bytes: range(0, SIZE), done: true });
    const whole = scene([withHeaders(modified, broken), () => new Response(BYTES)]);
    const other = readAll(whole.remote.transfer(0, undefined));
    await whole.clock.advance(0);
    expect([other.bytes, other.error?.code]).toEqual([range(0, 10), 'ERR_FANPIPE_UNVERIFIABLE_RESOURCE']);
  });

  test('EXACT: a date that is strong goes into If-Range, where there is no tag', async () => {
    const { remote, asked, clock } = scene([withHeaders(modified, broken), withHeaders(modified)]);
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(0);
    expect(outcome).toEqual({ bytes: range(0, SIZE), done: true });
    expect(asked[1]?.headers.get('if-range')).toBe(modified['last-modified']);
  });

  test('EXACT: beside a weak tag a strong date is compared, and not sent', async () => {
    const both = { etag: 'W/"v1"', ...modified };
    const { remote, asked, clock } = scene([withHeaders(both, broken), withHeaders(both)]);
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(0);
    expect(outcome).toEqual({ bytes: range(0, SIZE), done: true });
    expect(asked[1]?.headers.get('if-range')).toBeNull();
  });

  test.each([
    ['another date', { etag: 'W/"v1"', ...modified, 'last-modified': 'Sun, 22 Nov 2026 10:00:01 GMT' }],
    ['another weak tag', { etag: 'W/"v2"', ...modified }],
  ])('EXACT: beside a weak tag: %s is a change', async (_, second) => {
    const { remote, clock } = scene([withHeaders({ etag: 'W/"v1"', ...modified }, broken), withHeaders(second)]);
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(0);
    expect([outcome.bytes, outcome.error?.code]).toEqual([range(0, 10), 'ERR_FANPIPE_RESOURCE_CHANGED']);
  });

  test('EXACT: beside a weak tag: no date is no proof', async () => {
    const { remote, clock } = scene([
      withHeaders({ etag: 'W/"v1"', ...modified }, broken),
      withHeaders({ etag: 'W/"v1"' }),
    ]);
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(0);
    expect([outcome.bytes, outcome.error?.code]).toEqual([range(0, 10), 'ERR_FANPIPE_UNVERIFIABLE_RESOURCE']);
  });

  test('EXACT: that nothing may be joined is told with what broke, and not after a retry', async () => {
    const { remote, told, asked, clock } = scene([withHeaders({}, broken)]);
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(0);
    expect(outcome.error).toMatchObject({ code: 'ERR_FANPIPE_UNVERIFIABLE_RESOURCE', cause: { message: 'cut' } });
    expect([told, asked.length, remote.stats.retries]).toEqual([[], 1, 0]);
  });

  test('EXACT: a tag that the next answer lacks is no proof', async () => {
    const { remote, clock } = scene([cut, withHeaders({})]);
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(0);
    expect(outcome.bytes).toEqual(range(0, 10));
    expect(outcome.error?.code).toMatch(/UNVERIFIABLE_RESOURCE|RESOURCE_CHANGED/);
  });
});

describe('time', () => {
  /** A clock as runtimes have it: what is longer than 2 ** 31 - 1 ms comes at once. */
  class NarrowClock extends FakeClock {
    override setTimeout(callback: () => void, ms: number): unknown {
      return super.setTimeout(callback, ms > LONGEST_TIMER ? 1 : ms);
    }
  }

  test.each([2 ** 31, 1e12, Number.MAX_SAFE_INTEGER])(
    'RESUME: a timeout of %d ms is no timeout of none',
    async (timeout) => {
      let reply: (response: Response) => void = () => {};
      const clock: Clock & FakeClock = new NarrowClock();
      const { remote, told } = scene(
        [
          () =>
            new Promise((resolve) => {
              reply = resolve;
            }),
        ],
        { timeout, clock },
      );
      const outcome = readAll(remote.transfer(0, undefined));
      await clock.advance(100_000);
      expect([told, outcome.error]).toEqual([[], undefined]);
      reply(part(0, SIZE));
      await settle();
      expect([outcome.done, clock.pending]).toEqual([true, 0]);
    },
  );

  test('RESUME: a delay of more than timers can is waited for', async () => {
    const clock = new NarrowClock();
    const delay = 3_000_000_000;
    const { remote, asked } = scene(
      [() => new Response(null, { status: 503, headers: { 'retry-after': String(delay / 1000) } }), honest],
      { clock, retry: { maxDelay: 1e12, timeLimit: 1e12 } },
    );
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(delay - 1);
    expect(asked).toHaveLength(1);
    await clock.advance(1);
    expect(outcome.done).toBe(true);
  });

  test('RESUME: an address policy that takes its time is no silence, and the signal ends it', async () => {
    const controller = new AbortController();
    const { remote, told, asked, clock } = scene([honest], { timeout: 1000, allowUrl: () => new Promise(() => {}) });
    const outcome = readAll(remote.transfer(0, undefined, controller.signal));
    await clock.advance(60_000);
    expect([told, asked, outcome]).toEqual([[], [], { bytes: [] }]);
    controller.abort('enough');
    await settle();
    expect([outcome.error, clock.pending]).toEqual(['enough', 0]);
  });
});

describe('what is not HTTP', () => {
  test.each(['text', 5, null, {}])('EXACT: a body of %j is refused with a typed error', async (chunk) => {
    const { remote, asked } = scene([({ from, to }) => part(from, to, strong, { chunks: [chunk] })]);
    const outcome = readAll(remote.transfer(0, 20));
    await settle();
    expect([outcome.bytes, outcome.error?.code, asked.length]).toEqual([[], 'ERR_FANPIPE_INVALID_CHUNK', 1]);
  });

  test('RESUME: an AbortError of the fetcher is a failure, and nobody’s abort', async () => {
    const { remote, clock, told } = scene([() => Promise.reject(new DOMException('mine', 'AbortError')), honest]);
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(0);
    expect([outcome.bytes, told.length]).toEqual([range(0, SIZE), 1]);
  });
});

describe('CLEAN: a signal', () => {
  test('CLEAN: has no listener of a transfer that was never asked, nor of one that has ended', async () => {
    const { signal } = new AbortController();
    const { remote } = scene([honest]);
    remote.transfer(0, undefined, signal);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    readAll(remote.transfer(0, undefined, signal));
    await settle();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test('CLEAN: of the options ends it too', async () => {
    const controller = new AbortController();
    const { remote, asked, clock } = scene([() => new Promise(() => {})], { signal: controller.signal });
    const outcome = readAll(remote.transfer(0, undefined));
    await settle();
    controller.abort('enough');
    await settle();
    expect([outcome.error, clock.pending, asked[0]?.init.signal?.aborted]).toEqual(['enough', 0, true]);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });
});
