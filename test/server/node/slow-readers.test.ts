/** Readers that are slow, that stop, and that never begin: what they cost, and what becomes of them. */

import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { Frame } from '../../../packages/server/src/http/frame.ts';
import type { HttpRequest } from '../../../packages/server/src/http/http-request.ts';
import type { ReplySink } from '../../../packages/server/src/http/reply.ts';
import type { Exchange } from '../../../packages/server/src/node/exchange.ts';
import { Random } from '../../support/random.ts';
import { randomSeed } from '../../support/seed.ts';
import { bufferBytes, cleanUp, eventually, LiveBody, RawClient, repliesIn, serveTest, whole } from './node-rig.ts';

const HIGH_WATER_MARK = 65_536;
const MB = 1024 * 1024;

const socketOf = (request: HttpRequest): Socket => (request as Exchange).message.socket;

/** Writes frames as long as they are taken, and goes on when more are. Resolves when all are written. */
function pump(sink: ReplySink, frames: Iterator<Frame>, look: () => void = () => {}): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      for (;;) {
        const { value, done } = frames.next();
        if (done) {
          resolve();
          return;
        }
        const takesMore = sink.write(value);
        look();
        if (!takesMore) return;
      }
    };
    sink.onDrain = go;
    go();
  });
}

/** A server of one live reply, the socket it goes to, and a client that does not read. */
async function stuck(options: { stallTimeout: number; length?: number; head?: string }) {
  const live = new LiveBody(options.length);
  let socket!: Socket;
  const serving = await serveTest(
    (request) => {
      socket = socketOf(request);
      return live.reply();
    },
    { stallTimeout: options.stallTimeout },
  );
  const client = await RawClient.open(serving.port, false);
  client.send(options.head ?? 'GET / HTTP/1.1\r\nhost: a\r\n\r\n');
  const sink = await live.started;
  return { live, socket, serving, client, sink };
}

describe('a reader that never reads', () => {
  test.each([
    ['chunked', {}],
    ['of a known length', { length: 200 * MB }],
    ['HTTP/1.0', { head: 'GET / HTTP/1.0\r\n\r\n' }],
  ])('costs less than 1 MB while 200 MB are written (%s)', async (_, options) => {
    const { socket, sink, live, serving } = await stuck({ stallTimeout: 60_000, ...options });
    const size = 16 * 1024;
    let most = 0;
    let taken = 0;
    let isFull = false;
    sink.onDrain = () => (isFull = false);
    const before = await bufferBytes();
    for (let written = 0; written < 200 * MB; written += size) {
      if (!isFull) {
        isFull = !sink.write(new Frame(new Uint8Array(size)));
        taken += size;
      }
      most = Math.max(most, socket.writableLength);
      if (written % MB === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(isFull).toBe(true);
    expect(taken).toBeLessThan(64 * MB);
    expect(most).toBeLessThanOrEqual(HIGH_WATER_MARK + size + 10);
    expect((await bufferBytes()) - before).toBeLessThan(MB);
    await serving.close({ grace: 0 });
    expect(live.stops).toBe(1);
  });

  test('is cut off when it has taken nothing for the stall timeout', async () => {
    const { sink, live, client, serving } = await stuck({ stallTimeout: 200 });
    const frame = new Frame(new Uint8Array(HIGH_WATER_MARK));
    const began = performance.now();
    void pump(
      sink,
      (function* () {
        for (;;) yield frame;
      })(),
    );
    await live.stopped;
    expect(performance.now() - began).toBeGreaterThanOrEqual(200);
    expect(sink.write(frame)).toBe(false);
    expect(live.stops).toBe(1);
    client.read();
    await client.closed;
    await eventually(() => serving.connections === 0);
  });

  test('is cut off too when its replies are whole', async () => {
    const body = new Uint8Array(HIGH_WATER_MARK);
    const serving = await serveTest(() => whole(200, body), { stallTimeout: 200 });
    const client = await RawClient.open(serving.port, false);
    for (let i = 0; i < 2000; i++) client.get('/');
    client.read();
    client.forget();
    client.socket.pause();
    await eventually(() => serving.connections === 0);
    client.socket.resume();
    await client.closed;
  });

  test('is cut off too when it asks for more behind a live reply than is held, and goes', async () => {
    const live = new LiveBody();
    let asked = 0;
    const serving = await serveTest(
      (request) => {
        asked++;
        return request.path === '/live' ? live.reply() : whole(200, 'x'.repeat(50_000));
      },
      { stallTimeout: 150 },
    );
    const client = await RawClient.open(serving.port);
    client.get('/live');
    await live.started;
    for (let i = 0; i < 2; i++) {
      const before = asked;
      client.get('/more');
      await eventually(() => asked > before);
    }
    client.socket.destroy();
    await live.stopped;
    await eventually(() => serving.connections === 0);
  });

  test('an idle reader is no slow one', async () => {
    const live = new LiveBody();
    const serving = await serveTest(() => live.reply(), { stallTimeout: 50 });
    const client = await RawClient.open(serving.port);
    client.get('/');
    const sink = await live.started;
    const other = await RawClient.open(serving.port, false);
    other.get('/');
    // A while of many stall timeouts, told by the watch itself: another connection is cut off in it.
    const victim = await stuck({ stallTimeout: 50 });
    void pump(
      victim.sink,
      (function* () {
        for (;;) yield new Frame(new Uint8Array(HIGH_WATER_MARK));
      })(),
    );
    await victim.live.stopped;
    sink.write(new Frame(new TextEncoder().encode('still here')));
    await client.until('still here');
  });
});

describe('a reader that keeps up', () => {
  test('is not slow because a frame is large: what went out at once does not wait', async () => {
    const live = new LiveBody();
    const serving = await serveTest(() => live.reply());
    const client = await RawClient.open(serving.port);
    client.get('/');
    const sink = await live.started;
    await client.until('\r\n\r\n');
    client.forget();
    let drains = 0;
    sink.onDrain = () => drains++;
    for (let i = 0; i < 20; i++) {
      const before = client.received;
      expect(sink.write(new Frame(new Uint8Array(40_000)))).toBe(true);
      await client.until(() => client.received >= before + 40_000);
    }
    // Nobody was told to stop, so nobody is told to go on.
    expect(drains).toBe(0);
  });
});

describe('a reader that is slow', () => {
  test('is not cut off while it takes anything', async () => {
    const { sink, socket, live, client } = await stuck({ stallTimeout: 250 });
    const frames = (function* () {
      const frame = new Frame(new Uint8Array(HIGH_WATER_MARK));
      for (;;) yield frame;
    })();
    void pump(sink, frames);
    client.forget();
    client.read();
    client.socket.pause();
    let enough = 0;
    client.socket.on('data', () => {
      if (client.received >= enough) client.socket.pause();
    });
    // The watch looks by the clock of the runtime, so it takes a little by it too, until two that take nothing have been cut off.
    const sips = setInterval(() => {
      enough = client.received + 200_000;
      client.socket.resume();
    }, 25);
    cleanUp(() => clearInterval(sips));
    for (let i = 0; i < 2; i++) {
      const victim = await stuck({ stallTimeout: 250 });
      void pump(victim.sink, frames);
      await victim.live.stopped;
    }
    expect(live.stops).toBe(0);
    expect(socket.writableLength).toBeGreaterThan(0);
  });

  test('gets every byte once, in frames of any size, however often it stops', async () => {
    const seed = randomSeed();
    const random = new Random(seed);
    const total = 30 * MB;
    const pool = random.bytes(MB);
    const { sink, client, socket } = await stuck({ stallTimeout: 60_000 });
    const sent = createHash('sha256');
    let longest = 0;
    let most = 0;
    const frames = (function* () {
      for (let left = total; left > 0; ) {
        const size = Math.min(left, random.chance(0.5) ? random.between(1, 300) : random.between(1, 200_000));
        const from = random.between(0, pool.length - size + 1);
        const bytes = pool.subarray(from, from + size);
        sent.update(bytes);
        longest = Math.max(longest, size);
        left -= size;
        yield new Frame(bytes);
      }
    })();
    const done = pump(sink, frames, () => (most = Math.max(most, socket.writableLength))).then(() => sink.end());
    client.read();
    const stop = (): void => {
      if (!random.chance(0.2)) return;
      client.socket.pause();
      setImmediate(() => client.socket.resume());
    };
    client.socket.on('data', stop);
    await done;
    await client.until(/\r\n0\r\n\r\n$/);
    const [reply] = repliesIn(client.text);
    const digest = createHash('sha256')
      .update(Buffer.from(reply?.body ?? '', 'latin1'))
      .digest('hex');
    expect({ seed, complete: reply?.isComplete, length: reply?.body.length, digest }).toEqual({
      seed,
      complete: true,
      length: total,
      digest: sent.digest('hex'),
    });
    expect(most).toBeLessThanOrEqual(HIGH_WATER_MARK + longest + 10);
  });

  test('goes on when it reads again, also on a connection that has had replies before', async () => {
    const lives = [new LiveBody(), new LiveBody(), new LiveBody()];
    const serving = await serveTest((request) => (lives[Number(request.path.slice(1))] as LiveBody).reply());
    const client = await RawClient.open(serving.port);
    for (const [place, live] of lives.entries()) {
      client.text = '';
      client.get(`/${place}`);
      const sink = await live.started;
      client.socket.pause();
      let left = 200;
      const frames = (function* () {
        while (left-- > 0) yield new Frame(new Uint8Array(50_000).fill(97 + place));
      })();
      const done = pump(sink, frames).then(() => sink.end());
      await new Promise((resolve) => setImmediate(resolve));
      expect(left).toBeGreaterThan(0);
      client.socket.resume();
      await done;
      await client.until(/\r\n0\r\n\r\n$/);
      const [reply] = repliesIn(client.text);
      expect(reply?.isComplete).toBe(true);
      expect(reply?.body === 'abc'[place]?.repeat(10_000_000)).toBe(true);
    }
  });

  test('SLOW: slows down nobody else', async () => {
    const lives = [new LiveBody(), new LiveBody()];
    const serving = await serveTest((request) => (lives[Number(request.path.slice(1))] as LiveBody).reply());
    const slow = await RawClient.open(serving.port, false);
    const quick = await RawClient.open(serving.port);
    slow.get('/0');
    quick.get('/1');
    const [slowSink, quickSink] = (await Promise.all(lives.map(({ started }) => started))) as [ReplySink, ReplySink];
    const frame = new Frame(new Uint8Array(1000));
    while (slowSink.write(frame));
    quick.forget();
    for (let i = 0; i < 1000; i++) {
      const before = quick.received;
      expect(quickSink.write(frame)).toBe(true);
      await quick.until(() => quick.received > before);
    }
  });
});
