/** Bytes of one version only: validators, and requests that are under way at the same time. */

import { describe, expect, test } from 'vitest';
import { settle } from '../../../../test/support/fake-clock.ts';
import {
  BYTES,
  bodyOf,
  type Course,
  part,
  type Reply,
  range,
  readAll,
  SIZE,
  scene,
  strong,
} from '../../../../test/support/transfer-scene.ts';
import type { RemoteOptions } from './options.ts';

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

describe('an end', () => {
  const total = (validators: Record<string, string>) => ({ ...validators, 'content-range': 'bytes 0-59/*' });
  const beyond =
    (validators: Record<string, string>): Reply =>
    () =>
      new Response(null, { status: 416, headers: { ...validators, 'content-range': 'bytes */60' } });
  const modified = { 'last-modified': 'Sun, 22 Nov 2026 10:00:00 GMT', date: 'Sun, 22 Nov 2026 10:00:05 GMT' };
  const both = { etag: 'W/"v1"', ...modified };

  /** 60 bytes, of which nothing says that they are all, and then a 416 that says so. */
  async function ended(first: Record<string, string>, second: Record<string, string>, options: RemoteOptions = {}) {
    const { remote } = scene([({ from }) => part(from, 60, total(first)), beyond(second)], options);
    const outcome = readAll(remote.transfer(0, undefined));
    await settle();
    expect(outcome.bytes).toEqual(range(0, 60));
    return outcome.done ? remote.size : outcome.error?.code;
  }

  test.each([
    ['of another version', strong, { etag: '"v2"' }, 'ERR_FANPIPE_RESOURCE_CHANGED'],
    ['of another date', modified, { 'last-modified': modified.date }, 'ERR_FANPIPE_RESOURCE_CHANGED'],
    ['that nothing was asked of', both, {}, 'ERR_FANPIPE_UNVERIFIABLE_RESOURCE'],
    ['of the same version', strong, strong, 60],
    ['that says nothing to an If-Range', strong, {}, 60],
    ['that says nothing to one with a date', modified, {}, 60],
    ['of the same date', both, both, 60],
  ] as const)('EXACT: a 416 %s', async (_, first, second, wanted) => {
    expect(await ended(first, second)).toBe(wanted);
  });

  test('EXACT: a 416, where nothing is to be verified', async () => {
    expect(await ended({}, {}, { unverified: true })).toBe(60);
  });

  test('EXACT: of a body that gave nothing tells the size of its own version only', async () => {
    let end: () => void = () => {};
    const other = new ReadableStream<Uint8Array>({
      start: (controller) => {
        end = () => {
          controller.enqueue(BYTES.slice(0, 20));
          controller.close();
        };
      },
    });
    const { remote } = scene([
      () => new Response(other, { headers: { etag: '"v2"' } }),
      () => new Response(bodyOf({ chunks: [BYTES.slice(0, 10)], silent: true }), { headers: strong }),
    ]);
    const behind = readAll(remote.transfer(50, 60));
    await settle();
    const first = readAll(remote.transfer(0, undefined));
    await settle();
    end();
    await settle();
    expect([first.bytes, behind.bytes, behind.error?.code]).toEqual([range(0, 10), [], 'ERR_FANPIPE_RESOURCE_CHANGED']);
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
