/** The whole server over real sockets: what the node side and the protocol make of each other. */

import { describe, expect, test } from 'vitest';
import { memoryBackend } from '../../../packages/server/src/backends/index.ts';
import type { ServeOptions } from '../../../packages/server/src/node/index.ts';
import { type Serving, serve } from '../../../packages/server/src/node/index.ts';
import { StreamServer, type StreamServerOptions } from '../../../packages/server/src/stream-server.ts';
import { bufferBytes, cleanUp, eventually, RawClient, repliesIn, untilMetric } from './node-rig.ts';

const MB = 1024 * 1024;

async function start(
  options: StreamServerOptions = {},
  more: Partial<ServeOptions> = {},
): Promise<{ server: StreamServer; serving: Serving }> {
  const errors: unknown[] = [];
  const onError = (error: unknown): number => errors.push(error);
  const server = new StreamServer({ onError, ...options });
  const serving = await serve({ server, port: 0, onError, ...more });
  cleanUp(async () => {
    await serving.close({ grace: 0 });
    expect(errors).toEqual([]);
  });
  return { server, serving };
}

const send = (method: string, path: string, body = '', ...headers: string[]): string =>
  `${method} ${path} HTTP/1.1\r\nhost: a\r\n${headers.map((line) => `${line}\r\n`).join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

/** A reader of a stream that says what came of it. */
async function reader(serving: Serving, path: string, isReading = true): Promise<RawClient> {
  const client = await RawClient.open(serving.port, isReading);
  client.get(path);
  return client;
}

describe('targets and headers that are nobody’s', () => {
  test.each([
    ['GET', '/', [], 404],
    ['GET', '/v1/stream', [], 404],
    ['GET', '/v1/stream/', [], 400],
    ['GET', '/v1/stream/none', [], 404],
    ['GET', '/../../etc/passwd', [], 404],
    ['GET', '/v1/stream/../../../etc/passwd', [], 400],
    ['GET', '/v1/stream/%2e%2e/%2e%2e/etc/passwd', [], 400],
    ['GET', '/v1/stream/%2e%2e%2fetc%2fpasswd', [], 400],
    ['GET', '/v1/stream/%00', [], 400],
    ['GET', '/v1/stream/%zz', [], 400],
    ['GET', '/v1/stream/%ff', [], 400],
    ['GET', `/v1/stream/${'a'.repeat(5000)}`, [], 400],
    ['PUT', `/v1/stream/${'a'.repeat(5000)}`, [], 400],
    ['PUT', '/v1/stream/a%0d%0aset-cookie:x', ['content-type: text/plain'], 400],
    ['PUT', '/v1/stream/b', ['content-type: text/\xe9'], 400],
    ['PUT', '/v1/stream/b', ['content-type: text/plain; x="\xff"'], 400],
    ['PUT', '/v1/stream/b', ['content-type: text/plain', 'content-type: text/html'], 400],
    ['GET', 'http://a/v1/stream/none', [], 404],
    ['GET', '//v1/stream/a', [], 404],
    ['PATCH', '/v1/stream/a', [], 405],
  ] as [string, string, string[], number][])('%s %s %j', async (method, path, headers, status) => {
    const { serving, server } = await start();
    const client = await RawClient.open(serving.port);
    client.send(send(method, path, '', ...headers));
    client.get('/health', 'connection: close');
    await client.closed;
    const replies = repliesIn(client.text);
    expect(replies.map((reply) => reply.status)).toEqual([status, 200]);
    expect(replies[0]?.headers['x-content-type-options']).toBe('nosniff');
    expect(await server.hub.stats()).toMatchObject({ streams: 0 });
  });

  test.each([
    ['declared', 'content-length: 10000000000', ''],
    ['declared to an expecting client', 'content-length: 10000000000\r\nexpect: 100-continue', ''],
  ])('a body of 10 GB, %s, is a 413 at once', async (_, headers, body) => {
    const { serving } = await start();
    const client = await RawClient.open(serving.port);
    client.send(send('PUT', '/v1/stream/a', '', 'content-type: text/plain'));
    await client.until('201 Created');
    client.text = '';
    client.send(`POST /v1/stream/a HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\n${headers}\r\n\r\n${body}`);
    await client.until(/\r\n\r\n.*\}/s);
    expect(repliesIn(client.text)).toMatchObject([{ status: 413, isComplete: true, headers: { connection: 'close' } }]);
    expect(client.text).not.toContain('100 Continue');
  });

  test('chunks without end into a stream of messages are a 413, and nothing is taken', async () => {
    const { serving, server } = await start({ limits: { maxBodyBytes: 200_000 } });
    const client = await RawClient.open(serving.port);
    client.send(send('PUT', '/v1/stream/a', '', 'content-type: application/json'));
    await client.until('201 Created');
    client.text = '';
    client.send(
      'POST /v1/stream/a HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n',
    );
    const piece = `${(10_000).toString(16)}\r\n${'1'.repeat(10_000)}\r\n`;
    while (!client.text.includes('413') && !client.isClosed) {
      client.send(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.until(/\r\n\r\n.*\}/s);
    expect(repliesIn(client.text)).toMatchObject([{ status: 413, isComplete: true }]);
    expect(await server.hub.stats()).toMatchObject({ appends: 0 });
  });
});

describe('live readers', () => {
  test('SLOW: one that never reads costs less than 1 MB while 200 MB are appended, and is cut off', async () => {
    const { server, serving } = await start({}, { stallTimeout: 400 });
    await server.hub.create('a', { contentType: 'application/octet-stream', retainBytes: MB });
    const stuck = await reader(serving, '/v1/stream/a?live=raw&offset=-1', false);
    await eventually(() => serving.connections === 1);
    const writer = server.writer('a');
    const append = async (bytes: Uint8Array): Promise<void> => {
      await writer.write(bytes);
      await writer.flush();
    };
    await append(new Uint8Array(MB));
    const before = await bufferBytes();
    let most = 0;
    for (let i = 0; i < 200; i++) {
      await append(new Uint8Array(MB));
      if (i % 50 === 49) most = Math.max(most, (await bufferBytes()) - before);
    }
    expect(most).toBeLessThan(MB);
    await eventually(() => serving.connections === 0);
    stuck.read();
    await stuck.closed;
  });

  test('one that stops for a while and reads on gets every byte', async () => {
    const { server, serving } = await start();
    await server.hub.create('a', { contentType: 'application/octet-stream' });
    const slow = await reader(serving, '/v1/stream/a?live=raw&offset=-1', false);
    await eventually(() => serving.connections === 1);
    const writer = server.writer('a');
    let sum = 0;
    for (let i = 0; i < 40; i++) {
      const bytes = new Uint8Array(250_000).fill(i);
      sum += i * bytes.length;
      await writer.write(bytes);
      await writer.flush();
    }
    await writer.end();
    slow.read();
    await slow.until(/\r\n0\r\n\r\n$/);
    const [reply] = repliesIn(slow.text);
    expect(reply).toMatchObject({ status: 200, isComplete: true });
    expect(reply?.body.length).toBe(10_000_000);
    let got = 0;
    for (const byte of Buffer.from(reply?.body ?? '', 'latin1')) got += byte;
    expect(got).toBe(sum);
  });

  test('the connection goes on after the end of the stream', async () => {
    const { server, serving } = await start();
    const client = await RawClient.open(serving.port);
    client.send(send('PUT', '/v1/stream/a', 'abc', 'content-type: text/plain'));
    await client.until('201 Created');
    client.text = '';
    client.get('/v1/stream/a?live=sse&offset=-1');
    await client.until('data:abc');
    const writer = server.writer('a');
    await writer.write('def');
    await writer.end();
    await client.until('\r\n0\r\n\r\n');
    client.get('/v1/stream/a', 'connection: close');
    await client.closed;
    const [live, whole] = repliesIn(client.text);
    expect(live).toMatchObject({ status: 200, isComplete: true });
    expect(live?.body).toContain('data:def');
    expect(whole).toMatchObject({ status: 200, body: 'abcdef', headers: { 'stream-closed': 'true' } });
  });

  test('a writer that fails: its readers get all of it, and no end', async () => {
    const { server, serving } = await start();
    await server.hub.create('a', { contentType: 'text/plain' });
    const client = await reader(serving, '/v1/stream/a?live=raw&offset=-1');
    await client.until('\r\n\r\n');
    const writer = server.writer('a');
    await writer.write('all of it');
    writer.fail(new Error('no more'));
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ status: 200, body: 'all of it', isComplete: false }]);
  });

  test('a client that goes leaves no reader behind', async () => {
    const { server, serving } = await start();
    await server.hub.create('a', { contentType: 'text/plain' });
    const paths = ['live=raw&offset=-1', 'live=sse&offset=-1', 'live=long-poll&offset=-1'];
    const clients = await Promise.all(paths.map((query) => reader(serving, `/v1/stream/a?${query}`)));
    await eventually(() => serving.connections === 3);
    const readers = async (): Promise<string[]> =>
      (await serving.metrics.text())
        .split('\n')
        .filter((line) => /^fanpipe_(readers|live_replies|waiting_requests|feeds) /.test(line));
    while ((await readers()).filter((line) => !line.endsWith(' 0')).length < 4) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const client of clients) client.socket.destroy();
    await eventually(() => serving.connections === 0);
    for (let round = 0; (await readers()).some((line) => !line.endsWith(' 0')); round++) {
      if (round === 1000) expect(await readers()).toEqual([]);
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
});

describe('shutdown of the whole', () => {
  test('LEAVE: each kind of reader is told where to go on, an append under way is stored', async () => {
    const { server, serving } = await start({ backend: memoryBackend({ firstGeneration: 1 }) });
    await server.hub.create('a', { contentType: 'text/plain' }, { chunks: [new TextEncoder().encode('abc')] });
    const { stream } = await server.hub.create('a', { contentType: 'text/plain' });
    const tail = '0000000000000001_0000000000000003';
    const sse = await reader(serving, '/v1/stream/a?live=sse&offset=-1');
    const raw = await reader(serving, '/v1/stream/a?live=raw&offset=-1');
    const poll = await reader(serving, `/v1/stream/a?live=long-poll&offset=${tail}`);
    const upload = await RawClient.open(serving.port);
    upload.send('POST /v1/stream/a HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\ndef');
    await sse.until('upToDate');
    await raw.until('abc');
    await untilMetric(serving, 'fanpipe_waiting_requests', 1);
    const sent = [sse, raw, poll, upload].reduce((sum, client) => sum + client.sent, 0);
    await untilMetric(serving, 'fanpipe_received_bytes_total', sent);
    const closed = serving.close({ grace: 30_000 });
    await Promise.all([sse.closed, raw.closed, poll.closed]);
    upload.send('ghi');
    await closed;
    await upload.closed;
    const [events] = repliesIn(sse.text);
    expect(events).toMatchObject({ status: 200, isComplete: true });
    const controls = [...(events?.body.matchAll(/event: control\ndata:(.*)\n/g) ?? [])];
    expect(JSON.parse(controls.at(-1)?.[1] ?? '{}')).toMatchObject({ streamNextOffset: tail });
    expect(repliesIn(raw.text)).toMatchObject([{ status: 200, body: 'abc' }]);
    expect(repliesIn(poll.text)).toMatchObject([
      { status: 204, headers: { 'stream-next-offset': tail, connection: 'close' } },
    ]);
    expect(repliesIn(upload.text)).toMatchObject([
      { status: 204, headers: { 'stream-next-offset': '0000000000000001_0000000000000009', connection: 'close' } },
    ]);
    await expect(stream.append([new Uint8Array(1)])).rejects.toThrow();
  });
});
