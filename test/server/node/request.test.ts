/** What a handler sees of a request. */

import { describe, expect, test } from 'vitest';
import type { HttpRequest } from '../../../packages/server/src/http/http-request.ts';
import { isRepeated, parseTarget } from '../../../packages/server/src/node/request-target.ts';
import { LiveBody, RawClient, readAll, repliesIn, serveTest, whole } from './node-rig.ts';

describe('targets', () => {
  test.each([
    ['/', { path: '/', query: '' }],
    ['/v1/stream/a', { path: '/v1/stream/a', query: '' }],
    ['/a?b=c', { path: '/a', query: 'b=c' }],
    ['/a?b=c?d', { path: '/a', query: 'b=c?d' }],
    ['/a?', { path: '/a', query: '' }],
    ['/../../etc/passwd', { path: '/../../etc/passwd', query: '' }],
    ['/%2e%2e%2f', { path: '/%2e%2e%2f', query: '' }],
    ['/%00', { path: '/%00', query: '' }],
    ['/%zz', { path: '/%zz', query: '' }],
    ['//b/c', { path: '//b/c', query: '' }],
    ['/a\\b|c"d<e>^`{}', { path: '/a\\b|c"d<e>^`{}', query: '' }],
    ['http://host/a?b', { path: '/a', query: 'b' }],
    ['HTTP://HOST/a', { path: '/a', query: '' }],
    ['https://host', { path: '/', query: '' }],
    ['http://host?b', { path: '/', query: 'b' }],
  ])('%s', (target, expected) => {
    expect(parseTarget(target, 'host')).toMatchObject(expected);
  });

  test.each([
    '',
    '*',
    'a',
    'host:80',
    '/a#b',
    'http://host/a#b',
    '/a b',
    '/é',
    '/\x7f',
    '/\x00',
    'http://other/a',
    'http:///a',
    'http://user@host/a',
    'ftp://host/a',
    'http://host:port/a',
  ])('refused: %j', (target) => {
    expect(parseTarget(target, 'host')).toBeUndefined();
  });

  test.each(['host', 'HOST:80', '127.0.0.1:4437', '[::1]:4437', '[::1]', 'a_b.c-d', 'host:'])('host %s', (host) => {
    expect(parseTarget('/a', host)).toEqual({ path: '/a', query: '', host });
  });

  test.each(['', 'a b', 'a/b', 'a@b', 'a, b', 'a"b', 'a\\b', 'a#b', 'a?b', '[::1', 'a:b', 'a:123456', 'é', '<a>'])(
    'host refused: %j',
    (host) => expect(parseTarget('/a', host)).toBeUndefined(),
  );

  test('no host', () => {
    expect(parseTarget('/a', undefined)?.host).toBeUndefined();
    expect(parseTarget('http://b/a', undefined)?.host).toBe('b');
  });

  test('repeated headers', () => {
    expect(isRepeated(['Host', 'a', 'X', 'b'], 'host')).toBe(false);
    expect(isRepeated(['Host', 'a', 'X', 'b', 'hOST', 'a'], 'host')).toBe(true);
    expect(isRepeated([], 'host')).toBe(false);
  });
});

/** Sends one request and gives what the handler saw. */
async function seen<T>(text: string, look: (request: HttpRequest) => T | Promise<T>, origin?: string): Promise<T> {
  let result: { value: T } | undefined;
  const serving = await serveTest(
    async (request) => {
      result = { value: await look(request) };
      return whole(204);
    },
    origin === undefined ? {} : { origin },
  );
  const client = await RawClient.open(serving.port);
  client.send(text);
  await client.until('\r\n\r\n');
  if (result === undefined) throw new Error(client.text);
  return result.value;
}

describe('a request', () => {
  test('method, path, query, origin, address', async () => {
    const facts = await seen('PATCH /a/%41?x=%20&y HTTP/1.1\r\nhost: h:1\r\n\r\n', (r) => [
      r.method,
      r.path,
      r.query,
      r.origin,
      r.remoteAddress,
    ]);
    expect(facts).toEqual(['PATCH', '/a/%41', 'x=%20&y', 'http://h:1', '127.0.0.1']);
  });

  test('a fixed origin', async () => {
    expect(await seen('GET / HTTP/1.1\r\nhost: h\r\n\r\n', (r) => r.origin, 'https://a.example')).toBe(
      'https://a.example',
    );
  });

  test('HTTP/1.0 without a host has no origin', async () => {
    expect(await seen('GET / HTTP/1.0\r\n\r\n', (r) => r.origin)).toBe('');
  });

  test('absolute form of the host that is asked', async () => {
    const facts = await seen('GET http://H/a?b HTTP/1.1\r\nhost: h\r\n\r\n', (r) => [r.path, r.query, r.origin]);
    expect(facts).toEqual(['/a', 'b', 'http://H']);
  });

  test('headers by small names, several lines joined', async () => {
    const text = 'GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nContent-Type: a/b\r\ncontent-type: c/d\r\n\r\n';
    expect(await seen(text, (r) => [r.header('x-a'), r.header('content-type'), r.header('none')])).toEqual([
      '1, 2',
      'a/b, c/d',
      undefined,
    ]);
  });

  test.each([
    ['GET / HTTP/1.1\r\nhost: h\r\n\r\n', 0, ''],
    ['POST / HTTP/1.1\r\nhost: h\r\n\r\n', 0, ''],
    ['POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n', 0, ''],
    ['POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc', 3, 'abc'],
    [
      'POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n',
      undefined,
      'abcd',
    ],
    ['PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', undefined, ''],
  ])('length and body of %j', async (text, length, body) => {
    const facts = await seen(text, async (r) => [r.bodyLength, Buffer.from(await readAll(r)).toString()]);
    expect(facts).toEqual([length, body]);
  });

  test('a handler that throws gives a 500 without a word of the error', async () => {
    const errors: unknown[] = [];
    const failure = new Error('secret');
    const serving = await serveTest(
      (request) => {
        if (request.path === '/late') return Promise.reject(failure);
        throw failure;
      },
      { onError: (error) => errors.push(error) },
    );
    const client = await RawClient.open(serving.port);
    client.get('/');
    await client.until('\r\n\r\n');
    client.get('/late');
    await client.until(/ 500 .* 500 .*\r\n\r\n/s);
    for (const reply of repliesIn(client.text)) {
      expect(reply).toMatchObject({ status: 500, body: '', headers: { 'x-content-type-options': 'nosniff' } });
    }
    expect(errors).toEqual([failure, failure]);
  });

  test('so does a host that throws whenever it is told of a reply, once, and the body is let go', async () => {
    const errors: unknown[] = [];
    const failure = new Error('secret');
    const live = new LiveBody();
    const serving = await serveTest(() => live.reply(), {
      onReply: () => {
        throw failure;
      },
      onError: (error) => {
        errors.push(error);
        throw error;
      },
    });
    const client = await RawClient.open(serving.port);
    client.get('/', 'connection: close');
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ status: 500, body: '' }]);
    expect(errors).toEqual([failure]);
    expect([live.stops, live.sink]).toEqual([1, undefined]);
  });
});
