/** Clients that go, at any point: all that was held for them is freed, and nothing is left behind. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Stream,
} from 'node:http2';
import { describe, expect, test } from 'vitest';
import { Frame } from '../../../packages/server/src/http/frame.ts';
import type { HttpRequest } from '../../../packages/server/src/http/http-request.ts';
import type { Reply } from '../../../packages/server/src/http/reply.ts';
import type { Exchange } from '../../../packages/server/src/node/exchange.ts';
import { nodeListener } from '../../../packages/server/src/node/index.ts';
import {
  cleanUp,
  eventually,
  frameOf,
  LiveBody,
  RawClient,
  readAll,
  repliesIn,
  serveTest,
  turn,
  whole,
} from './node-rig.ts';

/** A server that hands each request to the test, which says when it is answered. */
async function held() {
  const requests: { request: HttpRequest; answer: (reply: Reply) => void; gone: number }[] = [];
  const serving = await serveTest(
    (request) =>
      new Promise((answer) => {
        const entry = { request, answer, gone: 0 };
        request.onGone(() => entry.gone++);
        requests.push(entry);
      }),
  );
  const arrived = async (count: number) => {
    await eventually(() => requests.length >= count);
    return requests[count - 1] as (typeof requests)[0];
  };
  return { serving, requests, arrived };
}

describe('a client that goes', () => {
  test('while its reply is awaited: the handler is told once, and the late reply is let go', async () => {
    const { serving, arrived } = await held();
    const client = await RawClient.open(serving.port);
    client.get('/');
    const entry = await arrived(1);
    client.socket.destroy();
    await eventually(() => entry.gone > 0);
    const live = new LiveBody();
    entry.answer(live.reply());
    await live.stopped;
    expect([entry.gone, live.stops, live.sink]).toEqual([1, 1, undefined]);
    await eventually(() => serving.connections === 0);
  });

  test('before the handler asks to be told: it is told at once', async () => {
    let gone = 0;
    let go = (): void => {};
    let here = (): void => {};
    let over = (): void => {};
    const arrived = new Promise<void>((resolve) => {
      here = resolve;
    });
    const allowed = new Promise<void>((resolve) => {
      go = resolve;
    });
    const closed = new Promise<void>((resolve) => {
      over = resolve;
    });
    const serving = await serveTest(async (request) => {
      (request.raw as IncomingMessage).socket.once('close', over);
      here();
      await allowed;
      request.onGone(() => gone++);
      return whole(204);
    });
    const client = await RawClient.open(serving.port);
    client.get('/');
    await arrived;
    client.socket.destroy();
    await closed;
    go();
    await eventually(() => gone === 1);
  });

  test('by a reset', async () => {
    const { serving, arrived } = await held();
    const client = await RawClient.open(serving.port);
    client.get('/');
    const entry = await arrived(1);
    client.socket.resetAndDestroy();
    await eventually(() => entry.gone === 1);
  });

  test('by closing its half: it wants no reply any more', async () => {
    const { serving, arrived } = await held();
    const client = await RawClient.open(serving.port);
    client.get('/');
    const entry = await arrived(1);
    client.socket.end();
    await eventually(() => entry.gone === 1);
    entry.answer(whole(200));
    await client.closed;
    expect(client.text).toBe('');
  });

  test('by closing its half in the middle of another head', async () => {
    const live = new LiveBody();
    const serving = await serveTest(() => live.reply());
    const client = await RawClient.open(serving.port);
    client.get('/');
    (await live.started).write(frameOf('abc'));
    await client.until('abc');
    client.send('GET /ne');
    client.socket.end();
    await live.stopped;
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ body: 'abc', isComplete: false }]);
  });

  test('in the middle of a live reply to a request whose body nobody reads', async () => {
    const live = new LiveBody();
    const serving = await serveTest(() => live.reply());
    const client = await RawClient.open(serving.port);
    client.send(`GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n${'a'.repeat(300_000)}`);
    await live.started;
    client.socket.end();
    await live.stopped;
    await eventually(() => serving.connections === 0);
  });

  test.each(['HTTP/1.1', 'HTTP/2'])('before the host hands on its request, of %s: it is not begun', async (version) => {
    let handled = 0;
    let isLate = false;
    let release!: () => void;
    const released = new Promise<void>((resolve) => (release = resolve));
    const listener = nodeListener(async () => {
      handled++;
      return new LiveBody().reply();
    });
    let gone: Promise<unknown> | undefined;
    let arrived!: () => void;
    const arrives = new Promise<void>((resolve) => (arrived = resolve));
    const host = async (
      request: IncomingMessage | Http2ServerRequest,
      response: ServerResponse | Http2ServerResponse,
    ) => {
      const { stream = request.socket } = request as { stream?: ServerHttp2Stream };
      gone = once(stream, 'close');
      arrived();
      await released;
      listener(request, response);
      isLate = true;
    };
    const server = version === 'HTTP/2' ? createHttp2Server(host) : createServer(host);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanUp(() => new Promise((resolve) => server.close(resolve)));
    const { port } = server.address() as { port: number };
    if (version === 'HTTP/2') {
      const client = connectHttp2(`http://127.0.0.1:${port}`);
      client.on('error', () => {});
      client.request({ ':path': '/' }).on('error', () => {});
      await arrives;
      client.destroy();
    } else {
      const client = await RawClient.open(port);
      client.get('/');
      await arrives;
      client.socket.destroy();
    }
    await gone;
    release();
    await eventually(() => isLate);
    await turn();
    expect(handled).toBe(0);
  });

  test('with several replies awaited: all are told', async () => {
    const { serving, requests, arrived } = await held();
    const client = await RawClient.open(serving.port);
    for (const path of ['/1', '/2', '/3']) client.get(path);
    await arrived(3);
    const lives = requests.map(() => new LiveBody());
    (requests[0] as (typeof requests)[0]).answer((lives[0] as LiveBody).reply());
    (requests[1] as (typeof requests)[0]).answer((lives[1] as LiveBody).reply());
    const sink = await (lives[0] as LiveBody).started;
    client.socket.destroy();
    await Promise.all(lives.slice(0, 2).map(({ stopped }) => stopped));
    expect(requests.map(({ gone }) => gone)).toEqual([1, 1, 1]);
    expect(lives.map(({ stops }) => stops)).toEqual([1, 1, 0]);
    expect(sink.write(frameOf('late'))).toBe(false);
    expect((lives[1] as LiveBody).sink).toBeUndefined();
  });

  test('in the middle of a live reply, whether it is slow or not', async () => {
    for (const isReading of [true, false]) {
      const live = new LiveBody();
      const serving = await serveTest(() => live.reply());
      const client = await RawClient.open(serving.port, isReading);
      client.get('/');
      const sink = await live.started;
      let drains = 0;
      sink.onDrain = () => drains++;
      const frame = new Frame(new Uint8Array(50_000));
      if (isReading) sink.write(frame);
      else while (sink.write(frame));
      client.socket.destroy();
      await live.stopped;
      const before = drains;
      expect(sink.write(frame)).toBe(false);
      sink.end();
      sink.abort(new Error('late'));
      await eventually(() => serving.connections === 0);
      expect([live.stops, drains]).toEqual([1, before]);
    }
  });

  test('after its reply is complete: nobody is told', async () => {
    const { serving, arrived } = await held();
    const client = await RawClient.open(serving.port);
    client.get('/');
    const entry = await arrived(1);
    const live = new LiveBody();
    entry.answer(live.reply());
    const sink = await live.started;
    sink.write(frameOf('abc'));
    sink.end();
    await client.until('0\r\n\r\n');
    client.socket.destroy();
    await eventually(() => serving.connections === 0);
    expect([entry.gone, live.stops]).toEqual([0, 0]);
  });
});

describe('nothing is left behind', () => {
  test('listeners of a connection do not grow with its requests', async () => {
    const seen: Exchange[] = [];
    const serving = await serveTest(async (request) => {
      seen.push(request as Exchange);
      if (request.path === '/live') {
        return {
          status: 200,
          headers: [],
          body: {
            length: undefined,
            start(sink) {
              sink.write(frameOf('abc'));
              setImmediate(() => sink.end());
            },
            stop() {},
          },
        };
      }
      return whole(200, await readAll(request));
    });
    const client = await RawClient.open(serving.port);
    const counts: Record<string, number>[] = [];
    for (let round = 0; round < 40; round++) {
      client.get('/live');
      client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nxyz');
      await client.until(() => repliesIn(client.text).length === 2 && client.text.endsWith('xyz'));
      client.text = '';
      const { socket } = (seen[0] as Exchange).message;
      counts.push(Object.fromEntries(socket.eventNames().map((name) => [String(name), socket.listenerCount(name)])));
    }
    expect(counts.at(-1)).toEqual(counts[1]);
  });

  test('a server that was closed holds no handle and no timer', async () => {
    const before = process.getActiveResourcesInfo();
    const live = new LiveBody();
    const serving = await serveTest((request) => (request.path === '/live' ? live.reply() : whole(413, 'no')));
    const clients = await Promise.all(Array.from({ length: 10 }, () => RawClient.open(serving.port)));
    clients[0]?.get('/live');
    // One that is let go of for a while, which takes a timer.
    clients[1]?.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\nabc');
    await live.started;
    await clients[1]?.until('no');
    await serving.close({ grace: 0 });
    await Promise.all(clients.map(({ closed }) => closed));
    await new Promise((resolve) => setImmediate(resolve));
    expect(process.getActiveResourcesInfo().sort()).toEqual(before.sort());
  });

  test('a thousand live readers that come and go leave no memory', async () => {
    const bodies = new Set<LiveBody>();
    const serving = await serveTest(() => {
      const live = new LiveBody();
      bodies.add(live);
      void live.stopped.then(() => bodies.delete(live));
      return live.reply();
    });
    const frame = frameOf('abc');
    const round = async (count: number): Promise<void> => {
      const clients: RawClient[] = [];
      for (let i = 0; i < count; i++) {
        const client = await RawClient.open(serving.port);
        client.get('/');
        clients.push(client);
      }
      await Promise.all(clients.map((client) => client.until('\r\n\r\n')));
      for (const live of bodies) live.sink.write(frame);
      for (const client of clients) client.socket.destroy();
      await eventually(() => bodies.size === 0 && serving.connections === 0);
    };
    const heap = async (): Promise<number> => {
      for (let i = 0; i < 3; i++) {
        (globalThis.gc as () => void)();
        await new Promise((resolve) => setImmediate(resolve));
      }
      return process.memoryUsage().heapUsed;
    };
    // The clients themselves are held by the rig, 10 KB each at most.
    await round(100);
    const before = await heap();
    await round(500);
    expect((await heap()) - before).toBeLessThan(500 * 12_000);
  });
});

describe('500 connections', () => {
  test('live readers all get all frames in order, while others come and ask', async () => {
    const bodies: LiveBody[] = [];
    const serving = await serveTest((request) => {
      if (request.path !== '/live') return whole(200, 'fine');
      const live = new LiveBody();
      bodies.push(live);
      return live.reply();
    });
    const clients = await Promise.all(Array.from({ length: 500 }, () => RawClient.open(serving.port)));
    for (const client of clients) client.get('/live');
    await eventually(() => bodies.length === 500);
    await Promise.all(bodies.map(({ started }) => started));
    let expected = '';
    for (let i = 0; i < 20; i++) {
      const frame = frameOf(`frame ${i};`);
      expected += `frame ${i};`;
      for (const { sink } of bodies) expect(sink.write(frame)).toBe(true);
      const asking = await RawClient.open(serving.port);
      asking.get('/', 'connection: close');
      await asking.closed;
      expect(repliesIn(asking.text)).toMatchObject([{ body: 'fine' }]);
    }
    for (const { sink } of bodies) sink.end();
    await Promise.all(clients.map((client) => client.until('\r\n0\r\n\r\n')));
    for (const client of clients) expect(repliesIn(client.text)).toMatchObject([{ body: expected, isComplete: true }]);
    expect(serving.connections).toBe(500);
  });

  test('more than the limit are closed at once, and counted', async () => {
    const serving = await serveTest(() => whole(200, 'fine'), { maxConnections: 3 });
    const clients: RawClient[] = [];
    for (let i = 0; i < 3; i++) {
      const client = await RawClient.open(serving.port);
      client.get('/');
      await client.until('fine');
      clients.push(client);
    }
    const more = await RawClient.open(serving.port);
    await more.closed;
    expect(more.text).toBe('');
    expect(await serving.metrics.text()).toContain('fanpipe_connections_refused_total 1\n');
    clients[0]?.socket.destroy();
    await eventually(() => serving.connections === 2);
    const next = await RawClient.open(serving.port);
    next.get('/');
    await next.until('fine');
  });
});

describe('a listener in a server of somebody else', () => {
  async function mounted(): Promise<{ port: number; close: () => Promise<unknown> }> {
    const server = createServer(nodeListener(async () => whole(200, 'mounted')));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanUp(() => server.closeAllConnections());
    const { port } = server.address() as { port: number };
    return { port, close: () => new Promise((resolve) => server.close(resolve)) };
  }

  test('keeps no timer when its last connection has gone', async () => {
    const { port, close } = await mounted();
    const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const client = await RawClient.open(port);
    client.get('/', 'connection: close');
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ status: 200, body: 'mounted' }]);
    await close();
    expect(process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length).toBe(before);
  });

  test('refuses two hosts, whatever that server makes of them', async () => {
    const { port } = await mounted();
    const client = await RawClient.open(port);
    client.send('GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n');
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ status: 400, headers: { connection: 'close' } }]);
  });
});
