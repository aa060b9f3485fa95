/** Replies that are whole, and live ones, as they go over a connection. */

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { describe, expect, test } from 'vitest';
import type { HttpRequest } from '../../../packages/server/src/http/http-request.ts';
import type { Reply } from '../../../packages/server/src/http/reply.ts';
import type { Exchange } from '../../../packages/server/src/node/exchange.ts';
import { nodeListener } from '../../../packages/server/src/node/index.ts';
import {
  atOnce,
  cleanUp,
  eventually,
  frameOf,
  LiveBody,
  RawClient,
  readAll,
  repliesIn,
  serveTest,
  turn,
  untilQuiet,
  whole,
} from './node-rig.ts';
import { cert, key } from './test-certificate.ts';

type Write = { chunk: Buffer | string; encoding: BufferEncoding };

/** Notes what goes to the system, one text per call. */
function noteWrites(request: HttpRequest, writes: string[]): void {
  const { socket } = (request as Exchange).message;
  const text = ({ chunk, encoding }: Write): string =>
    typeof chunk === 'string' ? Buffer.from(chunk, encoding).toString('latin1') : Buffer.from(chunk).toString('latin1');
  const one = socket._write.bind(socket);
  socket._write = (chunk, encoding, done) => {
    writes.push(text({ chunk, encoding }));
    one(chunk, encoding, done);
  };
  const many = socket._writev?.bind(socket);
  socket._writev = (chunks, done) => {
    writes.push(chunks.map(text).join(''));
    many?.(chunks, done);
  };
}

describe('whole replies', () => {
  test.each([
    ['GET', 200, 'abc', '3', 'abc'],
    ['GET', 200, '', '0', ''],
    ['GET', 200, undefined, '0', ''],
    ['GET', 404, 'no\n', '3', 'no\n'],
    ['GET', 204, undefined, undefined, ''],
    ['GET', 304, undefined, undefined, ''],
    ['HEAD', 200, 'abc', '3', ''],
    ['HEAD', 200, undefined, undefined, ''],
    ['POST', 409, undefined, '0', ''],
  ])('%s %d with %j', async (method, status, body, length, seen) => {
    const serving = await serveTest(() => whole(status, body, ['x-a', 'b', 'vary', 'c']));
    const client = await RawClient.open(serving.port);
    client.send(`${method} / HTTP/1.1\r\nhost: a\r\n\r\nGET /next HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
    expect(await client.closed).toBe(false);
    const [first, second, ...more] = repliesIn(client.text, [method]);
    expect(first).toMatchObject({ status, body: seen, isComplete: true, headers: { 'x-a': 'b', vary: 'c' } });
    expect(first?.headers['content-length']).toBe(length);
    expect(second).toMatchObject({ status, isComplete: true });
    expect(more).toEqual([]);
  });

  test('head and body go in one piece', async () => {
    const writes: string[] = [];
    const serving = await serveTest((request) => {
      noteWrites(request, writes);
      return whole(200, 'x'.repeat(1000));
    });
    const client = await RawClient.open(serving.port);
    client.get('/');
    await client.until('xxx');
    expect(writes).toEqual([expect.stringMatching(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nx{1000}$/)]);
  });

  test('a header that HTTP cannot carry is a 500 and not the end of the server', async () => {
    const errors: unknown[] = [];
    const serving = await serveTest(
      (request) => whole(200, 'a', request.path === '/bad' ? ['x-a', 'b\r\nset-cookie: c'] : []),
      { onError: (error) => errors.push(error) },
    );
    const client = await RawClient.open(serving.port);
    client.get('/bad');
    client.get('/good', 'connection: close');
    await client.closed;
    expect(repliesIn(client.text).map(({ status }) => status)).toEqual([500, 200]);
    expect(client.text).not.toContain('set-cookie');
    expect(errors).toHaveLength(1);
  });

  test('nor is one of a live reply that waits for its turn, whose body is let go', async () => {
    const errors: unknown[] = [];
    const first = new LiveBody();
    const bad = new LiveBody();
    const serving = await serveTest(
      ({ path }) => (path === '/first' ? first.reply() : path === '/bad' ? bad.reply(['x-a', 'b\nc']) : whole(200)),
      { onError: (error) => errors.push(error) },
    );
    const client = await RawClient.open(serving.port);
    client.get('/first');
    client.get('/bad');
    client.get('/good', 'connection: close');
    await Promise.all([first.started, bad.stopped]);
    first.sink.end();
    await client.closed;
    expect(repliesIn(client.text).map(({ status }) => status)).toEqual([200, 500, 200]);
    expect([errors.length, bad.sink]).toEqual([1, undefined]);
  });

  test('replies keep the order of the requests, whichever is ready first', async () => {
    const ready = new Map<string, (reply: Reply) => void>();
    const serving = await serveTest(
      (request) => new Promise((resolve) => ready.set(request.path, () => resolve(whole(200, request.path)))),
    );
    const client = await RawClient.open(serving.port);
    for (const path of ['/1', '/2', '/3']) client.get(path, ...(path === '/3' ? ['connection: close'] : []));
    while (ready.size < 3) await new Promise((resolve) => setImmediate(resolve));
    for (const path of ['/3', '/1', '/2']) ready.get(path)?.(whole(200));
    await client.closed;
    expect(repliesIn(client.text).map(({ body }) => body)).toEqual(['/1', '/2', '/3']);
  });
});

describe('a connection', () => {
  test('serves any number of requests, one after the other', async () => {
    const serving = await serveTest((request) => whole(200, request.path));
    const client = await RawClient.open(serving.port);
    for (let i = 0; i < 300; i++) {
      client.text = '';
      client.get(`/${i};`);
      await client.until(`/${i};`);
    }
  });

  test('is not read on while many of its requests wait, and later is', async () => {
    let begun = 0;
    let release!: () => void;
    const held = new Promise<void>((resolve) => (release = resolve));
    const serving = await serveTest(async (request) => {
      begun++;
      await held;
      return whole(200, request.path);
    });
    const client = await RawClient.open(serving.port);
    const count = 2000;
    for (let i = 0; i < count; i++) client.get(`/${i}`, `x-a: ${'b'.repeat(1000)}`);
    await eventually(() => begun >= 64);
    await untilQuiet(() => begun);
    // What was read from the socket at once is begun at once.
    expect(begun).toBeGreaterThanOrEqual(64);
    expect(begun).toBeLessThan(64 + 70);
    release();
    await client.until(`\r\n\r\n/${count - 1}`);
    expect(repliesIn(client.text).map(({ body }) => body)).toEqual(Array.from({ length: count }, (_, i) => `/${i}`));
  });
});

test('a connection whose requests wait is not read on either when the body of one is read late', async () => {
  let begun = 0;
  let read!: () => void;
  const reading = new Promise<void>((resolve) => (read = resolve));
  let isRead = false;
  const serving = await serveTest(async (request) => {
    begun++;
    if (request.method !== 'POST') return new Promise(() => {});
    await reading;
    await readAll(request);
    isRead = true;
    return whole(200);
  });
  const client = await RawClient.open(serving.port);
  for (let i = 0; i < 64; i++) client.get(`/${i}`);
  client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\na');
  await eventually(() => begun === 65);
  read();
  await turn();
  client.send('bcd');
  await eventually(() => isRead);
  for (let i = 0; i < 2000; i++) client.get(`/${i}`, `x-a: ${'b'.repeat(1000)}`);
  await untilQuiet(() => begun);
  expect(begun).toBeLessThan(65 + 70);
});

/** A handler of one live reply at `/live`, and whole ones elsewhere. */
function withLive(live: LiveBody, requests: HttpRequest[] = []): (request: HttpRequest) => Reply {
  return (request) => {
    requests.push(request);
    return request.path === '/live' ? live.reply() : whole(200, request.path);
  };
}

describe('live replies', () => {
  test('frames go out when they are written, and the connection goes on after the end', async () => {
    const live = new LiveBody();
    const serving = await serveTest(withLive(live));
    const client = await RawClient.open(serving.port);
    client.get('/live');
    const sink = await live.started;
    await client.until('\r\n\r\n');
    for (const text of ['one', 'two', 'three']) {
      expect(sink.write(frameOf(text))).toBe(true);
      await client.until(text);
    }
    sink.end();
    client.get('/next', 'connection: close');
    expect(await client.closed).toBe(false);
    expect(repliesIn(client.text)).toMatchObject([
      { status: 200, body: 'onetwothree', isComplete: true, headers: { 'content-type': 'text/event-stream' } },
      { status: 200, body: '/next', isComplete: true },
    ]);
    expect(live.stops).toBe(0);
    expect(sink.write(frameOf('late'))).toBe(false);
  });

  test('each frame is one piece at each reader, and the head one with what is there', async () => {
    const live = new LiveBody();
    const start = live.start.bind(live);
    live.start = (sink) => {
      sink.write(frameOf('first'));
      start(sink);
    };
    const handle = withLive(live);
    const writes: string[] = [];
    const serving = await serveTest((request) => {
      noteWrites(request, writes);
      return handle(request);
    });
    const client = await RawClient.open(serving.port);
    client.get('/live');
    const sink = await live.started;
    await client.until('first');
    expect(writes).toEqual([expect.stringMatching(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\n5\r\nfirst\r\n$/)]);
    sink.write(frameOf('second'));
    await client.until('second');
    expect(writes.slice(1)).toEqual(['6\r\nsecond\r\n']);
  });

  test('an empty frame is nothing, not the end', async () => {
    const live = new LiveBody();
    const serving = await serveTest(withLive(live));
    const client = await RawClient.open(serving.port);
    client.get('/live', 'connection: close');
    const sink = await live.started;
    expect(sink.write(frameOf(''))).toBe(true);
    sink.write(frameOf('a'));
    sink.end();
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ body: 'a', isComplete: true }]);
  });

  test('a live reply between others waits for its turn and holds nothing till then', async () => {
    const live = new LiveBody();
    let release!: () => void;
    const held = new Promise<void>((resolve) => (release = resolve));
    const serving = await serveTest(async (request) => {
      if (request.path === '/first') await held;
      return withLive(live)(request);
    });
    const client = await RawClient.open(serving.port);
    for (const path of ['/first', '/live', '/third', '/fourth']) client.get(path);
    await new Promise((resolve) => setImmediate(resolve));
    expect(live.sink).toBeUndefined();
    release();
    const sink = await live.started;
    sink.write(frameOf('live'));
    await client.until('live\r\n');
    expect(client.text).not.toContain('/third');
    sink.end();
    await client.until('/fourth');
    expect(repliesIn(client.text).map(({ body }) => body)).toEqual(['/first', 'live', '/third', '/fourth']);
  });

  test('connection: close ends behind the last chunk', async () => {
    const live = new LiveBody();
    const serving = await serveTest(withLive(live));
    const client = await RawClient.open(serving.port);
    client.get('/live', 'connection: close');
    const sink = await live.started;
    sink.write(frameOf('abc'));
    sink.end();
    expect(await client.closed).toBe(false);
    expect(repliesIn(client.text)).toMatchObject([{ body: 'abc', isComplete: true, headers: { connection: 'close' } }]);
  });

  test('HTTP/1.0 has no chunks: the body ends with the connection', async () => {
    const live = new LiveBody();
    const serving = await serveTest(withLive(live));
    const client = await RawClient.open(serving.port);
    client.send('GET /live HTTP/1.0\r\nconnection: keep-alive\r\n\r\n');
    const sink = await live.started;
    sink.write(frameOf('abc'));
    sink.write(frameOf('def'));
    sink.end();
    expect(await client.closed).toBe(false);
    const [reply] = repliesIn(client.text);
    expect(reply).toMatchObject({ body: 'abcdef', headers: { connection: 'close' } });
    expect(reply?.headers['transfer-encoding']).toBeUndefined();
  });

  test('HEAD of a live reply is its head, and its body is let go', async () => {
    const live = new LiveBody();
    const serving = await serveTest(withLive(live));
    const client = await RawClient.open(serving.port);
    client.send('HEAD /live HTTP/1.1\r\nhost: a\r\n\r\n');
    client.get('/next', 'connection: close');
    await client.closed;
    expect(repliesIn(client.text, ['HEAD'])).toMatchObject([{ status: 200, body: '' }, { body: '/next' }]);
    expect(live.stops).toBe(1);
    expect(live.sink).toBeUndefined();
  });
});

describe('replies of a known length', () => {
  test('go out as they are, and the connection goes on', async () => {
    const serving = await serveTest((request) => {
      if (request.path === '/next') return whole(200, 'next');
      return atOnce((sink) => {
        sink.write(frameOf('abc'));
        sink.write(frameOf(''));
        sink.write(frameOf('def'));
        sink.end();
      }, 6);
    });
    const client = await RawClient.open(serving.port);
    client.get('/');
    client.get('/next', 'connection: close');
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([
      { body: 'abcdef', isComplete: true, headers: { 'content-length': '6' } },
      { body: 'next' },
    ]);
  });

  test.each([
    ['shorter', 'abc', false],
    ['longer', 'abcdefg', false],
  ])('a body that is %s than it said is never taken for a whole one', async (_, text) => {
    const serving = await serveTest(() =>
      atOnce((sink) => {
        sink.write(frameOf('ab'));
        sink.write(frameOf(text.slice(2)));
        sink.end();
      }, 6),
    );
    const client = await RawClient.open(serving.port);
    client.get('/');
    client.get('/next');
    await client.closed;
    const [reply, ...more] = repliesIn(client.text);
    expect(more).toEqual([]);
    expect(reply?.isComplete).toBe(false);
    expect('abcdef'.startsWith(reply?.body ?? '?')).toBe(true);
  });
});

describe('BROKEN: aborted replies', () => {
  test('chunked: what was written comes, the last chunk does not', async () => {
    const live = new LiveBody();
    const serving = await serveTest(withLive(live));
    const client = await RawClient.open(serving.port);
    client.get('/live');
    client.get('/next');
    const sink = await live.started;
    sink.write(frameOf('abc'));
    sink.abort(new Error('no more'));
    sink.write(frameOf('def'));
    sink.end();
    sink.abort(new Error('again'));
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ body: 'abc', isComplete: false }]);
    expect(live.stops).toBe(0);
  });

  test('of a known length: the connection ends before it', async () => {
    const serving = await serveTest(() =>
      atOnce((sink) => {
        sink.write(frameOf('abc'));
        sink.abort(new Error('no more'));
      }, 6),
    );
    const client = await RawClient.open(serving.port);
    client.get('/');
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ body: 'abc', isComplete: false }]);
  });

  test('HTTP/1.0: the connection is reset, since its end would be the end of the body', async () => {
    const live = new LiveBody();
    const serving = await serveTest(withLive(live));
    const client = await RawClient.open(serving.port);
    client.send('GET /live HTTP/1.0\r\n\r\n');
    const sink = await live.started;
    sink.write(frameOf('abc'));
    await client.until('abc');
    sink.abort(new Error('no more'));
    expect(await client.closed).toBe(true);
  });

  test('HTTP/1.0 behind a certificate: it is reset too', async () => {
    const live = new LiveBody();
    const serving = await serveTest(() => live.reply(), { tls: { key, cert } });
    const socket = connectTls({ port: serving.port, host: '127.0.0.1', rejectUnauthorized: false });
    cleanUp(() => socket.destroy());
    socket.write('GET / HTTP/1.0\r\n\r\n');
    const sink = await live.started;
    sink.write(frameOf('abc'));
    for (let text = ''; !text.includes('abc'); ) text += String((await once(socket, 'data'))[0]);
    sink.abort(new Error('no more'));
    await expect(once(socket, 'end')).rejects.toMatchObject({ code: 'ECONNRESET' });
    await eventually(() => serving.connections === 0);
  });

  test('HTTP/1.0 over a socket that knows no reset: it is closed', async () => {
    const live = new LiveBody();
    const server = createServer(nodeListener(async () => live.reply()));
    const folder = await mkdtemp(join(tmpdir(), 'fanpipe-'));
    const path = join(folder, 'socket');
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const socket = connect(path);
    cleanUp(async () => {
      socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    });
    socket.write('GET / HTTP/1.0\r\n\r\n');
    (await live.started).write(frameOf('abc'));
    live.sink.abort(new Error('no more'));
    let text = '';
    socket.on('data', (bytes) => (text += String(bytes)));
    await once(socket, 'close');
    expect(text).toMatch(/\r\n\r\nabc$/);
  });

  test('before the first byte', async () => {
    const live = new LiveBody();
    const serving = await serveTest(withLive(live));
    const client = await RawClient.open(serving.port);
    client.get('/live');
    (await live.started).abort(new Error('no more'));
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ body: '', isComplete: false }]);
  });
});
