/** Bodies of requests: read while they come, left unread, broken off, endless. */

import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { HttpRequest } from '../../../packages/server/src/http/http-request.ts';
import type { Exchange } from '../../../packages/server/src/node/exchange.ts';
import type { Serving } from '../../../packages/server/src/node/index.ts';
import { Random } from '../../support/random.ts';
import { cleanUp, eventually, RawClient, readAll, repliesIn, serveTest, untilQuiet, whole } from './node-rig.ts';

const post = (path: string, ...headers: string[]): string =>
  `POST ${path} HTTP/1.1\r\nhost: a\r\n${headers.map((line) => `${line}\r\n`).join('')}\r\n`;
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

/** A promise and what settles it. */
function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  return { promise: new Promise<T>((take) => (resolve = take)), resolve };
}

describe('a body', () => {
  test('is read while it comes', async () => {
    const seen: string[] = [];
    let more = deferred<void>();
    const serving = await serveTest(async (request) => {
      for await (const bytes of request.body()) {
        seen.push(Buffer.from(bytes).toString());
        more.resolve();
      }
      return whole(200, 'done');
    });
    const client = await RawClient.open(serving.port);
    client.send(post('/', 'transfer-encoding: chunked'));
    for (const text of ['one', 'two', 'three']) {
      client.send(chunk(text));
      await more.promise;
      more = deferred();
    }
    expect(seen).toEqual(['one', 'two', 'three']);
    client.send('0\r\n\r\n');
    await client.until('done');
  });

  test.each(['content-length', 'chunked'])(
    'comes whole, byte for byte, and the connection goes on (%s)',
    async (kind) => {
      const bytes = new Random(1).bytes(5_000_000);
      const digest = createHash('sha256').update(bytes).digest('hex');
      const serving = await serveTest(async (request) => {
        const got = createHash('sha256');
        let turn = 0;
        for await (const part of request.body()) {
          got.update(part);
          // A reader that is slower than what comes.
          if (turn++ % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        return whole(200, got.digest('hex'));
      });
      const client = await RawClient.open(serving.port);
      for (let round = 0; round < 2; round++) {
        if (kind === 'chunked') {
          client.send(post('/', 'transfer-encoding: chunked'));
          for (let at = 0; at < bytes.length; at += 70_001) {
            const part = bytes.subarray(at, at + 70_001);
            client.send(`${part.length.toString(16)}\r\n`);
            client.send(part);
            client.send('\r\n');
          }
          client.send('0\r\n\r\n');
        } else {
          client.send(post('/', `content-length: ${bytes.length}`));
          client.send(bytes);
        }
        await client.until(() => repliesIn(client.text).length === round + 1 && client.text.endsWith(digest));
      }
    },
  );

  test('that nobody reads stays where it is', async () => {
    const arrived = deferred<HttpRequest>();
    const hold = deferred<void>();
    const serving = await serveTest(async (request) => {
      const iterator = request.body()[Symbol.asyncIterator]();
      await iterator.next();
      arrived.resolve(request);
      await hold.promise;
      let size = 0;
      for (let step = await iterator.next(); !step.done; step = await iterator.next()) size += step.value.length;
      return whole(200, `rest ${size > 0}`);
    });
    const client = await RawClient.open(serving.port);
    const size = 50_000_000;
    client.send(post('/', `content-length: ${size}`));
    client.send(new Uint8Array(size));
    const { socket } = ((await arrived.promise) as Exchange).message;
    // Until nothing more comes: what is waiting here is bounded.
    await untilQuiet(() => socket.bytesRead);
    expect(socket.bytesRead).toBeLessThan(400_000);
    hold.resolve();
    await client.until('rest true');
  });

  test('that breaks off throws, after what came', async () => {
    const seen: number[] = [];
    const thrown = deferred<unknown>();
    const serving = await serveTest(async (request) => {
      try {
        for await (const bytes of request.body()) seen.push(bytes.length);
      } catch (error) {
        thrown.resolve(error);
      }
      return whole(204);
    });
    const client = await RawClient.open(serving.port);
    client.send(`${post('/', 'content-length: 100')}abc`);
    await eventually(() => seen.length > 0);
    client.socket.destroy();
    expect(await thrown.promise).toMatchObject({ code: 'ERR_FANPIPE_REQUEST_BROKEN' });
    expect(seen).toEqual([3]);
  });

  test('that breaks off before anybody reads it throws too', async () => {
    const begun = deferred<void>();
    const gone = deferred<void>();
    const thrown = deferred<unknown>();
    const serving = await serveTest(async (request) => {
      request.onGone(() => gone.resolve());
      begun.resolve();
      await gone.promise;
      await readAll(request).catch(thrown.resolve);
      return whole(204);
    });
    const client = await RawClient.open(serving.port);
    client.send(`${post('/', 'content-length: 100')}abc`);
    await begun.promise;
    client.socket.destroy();
    expect(await thrown.promise).toMatchObject({ code: 'ERR_FANPIPE_REQUEST_BROKEN' });
  });

  test('that is no valid chunk in its middle: the reader is told, the client gets a 400', async () => {
    const seen: string[] = [];
    const thrown = deferred<unknown>();
    const serving = await serveTest(async (request) => {
      try {
        for await (const bytes of request.body()) seen.push(Buffer.from(bytes).toString());
      } catch (error) {
        thrown.resolve(error);
      }
      return whole(204);
    });
    const client = await RawClient.open(serving.port);
    client.send(`${post('/', 'transfer-encoding: chunked')}3\r\nabc\r\n`);
    await eventually(() => seen.length > 0);
    client.send('zz\r\n');
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ status: 400, headers: { connection: 'close' } }]);
    expect(await thrown.promise).toMatchObject({ code: 'ERR_FANPIPE_REQUEST_BROKEN' });
    expect(seen).toEqual(['abc']);
  });

  test('that somebody else has read is an error, not a wait', async () => {
    const errors: unknown[] = [];
    const serving = await serveTest(
      async (request) => {
        for await (const _ of (request as Exchange).message);
        await readAll(request);
        return whole(204);
      },
      { onError: (error) => errors.push(error) },
    );
    const client = await RawClient.open(serving.port);
    client.send(`${post('/', 'content-length: 3', 'connection: close')}abc`);
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ status: 500 }]);
    expect(errors).toMatchObject([{ code: 'ERR_FANPIPE_BODY_ALREADY_READ' }]);
  });
});

describe('a reply to a body that is left unread', () => {
  test('small: the connection goes on', async () => {
    const serving = await serveTest(() => whole(413, 'no'));
    const client = await RawClient.open(serving.port);
    client.send(`${post('/', 'content-length: 1000')}${'x'.repeat(1000)}`);
    client.get('/next', 'connection: close');
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ status: 413, body: 'no' }, { status: 413 }]);
  });

  test.each([
    ['of a declared length', post('/', `content-length: ${30_000_000}`), false],
    ['chunked', post('/', 'transfer-encoding: chunked'), true],
  ])('large, %s: comes whole to a client that sends before it reads', async (_, head, isChunked) => {
    const serving = await serveTest(() => whole(413, 'too large'));
    const client = await RawClient.open(serving.port, false);
    client.send(head);
    const piece = Buffer.alloc(65_536);
    for (let sent = 0; sent < 8_000_000; sent += piece.length) {
      if (isChunked) client.send(`${piece.length.toString(16)}\r\n`);
      if (client.socket.destroyed) break;
      if (!client.socket.write(piece)) {
        await new Promise((resolve) => client.socket.once('drain', resolve).once('close', resolve));
      }
      if (isChunked) client.send('\r\n');
    }
    client.read();
    if (isChunked) client.send('0\r\n\r\n');
    else client.socket.end();
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([
      { status: 413, body: 'too large', isComplete: true, headers: { connection: 'close' } },
    ]);
  });

  test('endless: comes, and then the connection ends', async () => {
    const serving = await serveTest(() => whole(413, 'too large'));
    const client = await RawClient.open(serving.port);
    client.send(post('/', 'transfer-encoding: chunked'));
    const piece = Buffer.from(`10000\r\n${'x'.repeat(65_536)}\r\n`);
    let sent = 0;
    const go = (): void => {
      while (!client.isClosed && !client.socket.destroyed && client.socket.write(piece)) sent += piece.length;
    };
    client.socket.on('drain', go);
    go();
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ status: 413, body: 'too large', isComplete: true }]);
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });

  test('stopping to iterate leaves the rest, and the reply comes', async () => {
    const serving = await serveTest(async (request) => {
      let size = 0;
      for await (const bytes of request.body()) {
        size += bytes.length;
        if (size > 100_000) break;
      }
      return whole(413, 'stopped');
    });
    const client = await RawClient.open(serving.port);
    client.send(post('/', 'content-length: 1000000'));
    client.send(new Uint8Array(1_000_000));
    await client.until('stopped');
    await client.closed;
  });
});

describe('a client that asks before it sends', () => {
  test('is told to go on when the body is read', async () => {
    const serving = await serveTest(async (request) => whole(200, await readAll(request)));
    const client = await RawClient.open(serving.port);
    client.send(post('/', 'content-length: 3', 'expect: 100-continue'));
    await client.until('100 Continue\r\n\r\n');
    client.send('abc');
    await client.until('abc');
    client.get('/', 'connection: close');
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([
      { status: 200, body: 'abc' },
      { status: 200, body: '' },
    ]);
  });

  test('is refused before it has sent anything', async () => {
    const serving = await serveTest(() => whole(413, 'too large'));
    const client = await RawClient.open(serving.port);
    client.send(post('/', 'content-length: 10000000000', 'expect: 100-continue'));
    await client.closed;
    expect(client.text).not.toContain('100 Continue');
    expect(repliesIn(client.text)).toMatchObject([
      { status: 413, body: 'too large', headers: { connection: 'close' } },
    ]);
  });

  test('for something else gets a 417', async () => {
    const serving = await serveTest(() => whole(200));
    const client = await RawClient.open(serving.port);
    client.send(post('/', 'content-length: 3', 'expect: a-miracle', 'connection: close'));
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ status: 417 }]);
  });
});

describe('clients that take their time', () => {
  test('an upload that brings nothing is cut off with a 408', async () => {
    const thrown = deferred<unknown>();
    const serving = await serveTest(
      async (request) => {
        await readAll(request).catch(thrown.resolve);
        return whole(204);
      },
      { uploadTimeout: 100 },
    );
    const client = await RawClient.open(serving.port);
    client.send(`${post('/', 'content-length: 100')}abc`);
    expect(await thrown.promise).toMatchObject({ code: 'ERR_FANPIPE_REQUEST_BROKEN' });
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ status: 408, headers: { connection: 'close' } }]);
  });

  /** Begins an upload that brings nothing, and resolves when it is cut off: an upload timeout later at the least. */
  async function untilCutOff(serving: Serving): Promise<void> {
    const client = await RawClient.open(serving.port);
    client.send(post('/stalled', 'content-length: 100'));
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([{ status: 408 }]);
  }

  test('an upload that brings a little now and then is not', async () => {
    let begun = 0;
    const serving = await serveTest(
      async (request) => {
        begun++;
        return whole(200, String((await readAll(request)).length));
      },
      { uploadTimeout: 200 },
    );
    const client = await RawClient.open(serving.port);
    client.send(post('/', 'transfer-encoding: chunked'));
    await eventually(() => begun === 1);
    let drops = 0;
    // The watch looks by the clock of the runtime, so the bytes come by it too, until two uploads without any have been cut off.
    const drip = setInterval(() => {
      client.send(chunk('x'));
      drops++;
    }, 20);
    cleanUp(() => clearInterval(drip));
    for (let i = 0; i < 2; i++) await untilCutOff(serving);
    clearInterval(drip);
    client.send('0\r\n\r\n');
    await client.until(/\r\n\r\n\d+$/);
    expect(repliesIn(client.text)).toMatchObject([{ status: 200, body: String(drops) }]);
  });

  test('a handler that takes its time is no slow upload', async () => {
    const answer = deferred<void>();
    let isRead = false;
    const serving = await serveTest(
      async (request) => {
        await readAll(request);
        isRead = true;
        await answer.promise;
        return whole(204);
      },
      { uploadTimeout: 40 },
    );
    const client = await RawClient.open(serving.port);
    client.send(`${post('/', 'content-length: 3')}abc`);
    await eventually(() => isRead);
    for (let i = 0; i < 2; i++) await untilCutOff(serving);
    answer.resolve();
    await client.until('204');
  });

  test('slowloris: heads that do not end are closed, while an honest client is served', async () => {
    const serving = await serveTest(() => whole(200, 'fine'), { headersTimeout: 400 });
    const slow = Array.from({ length: 200 }, () => {
      const socket = connect(serving.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write('GET / HTTP/1.1\r\nhost: a\r\nx-');
      return socket;
    });
    const closed = Promise.all(slow.map((socket) => new Promise((resolve) => socket.on('close', resolve).resume())));
    let isClosed = false;
    // The listener counts their time by the clock of the runtime: they go on until it has closed them.
    const trickle = setInterval(() => {
      for (const socket of slow) if (socket.writable) socket.write('a');
    }, 50);
    cleanUp(() => clearInterval(trickle));
    void closed.then(() => (isClosed = true));
    const honest = await RawClient.open(serving.port);
    let served = 0;
    while (!isClosed) {
      honest.text = '';
      honest.get('/');
      await honest.until('fine');
      served++;
    }
    clearInterval(trickle);
    // One that waited for the others would be the last.
    expect(served).toBeGreaterThan(10);
    await eventually(() => serving.connections === 1);
  });

  test('a connection on which nothing is asked is closed after a while', async () => {
    const serving = await serveTest(() => whole(200, 'fine'), { keepAliveTimeout: 100, headersTimeout: 100 });
    const silent = await RawClient.open(serving.port);
    const once = await RawClient.open(serving.port);
    once.get('/');
    await once.until('fine');
    await Promise.all([silent.closed, once.closed]);
    await eventually(() => serving.connections === 0);
  });
});
