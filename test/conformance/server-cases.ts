/** `@fanpipe/server`: the protocol by `fetch`, with no more of a runtime than `Request` and `Response`. */
import { StreamServer, type StreamServerOptions } from '@fanpipe/server';
import { equal, isSettled, ok, same } from './assert.ts';
import { Checksum, encode, noise } from './bytes.ts';
import { test } from './case.ts';
import { type Case, turn } from './harness.ts';

/** A server, and how it is asked. */
export interface Opened {
  readonly server: StreamServer;
  readonly fetch: (path: string, init?: RequestInit) => Promise<Response>;
  readonly close: () => Promise<void>;
}

/** Opens a server for one case. */
export type OpenServer = (options?: StreamServerOptions) => Promise<Opened>;

/** Without a network: what the runtime's own server would call is called. */
export const openDirectly: OpenServer = async (options) => {
  const server = new StreamServer(options);
  return {
    server,
    fetch: (path, init) => server.fetch(new Request(`http://localhost${path}`, init)),
    close: () => server.close(),
  };
};

const STREAM = '/v1/stream/s';
const TEXT = { 'content-type': 'text/plain' };
const JSON_TYPE = { 'content-type': 'application/json' };
const TOKEN = 'a-token-for-writers';

/** Reads a live reply piece by piece. */
class Reader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  text = '';

  constructor(response: Response) {
    this.#reader = (response.body as ReadableStream<Uint8Array>).getReader();
  }

  /** Reads until that has come. */
  async until(part: string): Promise<void> {
    while (!this.text.includes(part)) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error(`it ended before ${JSON.stringify(part)}: ${JSON.stringify(this.text)}`);
      this.text += this.#decoder.decode(value, { stream: true });
    }
  }

  /** Reads to the end. */
  async rest(): Promise<string> {
    for (;;) {
      const { value, done } = await this.#reader.read();
      if (done) return this.text;
      this.text += this.#decoder.decode(value, { stream: true });
    }
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }
}

/** A number that the server tells of itself. */
function gauge(server: StreamServer, wanted: string): number {
  let value: number | undefined;
  const look = (name: string, _: string, read: () => number): void => {
    if (name === wanted) value = read();
  };
  server.measure({ gauge: look, counter: look, add: () => {}, before: () => {} } as never);
  if (value === undefined) throw new Error(`there is no ${wanted}`);
  return value;
}

/** The status of a reply whose body nobody wants. */
async function statusOf(asked: Promise<Response>): Promise<number> {
  const response = await asked;
  await response.arrayBuffer();
  return response.status;
}

/** The data of the last control event. */
function lastControl(events: string): Record<string, unknown> {
  const data = events.split('event: control\ndata:').at(-1)?.split('\n', 1)[0];
  return JSON.parse(data ?? 'null') as Record<string, unknown>;
}

/** The cases, with the servers that `open` opens. */
export function serverCases(where: string, open: OpenServer): readonly Case[] {
  const server = (title: string, run: (opened: Opened) => Promise<void>, options?: () => StreamServerOptions): Case =>
    test(`server ${where} ${title}`, async () => {
      const opened = await open(options?.());
      try {
        await run(opened);
      } finally {
        await opened.close();
      }
    });

  return [
    server('OFFSET: what is written is there, from any offset that was told', async ({ fetch }) => {
      equal(await statusOf(fetch(STREAM, { method: 'PUT', headers: TEXT })), 201, 'created');
      equal(await statusOf(fetch(STREAM, { method: 'PUT', headers: TEXT })), 200, 'there already');
      const appended = await fetch(STREAM, { method: 'POST', headers: TEXT, body: 'Hello, ' });
      equal(appended.status, 204, 'appended');
      const offset = appended.headers.get('stream-next-offset');
      equal(await statusOf(fetch(STREAM, { method: 'POST', headers: TEXT, body: 'everybody' })), 204, 'appended');
      const all = await fetch(STREAM);
      equal(await all.text(), 'Hello, everybody', 'all');
      equal(all.headers.get('stream-up-to-date'), 'true', 'up to date');
      const rest = await fetch(`${STREAM}?offset=${offset}`);
      equal(await rest.text(), 'everybody', 'the rest');
      const closed = { ...TEXT, 'stream-closed': 'true' };
      equal(await statusOf(fetch(STREAM, { method: 'POST', headers: closed })), 204, 'closed');
      const head = await fetch(STREAM, { method: 'HEAD' });
      equal(head.headers.get('stream-closed'), 'true', 'the end');
      equal(head.headers.get('stream-next-offset'), rest.headers.get('stream-next-offset'), 'the tail');
      equal(await statusOf(fetch(STREAM, { method: 'DELETE' })), 204, 'deleted');
      equal(await statusOf(fetch(STREAM)), 404, 'gone');
    }),

    server('SEAM: plain bytes of the past and the present, to the end', async ({ fetch, server }) => {
      const bytes = noise(3 * 1024 * 1024, 7);
      const expected = new Checksum();
      expected.add(bytes);
      const writer = server.writer('s', { create: { contentType: 'application/octet-stream' } });
      await writer.write(bytes.slice(0, 1_000_000));
      await writer.flush();
      const replies = await Promise.all([1, 2, 3].map(() => fetch(`${STREAM}?live=raw`)));
      const readers = replies.map(async (reply) => {
        const sum = new Checksum();
        const reader = (reply.body as ReadableStream<Uint8Array>).getReader();
        for (;;) {
          const { value, done } = await reader.read();
          if (done) return sum.value;
          sum.add(value);
        }
      });
      for (let at = 1_000_000; at < bytes.byteLength; at += 70_001) {
        await writer.write(bytes.slice(at, at + 70_001));
        await turn();
      }
      await writer.end();
      for (const sum of await Promise.all(readers)) equal(sum, expected.value, 'bytes');
      const late = new Checksum();
      late.add(new Uint8Array(await (await fetch(STREAM)).arrayBuffer()));
      equal(late.value, expected.value, 'who comes late');
    }),

    server('SEAM: events, each with the offset to go on from', async ({ fetch, server }) => {
      const writer = server.writer('s', { create: { contentType: 'text/plain' } });
      await writer.write('first\n');
      await writer.flush();
      const live = await fetch(`${STREAM}?offset=-1&live=sse`);
      equal(live.headers.get('content-type'), 'text/event-stream', 'type');
      const reader = new Reader(live);
      await reader.until('data:first');
      await reader.until('"upToDate":true');
      const { streamNextOffset } = lastControl(reader.text);
      await writer.write('second');
      await reader.until('data:second');
      await writer.end();
      equal(lastControl(await reader.rest()).streamClosed, true, 'the end');
      const again = new Reader(await fetch(`${STREAM}?offset=${streamNextOffset}&live=sse`));
      const events = await again.rest();
      ok(events.includes('data:second') && !events.includes('first'), 'goes on where it was');
    }),

    server('JSON: messages, one array per read and event', async ({ fetch }) => {
      await statusOf(fetch(STREAM, { method: 'PUT', headers: JSON_TYPE }));
      await statusOf(fetch(STREAM, { method: 'POST', headers: JSON_TYPE, body: '[{"a":1},{"a":2}]' }));
      const reader = new Reader(await fetch(`${STREAM}?offset=-1&live=sse`));
      await reader.until('[{"a":1},{"a":2}]');
      await statusOf(fetch(STREAM, { method: 'POST', headers: JSON_TYPE, body: '{"a":10000000000000000000001}' }));
      await reader.until('[{"a":10000000000000000000001}]');
      await reader.cancel();
      equal(await (await fetch(STREAM)).text(), '[{"a":1},{"a":2},{"a":10000000000000000000001}]', 'all');
      equal(await statusOf(fetch(STREAM, { method: 'POST', headers: JSON_TYPE, body: '{"a":' })), 400, 'no JSON');
    }),

    server(
      'a long-poll waits for what comes first, and not for ever',
      async ({ fetch }) => {
        await statusOf(fetch(STREAM, { method: 'PUT', headers: TEXT }));
        const waiting = fetch(`${STREAM}?offset=now&live=long-poll`);
        const settled = isSettled(waiting);
        await statusOf(fetch(STREAM, { method: 'POST', headers: TEXT, body: 'news' }));
        equal(await settled, false, 'it waits');
        const reply = await waiting;
        equal(await reply.text(), 'news', 'what came');
        const offset = reply.headers.get('stream-next-offset');
        const late = await fetch(`${STREAM}?offset=${offset}&live=long-poll`);
        equal(late.status, 204, 'nothing came');
        equal(late.headers.get('stream-next-offset'), offset, 'where to go on');
      },
      () => ({ longPollTimeout: 250 }),
    ),

    server('PRODUCER: what is sent again is there once', async ({ fetch }) => {
      await statusOf(fetch(STREAM, { method: 'PUT', headers: TEXT }));
      const send = (seq: number, body: string): Promise<number> => {
        const headers = { ...TEXT, 'producer-id': 'p', 'producer-epoch': '0', 'producer-seq': String(seq) };
        return statusOf(fetch(STREAM, { method: 'POST', headers, body }));
      };
      same(
        [await send(0, 'a'), await send(1, 'b'), await send(1, 'b'), await send(3, 'd')],
        [200, 200, 204, 409],
        'told',
      );
      equal(await (await fetch(STREAM)).text(), 'ab', 'bytes');
    }),

    server('FAIL: a stream that failed never looks complete', async ({ fetch, server }) => {
      const writer = server.writer('s', { create: { contentType: 'text/plain' } });
      await writer.write('a part');
      await writer.flush();
      const reader = new Reader(await fetch(`${STREAM}?live=raw`));
      await reader.until('a part');
      writer.fail(new Error('no more'));
      let text = 'not at all';
      try {
        text = await reader.rest();
      } catch {
        text = 'broken off';
      }
      equal(text, 'broken off', 'the live reply ended');
      const reply = await fetch(STREAM);
      equal(await reply.text(), 'a part', 'what there is');
      equal(decodeURIComponent(reply.headers.get('stream-error') ?? ''), 'no more', 'why');
      equal(reply.headers.get('stream-closed'), null, 'closed');
    }),

    server('CLEAN: a reader that goes is forgotten', async ({ fetch, server }) => {
      const writer = server.writer('s', { create: { contentType: 'text/plain' } });
      await writer.write('something');
      await writer.flush();
      const reader = new Reader(await fetch(`${STREAM}?live=raw`));
      await reader.until('something');
      equal(gauge(server, 'live_replies'), 1, 'live replies');
      await reader.cancel();
      // Over a network it takes a while to be known.
      while (gauge(server, 'live_replies') > 0) await turn();
      await writer.write(', and more');
      await writer.end();
      equal(await (await fetch(STREAM)).text(), 'something, and more', 'all');
    }),

    server('a part, and nothing if nothing has changed', async ({ fetch }) => {
      await statusOf(
        fetch(STREAM, { method: 'PUT', headers: { ...TEXT, 'stream-closed': 'true' }, body: '0123456789' }),
      );
      const part = await fetch(STREAM, { headers: { range: 'bytes=4-6' } });
      same([part.status, part.headers.get('content-range'), await part.text()], [206, 'bytes 4-6/10', '456'], 'a part');
      const all = await fetch(STREAM);
      await all.text();
      const tag = all.headers.get('etag') ?? '';
      equal(await statusOf(fetch(STREAM, { headers: { 'if-none-match': tag }, cache: 'no-store' })), 304, 'unchanged');
    }),

    server('FORK: has the bytes of its source, and then its own', async ({ fetch }) => {
      await statusOf(fetch(STREAM, { method: 'PUT', headers: TEXT, body: 'shared' }));
      const headers = { ...TEXT, 'stream-forked-from': STREAM };
      equal(await statusOf(fetch('/v1/stream/fork', { method: 'PUT', headers })), 201, 'forked');
      await statusOf(fetch(STREAM, { method: 'POST', headers: TEXT, body: ' here' }));
      await statusOf(fetch('/v1/stream/fork', { method: 'POST', headers: TEXT, body: ' there' }));
      equal(await (await fetch('/v1/stream/fork')).text(), 'shared there', 'the fork');
      equal(await (await fetch(STREAM)).text(), 'shared here', 'its source');
    }),

    server(
      'who may do what, and no more than that',
      async ({ fetch }) => {
        const as = (token: string): Record<string, string> => ({ ...TEXT, authorization: `Bearer ${token}` });
        const put = (name: string, headers: Record<string, string>, body = ''): Promise<number> =>
          statusOf(fetch(`/v1/stream/${name}`, { method: 'PUT', headers, body }));
        const statuses = [
          await put('a/1', TEXT),
          await put('b/1', as(TOKEN)),
          await put('a/1', as(TOKEN)),
          await statusOf(fetch('/v1/stream/a/1', { headers: as(TOKEN) })),
          await put('a/2', as(TOKEN), 'x'.repeat(101)),
          await statusOf(fetch('/v1/stream/a//1', { headers: as(TOKEN) })),
        ];
        same(statuses, [401, 403, 201, 200, 413, 400], 'statuses');
      },
      () => ({ tokens: [{ token: TOKEN, read: ['a'], write: ['a'] }], limits: { maxBodyBytes: 100 } }),
    ),

    server('CLOSE: whoever waits is sent away, and told where to go on', async ({ fetch, server }) => {
      const writer = server.writer('s', { create: { contentType: 'text/plain' } });
      await writer.write('so far');
      await writer.flush();
      const reader = new Reader(await fetch(`${STREAM}?offset=-1&live=sse`));
      await reader.until('"upToDate":true');
      const poll = fetch(`${STREAM}?offset=now&live=long-poll`);
      while (gauge(server, 'waiting_requests') === 0) await turn();
      server.drain();
      const { streamNextOffset, streamClosed } = lastControl(await reader.rest());
      equal(streamClosed, undefined, 'closed');
      const { status, headers } = await poll;
      equal(status, 204, 'the long-poll');
      equal(headers.get('stream-next-offset'), streamNextOffset as string, 'where to go on');
      equal(await statusOf(fetch(`${STREAM}?offset=now&live=long-poll`)), 503, 'who comes now');
    }),
  ];
}

/** A body that comes in pieces, which not every runtime can send. */
export function piecesCase(where: string, open: OpenServer): Case {
  return test(`server ${where} SEAM: readers see a body while it comes`, async () => {
    const { fetch, close } = await open();
    // Bun sends the head of a live reply together with its first byte.
    await statusOf(fetch(STREAM, { method: 'PUT', headers: TEXT, body: 'zero ' }));
    const reader = new Reader(await fetch(`${STREAM}?live=raw`));
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) });
    const init = { method: 'POST', headers: { ...TEXT, 'stream-closed': 'true' }, body, duplex: 'half' };
    const sent = statusOf(fetch(STREAM, init as RequestInit));
    controller.enqueue(encode('one '));
    await reader.until('one ');
    controller.enqueue(encode('two'));
    await reader.until('two');
    controller.close();
    equal(await sent, 204, 'taken');
    equal(await reader.rest(), 'zero one two', 'all');
    await close();
  });
}
