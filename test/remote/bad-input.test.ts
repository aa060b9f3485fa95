/** Whatever is refused is refused with a typed error that names it, before anything is fetched, and nothing is changed by it. */

import { getEventListeners } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InvalidArgumentError } from '../../packages/fanpipe/src/errors.ts';
import { RemoteByteStream } from '../../packages/fanpipe/src/remote/index.ts';
import { FaultServer, honest, type Resource } from '../support/fault-server.ts';
import { Random } from '../support/random.ts';
import { rejection, thrownBy } from '../support/remote-reading.ts';

const resource: Resource = { body: new Random(11).bytes(1000), etag: '"x"' };
let server: FaultServer;
let url: string;
beforeAll(async () => {
  server = await FaultServer.start();
  url = server.on('/x', (request) => honest(resource, request));
});
afterAll(() => server.close());

type Loose = new (url?: unknown, options?: unknown) => RemoteByteStream;
const Remote = RemoteByteStream as unknown as Loose;

function expectRefusal(error: unknown, argument: string, value?: unknown): void {
  expect(error).toBeInstanceOf(InvalidArgumentError);
  const { name, message, ...rest } = error as InvalidArgumentError;
  expect({ name, ...rest }).toMatchObject({ name: 'InvalidArgumentError', argument });
  expect(message).toContain(argument);
  expect(message).toContain('Nothing was changed');
  if (value !== undefined) expect(rest.value).toBe(value);
}

const shown = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value));
const names = (cases: [string, unknown][]): [string, string, unknown][] =>
  cases.map(([argument, value]) => [argument, `${shown(value)} (${typeof value})`, value]);

const noAmounts = [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '5', null, 5n, {}, true];
const noTimes = [-1, Number.NaN, '5', null, 5n, {}];

describe('new RemoteByteStream', () => {
  test.each([
    undefined,
    null,
    '',
    'no url',
    '/relative',
    'ftp://127.0.0.1/x',
    'data:,x',
    'blob:http://127.0.0.1/x',
    'file:///etc/passwd',
    'http://',
    'http://me:word@127.0.0.1/x',
    5,
    {},
    ['http://127.0.0.1/'],
    new URL('ws://127.0.0.1/'),
  ])('bad input: the URL %s', (value) => {
    expectRefusal(
      thrownBy(() => new Remote(value)),
      'url',
    );
  });

  test.each([null, 5, 'x', true])('bad input: options %s', (options) => {
    expectRefusal(
      thrownBy(() => new Remote(url, options)),
      'options',
    );
  });

  test.each(
    names([
      ...['size', 'cacheSize', 'readAhead', 'mergeGap', 'skipLimit', 'maxConnections', 'maxRedirects'].flatMap(
        (option) => noAmounts.map((value): [string, unknown] => [option, value]),
      ),
      ['maxConnections', 0],
      ...['timeout', 'idleTimeout', 'minThroughput'].flatMap((option) =>
        noTimes.map((value): [string, unknown] => [option, value]),
      ),
      ['timeout', 0],
      ...['autostart', 'seekable', 'unverified'].flatMap((option) =>
        [null, 0, 'true', {}].map((value): [string, unknown] => [option, value]),
      ),
      ...['fetcher', 'allowUrl', 'onRetry', 'random'].flatMap((option) =>
        [null, 5, 'x', {}].map((value): [string, unknown] => [option, value]),
      ),
      ...[null, 5, 'x', {}, { aborted: false }].map((value): [string, unknown] => ['signal', value]),
      ...[null, 5, {}, { now: () => 0 }].map((value): [string, unknown] => ['clock', value]),
      ...[null, true, 5, 'x'].map((value): [string, unknown] => ['retry', value]),
      ...[5, 'x', { 'a b': 'c' }, { a: 'x\r\ny: z' }, { a: '☃' }].map((value): [string, unknown] => ['headers', value]),
    ]),
  )('bad input: %s: %s', (option, _, value) => {
    const before = server.requests.length;
    const { signal } = new AbortController();
    const options = option === 'signal' ? { signal: value } : { signal, [option]: value };
    expectRefusal(
      thrownBy(() => new Remote(url, options)),
      option,
    );
    expect([server.requests.length, getEventListeners(signal, 'abort').length]).toEqual([before, 0]);
  });

  test.each(
    names([
      ...[0, -1, 1.5, '5', null, Number.NaN].map((value): [string, unknown] => ['attempts', value]),
      ...['baseDelay', 'maxDelay', 'timeLimit'].flatMap((option) =>
        noTimes.map((value): [string, unknown] => [option, value]),
      ),
    ]),
  )('bad input: retry.%s: %s', (option, _, value) => {
    expectRefusal(
      thrownBy(() => new Remote(url, { retry: { [option]: value } })),
      `retry.${option}`,
      value,
    );
  });

  test.each(['range', 'Range', 'If-Range', 'accept-encoding', 'HOST'])('bad input: the header %s is ours', (name) => {
    for (const headers of [{ [name]: 'x' }, new Headers({ [name]: 'x' }), [[name, 'x']]]) {
      const error = thrownBy(() => new Remote(url, { headers })) as InvalidArgumentError;
      expectRefusal(error, 'headers');
      expect(error.message.toLowerCase()).toContain(name.toLowerCase());
    }
  });

  test('what is not given, or undefined, has its default', async () => {
    const options = Object.fromEntries(
      'size autostart seekable signal fetcher headers cacheSize readAhead mergeGap skipLimit maxConnections idleTimeout timeout minThroughput retry maxRedirects allowUrl unverified onRetry clock random'
        .split(' ')
        .map((name) => [name, undefined]),
    );
    const remote = new Remote(new URL(url), options);
    expect(await remote.read(1000)).toEqual(resource.body);
    expect(remote.url).toBe(url);
    remote.close();
  });
});

test('the fetch of the runtime is the one that it has when a request is made', async () => {
  const remote = new Remote(url);
  const { fetch } = globalThis;
  let asked = 0;
  globalThis.fetch = (...request) => {
    asked++;
    return fetch(...request);
  };
  try {
    expect(await remote.read(1000)).toEqual(resource.body);
  } finally {
    globalThis.fetch = fetch;
  }
  expect(asked).toBe(1);
  remote.close();
});

describe('its methods', () => {
  /** A stream in the middle of its resource, and a check that it is still there. */
  async function scene(): Promise<{ remote: RemoteByteStream; unchanged: () => Promise<void> }> {
    const remote = new RemoteByteStream(url);
    await remote.read(100);
    const before = { position: remote.position, ...remote.stats() };
    return {
      remote,
      unchanged: async () => {
        expect({ position: remote.position, ...remote.stats() }).toEqual(before);
        expect(await remote.read(10)).toEqual(resource.body.slice(100, 110));
        remote.close();
      },
    };
  }

  test.each([
    undefined,
    null,
    -1,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    '5',
    {},
    [5],
    new Uint16Array(2),
  ])('bad input: read(%s)', async (value) => {
    const { remote, unchanged } = await scene();
    const error = await rejection(remote.read(value as number));
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect(error.message).toMatch(/length|into/);
    await unchanged();
  });

  test('bad input: read into detached memory', async () => {
    const { remote, unchanged } = await scene();
    const into = new Uint8Array(10);
    structuredClone(into.buffer, { transfer: [into.buffer] });
    const error = await rejection(
      remote.read(into).then((got) => (got === 0 ? Promise.reject({ code: 'empty' }) : got)),
    );
    // It has no length any more, so there is nothing to fill; or it is refused.
    expect(error.code).toMatch(/^(empty|ERR_FANPIPE_(INVALID_ARGUMENT|DETACHED_BUFFER))$/);
    await unchanged();
  });

  test.each([
    [-1, 'start'],
    [-101, 'current'],
    [1001, 'end'],
    [1.5, 'start'],
    [Number.NaN, 'current'],
    [Number.POSITIVE_INFINITY, 'start'],
    [2 ** 53, 'start'],
    [Number.MAX_SAFE_INTEGER, 'current'],
    ['5', 'start'],
    [null, 'start'],
    [undefined, 'start'],
    [5n, 'start'],
    [5, 'middle'],
    [5, ''],
    [5, null],
    [5, 0],
  ])('SEEK: bad input: seek(%s, %s): the position stays', async (offset, from) => {
    const { remote, unchanged } = await scene();
    const error = await rejection(remote.seek(offset as number, from as 'start'));
    expectRefusal(error, typeof offset === 'number' && offset === 5 ? 'from' : 'offset');
    await unchanged();
  });

  test.each([
    [-1, 5, 'offset'],
    [1.5, 5, 'offset'],
    ['0', 5, 'offset'],
    [undefined, 5, 'offset'],
    [2 ** 53, 5, 'offset'],
    [0, -1, 'length'],
    [0, 1.5, 'length'],
    [0, '5', 'length'],
    [0, undefined, 'length'],
    [0, 2 ** 53, 'length'],
    [0, Number.NaN, 'length'],
  ])('bad input: readAt(%s, %s)', async (offset, length, argument) => {
    const { remote, unchanged } = await scene();
    expectRefusal(await rejection(remote.readAt(offset as number, length as number)), argument);
    await unchanged();
  });

  test.each([null, 5, {}, 'x'])('bad input: readAt with the signal %s', async (signal) => {
    const { remote, unchanged } = await scene();
    expectRefusal(await rejection(remote.readAt(0, 5, { signal: signal as unknown as AbortSignal })), 'signal');
    await unchanged();
  });

  test.each([-1, 1.5, 'some', null])('bad input: share with replay %s', async (replay) => {
    const { remote, unchanged } = await scene();
    expectRefusal(
      thrownBy(() => remote.share({ replay: replay as number })),
      'replay',
    );
    await unchanged();
  });

  test('SEEK: what is right: nothing, past the end, back again', async () => {
    const { remote, unchanged } = await scene();
    expect(await remote.seek(0, 'current')).toBe(100);
    expect(await remote.seek(5000)).toBe(5000);
    expect(remote.finished).toBe(true);
    expect(await remote.read(5)).toHaveLength(0);
    expect(await remote.read(new Uint8Array(5))).toBe(0);
    expect(await remote.seek(-4000, 'current')).toBe(1000);
    expect(await remote.seek(0, 'end')).toBe(1000);
    expect(await remote.seek(-7, 'end')).toBe(1007);
    expect(await remote.seek(1000, 'end')).toBe(0);
    expect(await remote.seek(100)).toBe(100);
    expect(await remote.read(0)).toHaveLength(0);
    expect(await remote.read(new Uint8Array(0))).toBe(0);
    expect(await remote.readAt(999, 0)).toHaveLength(0);
    await unchanged();
  });

  test('after close: every call is refused with RemoteClosedError, close may be called again', async () => {
    const { remote } = await scene();
    const pending = rejection(remote.readAt(0, 1000));
    remote.close();
    remote.close();
    expect((await pending).code).toBe('ERR_FANPIPE_REMOTE_CLOSED');
    const calls = [
      () => remote.read(5),
      () => remote.read(new Uint8Array(5)),
      () => remote.readAt(0, 5),
      () => remote.seek(5),
      () => remote[Symbol.asyncIterator]().next(),
    ];
    for (const call of calls) {
      expect(await rejection(call())).toMatchObject({ name: 'RemoteClosedError', code: 'ERR_FANPIPE_REMOTE_CLOSED' });
    }
    expect([remote.position, remote.size]).toEqual([100, 1000]);
  });
});
