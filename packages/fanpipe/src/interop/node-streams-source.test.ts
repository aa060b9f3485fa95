import { once } from 'node:events';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, request } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { createGunzip, gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { rejection } from '../../../../test/interop/readable-rules.ts';
import { settle } from '../../../../test/support/fake-clock.ts';
import { ByteWriter } from '../index.ts';
import { fromReadable } from '../node.ts';

const reason = new Error('broken');
const folder = mkdtempSync(join(tmpdir(), 'fanpipe-'));
afterAll(() => rmSync(folder, { recursive: true }));

const EVENTS = ['data', 'end', 'error', 'close', 'readable'];
const listeners = (readable: Readable): number => EVENTS.reduce((sum, event) => sum + readable.listenerCount(event), 0);

function file(name: string, content: Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** A Readable that gives the chunks that are pushed. */
function manual(): Readable {
  return new Readable({ read() {} });
}

describe('fromReadable()', () => {
  test('streams opened right after see all of it, its end closes the writer', async () => {
    const readable = Readable.from(['one ', Buffer.from('two '), 'three'], { objectMode: false });
    const writer = fromReadable(readable);
    const texts = [writer.stream(), writer.stream({ highWaterMark: 3 })].map((stream) => stream.text());
    expect(await Promise.all(texts)).toEqual(['one two three', 'one two three']);
    expect(writer.state).toBe('closed');
    expect(listeners(readable)).toBe(0);
  });

  test('a large file to readers of different speed', async () => {
    const content = Buffer.alloc(3_000_000, 'all work and no play ');
    const writer = fromReadable(createReadStream(file('large', content)));
    const slow = writer.stream({ highWaterMark: 100_000 });
    const fast = writer.stream().bytes();
    let size = 0;
    for await (const chunk of slow) {
      size += chunk.byteLength;
      expect(slow.lag).toBeLessThan(300_000);
      await settle();
    }
    expect(size).toBe(content.length);
    expect(Buffer.compare(await fast, content)).toBe(0);
  });

  test('POLICY block: it is paused while a stream is over its mark', async () => {
    let pulled = 0;
    const readable = new Readable({
      highWaterMark: 10,
      read() {
        pulled++;
        this.push(pulled > 100 ? null : Buffer.alloc(10));
      },
    });
    const writer = fromReadable(readable);
    const stream = writer.stream({ highWaterMark: 30, overflow: 'block' });
    await settle();
    await settle();
    expect(readable.isPaused()).toBe(true);
    expect(pulled).toBeLessThan(10);
    // BOUND: one write beyond the mark, and no more.
    expect(stream.lag).toBe(40);
    expect((await stream.bytes()).byteLength).toBe(1000);
  });

  test('a Readable that was paused, had data waiting or an encoding', async () => {
    const paused = new PassThrough();
    paused.pause();
    paused.end('paused');
    expect(await fromReadable(paused).stream().text()).toBe('paused');
    const waiting = new PassThrough();
    waiting.end('waiting');
    await once(waiting, 'readable');
    expect(await fromReadable(waiting).stream().text()).toBe('waiting');
    const encoded = new PassThrough({ encoding: 'utf8' });
    encoded.end('encodé');
    expect(await fromReadable(encoded).stream().text()).toBe('encodé');
  });

  test('FAIL: its error is the writer’s, after what came before', async () => {
    const readable = manual();
    const writer = fromReadable(readable);
    const stream = writer.stream();
    readable.push('some');
    await settle();
    readable.destroy(reason);
    const iterator = stream[Symbol.asyncIterator]();
    expect(Buffer.from((await iterator.next()).value ?? []).toString()).toBe('some');
    expect(await rejection(iterator.next())).toBe(reason);
    await settle();
    expect(listeners(readable)).toBe(0);
  });

  test('FAIL: a file that is not there', async () => {
    const writer = fromReadable(createReadStream(join(folder, 'missing')));
    expect(await rejection(writer.stream().text())).toMatchObject({ code: 'ENOENT' });
  });

  test('FAIL: a close without an end is no end', async () => {
    const readable = manual();
    const writer = fromReadable(readable);
    const text = writer.stream().text();
    text.catch(() => {});
    readable.push('some');
    await settle();
    readable.destroy();
    expect(await rejection(text)).toMatchObject({ code: 'ERR_FANPIPE_PREMATURE_CLOSE', transferred: 4 });
    await settle();
    expect(listeners(readable)).toBe(0);
  });

  test('FAIL: one that was destroyed before, with and without an error', async () => {
    for (const [error, expected] of [
      [reason, reason],
      [undefined, { code: 'ERR_FANPIPE_PREMATURE_CLOSE', transferred: 0 }],
    ] as const) {
      const readable = manual();
      readable.on('error', () => {});
      readable.destroy(error);
      await settle();
      const writer = fromReadable(readable);
      expect(await rejection(writer.stream().text())).toMatchObject(expected);
    }
  });

  test('FAIL: an upload that the client breaks off', async () => {
    const server = createHttpServer();
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const upload = request({ port, host: '127.0.0.1', method: 'POST', headers: { 'content-length': 100 } });
    upload.on('error', () => {});
    upload.write('not all');
    const [message] = await once(server, 'request');
    const writer = fromReadable(message);
    const stream = writer.stream();
    const iterator = stream[Symbol.asyncIterator]();
    expect(Buffer.from((await iterator.next()).value ?? []).toString()).toBe('not all');
    upload.destroy();
    expect(await rejection(iterator.next())).toMatchObject({ code: 'ECONNRESET' });
    server.close();
  });

  test('what is no chunk fails the writer with the refusal, and the Readable is destroyed', async () => {
    const readable = Readable.from([Buffer.from('good'), 5, Buffer.from('never')]);
    const writer = fromReadable(readable);
    const stream = writer.stream();
    expect(await rejection(stream.text())).toMatchObject({ code: 'ERR_FANPIPE_INVALID_CHUNK', value: 5 });
    await settle();
    expect(writer.bytesWritten).toBe(4);
    expect(readable.destroyed).toBe(true);
    expect(listeners(readable)).toBe(0);
  });

  for (const [how, end] of [
    ['close()', (writer) => writer.close()],
    ['fail()', (writer) => writer.fail(reason)],
    ['its signal', (_, controller) => controller.abort(reason)],
  ] as [string, (writer: ByteWriter, controller: AbortController) => void][]) {
    test(`a writer that ends otherwise destroys the Readable, but not inside the call: ${how}`, async () => {
      for (const blocked of [false, true]) {
        const destroyed: boolean[] = [];
        let isInside = false;
        const readable = new Readable({
          read() {},
          destroy(error, callback) {
            destroyed.push(isInside);
            callback(error);
          },
        });
        const controller = new AbortController();
        const writer = fromReadable(readable, { signal: controller.signal });
        if (blocked) writer.stream({ highWaterMark: 1, overflow: 'block' });
        readable.push('some');
        await settle();
        isInside = true;
        end(writer, controller);
        isInside = false;
        await settle();
        expect(destroyed).toEqual([false]);
        expect(writer.bytesWritten).toBe(4);
        expect(listeners(readable)).toBe(0);
      }
    });
  }

  test('an error of the Readable while it is destroyed does not come as an uncaught exception', async () => {
    const readable = new Readable({
      read() {},
      destroy(_, callback) {
        callback(reason);
      },
    });
    fromReadable(readable).close();
    await settle();
    await settle();
    expect(readable.errored).toBe(reason);
    expect(listeners(readable)).toBe(0);
  });

  test('a signal that has fired: the writer has failed, the Readable is destroyed', async () => {
    const readable = manual();
    const writer = fromReadable(readable, { signal: AbortSignal.abort(reason) });
    expect(writer.state).toBe('failed');
    await settle();
    expect(readable.destroyed).toBe(true);
    expect(listeners(readable)).toBe(0);
  });

  test('options of the writer: replay and offset', async () => {
    const writer = fromReadable(Readable.from([Buffer.from('kept')]), { replay: 'all', offset: 100 });
    await settle();
    await settle();
    const stream = writer.stream({ from: 'start' });
    expect(stream.position).toBe(100);
    expect(await stream.text()).toBe('kept');
  });

  test('refuses what is no Readable, and one that was read to its end', async () => {
    const ended = Readable.from([]);
    ended.resume();
    await once(ended, 'end');
    for (const wrong of [undefined, null, {}, 'text', new ByteWriter(), ended]) {
      expect(() => fromReadable(wrong as never)).toThrow(
        expect.objectContaining({ code: 'ERR_FANPIPE_INVALID_ARGUMENT' }),
      );
    }
  });
});

describe('fromReadable(): COPY', () => {
  /** The options with which chunks of a source are written, seen from the outside. */
  async function copies(readable: Readable, options?: { copy: boolean }): Promise<boolean> {
    const seen: Uint8Array[] = [];
    const emit = readable.emit.bind(readable);
    vi.spyOn(readable, 'emit').mockImplementation((event, ...args) => {
      if (event === 'data') seen.push(args[0]);
      return emit(event as never, ...(args as never[]));
    });
    const writer = fromReadable(readable, options);
    const read: Uint8Array[] = [];
    for await (const chunk of writer.stream()) read.push(chunk);
    expect(read.length).toBeGreaterThan(0);
    expect(seen.length).toBe(read.length);
    const isShared = read.map((chunk, index) => chunk.buffer === seen[index]?.buffer);
    expect(new Set(isShared).size).toBe(1);
    return !isShared[0];
  }

  test('not from a file, a socket, an HTTP message or zlib', async () => {
    const path = file('small', Buffer.from('content'));
    expect(await copies(createReadStream(path))).toBe(false);
    const unzipped = createGunzip();
    unzipped.end(gzipSync('content'));
    expect(await copies(unzipped)).toBe(false);

    const tcp = createServer((socket) => socket.end('content'));
    await once(tcp.listen(0, '127.0.0.1'), 'listening');
    expect(await copies(connect((tcp.address() as AddressInfo).port, '127.0.0.1'))).toBe(false);
    tcp.close();

    const http = createHttpServer((_, res) => res.end('content'));
    await once(http.listen(0, '127.0.0.1'), 'listening');
    const asked = request({ port: (http.address() as AddressInfo).port, host: '127.0.0.1', agent: false });
    const [response] = await once(asked.end(), 'response');
    expect(await copies(response)).toBe(false);
    http.close();
  });

  test('their chunks really are nobody else’s: what was read stays what it was', async () => {
    const content = Buffer.alloc(1_000_000);
    for (let i = 0; i < content.length; i += 4) content.writeUInt32LE(Math.imul(i, 2_654_435_761) >>> 0, i);
    const kept = async (readable: Readable): Promise<Buffer> => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of fromReadable(readable).stream()) chunks.push(chunk);
      return Buffer.concat(chunks);
    };
    expect(Buffer.compare(await kept(createReadStream(file('kept', content), { highWaterMark: 1000 })), content)).toBe(
      0,
    );
    const unzipped = createGunzip({ chunkSize: 64 });
    unzipped.end(gzipSync(content));
    expect(Buffer.compare(await kept(unzipped), content)).toBe(0);
    const http = createHttpServer((_, res) => {
      for (let at = 0; at < content.length; at += 10_000) res.write(content.subarray(at, at + 10_000));
      res.end();
    });
    await once(http.listen(0, '127.0.0.1'), 'listening');
    const asked = request({ port: (http.address() as AddressInfo).port, host: '127.0.0.1', agent: false });
    const [response] = await once(asked.end(), 'response');
    expect(Buffer.compare(await kept(response), content)).toBe(0);
    http.close();
  });

  test('from any other Readable, unless told; `copy` overrides', async () => {
    const other = (): Readable => Readable.from([Buffer.alloc(20_000)], { objectMode: false });
    expect(await copies(other())).toBe(true);
    expect(await copies(other(), { copy: false })).toBe(false);
    expect(await copies(createReadStream(file('told', Buffer.alloc(20_000))), { copy: true })).toBe(true);
  });

  test('a source that uses its memory again', async () => {
    const memory = Buffer.alloc(4);
    let count = 0;
    const readable = new Readable({
      read() {
        setImmediate(() => {
          count++;
          this.push(count > 5 ? null : memory.fill(String(count)));
        });
      },
    });
    expect(await fromReadable(readable).stream().text()).toBe('11112222333344445555');
  });
});
