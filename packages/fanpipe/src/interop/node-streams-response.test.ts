import { getEventListeners, once } from 'node:events';
import {
  createServer,
  get,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { PassThrough, Writable } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { isSettled, rejection } from '../../../../test/interop/readable-rules.ts';
import { settle } from '../../../../test/support/fake-clock.ts';
import { channelOf } from '../core/base-writer.ts';
import { type ByteStreamOptions, ByteWriter, TypedWriter } from '../index.ts';
import { type PipeToResponseOptions, pipeToResponse } from '../node.ts';

const reason = new Error('broken');
const MIB = 1024 * 1024;

const EVENTS = ['drain', 'finish', 'error', 'close', 'pipe', 'unpipe'];
const listeners = (res: Writable): number => EVENTS.reduce((sum, event) => sum + res.listenerCount(event), 0);

/** What to shut down after a test: sockets of clients and the servers. */
const open: { destroy?(): void; close?(): void; closeAllConnections?(): void }[] = [];
afterEach(() => {
  for (const each of open.splice(0)) {
    each.destroy?.();
    each.closeAllConnections?.();
    each.close?.();
  }
});

async function serve(handle: RequestListener): Promise<number> {
  const server: Server = createServer(handle);
  open.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

/** Serves `writer`; each request is told as it comes, with its response and what `pipeToResponse` gave. */
async function serving(writer: ByteWriter, streamOptions: ByteStreamOptions = {}, options: PipeToResponseOptions = {}) {
  const requests: { res: ServerResponse; piped: Promise<number>; listenersBefore: number }[] = [];
  let told = (): void => {};
  const port = await serve((_, res) => {
    const listenersBefore = listeners(res);
    requests.push({ res, piped: pipeToResponse(writer.stream(streamOptions), res, options), listenersBefore });
    told();
  });
  const next = async () => {
    while (requests.length === 0) {
      await new Promise<void>((resolve) => {
        told = resolve;
      });
    }
    return requests.shift() as (typeof requests)[number];
  };
  return { port, next };
}

/** A response as a client sees it: its text, and the error that broke it off. */
async function read(response: IncomingMessage): Promise<{ text: string; error?: unknown }> {
  let text = '';
  try {
    for await (const chunk of response) text += chunk;
    return { text };
  } catch (error) {
    return { text, error };
  }
}

async function ask(port: number, headers = {}): Promise<IncomingMessage> {
  const asked = get({ port, host: '127.0.0.1', agent: false, headers });
  const [response] = await once(asked, 'response');
  return response;
}

/** A client that asks and reads nothing more. */
async function stall(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  open.push(socket);
  socket.on('error', () => {});
  socket.pause();
  await once(socket, 'connect');
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  return socket;
}

/** Writes until the other side takes no more, so that the pump waits for `'drain'`. */
async function fill(writer: ByteWriter, res: Writable): Promise<void> {
  const chunk = Buffer.alloc(64 * 1024, 'x');
  for (let i = 0; i < 1000; i++) {
    const before = res.writableLength;
    writer.writeSync(chunk, { copy: false });
    await settle();
    await settle();
    if (res.writableLength > 0 && res.writableLength === before) return;
  }
  throw new Error('the client reads on');
}

describe('pipeToResponse() to HTTP', () => {
  test('sends all bytes, ends, and tells how many', async () => {
    const writer = new ByteWriter();
    const { port, next } = await serving(
      writer,
      {},
      { headers: { 'content-type': 'text/plain', 'x-none': undefined } },
    );
    const response = ask(port);
    const { res, piped, listenersBefore } = await next();
    let expected = '';
    for (let i = 0; i < 1000; i++) {
      const chunk = `${i},`.repeat(1 + (i % 50));
      expected += chunk;
      await writer.write(chunk);
      if (i % 7 === 0) await settle();
    }
    writer.close();
    const { text } = await read(await response);
    expect(text).toBe(expected);
    expect(await piped).toBe(expected.length);
    expect((await response).headers).toMatchObject({ 'content-type': 'text/plain', 'transfer-encoding': 'chunked' });
    expect((await response).headers).not.toHaveProperty('x-none');
    expect(listeners(res)).toBeLessThanOrEqual(listenersBefore);
    expect(writer.streamCount).toBe(0);
  });

  test('headers go out before there is anything to send', async () => {
    const writer = new ByteWriter();
    const { port, next } = await serving(writer);
    const response = await ask(port);
    expect(response.statusCode).toBe(200);
    const { piped } = await next();
    writer.end();
    expect(await read(response)).toEqual({ text: '' });
    expect(await piped).toBe(0);
  });

  test('several responses over one connection', async () => {
    const writer = new ByteWriter({ replay: 'all' });
    writer.writeSync('again and again');
    writer.close();
    const { port, next } = await serving(writer, { from: 'start' });
    const socket = connect(port, '127.0.0.1');
    open.push(socket);
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const chunk of socket) text += chunk;
    expect(text.match(/again and again/g)?.length).toBe(2);
    expect([await (await next()).piped, await (await next()).piped]).toEqual([15, 15]);
  });

  test('BOUND: res.writableLength stays bounded however much there is, and however it came', async () => {
    for (const size of [100, 10_000, 64 * 1024]) {
      const writer = new ByteWriter({ replay: 'all' });
      for (let written = 0; written < 30 * MIB; written += size) writer.writeSync(Buffer.alloc(size), { copy: false });
      const { port, next } = await serving(writer, { from: 'start' });
      const socket = await stall(port);
      const { res, piped } = await next();
      let largest = 0;
      // Until the client's buffers are full and nothing moves any more.
      for (let still = 0, before = 0; still < 20; before = res.writableLength) {
        await settle();
        still = res.writableLength > 0 && res.writableLength === before ? still + 1 : 0;
        largest = Math.max(largest, res.writableLength);
      }
      expect(largest).toBeLessThan(200_000);
      // More in one burst changes nothing.
      for (let i = 0; i < 100; i++) writer.writeSync(Buffer.alloc(64 * 1024), { copy: false });
      for (let i = 0; i < 20; i++) await settle();
      expect(res.writableLength).toBeLessThan(200_000);
      socket.destroy();
      expect(await rejection(piped)).toMatchObject({ code: 'ERR_FANPIPE_PREMATURE_CLOSE' });
    }
  });

  test('BOUND: a burst for a client that was waiting is bounded too', async () => {
    const writer = new ByteWriter();
    const { port, next } = await serving(writer);
    await stall(port);
    const { res } = await next();
    await settle();
    for (let i = 0; i < 1000; i++) writer.writeSync(Buffer.alloc(64 * 1024), { copy: false });
    for (let i = 0; i < 50; i++) {
      await settle();
      expect(res.writableLength).toBeLessThan(200_000);
    }
  });

  test('POLICY: what a client has not read stays in the channel, where the policy acts', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream({ highWaterMark: MIB, overflow: 'drop-oldest' });
    const port = await serve((_, res) => void pipeToResponse(stream, res));
    await stall(port);
    while (writer.streamCount === 0) await settle();
    for (let i = 0; i < 1000; i++) {
      writer.writeSync(Buffer.alloc(64 * 1024), { copy: false });
      await settle();
    }
    expect(stream.lag).toBe(MIB);
    expect(stream.missed).toBeGreaterThan(30 * MIB);
  });

  test('POLICY: so does a backlog that was there before', async () => {
    const writer = new ByteWriter({ copy: false });
    const stream = writer.stream();
    const chunk = Buffer.alloc(64 * 1024);
    for (let i = 0; i < 1000; i++) writer.writeSync(chunk);
    let res: ServerResponse | undefined;
    const port = await serve((_, response) => {
      res = response;
      void pipeToResponse(stream, response);
    });
    await stall(port);
    while (res === undefined) await settle();
    await fill(writer, res);
    expect(stream.lag).toBeGreaterThan(32 * MIB);
  });

  test('small chunks that were waiting go out as one chunk of HTTP', async () => {
    const writer = new ByteWriter({ copy: false, replay: 'all' });
    for (let i = 0; i < 100; i++) writer.writeSync(Buffer.from('1234567890'));
    writer.writeSync(Buffer.alloc(5000, 'x'));
    for (let i = 0; i < 100; i++) writer.writeSync(Buffer.from('1234567890'));
    writer.close();
    const port = await serve((_, res) => void pipeToResponse(writer.stream({ from: 'start' }), res));
    const socket = connect(port, '127.0.0.1');
    open.push(socket);
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    let raw = '';
    for await (const part of socket) raw += part;
    // Newer versions of Node join what is written in one tick, so there may be less.
    const parts: string[] = [];
    for (let rest = raw.slice(raw.indexOf('\r\n\r\n') + 4); ; ) {
      const size = Number.parseInt(rest, 16);
      if (size === 0) break;
      const from = rest.indexOf('\r\n') + 2;
      parts.push(rest.slice(from, from + size));
      rest = rest.slice(from + size + 2);
    }
    const small = '1234567890'.repeat(100);
    expect(parts.join('')).toBe(`${small}${'x'.repeat(5000)}${small}`);
    expect(parts.length).toBeLessThanOrEqual(3);
  });

  test('CLEAN: a signal that does not fire is left without a listener', async () => {
    const writer = new ByteWriter();
    const { signal } = new AbortController();
    const { port, next } = await serving(writer, {}, { signal });
    const response = ask(port);
    const { piped } = await next();
    expect(getEventListeners(signal, 'abort').length).toBe(1);
    await writer.end();
    await read(await response);
    await piped;
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('ALONE: of many clients one stops reading, the others finish', async () => {
    const writer = new ByteWriter();
    const { port, next } = await serving(writer);
    const responses = [ask(port), ask(port), ask(port)];
    const pumps = [await next(), await next(), await next()];
    await stall(port);
    const stalled = await next();
    const chunk = 'y'.repeat(64 * 1024);
    for (let i = 0; i < 200; i++) {
      await writer.write(chunk);
      await settle();
    }
    writer.close();
    for (const response of responses) expect((await read(await response)).text.length).toBe(200 * 64 * 1024);
    for (const { piped } of pumps) expect(await piped).toBe(200 * 64 * 1024);
    expect(await isSettled(stalled.piped)).toBe(false);
  });

  test('FAIL: the client gets what came before, and no clean end', async () => {
    const writer = new ByteWriter();
    const { port, next } = await serving(writer);
    const response = read(await ask(port));
    const { res, piped, listenersBefore } = await next();
    await writer.write('before ');
    await settle();
    const rest = 'z'.repeat(3 * MIB);
    await writer.write(rest);
    writer.fail(reason);
    expect(await rejection(piped)).toBe(reason);
    expect(await response).toMatchObject({ text: `before ${rest}`, error: { code: 'ECONNRESET' } });
    expect(listeners(res)).toBeLessThanOrEqual(listenersBefore);
  });

  test('FAIL: also to a client of HTTP/1.0, which takes the end of the connection for the end', async () => {
    const writer = new ByteWriter();
    const { port, next } = await serving(writer);
    const socket = connect(port, '127.0.0.1');
    open.push(socket);
    socket.write('GET / HTTP/1.0\r\n\r\n');
    const { piped } = await next();
    await writer.write('before');
    await once(socket, 'readable');
    writer.fail(reason);
    expect(await rejection(piped)).toBe(reason);
    socket.resume();
    const [error] = await once(socket, 'error');
    expect(error).toMatchObject({ code: 'ECONNRESET' });
  });

  test('FAIL: also with a content-length', async () => {
    const writer = new ByteWriter();
    const { port, next } = await serving(writer, {}, { headers: { 'content-length': 100 } });
    const response = read(await ask(port));
    const { piped } = await next();
    await writer.write('before');
    writer.fail(reason);
    expect(await rejection(piped)).toBe(reason);
    expect(await response).toMatchObject({ text: 'before', error: { code: 'ECONNRESET' } });
  });

  test('FAIL: it does not go to the server’s clientError', async () => {
    const writer = new ByteWriter();
    const server = createServer((_, res) => void pipeToResponse(writer.stream(), res));
    open.push(server);
    const errors: unknown[] = [];
    server.on('clientError', (error) => errors.push(error));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const response = read(await ask((server.address() as AddressInfo).port));
    writer.fail(reason);
    expect((await response).error).toBeDefined();
    await settle();
    expect(errors).toEqual([]);
  });

  for (const isStalled of [false, true]) {
    const when = isStalled ? 'while it does not read' : 'while there is nothing to read';

    test(`DETACH: a client that goes away ${when} detaches the stream`, async () => {
      const writer = new ByteWriter();
      const { port, next } = await serving(writer);
      const socket = await stall(port);
      const { res, piped, listenersBefore } = await next();
      if (isStalled) await fill(writer, res);
      expect(writer.streamCount).toBe(1);
      socket.destroy();
      expect(await rejection(piped)).toMatchObject({ code: 'ERR_FANPIPE_PREMATURE_CLOSE' });
      expect(writer.streamCount).toBe(0);
      expect(channelOf(writer).endWatchers.size).toBe(0);
      expect(listeners(res)).toBeLessThanOrEqual(listenersBefore);
    });

    test(`the signal breaks off ${when}`, async () => {
      const writer = new ByteWriter();
      const controller = new AbortController();
      const { port, next } = await serving(writer, {}, { signal: controller.signal });
      await stall(port);
      const { res, piped } = await next();
      if (isStalled) await fill(writer, res);
      controller.abort(reason);
      expect(await rejection(piped)).toBe(reason);
      expect(res.destroyed).toBe(true);
      expect(writer.streamCount).toBe(0);
      expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    });

    for (const [name, options, cut, expected] of [
      ['cancel()', {}, (stream) => stream.cancel('enough'), { code: 'ERR_FANPIPE_CANCELLED', cause: 'enough' }],
      [
        'cancel() with a policy',
        { highWaterMark: 100 * MIB, overflow: 'block' },
        (stream) => stream.cancel('enough'),
        { code: 'ERR_FANPIPE_CANCELLED', cause: 'enough' },
      ],
    ] as [string, ByteStreamOptions, (stream: { cancel(reason: unknown): void }) => void, object][]) {
      test(`${name} of the stream destroys the response ${when}`, async () => {
        const writer = new ByteWriter();
        const stream = writer.stream(options);
        let piped: Promise<number> | undefined;
        let res: ServerResponse | undefined;
        const port = await serve((_, response) => {
          res = response;
          piped = pipeToResponse(stream, response);
        });
        await stall(port);
        while (res === undefined) await settle();
        if (isStalled) await fill(writer, res);
        cut(stream);
        expect(await rejection(piped as Promise<number>)).toMatchObject(expected);
        expect(res.destroyed).toBe(true);
      });
    }
  }

  test('POLICY disconnect: a client that does not read is cut off, without a wait for it', async () => {
    const writer = new ByteWriter();
    const { port, next } = await serving(writer, { highWaterMark: MIB, overflow: 'disconnect' });
    const socket = await stall(port);
    const { res, piped } = await next();
    const chunk = Buffer.alloc(64 * 1024);
    for (let i = 0; i < 1000 && writer.streamCount > 0; i++) {
      writer.writeSync(chunk, { copy: false });
      await settle();
    }
    expect(await rejection(piped)).toMatchObject({ code: 'ERR_FANPIPE_DISCONNECTED' });
    expect(res.destroyed).toBe(true);
    expect(writer.streamCount).toBe(0);
    socket.destroy();
  });

  test('POLICY block: the writer waits for the client', async () => {
    const writer = new ByteWriter();
    const { port, next } = await serving(writer, { highWaterMark: MIB, overflow: 'block' });
    await stall(port);
    const { piped } = await next();
    const chunk = Buffer.alloc(64 * 1024);
    let accepted = 0;
    const writing = (async () => {
      for (; accepted < 1000; accepted++) await writer.write(chunk);
    })();
    for (let i = 0; i < 50; i++) await settle();
    expect(accepted).toBeLessThan(500);
    writer.fail(reason);
    await isSettled(writing.catch(() => {}));
    piped.catch(() => {});
  });

  test('a failed writer and a client that goes away meanwhile', async () => {
    const writer = new ByteWriter();
    const { port, next } = await serving(writer);
    const socket = await stall(port);
    const { res, piped } = await next();
    await fill(writer, res);
    writer.fail(reason);
    expect(await isSettled(piped)).toBe(false);
    socket.destroy();
    expect(await rejection(piped)).toMatchObject({ code: 'ERR_FANPIPE_PREMATURE_CLOSE' });
  });

  test('CLEAN: nobody has to look at the promise', async () => {
    const writer = new ByteWriter();
    const port = await serve((_, res) => void pipeToResponse(writer.stream(), res));
    const socket = await stall(port);
    while (writer.streamCount === 0) await settle();
    socket.destroy();
    while (writer.streamCount > 0) await settle();
    const failing = read(await ask(port));
    writer.fail(reason);
    expect((await failing).error).toBeDefined();
  });

  test('a response that was destroyed or ended before: refused, and the stream detached', async () => {
    for (const end of ['destroy', 'end'] as const) {
      const writer = new ByteWriter();
      let piped: Promise<number> | undefined;
      const port = await serve((_, res) => {
        res[end]();
        piped = pipeToResponse(writer.stream(), res);
      });
      await stall(port);
      while (piped === undefined) await settle();
      expect(await rejection(piped)).toMatchObject({ code: 'ERR_FANPIPE_PREMATURE_CLOSE', transferred: 0 });
      expect(writer.streamCount).toBe(0);
    }
  });

  test('bad headers are refused before anything is taken', async () => {
    const writer = new ByteWriter({ replay: 'all' });
    const stream = writer.stream();
    const outcomes: unknown[] = [];
    const port = await serve(async (_, res) => {
      outcomes.push(await rejection(pipeToResponse(stream, res, { headers: { 'x-bad': 'a\r\nset-cookie: b' } })));
      void writer.end();
      outcomes.push(await pipeToResponse(stream, res, { headers: { 'x-good': ['a', 'b'] } }));
    });
    const response = await ask(port);
    expect(response.headers['x-good']).toBe('a, b');
    expect(await read(response)).toEqual({ text: '' });
    expect(outcomes).toEqual([expect.objectContaining({ code: 'ERR_INVALID_CHAR' }), 0]);
  });

  test('HTTP/2: all bytes and the end; a failure is no clean end', async () => {
    for (const fails of [false, true]) {
      const writer = new ByteWriter();
      let piped: Promise<number> | undefined;
      const server = createHttp2Server((_, res) => {
        piped = pipeToResponse(writer.stream(), res as unknown as Writable, { headers: { 'x-http': '2' } });
      });
      open.push(server);
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      open.push(session);
      const stream = session.request();
      const [headers] = await once(stream, 'response');
      expect(headers['x-http']).toBe('2');
      let text = '';
      let hasEnded = false;
      stream.on('data', (chunk) => {
        text += chunk;
      });
      stream.on('end', () => {
        hasEnded = true;
      });
      const sent = 'h'.repeat(200_000);
      await writer.write(sent);
      if (fails) writer.fail(reason);
      else writer.close();
      if (fails) expect(await rejection(piped as Promise<number>)).toBe(reason);
      else expect(await piped).toBe(sent.length);
      await once(stream, 'close');
      expect(stream.rstCode).toBe(fails ? 8 : 0);
      if (!fails) expect([text.length, hasEnded]).toEqual([sent.length, true]);
    }
  });
});

describe('pipeToResponse() to any Writable', () => {
  test('writes with backpressure, several chunks in one writev', async () => {
    const writer = new ByteWriter({ copy: false });
    const calls: number[] = [];
    const slow = new Writable({
      highWaterMark: 10,
      writev(chunks, callback) {
        calls.push(chunks.length);
        setImmediate(callback);
      },
    });
    for (const chunk of ['abc', 'def', 'ghi', 'jkl', 'mno']) writer.writeSync(Buffer.from(chunk));
    const stream = writer.stream();
    const piped = pipeToResponse(stream, slow);
    for (const chunk of ['abc', 'def', 'ghi', 'jkl', 'mno']) writer.writeSync(Buffer.from(chunk));
    let largest = 0;
    while (stream.lag > 0 || slow.writableLength > 0) {
      largest = Math.max(largest, slow.writableLength);
      await settle();
    }
    writer.close();
    expect(await piped).toBe(15);
    expect(Math.max(...calls)).toBeGreaterThan(1);
    expect(largest).toBeLessThanOrEqual(12);
    expect(listeners(slow)).toBe(0);
  });

  test('what was waiting goes out in one writev', async () => {
    const writer = new ByteWriter({ copy: false, replay: 'all' });
    for (const chunk of ['abc', 'def', 'ghi']) writer.writeSync(Buffer.from(chunk));
    writer.close();
    const calls: number[] = [];
    const sink = new Writable({
      writev(chunks, callback) {
        calls.push(chunks.length);
        callback();
      },
    });
    expect(await pipeToResponse(writer.stream({ from: 'start' }), sink)).toBe(9);
    expect(calls).toEqual([3]);
  });

  test('one that has closed or finished before: refused, and the stream detached', async () => {
    for (const end of ['destroy', 'end'] as const) {
      const writer = new ByteWriter();
      const sink = new Writable({ autoDestroy: false, write: (_, __, callback) => callback() });
      sink[end]();
      await settle();
      const rejected = rejection(pipeToResponse(writer.stream(), sink));
      expect(await rejected).toMatchObject({ code: 'ERR_FANPIPE_PREMATURE_CLOSE', transferred: 0 });
      expect([writer.streamCount, listeners(sink)]).toEqual([0, end === 'end' ? 1 : 0]);
    }
  });

  test('DETACH: a stream that is cancelled while a chunk is being written', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    const sink = new Writable({
      highWaterMark: 1,
      write() {
        stream.cancel('enough');
      },
    });
    const piped = pipeToResponse(stream, sink);
    writer.writeSync('abc');
    expect(await rejection(piped)).toMatchObject({ code: 'ERR_FANPIPE_CANCELLED', cause: 'enough' });
    expect(sink.destroyed).toBe(true);
  });

  test('its error is the rejection, and the stream is detached', async () => {
    const writer = new ByteWriter();
    const broken = new Writable({
      write(_, __, callback) {
        callback(reason);
      },
    });
    broken.on('error', () => {});
    const piped = pipeToResponse(writer.stream(), broken);
    writer.writeSync('a');
    expect(await rejection(piped)).toBe(reason);
    expect(writer.streamCount).toBe(0);
    expect(listeners(broken)).toBe(1);
  });

  test('FAIL: it is destroyed with the reason after all bytes; nobody else has to listen', async () => {
    for (const failure of [reason, null]) {
      const writer = new ByteWriter();
      const through = new PassThrough({ highWaterMark: 4 });
      const piped = pipeToResponse(writer.stream(), through);
      for (const chunk of ['abc', 'def', 'ghi']) writer.writeSync(chunk);
      writer.fail(failure);
      through.resume();
      expect(await rejection(piped)).toBe(failure);
      expect(through.errored).toMatchObject(failure ?? { code: 'ERR_FANPIPE_WRITER_FAILED', cause: null });
      await settle();
      expect(through.listenerCount('error')).toBe(0);
    }
  });

  test('a close without an error is a PrematureCloseError', async () => {
    const writer = new ByteWriter();
    const through = new PassThrough();
    const piped = pipeToResponse(writer.stream(), through);
    writer.writeSync('some');
    await settle();
    through.destroy();
    expect(await rejection(piped)).toMatchObject({ code: 'ERR_FANPIPE_PREMATURE_CLOSE', transferred: 4 });
    expect(listeners(through)).toBe(0);
  });

  test('refuses what is not what it should be, and changes nothing', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    const sink = new PassThrough();
    const code = 'ERR_FANPIPE_INVALID_ARGUMENT';
    for (const wrong of [undefined, {}, new TypedWriter().stream()]) {
      expect(await rejection(pipeToResponse(wrong as never, sink))).toMatchObject({ code });
    }
    for (const wrong of [undefined, {}, writer]) {
      expect(await rejection(pipeToResponse(stream, wrong as never))).toMatchObject({ code });
    }
    expect(await rejection(pipeToResponse(stream, sink, { signal: {} as never }))).toMatchObject({ code });
    expect(await rejection(pipeToResponse(stream, sink, { headers: { a: 'b' } }))).toMatchObject({ code });
    expect(listeners(sink)).toBe(0);
    expect(writer.streamCount).toBe(1);
    const piped = pipeToResponse(stream, sink);
    expect(await rejection(pipeToResponse(stream, new PassThrough()))).toMatchObject({
      code: 'ERR_FANPIPE_ITERATOR_TAKEN',
    });
    writer.end();
    sink.resume();
    expect(await piped).toBe(0);
  });
});
