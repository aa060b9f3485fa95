/** Requests and responses of the web. */
import { getEventListeners } from 'node:events';
import { describe, expect, onTestFinished, test } from 'vitest';
import { StreamServer, type StreamServerOptions } from '../../../packages/server/src/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';

const URL_A = 'http://test/v1/stream/a';

function start(options: StreamServerOptions = {}): (url: string, init?: RequestInit) => Promise<Response> {
  const server = new StreamServer(options);
  onTestFinished(() => server.close());
  const { fetch } = server;
  return (url, init) => fetch(new Request(url, init));
}

const put = (body?: BodyInit, headers: Record<string, string> = {}): RequestInit => ({
  method: 'PUT',
  headers: { 'content-type': 'text/plain', ...headers },
  ...(body === undefined ? {} : { body }),
});

async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, wanted: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  while (!text.includes(wanted)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`ended before ${wanted}: ${text}`);
    text += decoder.decode(value, { stream: true });
  }
  return text;
}

describe('fetch', () => {
  test('creates, appends, reads and deletes', async () => {
    const fetch = start();
    const created = await fetch(URL_A, put('hello'));
    expect([created.status, created.headers.get('location')]).toEqual([201, URL_A]);
    expect(
      (await fetch(URL_A, { method: 'POST', body: ' world', headers: { 'content-type': 'text/plain' } })).status,
    ).toBe(204);
    const read = await fetch(`${URL_A}?offset=-1`);
    expect([await read.text(), read.headers.get('content-length'), read.headers.get('stream-up-to-date')]).toEqual([
      'hello world',
      '11',
      'true',
    ]);
    const head = await fetch(URL_A, { method: 'HEAD' });
    expect([head.status, head.body, await head.text()]).toEqual([200, null, '']);
    const part = await fetch(URL_A, { headers: { range: 'bytes=6-' } });
    expect([part.status, await part.text()]).toEqual([206, 'world']);
    const etag = read.headers.get('etag') as string;
    expect((await fetch(URL_A, { headers: { 'if-none-match': etag } })).status).toBe(304);
    expect((await fetch(URL_A, { method: 'DELETE' })).status).toBe(204);
    expect((await fetch(URL_A)).status).toBe(404);
  });

  test('a client that goes is no error to a runtime that cancels, and one to whoever reads on', async () => {
    const server = new StreamServer();
    onTestFinished(() => server.close());
    await server.fetch(new Request(URL_A, put('hello')));
    const open = async (client: AbortController) => {
      const reply = await server.fetch(new Request(`${URL_A}?live=raw`, { signal: client.signal }));
      return reply.body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    };
    const first = new AbortController();
    const cancelled = await open(first);
    first.abort(new Error('it has gone'));
    await cancelled.cancel();
    expect(await cancelled.closed).toBeUndefined();
    const second = new AbortController();
    const reading = await open(second);
    await reading.read();
    second.abort(new Error('it has gone'));
    await expect(reading.read()).rejects.toThrow('it has gone');
  });

  test('a body that somebody else has read is the fault of the host', async () => {
    const errors: unknown[] = [];
    const server = new StreamServer({ onError: (error) => errors.push(error) });
    onTestFinished(() => server.close());
    const request = new Request(URL_A, put('hello'));
    await request.text();
    const refused = await server.fetch(request);
    expect(refused.status).toBe(500);
    expect(await refused.json()).toMatchObject({ error: { code: 'ERR_FANPIPE_BODY_ALREADY_READ' } });
    expect(errors).toMatchObject([{ code: 'ERR_FANPIPE_BODY_ALREADY_READ' }]);
  });

  test('a body without a length is appended while it comes, and read while it is', async () => {
    const fetch = start();
    await fetch(URL_A, put());
    const events = (
      await fetch(`${URL_A}?offset=now&live=sse`)
    ).body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    const encoder = new TextEncoder();
    let upload!: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        upload = controller;
      },
    });
    const appended = fetch(URL_A, {
      method: 'POST',
      body,
      duplex: 'half',
      headers: { 'content-type': 'text/plain' },
    } as RequestInit);
    upload.enqueue(encoder.encode('one'));
    await readUntil(events, 'data:one');
    upload.enqueue(encoder.encode('two'));
    upload.close();
    expect((await appended).status).toBe(204);
    await readUntil(events, 'data:two');
    await events.cancel();
  });

  test.each<[string, () => unknown]>([
    ['text', () => 'abc'],
    ['an ArrayBuffer', () => new ArrayBuffer(3)],
    ['two bytes at a time', () => new Uint16Array(3)],
  ])('a body that the host made of %s is its fault, and nothing of it is kept', async (_, chunk) => {
    const errors: unknown[] = [];
    const fetch = start({ onError: (error) => errors.push(error) });
    await fetch(URL_A, put());
    for (const method of ['POST', 'PUT']) {
      const body = new ReadableStream<unknown>({
        pull(controller) {
          controller.enqueue(chunk());
          controller.close();
        },
      });
      const init = { method, body, duplex: 'half', headers: { 'content-type': 'text/plain' } } as RequestInit;
      expect((await fetch(URL_A, init)).status).toBe(500);
    }
    expect(errors).toEqual([expect.any(TypeError), expect.any(TypeError)]);
    expect((await fetch(URL_A)).headers.get('stream-next-offset')).toMatch(/^0{16}_0{16}$/);
  });

  test('a body that breaks off is a bad request', async () => {
    const fetch = start();
    await fetch(URL_A, put());
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(new Error('gone'));
      },
    });
    expect(
      (
        await fetch(URL_A, {
          method: 'POST',
          body,
          duplex: 'half',
          headers: { 'content-type': 'text/plain' },
        } as RequestInit)
      ).status,
    ).toBe(400);
  });

  test('a reader that does not read is given no more than it can hold, and all when it does', async () => {
    const fetch = start();
    const megabytes = 8;
    await fetch(URL_A, put());
    for (let i = 0; i < megabytes; i++) {
      await fetch(URL_A, {
        method: 'POST',
        body: String(i).repeat(1_048_576),
        headers: { 'content-type': 'text/plain' },
      });
    }
    const body = (await fetch(URL_A)).body as ReadableStream<Uint8Array>;
    for (let i = 0; i < 20; i++) await settle();
    const reader = body.getReader();
    let length = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      // Frames share memory: nobody may take it away.
      expect(value.byteLength).toBeGreaterThan(0);
      length += value.byteLength;
    }
    expect(length).toBe(megabytes * 1_048_576);
    expect(await (await fetch(URL_A)).text()).toHaveLength(length);
  });

  test('leaving frees the reader, by cancel and by the signal of the request, and leaves no listener', async () => {
    const server = new StreamServer();
    onTestFinished(() => server.close());
    await server.fetch(new Request(URL_A, put('x')));
    const readers = async (): Promise<number> => {
      for (let i = 0; i < 10; i++) await settle();
      return (await server.hub.stats()).readers;
    };
    const response = await server.fetch(new Request(`${URL_A}?offset=-1&live=sse`));
    expect(await readers()).toBe(1);
    await response.body?.cancel();
    expect(await readers()).toBe(0);

    const controller = new AbortController();
    const request = new Request(`${URL_A}?live=raw`, { signal: controller.signal });
    const raw = await server.fetch(request);
    const reading = raw.text();
    expect(await readers()).toBe(1);
    controller.abort();
    await expect(reading).rejects.toThrow();
    expect(await readers()).toBe(0);
    expect(getEventListeners(request.signal, 'abort')).toHaveLength(0);

    const waiting = new AbortController();
    const poll = new Request(`${URL_A}?offset=now&live=long-poll`, { signal: waiting.signal });
    const answer = server.fetch(poll);
    expect(await readers()).toBe(1);
    waiting.abort();
    await answer;
    expect(await readers()).toBe(0);
    expect(getEventListeners(poll.signal, 'abort')).toHaveLength(0);
  });

  test('a body that is complete leaves no listener', async () => {
    const server = new StreamServer();
    onTestFinished(() => server.close());
    await server.fetch(new Request(URL_A, put('x'.repeat(300_000))));
    const request = new Request(URL_A);
    await (await server.fetch(request)).text();
    expect(getEventListeners(request.signal, 'abort')).toHaveLength(0);
  });

  test('blind spot 5: a reader that does not read is cut off when it makes no progress for too long', async () => {
    const clock = new FakeClock();
    const fetch = start({ clock, stallTimeout: 1000 });
    await fetch(URL_A, put('x'.repeat(400_000)));
    const stalled = (await fetch(URL_A)).body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    const slow = (await fetch(URL_A)).body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    await clock.advance(900);
    let taken = (await slow.read()).value?.length ?? 0;
    await clock.advance(900);
    await expect(
      stalled
        .read()
        .then(() => stalled.read())
        .then(() => stalled.read()),
    ).rejects.toThrow(/nothing was taken for 1000 ms/);
    for (;;) {
      const { done, value } = await slow.read();
      if (done) break;
      taken += value.length;
      await clock.advance(500);
    }
    expect(taken).toBe(400_000);
  });

  test('a stream that fails or is deleted breaks plain bytes off', async () => {
    const fetch = start();
    for (const end of [{ method: 'POST', headers: { 'stream-error': 'why' } }, { method: 'DELETE' }]) {
      await fetch(URL_A, put('part'));
      const reader = (await fetch(`${URL_A}?live=raw`)).body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
      await readUntil(reader, 'part');
      for (let i = 0; i < 5; i++) await settle();
      await fetch(URL_A, end);
      await expect(reader.read()).rejects.toThrow();
      await fetch(URL_A, { method: 'DELETE' });
    }
  });
});
