/** What a host does to requests and responses before they come here: it parses bodies, wraps responses, takes prefixes off. */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { connect, createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createGzip, gunzipSync } from 'node:zlib';
import express from 'express';
import { describe, expect, test } from 'vitest';
import { Frame, StreamServer, type StreamServerOptions } from '../../../packages/server/src/index.ts';
import { nodeListener } from '../../../packages/server/src/node/index.ts';
import { cleanUp, eventually, frameOf, LiveBody, RawClient, repliesIn, whole } from './node-rig.ts';

async function listen(listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** A server of streams below `/streams` of an Express application, behind what is put there. */
async function host(
  before: (app: express.Express) => void,
  options: StreamServerOptions = {},
): Promise<{ url: string; errors: unknown[] }> {
  const errors: unknown[] = [];
  const streams = new StreamServer({ prefix: '/streams', onError: (error) => errors.push(error), ...options });
  cleanUp(() => streams.close());
  const app = express();
  before(app);
  app.use('/streams', nodeListener(streams.handle, { onError: (error) => errors.push(error) }));
  const port = await listen(app);
  return { url: `http://127.0.0.1:${port}/streams/a`, errors };
}

function send(url: string, method: 'PUT' | 'POST', body?: string | Uint8Array<ArrayBuffer>, type = 'application/json') {
  return fetch(url, { method, headers: { 'content-type': type }, body: body ?? null });
}

describe('a body that the host has read', () => {
  test('and made an object of is refused, and the host is told why', async () => {
    const { url, errors } = await host((app) => app.use(express.json()));
    expect((await send(url, 'PUT')).status).toBe(201);
    const refused = await send(url, 'POST', '[1]');
    expect(refused.status).toBe(500);
    expect(await refused.json()).toMatchObject({
      error: { message: expect.stringContaining('before any body parser') },
    });
    expect(errors).toMatchObject([{ code: 'ERR_FANPIPE_BODY_ALREADY_READ' }]);
    // What its parser leaves alone comes through.
    expect((await send(`${url}/text`, 'PUT', 'abc', 'text/plain')).status).toBe(201);
    expect(await (await fetch(`${url}/text`)).text()).toBe('abc');
  });

  test('is taken from rawBody, as it was sent', async () => {
    const keep = (request: IncomingMessage, _: unknown, bytes: Buffer): void => {
      Object.assign(request, { rawBody: bytes });
    };
    const { url, errors } = await host((app) => app.use(express.json({ verify: keep })));
    await send(url, 'PUT');
    expect((await send(url, 'POST', '[1.10, 12345678901234567890]')).status).toBe(204);
    expect(await (await fetch(url)).text()).toBe('[1.10,12345678901234567890]');
    expect(errors).toEqual([]);
  });

  test('is taken where it was kept as bytes', async () => {
    const { url } = await host((app) => app.use(express.raw({ type: '*/*' })));
    const bytes = Uint8Array.from({ length: 50_000 }, (_, i) => i % 251);
    await send(url, 'PUT', undefined, 'application/octet-stream');
    expect((await send(url, 'POST', bytes, 'application/octet-stream')).status).toBe(204);
    expect(new Uint8Array(await (await fetch(url)).arrayBuffer())).toEqual(bytes);
  });

  test('has its limit all the same', async () => {
    const { url } = await host((app) => app.use(express.raw({ type: '*/*' })), { limits: { maxBodyBytes: 10 } });
    await send(url, 'PUT', undefined, 'text/plain');
    expect((await send(url, 'POST', 'x'.repeat(11), 'text/plain')).status).toBe(413);
    expect((await send(url, 'POST', 'x'.repeat(10), 'text/plain')).status).toBe(204);
  });
});

/** Does with a response what middleware that compresses does: says so in the head, and sends something else than it is given. */
function compress(response: ServerResponse): void {
  const gzip = createGzip();
  const writeHead = response.writeHead.bind(response) as (status: number, headers: string[]) => ServerResponse;
  const write = response.write.bind(response) as (chunk: Uint8Array) => boolean;
  const end = response.end.bind(response) as () => void;
  const on = response.on.bind(response) as (event: string, listener: () => void) => ServerResponse;
  on('drain', () => gzip.resume());
  gzip.on('data', (chunk: Uint8Array) => {
    if (!write(chunk)) gzip.pause();
  });
  gzip.on('end', () => end());
  Object.assign(response, {
    writeHead: (status: number, headers: string[]) => writeHead(status, [...headers, 'content-encoding', 'gzip']),
    write: (chunk: Uint8Array) => gzip.write(chunk),
    end: () => gzip.end(),
    on(event: string, listener: () => void) {
      if (event !== 'drain') return on(event, listener);
      gzip.on('drain', listener);
      return response;
    },
  });
}

describe('a response that the host has wrapped', () => {
  async function wrapped(body: LiveBody): Promise<RawClient> {
    const listener = nodeListener(async () => body.reply());
    const port = await listen((request, response) => {
      compress(response);
      listener(request, response);
    });
    const client = await RawClient.open(port, false);
    client.get('/');
    return client;
  }

  test('gets bytes when its end alone is wrapped, by what knows nothing of encodings', async () => {
    const body = Uint8Array.from({ length: 256 }, (_, i) => i);
    const listener = nodeListener(async () => whole(200, body));
    const port = await listen((request, response) => {
      const end = response.end.bind(response) as (chunk: unknown) => ServerResponse;
      Object.assign(response, { end: (chunk: unknown) => end(chunk) });
      listener(request, response);
    });
    const client = await RawClient.open(port);
    client.get('/', 'connection: close');
    await client.closed;
    expect(Buffer.from(repliesIn(client.text)[0]?.body ?? '', 'latin1')).toEqual(Buffer.from(body));
  });

  test('gets the body of a live reply, whole', async () => {
    const body = new LiveBody();
    const client = await wrapped(body);
    client.read();
    const sink = await body.started;
    for (let i = 0; i < 100; i++) sink.write(frameOf(`line ${i}\n`));
    sink.end();
    await client.until('\r\n0\r\n\r\n');
    const [reply] = repliesIn(client.text);
    expect(reply).toMatchObject({ isComplete: true, headers: { 'content-encoding': 'gzip' } });
    const text = gunzipSync(Buffer.from((reply as { body: string }).body, 'latin1')).toString();
    expect(text.split('\n')).toHaveLength(101);
  });

  test('has a say in how fast it is', async () => {
    const body = new LiveBody();
    const client = await wrapped(body);
    const sink = await body.started;
    // Nothing that gzip could make small, and more than sockets hold.
    const noise = new Frame(randomBytes(65_536));
    let given = 0;
    let isWritten = false;
    const go = (): void => {
      while (given < 400) {
        given++;
        if (!sink.write(noise)) return;
      }
      isWritten = true;
      sink.end();
    };
    sink.onDrain = go;
    go();
    expect(given).toBeLessThan(10);
    client.read();
    await client.until(() => isWritten && client.text.endsWith('\r\n0\r\n\r\n'));
    const [reply] = repliesIn(client.text);
    expect(gunzipSync(Buffer.from((reply as { body: string }).body, 'latin1'))).toHaveLength(400 * 65_536);
  });

  test('is broken off where the body is', async () => {
    const body = new LiveBody();
    const client = await wrapped(body);
    client.read();
    const sink = await body.started;
    sink.write(frameOf('some'));
    sink.abort(new Error('the stream was deleted'));
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ status: 200, isComplete: false }]);
    expect(body.stops).toBe(0);
  });

  test('stops when its client goes', async () => {
    const body = new LiveBody();
    const client = await wrapped(body);
    (await body.started).write(frameOf('some'));
    client.socket.destroy();
    await body.stopped;
    await eventually(() => body.sink.write(frameOf('more')) === false);
  });
});

test('a response of HTTP/2 that the host has wrapped gets the body', async () => {
  const body = new LiveBody();
  const listener = nodeListener(async () => body.reply());
  const seen: string[] = [];
  const server = createHttp2Server((request, response) => {
    const write = response.write.bind(response);
    response.write = (chunk: string | Uint8Array) => {
      seen.push(Buffer.from(chunk as Uint8Array).toString());
      return write(chunk);
    };
    listener(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  cleanUp(async () => {
    session.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const stream = session.request({ ':path': '/' }).setEncoding('latin1');
  const text = stream.toArray();
  const sink = await body.started;
  // More than the flow control of HTTP/2 lets through at once.
  let frames = 0;
  const go = (): void => {
    while (frames < 20) if (!sink.write(frameOf(String(frames++ % 10).repeat(10_000)))) return;
    sink.end();
  };
  sink.onDrain = go;
  go();
  expect((await text).join('')).toBe(seen.join(''));
  expect(seen).toHaveLength(20);
});

describe('a prefix', () => {
  test('that Express takes off is seen again, in Location too', async () => {
    const { url } = await host((app) => app.disable('x-powered-by'));
    const created = await send(url, 'PUT', undefined, 'text/plain');
    expect([created.status, created.headers.get('location')]).toEqual([201, url]);
  });

  test('of an application in an application', async () => {
    const streams = new StreamServer({ prefix: '/api/v2/streams/' });
    cleanUp(() => streams.close());
    const api = express.Router().use('/streams', nodeListener(streams.handle));
    const port = await listen(express().use('/api', express().use('/v2', api)));
    const url = `http://127.0.0.1:${port}/api/v2/streams/a%2Fb`;
    expect((await send(url, 'PUT', 'abc', 'text/plain')).headers.get('location')).toBe(url);
    expect((await fetch(url, { method: 'HEAD' })).headers.get('stream-next-offset')).toMatch(/_0000000000000003$/);
  });
});
