/** What Fastify and Hono do around a mounted server: parsers, limits, compression, clients that go, shutdown. Express is in host.test.ts. */

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type ServerType, serve as serveHono } from '@hono/node-server';
import Fastify from 'fastify';
import { Hono } from 'hono';
import { compress } from 'hono/compress';
import { describe, expect, test } from 'vitest';
import { StreamServer } from '../../../packages/server/src/index.ts';
import { nodeListener } from '../../../packages/server/src/node/index.ts';
import { cleanUp } from './node-rig.ts';

const text = { 'content-type': 'text/plain' };

/** Resolves when nobody reads any more. */
async function untilUnread(streams: StreamServer): Promise<void> {
  while ((await streams.hub.stats()).readers > 0) await new Promise((resolve) => setImmediate(resolve));
}

/** Reads until a client has seen that. */
async function readUntil(body: ReadableStream<Uint8Array> | null, wanted: string): Promise<string> {
  const decoder = new TextDecoder();
  let seen = '';
  for await (const chunk of body as ReadableStream<Uint8Array>) {
    seen += decoder.decode(chunk, { stream: true });
    if (seen.includes(wanted)) return seen;
  }
  throw new Error(`ended before ${wanted}: ${seen}`);
}

describe('Fastify', () => {
  async function start() {
    const errors: unknown[] = [];
    const streams = new StreamServer({ prefix: '/files/', onError: (error) => errors.push(error) });
    const listener = nodeListener(streams.handle, { onError: (error) => errors.push(error) });
    const app = Fastify();
    await app.register(async (scope) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', (_request, _body, done) => done(null));
      scope.all('/files/*', (request, reply) => {
        reply.hijack();
        listener(request.raw, reply.raw);
      });
      scope.addHook('preClose', async () => {
        listener.shutDown();
        streams.drain();
      });
      scope.addHook('onClose', () => streams.close());
    });
    // The mistake: its parsers come first.
    app.all('/parsed/*', (request, reply) => {
      reply.hijack();
      parsed(request.raw, reply.raw);
    });
    const other = new StreamServer({ prefix: '/parsed/', onError: (error) => errors.push(error) });
    const parsed = nodeListener(other.handle);
    app.post('/echo', async (request) => request.body);
    await app.listen({ port: 0, host: '127.0.0.1' });
    cleanUp(async () => {
      await app.close();
      await other.close();
    });
    const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
    return { app, url, errors };
  }

  test('keeps off bodies of any type and length, and parses the others', async () => {
    const { url, errors } = await start();
    const file = `${url}/files/a`;
    const headers = { 'content-type': 'audio/mpeg' };
    expect((await fetch(file, { method: 'PUT', headers })).status).toBe(201);
    const body = new Uint8Array(3 * 1024 * 1024).fill(7); // Beyond its bodyLimit.
    expect((await fetch(file, { method: 'POST', headers, body })).status).toBe(204);
    expect((await fetch(file, { method: 'POST', headers: { 'stream-closed': 'true' } })).status).toBe(204);
    expect((await (await fetch(file)).arrayBuffer()).byteLength).toBe(body.length);
    const echo = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":1}' };
    expect(await (await fetch(`${url}/echo`, echo)).json()).toEqual({ a: 1 });
    expect(errors).toEqual([]);
  });

  test('with its parsers in front, the host is told of its mistake', async () => {
    const { url, errors } = await start();
    expect((await fetch(`${url}/parsed/a`, { method: 'PUT', headers: text, body: 'abc' })).status).toBe(500);
    expect(errors).toMatchObject([{ code: 'ERR_FANPIPE_BODY_ALREADY_READ' }]);
  });

  test.each(['HEAD', 'OPTIONS', 'DELETE'])('%s comes through', async (method) => {
    const { url } = await start();
    await fetch(`${url}/files/a`, { method: 'PUT', headers: text });
    expect((await fetch(`${url}/files/a`, { method })).ok).toBe(true);
  });

  test('LEAVE: closes while somebody listens, who is told where to go on', async () => {
    const { app, url } = await start();
    await fetch(`${url}/files/a`, { method: 'PUT', headers: text, body: 'abc' });
    const events = await fetch(`${url}/files/a?live=sse&offset=-1`);
    const [seen] = await Promise.all([events.text(), app.close()]);
    expect(seen).toMatch(/"streamNextOffset":"\d{16}_0000000000000003"(?!.*streamClosed)/);
  });
});

describe('Hono', () => {
  async function start(before?: (app: Hono) => void) {
    const streams = new StreamServer({ prefix: '/streams/' });
    const app = new Hono();
    before?.(app);
    app.all('/streams/*', (context) => streams.fetch(context.req.raw));
    let server!: ServerType;
    const { port } = await new Promise<AddressInfo>((resolve) => {
      server = serveHono({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, resolve);
    });
    cleanUp(async () => {
      streams.drain();
      server.close();
      (server as { closeAllConnections?(): void }).closeAllConnections?.();
      await once(server, 'close');
      await streams.close();
    });
    return { streams, url: `http://127.0.0.1:${port}/streams/a` };
  }

  test.each(['live=raw', 'live=sse&offset=-1'])('compression leaves ?%s alone', async (query) => {
    const { streams, url } = await start((app) => app.use(compress({ threshold: 0 })));
    await fetch(url, { method: 'PUT', headers: text, body: 'x'.repeat(2_000) });
    const whole = await fetch(url);
    expect(whole.headers.get('content-encoding')).toBe('gzip');
    expect(await whole.text()).toHaveLength(2_000);
    const live = await fetch(`${url}?${query}`);
    expect(live.headers.get('content-encoding')).toBeNull();
    // A few bytes come when they are written: nobody waits for more to compress.
    const seen = readUntil(live.body, 'end');
    const writer = streams.writer('a');
    await writer.write('end');
    expect(await seen).toContain('end');
    await writer.end();
  });

  test.each(['live=raw', 'live=sse&offset=-1', 'live=long-poll&offset=now'])(
    'a client of ?%s that goes leaves no reader',
    async (query) => {
      const { streams, url } = await start();
      await fetch(url, { method: 'PUT', headers: text, body: 'abc' });
      const client = new AbortController();
      const reply = fetch(`${url}?${query}`, { signal: client.signal });
      while ((await streams.hub.stats()).readers === 0) await new Promise((resolve) => setImmediate(resolve));
      if (!query.includes('long-poll')) await reply;
      client.abort();
      await reply.then(({ body }) => body?.cancel()).catch(() => {});
      await untilUnread(streams);
    },
  );

  test('HEAD has the headers', async () => {
    const { url } = await start();
    await fetch(url, { method: 'PUT', headers: text, body: 'abc' });
    const head = await fetch(url, { method: 'HEAD' });
    expect([head.status, head.headers.get('stream-next-offset')]).toEqual([200, expect.stringMatching(/3$/)]);
  });

  test('mount takes the prefix off, unless it is told not to', async () => {
    const streams = new StreamServer({ prefix: '/streams/' });
    cleanUp(() => streams.close());
    const put = (app: Hono) => app.request('http://host/streams/a', { method: 'PUT', headers: text });
    expect((await put(new Hono().mount('/streams', streams.fetch))).status).toBe(404);
    const whole = new Hono().mount('/streams', streams.fetch, { replaceRequest: (request) => request });
    const created = await put(whole);
    expect([created.status, created.headers.get('location')]).toEqual([201, 'http://host/streams/a']);
  });
});
