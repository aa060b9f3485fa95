/** How a server ends: what is under way comes to its end, what waits is told, what is left is cut off. */

import { get, type IncomingMessage } from 'node:http';
import { Agent, get as secureGet } from 'node:https';
import { describe, expect, test } from 'vitest';
import type { HttpRequest } from '../../../packages/server/src/http/http-request.ts';
import type { Reply } from '../../../packages/server/src/http/reply.ts';
import { type ServeOptions, type Serving, serve } from '../../../packages/server/src/node/index.ts';
import {
  cleanUp,
  eventually,
  frameOf,
  LiveBody,
  RawClient,
  readAll,
  repliesIn,
  turn,
  untilMetric,
  whole,
} from './node-rig.ts';
import { cert, key } from './test-certificate.ts';

/** A server whose core notes what it is told. */
async function server(handle: (request: HttpRequest) => Promise<Reply> | Reply, onDrain: () => void = () => {}) {
  const told: string[] = [];
  const serving = await serve({
    port: 0,
    server: {
      handle: async (request) => handle(request),
      drain() {
        told.push('drain');
        onDrain();
      },
      async close() {
        told.push('close');
      },
    },
  });
  cleanUp(() => serving.close({ grace: 0 }));
  return { serving, told };
}

async function refusesConnections(serving: Serving): Promise<void> {
  await expect(RawClient.open(serving.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
}

describe('shutdown', () => {
  test('of an idle server is at once, and closes idle connections', async () => {
    const { serving, told } = await server(() => whole(200, 'fine'));
    const used = await RawClient.open(serving.port);
    used.get('/');
    await used.until('fine');
    const silent = await RawClient.open(serving.port);
    const half = await RawClient.open(serving.port);
    half.send('GET / HTT');
    // What was not read when a connection is closed would reset it.
    const bytes = used.sent + half.sent;
    await untilMetric(serving, 'fanpipe_received_bytes_total', bytes);
    await eventually(() => serving.connections === 3);
    const began = performance.now();
    await serving.close({ grace: 60_000 });
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(await Promise.all([used.closed, silent.closed, half.closed])).toEqual([false, false, false]);
    expect(told).toEqual(['drain', 'close']);
    expect(serving.connections).toBe(0);
    await refusesConnections(serving);
  });

  test('may be called again, and all calls wait for it', async () => {
    const { serving, told } = await server(() => whole(200));
    await Promise.all([serving.close(), serving.close()]);
    await serving.close();
    expect(told).toEqual(['drain', 'close']);
  });

  test('answers an append under way, and closes its connection behind it', async () => {
    let isBegun = false;
    const { serving, told } = await server(async (request) => {
      isBegun = true;
      return whole(200, await readAll(request));
    });
    const client = await RawClient.open(serving.port);
    client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc');
    await eventually(() => isBegun);
    const closed = serving.close({ grace: 60_000 });
    await refusesConnections(serving);
    expect(told).toEqual(['drain']);
    client.send('def');
    await closed;
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([
      { status: 200, body: 'abcdef', isComplete: true, headers: { connection: 'close' } },
    ]);
    expect(told).toEqual(['drain', 'close']);
  });

  test('a request that waits is answered when its core is told', async () => {
    let answer!: (reply: Reply) => void;
    const waiting = new Promise<Reply>((resolve) => (answer = resolve));
    let isBegun = false;
    const { serving } = await server(
      () => {
        isBegun = true;
        return waiting;
      },
      () => answer(whole(204)),
    );
    const client = await RawClient.open(serving.port);
    client.get('/?live=long-poll');
    await eventually(() => isBegun);
    await serving.close({ grace: 60_000 });
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ status: 204, headers: { connection: 'close' } }]);
  });

  test('a live reply ends after its last words, whole', async () => {
    const live = new LiveBody();
    const { serving } = await server(
      () => live.reply(),
      () => {
        live.sink.write(frameOf('go on at 7'));
        live.sink.end();
      },
    );
    const client = await RawClient.open(serving.port);
    client.get('/');
    await live.started;
    await serving.close({ grace: 60_000 });
    expect(await client.closed).toBe(false);
    expect(repliesIn(client.text)).toMatchObject([{ body: 'go on at 7', isComplete: true }]);
  });

  test('a long reply comes to its end within the grace time', async () => {
    const live = new LiveBody(3_000_000);
    const { serving } = await server(() => live.reply());
    const client = await RawClient.open(serving.port, false);
    client.get('/');
    const sink = await live.started;
    const frame = frameOf('x'.repeat(100_000));
    let left = 30;
    const go = (): void => {
      while (left-- > 0) if (!sink.write(frame)) return;
      sink.end();
    };
    sink.onDrain = go;
    const closed = serving.close({ grace: 60_000 });
    go();
    client.read();
    await closed;
    await client.closed;
    expect(repliesIn(client.text)[0]).toMatchObject({ isComplete: true });
  });

  test('a reply that is written and not sent goes out, and its connection closes behind it', async () => {
    const { serving } = await server(() => whole(200, new Uint8Array(100_000_000)));
    const client = await RawClient.open(serving.port, false);
    client.get('/');
    while (!(await serving.metrics.text()).includes('fanpipe_sent_bytes_total 1')) await turn();
    const closed = serving.close({ grace: 60_000 });
    client.forget();
    client.read();
    expect(await client.closed).toBe(false);
    await closed;
    expect(client.received).toBeGreaterThan(100_000_000);
  });

  test('a reply behind a live one goes out too, however long it takes', async () => {
    const live = new LiveBody();
    let answer!: (reply: Reply) => void;
    let arrived!: () => void;
    const asked = new Promise<void>((resolve) => (arrived = resolve));
    const { serving } = await server((request) => {
      if (request.path === '/live') return live.reply();
      arrived();
      return new Promise((resolve) => (answer = resolve));
    });
    const client = await RawClient.open(serving.port);
    client.get('/live');
    client.get('/next');
    await asked;
    const closed = serving.close({ grace: 60_000 });
    live.sink.end();
    await client.until('0\r\n\r\n');
    answer(whole(200, 'next'));
    await closed;
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ isComplete: true }, { body: 'next', isComplete: true }]);
  });

  test('what is not at its end after the grace time is cut off, and its body let go', async () => {
    const live = new LiveBody();
    const { serving, told } = await server(() => live.reply());
    const client = await RawClient.open(serving.port);
    client.get('/');
    (await live.started).write(frameOf('abc'));
    await client.until('abc');
    const began = performance.now();
    await serving.close({ grace: 100 });
    expect(performance.now() - began).toBeGreaterThanOrEqual(99);
    expect(live.stops).toBe(1);
    expect(told).toEqual(['drain', 'close']);
    await client.closed;
    expect(repliesIn(client.text)[0]).toMatchObject({ body: 'abc', isComplete: false });
  });

  test('requests that come on a connection that is in use are answered too, and then it closes', async () => {
    let answer!: (reply: Reply) => void;
    const waiting = new Promise<Reply>((resolve) => (answer = resolve));
    const { serving } = await server((request) => (request.path === '/wait' ? waiting : whole(200, request.path)));
    const client = await RawClient.open(serving.port);
    client.get('/wait');
    await untilMetric(serving, 'fanpipe_received_bytes_total', client.sent);
    const closed = serving.close({ grace: 60_000 });
    answer(whole(200, 'waited'));
    await closed;
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ body: 'waited', headers: { connection: 'close' } }]);
  });

  test('what was asked before it began is answered, also behind a live reply; what comes then is not begun', async () => {
    const live = new LiveBody();
    let asked!: () => void;
    const { serving } = await server(
      () => live.reply(),
      () => asked(),
    );
    const client = await RawClient.open(serving.port);
    asked = () => {
      client.get('/health');
      live.sink.end();
    };
    client.get('/');
    await live.started;
    client.get('/health');
    await untilMetric(serving, 'fanpipe_received_bytes_total', client.sent);
    await serving.close({ grace: 60_000 });
    await client.closed;
    expect(repliesIn(client.text).map(({ status }) => status)).toEqual([200, 200]);
  });
});

describe('listening', () => {
  test('a port in use rejects', async () => {
    const { serving } = await server(() => whole(200));
    await expect(serve({ port: serving.port, server: { handle: async () => whole(200) } })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
  });

  test.each([-1, 65_536, 1.5, Number.NaN, '80' as unknown as number])('port %s is none', async (port) => {
    await expect(serve({ port, server: { handle: async () => whole(200) } })).rejects.toThrow('port');
  });

  test.each([undefined, null, {}, { handle: 5 }])('%o is no server', async (server) => {
    await expect(serve({ port: 0, server } as unknown as ServeOptions)).rejects.toThrow(
      TypeError('server must be a StreamServer, or have its handle(request)'),
    );
  });

  test.each([
    ['stallTimeout', Number.NaN],
    ['stallTimeout', -1],
    ['uploadTimeout', Number.NaN],
    ['uploadTimeout', '5' as unknown as number],
    ['headersTimeout', Number.NaN],
    ['keepAliveTimeout', -1],
    ['maxHeaderSize', 0],
    ['maxHeaderSize', 1.5],
    ['maxConnections', Number.NaN],
    ['maxConnections', -1],
    ['origin', 'https://a/'],
    ['origin', 'a.example'],
  ])('%s of %s makes no sense', async (name, value) => {
    for (const tls of [undefined, { key, cert }]) {
      const options = { port: 0, server: { handle: async () => whole(200) }, tls, [name]: value };
      await expect(serve(options as unknown as ServeOptions)).rejects.toThrow(name);
    }
  });

  test('times without end, or longer than timers count, are no time at all for none', async () => {
    const forever = {
      stallTimeout: 1e12,
      uploadTimeout: Infinity,
      headersTimeout: Infinity,
      keepAliveTimeout: Infinity,
    };
    for (const tls of [undefined, { key, cert }]) {
      const live = new LiveBody();
      const options = { port: 0, server: { handle: async () => live.reply() }, tls, ...forever };
      const serving = await serve(options as unknown as ServeOptions);
      cleanUp(() => serving.close({ grace: 0 }));
      const agent = new Agent({ keepAlive: true, rejectUnauthorized: false });
      const reply = new Promise<IncomingMessage>((resolve, reject) => {
        (tls === undefined ? get(serving.url, resolve) : secureGet(serving.url, { agent }, resolve)).on(
          'error',
          reject,
        );
      });
      (await live.started).write(frameOf('abc'));
      await expect(serving.close({ grace: Number.NaN })).rejects.toThrow('grace');
      const closed = serving.close({ grace: Number.POSITIVE_INFINITY });
      // Another server began to close later, and its time is over.
      const held = new LiveBody();
      const { serving: hasty } = await server(() => held.reply());
      (await RawClient.open(hasty.port)).get('/');
      await held.started;
      await hasty.close({ grace: 20 });
      expect(held.stops).toBe(1);
      live.sink.write(frameOf('def'));
      live.sink.end();
      let text = '';
      for await (const bytes of await reply) text += String(bytes);
      expect(text).toBe('abcdef');
      agent.destroy();
      await closed;
    }
  });

  test('an address of this machine, of IPv4 or IPv6, is in the URL', async () => {
    const serving = await serve({ port: 0, host: '::1', server: { handle: async () => whole(200, 'six') } });
    cleanUp(() => serving.close({ grace: 0 }));
    expect(serving.url).toBe(`http://[::1]:${serving.port}`);
    expect(await (await fetch(serving.url, { headers: { connection: 'close' } })).text()).toBe('six');
  });
});
