/**
 * Bytes that no honest client sends, over raw sockets, with the status that each gets. The handler behind it answers 200 to whatever comes
 * to it, so that a case that is refused is refused before it.
 *
 * Hazards: request smuggling, bad chunks, odd lengths, folded lines, targets of all kinds, huge heads, bodies without end.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Serving, serve } from '../../../packages/server/src/node/index.ts';
import { RawClient, readAll, repliesIn, whole } from './node-rig.ts';

let serving: Serving;
const errors: unknown[] = [];
let handled: string[] = [];

beforeAll(async () => {
  serving = await serve({
    port: 0,
    onError: (error) => errors.push(error),
    server: {
      async handle(request) {
        handled.push(`${request.method} ${request.path}`);
        const body = await readAll(request);
        return whole(200, `${request.path}|${request.query}|${body.length}`);
      },
    },
  });
});
afterAll(() => serving.close({ grace: 0 }));

const NEXT = 'GET /next HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';
const get = (target: string, headers = 'host: a\r\n'): string => `GET ${target} HTTP/1.1\r\n${headers}\r\n`;
const post = (headers: string, body = ''): string => `POST /a HTTP/1.1\r\nhost: a\r\n${headers}\r\n${body}`;

/** Sends it, and a good request behind it. Gives the statuses that came until the connection closed. */
async function statuses(bytes: string): Promise<number[]> {
  handled = [];
  const client = await RawClient.open(serving.port);
  client.send(bytes + NEXT);
  await client.closed;
  return repliesIn(client.text).map(({ status, isComplete, headers }) => {
    expect(isComplete).toBe(true);
    expect(headers['x-content-type-options'] ?? (status === 200 || status === 417 ? 'nosniff' : undefined)).toBe(
      'nosniff',
    );
    return status;
  });
}

/** What, the bytes, the statuses. A 200 at the end is that of the good request behind it. */
type Case = [string, string, number[]];

/** Refused, and the connection with it: where the next request would begin, nobody knows. */
const refused: [string, string][] = [
  // The line.
  ['no version', 'GET /\r\nhost: a\r\n\r\n'],
  ['HTTP/0.9', 'GET / HTTP/0.9\r\nhost: a\r\n\r\n'],
  ['HTTP/1.2', 'GET / HTTP/1.2\r\nhost: a\r\n\r\n'],
  ['HTTP/2.0 as text', 'GET / HTTP/2.0\r\nhost: a\r\n\r\n'],
  ['HTTP/3', 'GET / HTTP/3\r\nhost: a\r\n\r\n'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['small http', 'GET / http/1.1\r\nhost: a\r\n\r\n'],
  ['another protocol', 'GET / FTP/1.1\r\nhost: a\r\n\r\n'],
  ['a method nobody knows', 'FOO / HTTP/1.1\r\nhost: a\r\n\r\n'],
  ['a small method', 'get / HTTP/1.1\r\nhost: a\r\n\r\n'],
  ['no method', ' / HTTP/1.1\r\nhost: a\r\n\r\n'],
  ['no target', 'GET  HTTP/1.1\r\nhost: a\r\n\r\n'],
  ['a space in the target', 'GET /a b HTTP/1.1\r\nhost: a\r\n\r\n'],
  ['a NUL in the target', 'GET /a\0b HTTP/1.1\r\nhost: a\r\n\r\n'],
  ['a DEL in the target', 'GET /a\x7fb HTTP/1.1\r\nhost: a\r\n\r\n'],
  ['a tab in the target', 'GET /a\tb HTTP/1.1\r\nhost: a\r\n\r\n'],
  ['a tab between method and target', 'GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n'],
  ['text behind the version', 'GET / HTTP/1.1 x\r\nhost: a\r\n\r\n'],
  ['a bare CR in the line', 'GET / HTTP/1.1\rhost: a\r\n\r\n'],
  ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ['an 8-bit target', get('/\xe9')],
  ['a target in UTF-8', get('/\xc3\xa9')],
  ['garbage', '\x00\x01\x02\x03\xff\xfe\r\n\r\n'],
  ['a line of SMTP', 'EHLO example.org\r\n'],
  ['authority form', 'GET a:80 HTTP/1.1\r\nhost: a\r\n\r\n'],
  // The host and the target.
  ['a list of hosts', get('/', 'host: a, b\r\n')],
  ['an empty host', get('/', 'host: \r\n')],
  ['a host with a path', get('/', 'host: a/b\r\n')],
  ['a host with a user', get('/', 'host: b@a\r\n')],
  ['a host with a bad port', get('/', 'host: a:b\r\n')],
  ['a host with a space', get('/', 'host: a b\r\n')],
  ['a host with a quote', get('/', 'host: a"b\r\n')],
  ['an 8-bit host', get('/', 'host: \xe9\r\n')],
  ['the absolute form of another host', get('http://b/a')],
  ['the absolute form of another scheme', get('ftp://a/a')],
  ['the absolute form with a user', get('http://b@a/a')],
  ['a fragment', get('/a#b')],
  ['the target of all', 'OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n'],
  ['a bad host and a body', post('host: b\r\ncontent-length: 3\r\n', 'abc')],
  ['a bad host and chunks', post('host: b\r\ntransfer-encoding: chunked\r\n', '3\r\nabc\r\n0\r\n\r\n')],
  ['chunks in HTTP/1.0', `POST /a HTTP/1.0\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
  // Headers.
  ['no host', 'GET / HTTP/1.1\r\n\r\n'],
  ['two hosts', get('/', 'host: a\r\nhost: b\r\n')],
  ['two hosts that agree', get('/', 'host: a\r\nHost: a\r\n')],
  ['two hosts with others between', get('/', 'host: a\r\nx-a: b\r\nHOST: b\r\n')],
  ['a header without a colon', get('/', 'host: a\r\nnothing\r\n')],
  ['a header without a name', get('/', 'host: a\r\n: b\r\n')],
  ['a space before the colon', get('/', 'host: a\r\nx-a : b\r\n')],
  ['a space before the colon of host', get('/', 'host : a\r\n')],
  ['a space in a name', get('/', 'host: a\r\nx a: b\r\n')],
  ['a NUL in a name', get('/', 'host: a\r\nx\0a: b\r\n')],
  ['an 8-bit character in a name', get('/', 'host: a\r\nx\xe9: b\r\n')],
  ['a bracket in a name', get('/', 'host: a\r\nx[: b\r\n')],
  ['a NUL in a value', get('/', 'host: a\r\nx-a: b\0c\r\n')],
  ['a bare CR in a value', get('/', 'host: a\r\nx-a: b\rc: d\r\n')],
  ['a bare LF in a value', get('/', 'host: a\r\nx-a: b\nc\r\n')],
  ['a header that is injected behind a bare CR', get('/', 'host: a\r\nx-a: b\rtransfer-encoding: chunked\r\n')],
  ['a DEL in a value', get('/', 'host: a\r\nx-a: b\x7f\r\n')],
  ['a folded line', get('/', 'host: a\r\nx-a: b\r\n c\r\n')],
  ['a line folded by a tab', get('/', 'host: a\r\nx-a: b\r\n\tc\r\n')],
  ['a folded first line', get('/', ' host: a\r\n')],
  ['a folded content-length', post('content-length: 3\r\n 0\r\n', 'abc')],
  ['a folded transfer-encoding', post('transfer-encoding:\r\n chunked\r\n', '0\r\n\r\n')],
  // Lengths.
  ['a length that is no number', post('content-length: abc\r\n', 'abc')],
  ['a negative length', post('content-length: -1\r\n')],
  ['a length with a sign', post('content-length: +3\r\n', 'abc')],
  ['a fraction', post('content-length: 3.0\r\n', 'abc')],
  ['a hexadecimal length', post('content-length: 0x3\r\n', 'abc')],
  ['an exponent', post('content-length: 3e0\r\n', 'abc')],
  ['an empty length', post('content-length: \r\n')],
  ['a length beyond 64 bits', post('content-length: 99999999999999999999\r\n')],
  ['two lengths that differ', post('content-length: 3\r\ncontent-length: 4\r\n', 'abcd')],
  ['two lengths that agree', post('content-length: 3\r\ncontent-length: 3\r\n', 'abc')],
  ['a list of lengths', post('content-length: 3, 3\r\n', 'abc')],
  ['a list of lengths that differ', post('content-length: 3, 4\r\n', 'abc')],
  ['a space inside of a length', post('content-length: 1 0\r\n', 'abc')],
  ['a length and text', post('content-length: 3 abc\r\n', 'abc')],
  ['a NUL behind a length', post('content-length: 3\0\r\n', 'abc')],
  // Smuggling.
  ['length and chunked', post('content-length: 3\r\ntransfer-encoding: chunked\r\n', '0\r\n\r\n')],
  ['chunked and length', post('transfer-encoding: chunked\r\ncontent-length: 3\r\n', '0\r\n\r\n')],
  ['a space before the colon of transfer-encoding', post('transfer-encoding : chunked\r\n', '0\r\n\r\n')],
  ['chunked is not last', post('transfer-encoding: chunked, identity\r\n', '0\r\n\r\n')],
  ['a coding nobody knows', post('transfer-encoding: xchunked\r\n', '0\r\n\r\n')],
  ['identity', post('transfer-encoding: identity\r\n', '')],
  ['gzip alone', post('transfer-encoding: gzip\r\n', '')],
  ['chunked with a parameter', post('transfer-encoding: chunked;a=b\r\n', '0\r\n\r\n')],
  ['chunked in quotes', post('transfer-encoding: "chunked"\r\n', '0\r\n\r\n')],
  ['chunked with a vertical tab', post('transfer-encoding: \x0bchunked\r\n', '0\r\n\r\n')],
  ['chunked with a NUL', post('transfer-encoding: chunked\0\r\n', '0\r\n\r\n')],
  ['no coding', post('transfer-encoding: \r\n', '0\r\n\r\n')],
];

/** In the body: the request has come to the handler, whose reply is a 400 of ours. */
const brokenBodies: [string, string][] = [
  ['no chunk size', post('transfer-encoding: chunked\r\n', '\r\nabc\r\n0\r\n\r\n')],
  ['a chunk size that is no number', post('transfer-encoding: chunked\r\n', 'xyz\r\nabc\r\n0\r\n\r\n')],
  ['a negative chunk size', post('transfer-encoding: chunked\r\n', '-3\r\nabc\r\n0\r\n\r\n')],
  ['a chunk size with a sign', post('transfer-encoding: chunked\r\n', '+3\r\nabc\r\n0\r\n\r\n')],
  ['a chunk size with 0x', post('transfer-encoding: chunked\r\n', '0x3\r\nabc\r\n0\r\n\r\n')],
  ['a space before a chunk size', post('transfer-encoding: chunked\r\n', ' 3\r\nabc\r\n0\r\n\r\n')],
  ['a chunk size beyond 64 bits', post('transfer-encoding: chunked\r\n', 'fffffffffffffffff\r\nabc\r\n0\r\n\r\n')],
  ['a chunk that is longer than it says', post('transfer-encoding: chunked\r\n', '3\r\nabcd\r\n0\r\n\r\n')],
  ['a chunk that is shorter than it says', post('transfer-encoding: chunked\r\n', '4\r\nabc\r\n0\r\n\r\n')],
  ['a line end of LF alone behind a size', post('transfer-encoding: chunked\r\n', '3\nabc\r\n0\r\n\r\n')],
  ['a line end of LF alone behind a chunk', post('transfer-encoding: chunked\r\n', '3\r\nabc\n0\r\n\r\n')],
  ['a bare CR behind a size', post('transfer-encoding: chunked\r\n', '3\rabc\r\n0\r\n\r\n')],
  ['a NUL in a chunk extension', post('transfer-encoding: chunked\r\n', '3;a=\0\r\nabc\r\n0\r\n\r\n')],
  ['a CR in a chunk extension', post('transfer-encoding: chunked\r\n', '3;a=b\rc\r\nabc\r\n0\r\n\r\n')],
  ['a broken trailer', post('transfer-encoding: chunked\r\n', '3\r\nabc\r\n0\r\nx y\r\n\r\n')],
];

/** Nothing that HTTP forbids: comes to the handler as it was sent, which judges it. */
const passed: Case[] = [
  ['dots', get('/../../etc/passwd'), [200, 200]],
  ['coded dots', get('/%2e%2e/%2e%2e/etc/passwd'), [200, 200]],
  ['coded slashes', get('/%2e%2e%2fetc%2fpasswd'), [200, 200]],
  ['a coded NUL', get('/%00'), [200, 200]],
  ['a bad code', get('/%zz'), [200, 200]],
  ['half a code', get('/%2'), [200, 200]],
  ['bad UTF-8', get('/%ff%fe'), [200, 200]],
  ['a coded line end', get('/%0d%0aset-cookie:%20a=b'), [200, 200]],
  ['backslashes', get('/..\\..\\windows'), [200, 200]],
  ['two slashes', get('//b/c'), [200, 200]],
  ['two questions', get('/a?b?c'), [200, 200]],
  ['the absolute form', get('http://a/b?c'), [200, 200]],
  ['a long target', get(`/${'a'.repeat(8000)}`), [200, 200]],
  ['many parameters', get(`/?${'a=b&'.repeat(2000)}`), [200, 200]],
  ['an upgrade', get('/', 'host: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n'), [200]],
  ['an upgrade to h2c', get('/', 'host: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n'), [200]],
  ['lines before the request', `\r\n\r\n${get('/')}`, [200, 200]],
  ['an 8-bit value', get('/', 'host: a\r\nx-a: \xe9\r\n'), [200, 200]],
  ['an empty value', get('/', 'host: a\r\nx-a:\r\n'), [200, 200]],
  ['a GET with a body', get('/', 'host: a\r\ncontent-length: 3\r\n').concat('abc'), [200, 200]],
  ['chunk extensions', post('transfer-encoding: chunked\r\n', '3;a=b;c="d"\r\nabc\r\n0\r\n\r\n'), [200, 200]],
  ['trailers', post('transfer-encoding: chunked\r\n', '3\r\nabc\r\n0\r\nx-a: b\r\nhost: c\r\n\r\n'), [200, 200]],
  ['chunk sizes with zeros before', post('transfer-encoding: chunked\r\n', '0003\r\nabc\r\n0000\r\n\r\n'), [200, 200]],
  ['a length with zeros before', post('content-length: 0003\r\n', 'abc'), [200, 200]],
  ['a query of bad codes', get('/?offset=%zz&live=%00'), [200, 200]],
  ['HTTP/1.0', 'GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n', [200, 200]],
];

describe('FAULT: bad input', () => {
  test.each(refused)('400: %s', async (_, bytes) => {
    expect(await statuses(bytes)).toEqual([400]);
    expect(handled).toEqual([]);
  });

  test.each(brokenBodies)('400 in the body: %s', async (_, bytes) => {
    expect(await statuses(bytes)).toEqual([400]);
    expect(handled).toEqual(['POST /a']);
  });

  test('417: an expectation', async () => {
    expect(await statuses(post('expect: x\r\ncontent-length: 3\r\n', 'abc'))).toEqual([417, 200]);
    expect(handled).toEqual(['GET /next']);
  });

  test.each(passed)('passed on: %s', async (_, bytes, expected) => {
    expect(await statuses(bytes)).toEqual(expected);
    expect(handled).toHaveLength(expected.length);
  });

  test.each([
    ['one long header', get('/', `host: a\r\nx-a: ${'b'.repeat(20_000)}\r\n`)],
    ['many headers', get('/', `host: a\r\n${'x-a: b\r\n'.repeat(4000)}`)],
    ['very many headers', get('/', `host: a\r\n${'x: y\r\n'.repeat(7000)}`)],
    ['a long name', get('/', `host: a\r\n${'x'.repeat(20_000)}: b\r\n`)],
    ['a long target', get(`/${'a'.repeat(20_000)}`)],
    ['a head without end', `GET / HTTP/1.1\r\nhost: a\r\nx-a: ${'b'.repeat(1_000_000)}`],
    ['trailers without end', post('transfer-encoding: chunked\r\n', `0\r\n${'x-a: b\r\n'.repeat(9000)}`)],
  ])('431: %s', async (_, bytes) => {
    expect(await statuses(bytes)).toEqual([431]);
  });

  test('413: chunk extensions without end', async () => {
    expect(await statuses(post('transfer-encoding: chunked\r\n', `3;${'a'.repeat(100_000)}`))).toEqual([413]);
  });

  test('CONNECT is no request for us', async () => {
    const client = await RawClient.open(serving.port);
    client.send('CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n');
    await client.closed;
    expect(client.text).toBe('');
  });

  test('what is no request behind good ones: these are answered first', async () => {
    const client = await RawClient.open(serving.port);
    client.send(`${get('/1')}${get('/2')}nonsense\r\n\r\n`);
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([
      { status: 200, body: '/1||0' },
      { status: 200, body: '/2||0' },
      { status: 400, headers: { connection: 'close' } },
    ]);
  });

  test('what is no request behind a reply that is out', async () => {
    const client = await RawClient.open(serving.port);
    client.send(get('/1'));
    await client.until('/1||0');
    client.send('nonsense\r\n\r\nnonsense\r\n\r\n');
    await client.closed;
    expect(repliesIn(client.text).map(({ status }) => status)).toEqual([200, 400]);
  });

  test('the server has served all of it without an error', async () => {
    expect(errors).toEqual([]);
    expect(await statuses('')).toEqual([200]);
  });
});
