/** The same over HTTP/2: its own frames, its own flow control, its own way to break off. */

import { once } from 'node:events';
import type { Server } from 'node:http';
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { Frame } from '../../../packages/server/src/http/frame.ts';
import type { HttpRequest } from '../../../packages/server/src/http/http-request.ts';
import type { Reply } from '../../../packages/server/src/http/reply.ts';
import type { Exchange } from '../../../packages/server/src/node/exchange.ts';
import { type NodeListenerOptions, nodeListener } from '../../../packages/server/src/node/index.ts';
import {
  atOnce,
  cleanUp,
  eventually,
  frameOf,
  LiveBody,
  RawClient,
  readAll,
  serveTest,
  untilQuiet,
  whole,
} from './node-rig.ts';
import { cert, key } from './test-certificate.ts';

type TestHandler = (request: HttpRequest) => Promise<Reply> | Reply;

/** A session of HTTP/2 without TLS, on a listener in a bare `node:http2` server. */
async function session(handler: TestHandler, options: NodeListenerOptions = {}): Promise<ClientHttp2Session> {
  const errors: unknown[] = [];
  const listener = nodeListener(async (request) => handler(request), { onError: (e) => errors.push(e), ...options });
  const server = http2.createServer(listener);
  server.on('checkContinue', listener.onContinue);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = http2.connect(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
  client.on('error', () => {});
  cleanUp(async () => {
    client.destroy();
    await new Promise((resolve) => server.close(resolve));
    expect(errors).toEqual([]);
  });
  return client;
}

interface Answer {
  readonly headers: Record<string, unknown>;
  readonly body: string;
  /** Of the frame that ended it; 0: it ended well. */
  readonly code: number;
}

async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  let headers: Record<string, unknown> = {};
  let body = '';
  stream.on('error', () => {});
  stream.on('response', (value) => (headers = value));
  stream.setEncoding('latin1').on('data', (text: string) => (body += text));
  if (!stream.closed) await new Promise((resolve) => stream.on('close', resolve));
  return { headers, body, code: stream.rstCode ?? 0 };
}

const ask = (client: ClientHttp2Session, path: string, headers: Record<string, string> = {}, body?: Uint8Array) => {
  const stream = client.request({ ':path': path, ...headers }, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return stream;
};

describe('HTTP/2', () => {
  test('what a handler sees', async () => {
    let seen: unknown[] = [];
    const client = await session(async (r) => {
      seen = [r.method, r.path, r.query, r.origin.replace(/\d+$/, 'PORT'), r.header('x-a'), r.remoteAddress];
      seen.push(r.bodyLength, Buffer.from(await readAll(r)).toString());
      return whole(200, 'fine', ['x-b', 'c']);
    });
    const answer = await answerOf(ask(client, '/a/b?c', { 'x-a': 'b' }));
    expect(answer).toMatchObject({
      body: 'fine',
      code: 0,
      headers: { ':status': 200, 'x-b': 'c', 'content-length': '4' },
    });
    expect(seen).toEqual(['GET', '/a/b', 'c', 'http://127.0.0.1:PORT', 'b', '127.0.0.1', 0, '']);
    await answerOf(ask(client, '/', { ':method': 'POST' }, Buffer.from('abc')));
    expect(seen.slice(-2)).toEqual([undefined, 'abc']);
    await answerOf(ask(client, '/', { ':method': 'POST', 'content-length': '3' }, Buffer.from('abc')));
    expect(seen.slice(-2)).toEqual([3, 'abc']);
  });

  test.each([
    ['GET', 204, undefined, undefined, ''],
    ['GET', 304, undefined, undefined, ''],
    ['GET', 404, undefined, '0', ''],
    ['HEAD', 200, 'abc', '3', ''],
  ])('%s %d with %j', async (method, status, body, length, seen) => {
    const client = await session(() => whole(status, body, ['vary', 'a', 'vary', 'b']));
    const answer = await answerOf(ask(client, '/', { ':method': method }));
    expect(answer).toMatchObject({ body: seen, code: 0, headers: { ':status': status, vary: 'a, b' } });
    expect(answer.headers['content-length']).toBe(length);
  });

  test('a live reply', async () => {
    const live = new LiveBody();
    const client = await session(() => live.reply());
    const stream = ask(client, '/');
    const answer = answerOf(stream);
    const sink = await live.started;
    await once(stream, 'response');
    expect(sink.write(frameOf('one'))).toBe(true);
    await once(stream, 'data');
    expect(sink.write(frameOf(''))).toBe(true);
    sink.write(frameOf('two'));
    sink.end();
    expect(await answer).toMatchObject({ body: 'onetwo', code: 0 });
    expect(sink.write(frameOf('late'))).toBe(false);
    expect(live.stops).toBe(0);
  });

  test('many live replies on one connection', async () => {
    const bodies: LiveBody[] = [];
    const client = await session(() => {
      const live = new LiveBody();
      bodies.push(live);
      return live.reply();
    });
    const answers = Array.from({ length: 90 }, (_, i) => answerOf(ask(client, `/${i}`)));
    await eventually(() => bodies.length === 90);
    await Promise.all(bodies.map(({ started }) => started));
    const frame = frameOf('all');
    for (const { sink } of bodies) sink.write(frame);
    for (const { sink } of bodies) sink.end();
    for (const answer of await Promise.all(answers)) expect(answer).toMatchObject({ body: 'all', code: 0 });
  });

  test('an aborted reply: what was written comes, then a reset', async () => {
    const live = new LiveBody();
    const client = await session(() => live.reply());
    const stream = ask(client, '/');
    const answer = answerOf(stream);
    const sink = await live.started;
    sink.write(frameOf('abc'));
    sink.abort(new Error('no more'));
    sink.end();
    expect(await answer).toMatchObject({ body: 'abc', code: http2.constants.NGHTTP2_INTERNAL_ERROR });
  });

  test.each(['abc', 'abcdefgh'])('a body of another length than it said is reset (%s)', async (text) => {
    const client = await session(() =>
      atOnce((sink) => {
        sink.write(frameOf(text));
        sink.end();
      }, 6),
    );
    expect((await answerOf(ask(client, '/'))).code).not.toBe(0);
  });

  test('a client that resets its stream: the handler is told, the others go on', async () => {
    const bodies = new Map<string, LiveBody>();
    const client = await session((request) => {
      const live = new LiveBody();
      bodies.set(request.path, live);
      return live.reply();
    });
    const first = ask(client, '/1');
    const second = ask(client, '/2');
    const answer = answerOf(second);
    first.on('error', () => {});
    await eventually(() => bodies.size === 2);
    await Promise.all([...bodies.values()].map(({ started }) => started));
    first.close(http2.constants.NGHTTP2_CANCEL);
    await bodies.get('/1')?.stopped;
    expect(bodies.get('/1')?.sink.write(frameOf('late'))).toBe(false);
    bodies.get('/2')?.sink.write(frameOf('on'));
    bodies.get('/2')?.sink.end();
    expect(await answer).toMatchObject({ body: 'on', code: 0 });
    expect(bodies.get('/2')?.stops).toBe(0);
  });

  test('a reader that does not read is bounded, comes back, and gets every byte', async () => {
    const live = new LiveBody();
    const client = await session(() => live.reply());
    const stream = ask(client, '/');
    const sink = await live.started;
    const size = 30_000;
    const total = 200;
    let written = 0;
    const go = (): void => {
      while (written < total) if (!sink.write(new Frame(new Uint8Array(size).fill(written++)))) return;
      sink.end();
    };
    sink.onDrain = go;
    go();
    await once(stream, 'response');
    await untilQuiet(() => written);
    expect(written).toBeLessThan(20);
    const counts = new Array<number>(total).fill(0);
    stream.on('data', (bytes: Buffer) => {
      for (const byte of bytes) counts[byte] = (counts[byte] as number) + 1;
    });
    await once(stream, 'close');
    expect(counts).toEqual(new Array(total).fill(size));
  });

  test('a reader that takes nothing is cut off, and the other streams of its session go on', async () => {
    const stuck = new LiveBody();
    const other = new LiveBody();
    const client = await session((request) => (request.path === '/stuck' ? stuck : other).reply(), {
      stallTimeout: 150,
    });
    const stream = ask(client, '/stuck');
    stream.on('error', () => {});
    const answer = answerOf(ask(client, '/other'));
    const sink = await stuck.started;
    const frame = new Frame(new Uint8Array(60_000));
    sink.onDrain = () => {
      while (sink.write(frame));
    };
    sink.onDrain();
    await stuck.stopped;
    expect(stuck.stops).toBe(1);
    (await other.started).write(frameOf('on'));
    other.sink.end();
    expect(await answer).toMatchObject({ body: 'on', code: 0 });
  });

  test('an upload that brings nothing is cut off', async () => {
    const errors: unknown[] = [];
    const client = await session(
      async (request) => {
        await readAll(request).catch((error) => errors.push(error));
        return whole(204);
      },
      { uploadTimeout: 100 },
    );
    const stream = client.request({ ':method': 'POST', ':path': '/' });
    stream.write('abc');
    expect((await answerOf(stream)).code).not.toBe(0);
    expect(errors).toMatchObject([{ code: 'ERR_FANPIPE_REQUEST_BROKEN' }]);
  });

  test('so is one whose client asks other things meanwhile, but not one that brings a little now and then', async () => {
    const errors: unknown[] = [];
    let length = 0;
    const client = await session(
      async (request) => {
        if (request.path === '/slow') length = (await readAll(request)).length;
        else if (request.path === '/stalled') await readAll(request).catch((error) => errors.push(error));
        return whole(204);
      },
      { uploadTimeout: 200 },
    );
    const upload = (path: string) => client.request({ ':method': 'POST', ':path': path });
    const slow = upload('/slow');
    const answer = answerOf(slow);
    let drops = 0;
    // The watch looks by the clock of the runtime, so the bytes come by it too, until two uploads without any have been cut off.
    const drip = setInterval(() => {
      slow.write('a');
      drops++;
      void answerOf(ask(client, '/'));
    }, 25);
    cleanUp(() => clearInterval(drip));
    for (let i = 0; i < 2; i++) {
      const stalled = upload('/stalled');
      stalled.write('abc');
      expect((await answerOf(stalled)).code).not.toBe(0);
    }
    clearInterval(drip);
    slow.end();
    expect((await answer).headers[':status']).toBe(204);
    expect(length).toBe(drops);
    const broken = { code: 'ERR_FANPIPE_REQUEST_BROKEN' };
    expect(errors).toMatchObject([broken, broken]);
  });

  test('a body that is left unread does not hold the connection', async () => {
    const client = await session(() => whole(413, 'no'));
    const stream = client.request({ ':method': 'POST', ':path': '/' });
    const answer = answerOf(stream);
    stream.write(new Uint8Array(1_000_000));
    expect(await answer).toMatchObject({ body: 'no', headers: { ':status': 413 } });
    expect(await answerOf(ask(client, '/'))).toMatchObject({ body: 'no', code: 0 });
  });

  test('bad targets are refused', async () => {
    const client = await session(() => whole(200));
    expect((await answerOf(ask(client, '/a#b'))).headers[':status']).toBe(400);
    // These node:http2 refuses itself.
    for (const path of ['*', 'a']) expect((await answerOf(ask(client, path))).code).not.toBe(0);
    const twoHosts = { ':authority': 'a', host: 'b' };
    expect((await answerOf(ask(client, '/', twoHosts))).headers[':status']).toBe(400);
  });
});

/** All that comes until the connection is closed. */
async function textOf(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (bytes) => (text += String(bytes)));
  await once(socket, 'close');
  return text;
}

describe('over TLS', () => {
  const tls = { key, cert };

  test('HTTP/2 and HTTP/1.1, as the client likes', async () => {
    const serving = await serveTest((request) => whole(200, request.origin), { tls });
    const client = http2.connect(serving.url, { rejectUnauthorized: false });
    cleanUp(() => client.destroy());
    expect(serving.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    expect((await answerOf(ask(client, '/'))).body).toBe(serving.url);
    const text = await new Promise<string>((resolve, reject) => {
      const request = httpsRequest(serving.url, { rejectUnauthorized: false, agent: false }, (response) => {
        let body = '';
        response.on('data', (bytes) => (body += String(bytes))).on('end', () => resolve(body));
      });
      request.on('error', reject).end();
    });
    expect(text).toBe(serving.url);
  });

  test('HTTP/1.1 has the limits that it has without', async () => {
    const serving = await serveTest(() => whole(200, 'fine'), {
      tls,
      keepAliveTimeout: 100,
      headersTimeout: 200,
      maxHeaderSize: 2_000,
    });
    const open = (text: string) => {
      const socket = connectTls({ port: serving.port, host: '127.0.0.1', rejectUnauthorized: false });
      cleanUp(() => socket.destroy());
      socket.write(text);
      return textOf(socket);
    };
    const texts = await Promise.all([
      open('GET / HTTP/1.1\r\nhost: a\r\n\r\n'),
      open('GET / HTTP/1.1\r\nhost: a\r\nx-'),
      open(`GET / HTTP/1.1\r\nhost: a\r\nx-a: ${'b'.repeat(3_000)}\r\n\r\n`),
    ]);
    expect(texts.map((text) => text.slice(9, 12))).toEqual(['200', '408', '431']);
  });

  test('an upload over HTTP/1.1 may take as long as it comes', async () => {
    let server!: Server;
    const serving = await serveTest(
      (request) => {
        server = ((request as Exchange).message.socket as unknown as { server: Server }).server;
        return whole(200);
      },
      { tls },
    );
    const socket = connectTls({ port: serving.port, host: '127.0.0.1', rejectUnauthorized: false });
    cleanUp(() => socket.destroy());
    socket.write('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
    await textOf(socket);
    expect(server.requestTimeout).toBe(0);
  });

  test('a session on which nothing is asked is closed after a while', async () => {
    let release!: () => void;
    const held = new Promise<void>((resolve) => (release = resolve));
    let isClosed = false;
    const serving = await serveTest(
      async ({ path }) => {
        if (path === '/held') await held;
        return whole(200, 'fine');
      },
      { tls, keepAliveTimeout: 200 },
    );
    const idle = http2.connect(serving.url, { rejectUnauthorized: false });
    const used = http2.connect(serving.url, { rejectUnauthorized: false });
    cleanUp(() => {
      for (const each of [idle, used]) each.destroy();
    });
    used.on('close', () => (isClosed = true));
    const answer = answerOf(ask(used, '/held'));
    const idleCloses = once(idle, 'close');
    expect((await answerOf(ask(idle, '/'))).body).toBe('fine');
    await idleCloses;
    await eventually(() => serving.connections === 1);
    expect(isClosed).toBe(false);
    release();
    expect((await answer).body).toBe('fine');
    await eventually(() => serving.connections === 0);
  });

  test('shutdown does not wait for a client that has not begun to speak', async () => {
    const serving = await serveTest(() => whole(200), { tls });
    const silent = await RawClient.open(serving.port);
    await eventually(() => serving.connections === 1);
    await serving.close({ grace: 60_000 });
    await silent.closed;
  });

  test('shutdown lets streams finish, and does not wait for idle sessions', async () => {
    const live = new LiveBody();
    const serving = await serveTest((request) => (request.path === '/live' ? live.reply() : whole(200, 'fine')), {
      tls,
    });
    const client = http2.connect(serving.url, { rejectUnauthorized: false });
    const idle = http2.connect(serving.url, { rejectUnauthorized: false });
    const http1 = connectTls({ port: serving.port, host: '127.0.0.1', rejectUnauthorized: false });
    cleanUp(() => {
      for (const each of [client, idle, http1]) each.destroy();
    });
    http1.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await once(http1, 'data');
    http1.resume();
    expect((await answerOf(ask(idle, '/'))).body).toBe('fine');
    const answer = answerOf(ask(client, '/live'));
    const sink = await live.started;
    const closed = serving.close({ grace: 60_000 });
    sink.write(frameOf('last words'));
    sink.end();
    expect(await answer).toMatchObject({ body: 'last words', code: 0 });
    await closed;
    expect(serving.connections).toBe(0);
  });
});
