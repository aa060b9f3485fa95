/**
 * What the official suite does not see, with a server that is a process of its own and clients on sockets. The numbers are those of
 * `test/server/http/blind-spots.test.ts`; 5 is shown over sockets with the tests of the listener, 6 also by `kill.test.ts`.
 */

import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { CuttingProxy } from '../../support/cutting-proxy.ts';
import { Random } from '../../support/random.ts';
import { randomSeed } from '../../support/seed.ts';
import { Gate } from './gate.ts';
import { type Answer, HttpClient, pathOf, positionOf } from './http-client.ts';
import { type Encoding, LiveReader, type ReaderKind } from './live-reader.ts';
import { TYPES } from './messages.ts';
import { ServerProcess } from './server-process.ts';

const KINDS: readonly ReaderKind[] = ['events', 'events-by-id', 'long-poll', 'raw'];
const TEXT = { 'content-type': 'text/plain' };
const JSONS = { 'content-type': 'application/json' };
const CLOSED = { 'stream-closed': 'true' };

let server: ServerProcess | undefined;
let folder: string | undefined;

/** A server of the test's own, on disk unless it says otherwise. */
async function start(isOnDisk = true): Promise<HttpClient> {
  folder ??= mkdtempSync(join(tmpdir(), 'fanpipe-process-'));
  server = await ServerProcess.start({ ...(isOnDisk && { data: folder }), args: ['--long-poll-timeout', '500'] });
  return server.client;
}

/** Ends it, which it must do well unless it is killed. */
async function end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  const ended = server;
  server = undefined;
  const how = await ended?.end(signal);
  expect([how, ended?.stderr]).toEqual([signal === 'SIGTERM' ? [0, null] : [null, signal], '']);
}

afterEach(async () => {
  if (server !== undefined) await end();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  folder = undefined;
});

/** Creates a stream with something in it and gives the token of its tail. */
async function create(
  client: HttpClient,
  name: string,
  encoding: Encoding,
  body: string | Uint8Array,
): Promise<string> {
  const answer = await client.call('PUT', pathOf(name), { headers: { 'content-type': TYPES[encoding] }, body });
  expect(answer.status).toBe(201);
  return String(answer.headers['stream-next-offset']);
}

interface FollowOptions {
  readonly name: string;
  readonly token: string;
  readonly from: number;
  readonly kind?: ReaderKind;
  readonly encoding?: Encoding;
}

function follow(client: HttpClient, options: FollowOptions): LiveReader {
  const gate = new Gate<HttpClient>();
  gate.open(client);
  return new LiveReader({ kind: 'events', encoding: 'text', ...options, gate });
}

describe('blind spots of the official suite, over sockets', () => {
  test('1: each of 100 long-poll readers at the tail gets the final data of an append that closes the stream', async () => {
    const client = await start();
    const token = await create(client, 'a', 'text', 'past');
    const polls = Array.from({ length: 100 }, () =>
      client.call('GET', `${pathOf('a')}?offset=${token}&live=long-poll`),
    );
    await client.untilMetric('waiting_requests', (count) => count === 100);
    await client.call('POST', pathOf('a'), { headers: { ...TEXT, ...CLOSED }, body: 'last words' });
    for (const { status, body, headers } of await Promise.all(polls)) {
      expect([status, body.toString(), headers['stream-closed']]).toEqual([200, 'last words', 'true']);
    }
  });

  test('3: text that is appended byte by byte is whole for each reader, and for those who come in between', async () => {
    const client = await start();
    const whole = Buffer.from('aä€😀漢字\n\ndata: x\n'.repeat(6));
    const token = await create(client, 'a', 'text', whole.subarray(0, 1));
    const readers = KINDS.map((kind) => follow(client, { name: 'a', token, from: 0, kind }));
    for (let at = 1; at < whole.length; at++) {
      await client.call('POST', pathOf('a'), { headers: TEXT, body: whole.subarray(at, at + 1) });
      if (at % 10 === 0) readers.push(follow(client, { name: 'a', token, from: at, kind: 'raw' }));
    }
    await client.call('POST', pathOf('a'), { headers: CLOSED });
    await Promise.all(readers.map(({ done }) => done));
    for (const reader of readers) {
      expect(reader.position).toBe(whole.length);
      reader.compare(whole);
    }
  });

  test('4: DELETE while 200 readers wait ends their replies, and the server goes on', async () => {
    const client = await start();
    const token = await create(client, 'a', 'text', 'x');
    await create(client, 'b', 'text', 'y');
    const polls = Array.from({ length: 100 }, () =>
      client.call('GET', `${pathOf('a')}?offset=${token}&live=long-poll`),
    );
    const live = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        client.open('GET', `${pathOf('a')}?offset=${token}&live=${i % 2 === 0 ? 'sse' : 'raw'}`),
      ),
    );
    await client.untilMetric('waiting_requests', (count) => count === 100);
    expect(await client.metric('live_replies')).toBe(100);
    const other = follow(client, { name: 'b', token, from: 0 });
    await other.reached(1);
    expect((await client.call('DELETE', pathOf('a'))).status).toBe(204);
    for (const { status } of await Promise.all(polls)) expect(status).toBe(404);
    for (const reply of live) {
      const isRaw = reply.headers['content-type'] === 'text/plain; charset=utf-8';
      let isCut = false;
      try {
        for await (const _ of reply);
      } catch {
        isCut = true;
      }
      // Plain bytes must not look as if that was all.
      expect([isRaw, isCut]).toEqual([isRaw, isRaw]);
    }
    await client.call('POST', pathOf('b'), { headers: { ...TEXT, ...CLOSED }, body: 'z' });
    await other.done;
    expect(other.position).toBe(2);
    await client.untilMetric('readers', (count) => count === 0);
    await create(client, 'a', 'text', 'anew');
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    '6: all there is to know of streams is the same after %s and a new start',
    async (signal) => {
      let client = await start();
      const put = (name: string, headers: Record<string, string>, body?: string): Promise<Answer> =>
        client.call('PUT', pathOf(name), { headers, body });
      const post = (name: string, headers: Record<string, string>, body?: string): Promise<Answer> =>
        client.call('POST', pathOf(name), { headers, body });
      const producer = (epoch: number, seq: number): Record<string, string> => ({
        ...TEXT,
        'producer-id': 'p',
        'producer-epoch': String(epoch),
        'producer-seq': String(seq),
      });
      await put('open', TEXT, 'open');
      await put('empty', { 'content-type': 'application/octet-stream' });
      await put('closed', { ...TEXT, ...CLOSED }, 'closed');
      await put('failed', TEXT, 'failed');
      await post('failed', { 'stream-error': 'no%20ink%20%E2%82%AC' });
      await put('expires', { ...TEXT, 'stream-expires-at': '2099-01-02T03:04:05Z' }, 'expires');
      await put('ttl', { ...TEXT, 'stream-ttl': '86400' }, 'ttl');
      await put('messages', JSONS, '[{"a":1e400},[2],"\\u2028"]');
      await put('deep/ÄÖ/漢?', { 'content-type': 'text/html; charset="utf-8"' }, 'x');
      await put('producers', TEXT);
      for (let seq = 0; seq < 3; seq++) expect((await post('producers', producer(4, seq), `p${seq}`)).status).toBe(200);
      expect((await post('producers', { ...TEXT, 'stream-seq': 'm' }, 'seq')).status).toBe(204);
      await put('source', TEXT, 'from the source');
      await put('fork', {
        ...TEXT,
        'stream-forked-from': pathOf('source'),
        'stream-fork-sub-offset': '8',
        'stream-fork-offset': `${'0'.repeat(16)}_${'0'.repeat(16)}`,
      });
      await post('fork', TEXT, ' and the fork');
      expect((await client.call('DELETE', pathOf('source'))).status).toBe(204);
      await put('again', TEXT, 'the first of the name');
      const old = String((await client.call('HEAD', pathOf('again'))).headers['stream-next-offset']);
      await client.call('DELETE', pathOf('again'));
      await put('again', TEXT, 'the second');
      await put('gone', TEXT, 'gone');
      await client.call('DELETE', pathOf('gone'));

      const names = [
        'open',
        'empty',
        'closed',
        'failed',
        'expires',
        'ttl',
        'messages',
        'deep/ÄÖ/漢?',
        'producers',
        'source',
        'fork',
        'again',
        'gone',
      ];
      const look = async (): Promise<unknown> => {
        const seen: unknown[] = [];
        for (const name of names) {
          for (const [method, query] of [
            ['HEAD', ''],
            ['GET', ''],
            ['GET', '?offset=-1'],
            ['GET', '?offset=now'],
          ] as const) {
            const { status, headers, body } = await client.call(method, pathOf(name) + query);
            const { date, ...rest } = headers;
            seen.push([method, name + query, status, rest, body.toString()]);
          }
        }
        return seen;
      };
      const before = await look();
      const tag = String((await client.call('GET', pathOf('open'))).headers.etag);
      await end(signal);
      client = await start();
      expect(await look()).toEqual(before);

      expect((await client.call('GET', pathOf('open'), { headers: { 'if-none-match': tag } })).status).toBe(304);
      expect((await client.call('GET', `${pathOf('again')}?offset=${old}`)).status).toBe(410);
      expect((await post('producers', producer(4, 2), 'p2')).status).toBe(204);
      expect((await post('producers', producer(4, 4), 'p4')).headers['producer-expected-seq']).toBe('3');
      expect((await post('producers', producer(3, 0), 'p')).headers['producer-epoch']).toBe('4');
      expect((await post('producers', producer(4, 3), 'p3')).status).toBe(200);
      expect((await post('producers', { ...TEXT, 'stream-seq': 'm' }, 'seq')).status).toBe(409);
      expect((await post('producers', { ...TEXT, 'stream-seq': 'n' }, 'seq')).status).toBe(204);
      expect((await client.call('GET', pathOf('producers'))).body.toString()).toBe('p0p1p2seqp3seq');
      expect((await post('closed', TEXT, 'more')).status).toBe(409);
      expect((await post('failed', TEXT, 'more')).status).toBe(409);
      expect((await put('source', TEXT)).status).toBe(409);
      expect((await client.call('GET', pathOf('fork'))).body.toString()).toBe('from the and the fork');
      // The source was kept for the fork alone.
      expect((await client.call('DELETE', pathOf('fork'))).status).toBe(204);
      expect((await put('source', TEXT, 'new')).status).toBe(201);
    },
  );

  test('7: streams past their time to live free memory and disk by themselves, also when that passed while there was no server', async () => {
    let client = await start();
    const wave = async (ttl: number): Promise<void> => {
      const body = 'x'.repeat(100_000);
      const headers = { ...TEXT, 'stream-ttl': String(ttl) };
      await Promise.all(Array.from({ length: 200 }, (_, i) => client.call('PUT', pathOf(`a${i}`), { headers, body })));
    };
    const disk = (): number =>
      readdirSync(folder as string).reduce((sum, file) => sum + statSync(join(folder as string, file)).size, 0);
    await create(client, 'stays', 'text', 'abc');
    const sizes: number[] = [];
    for (let i = 0; i < 5; i++) {
      await wave(1);
      await client.untilMetric('streams', (count) => count === 1);
      expect(await client.metric('stored_bytes')).toBe(3);
      sizes.push(disk());
    }
    // What one leaves the one after the next uses again.
    expect(sizes.at(-1)).toBeLessThan(2.5 * 20_000_000);
    await wave(1);
    await end('SIGKILL');
    const killed = performance.now();
    client = await start();
    await client.untilMetric('streams', (count) => count === 1);
    expect(await client.metric('stored_bytes')).toBe(3);
    expect(performance.now() - killed).toBeLessThan(30_000);
  });

  test('8: 500 readers of one stream, 300 streams with a reader each, and a catch-up of 200,000 messages', async () => {
    const client = await start();
    const token = await create(client, 'one', 'text', '0');
    const readers = Array.from({ length: 500 }, (_, i) =>
      follow(client, { name: 'one', token, from: 0, kind: KINDS[i % 4] as ReaderKind }),
    );
    await Promise.all(readers.map((reader) => reader.reached(1)));
    let one = '0';
    for (let i = 1; i <= 20; i++) {
      await client.call('POST', pathOf('one'), { headers: TEXT, body: `, ${i}` });
      one += `, ${i}`;
      if (i % 10 === 0) await Promise.all(readers.map((reader) => reader.reached(one.length)));
    }
    await client.call('POST', pathOf('one'), { headers: CLOSED });
    await Promise.all(readers.map(({ done }) => done));
    for (const reader of readers) {
      expect(reader.position).toBe(one.length);
      reader.compare(Buffer.from(one));
    }

    const many = await Promise.all(
      Array.from({ length: 300 }, async (_, i) => {
        const name = `many/${i}`;
        return follow(client, { name, token: await create(client, name, 'text', '<'), from: 0 });
      }),
    );
    await Promise.all(many.map((reader) => reader.reached(1)));
    await Promise.all(
      many.map(({ name }) => client.call('POST', pathOf(name), { headers: { ...TEXT, ...CLOSED }, body: `${name}>` })),
    );
    await Promise.all(many.map(({ done }) => done));
    for (const reader of many) {
      expect(reader.position).toBe(reader.name.length + 2);
      reader.compare(Buffer.from(`<${reader.name}>`));
    }

    await client.call('PUT', pathOf('long'), { headers: JSONS });
    await Promise.all(
      Array.from({ length: 200 }, (_, i) => {
        const messages = Array.from({ length: 1000 }, (_, j) => ({ i, j }));
        return client.call('POST', pathOf('long'), { headers: JSONS, body: JSON.stringify(messages) });
      }),
    );
    const all = JSON.parse((await client.call('GET', pathOf('long'))).body.toString()) as { i: number; j: number }[];
    expect(all.length).toBe(200_000);
    expect(all.every(({ j }, at) => j === at % 1000)).toBe(true);
    expect(new Set(all.map(({ i }) => i)).size).toBe(200);
  });
});

describe('what only sockets show', () => {
  test.each(['events', 'events-by-id', 'long-poll', 'raw'] as const)(
    'a live reply that is cut at each of its bytes: %s goes on without gap or repeat',
    async (kind) => {
      const client = await start(false);
      const proxy = await CuttingProxy.start({ host: '127.0.0.1', port: client.port });
      try {
        const whole = '{"text":"aä€😀"}\n{"text":"\\n\\ndata: x"}\n[1,2]\n';
        const [first = '', ...rest] = whole.split('\n').slice(0, -1);
        const token = await create(client, 'a', 'json', first);
        for (const message of rest) {
          await client.call('POST', pathOf('a'), { headers: JSONS, body: `[${message}]` });
        }
        await client.call('POST', pathOf('a'), { headers: CLOSED });
        for (let at = 1; ; at++) {
          const through = new HttpClient(Number(new URL(proxy.origin).port));
          proxy.cuts.push(at);
          const reader = follow(through, { name: 'a', token, from: 0, kind, encoding: 'json' });
          await reader.done;
          through.close();
          expect([at, reader.hasEnded, reader.position]).toEqual([at, true, Buffer.byteLength(whole)]);
          reader.compare(Buffer.from(whole));
          // So it came to its end before the cut.
          if (proxy.cut < at) {
            expect(at).toBeGreaterThan(400);
            break;
          }
        }
      } finally {
        await proxy.close();
      }
    },
  );

  test('100 producers that send everything twice at once: each message once, in the order of its producer', async () => {
    const client = await start();
    const seed = randomSeed();
    const random = new Random(seed);
    const token = await create(client, 'a', 'json', '"first"');
    const readers = KINDS.map((kind) => follow(client, { name: 'a', token, from: 0, kind, encoding: 'json' }));
    await Promise.all(
      Array.from({ length: 100 }, async (_, p) => {
        for (let seq = 0; seq < 20; seq++) {
          const headers = {
            ...JSONS,
            'producer-id': `p${p}`,
            'producer-epoch': '1',
            'producer-seq': String(seq),
          };
          const body = JSON.stringify({ p, seq, text: 'x'.repeat(random.between(0, 2000)) });
          const both = await Promise.all([1, 2].map(() => client.call('POST', pathOf('a'), { headers, body })));
          expect(both.map(({ status }) => status).sort(), `seed ${seed}`).toEqual([200, 204]);
        }
      }),
    );
    await client.call('POST', pathOf('a'), { headers: CLOSED });
    const text = (await client.call('GET', pathOf('a'))).body.toString();
    const [, ...messages] = JSON.parse(text) as { p: number; seq: number }[];
    const next = new Array(100).fill(0);
    for (const { p, seq } of messages) expect(seq).toBe(next[p]++);
    expect(next).toEqual(new Array(100).fill(20));
    await Promise.all(readers.map(({ done }) => done));
    const lines = (JSON.parse(text) as unknown[]).map((message) => `${JSON.stringify(message)}\n`).join('');
    for (const reader of readers) {
      expect(reader.position).toBe(lines.length);
      reader.compare(Buffer.from(lines));
    }
  });

  test('a message as large as may be reaches every reader whole; one byte more is refused, and the stream goes on', async () => {
    const client = await start();
    const most = 16 * 2 ** 20;
    for (const encoding of ['bytes', 'json', 'text'] as const) {
      const name = `large/${encoding}`;
      const headers = { 'content-type': TYPES[encoding] };
      const token = await create(client, name, encoding, encoding === 'json' ? '1' : '1\n');
      const readers = KINDS.map((kind) => follow(client, { name, token, from: 0, kind, encoding }));
      const body = Buffer.alloc(
        most + 1,
        encoding === 'json' ? 'x' : 'lines of text, one like the other, and each not too short\n',
      );
      if (encoding === 'json') body[0] = body[most - 1] = 34;
      expect((await client.call('POST', pathOf(name), { headers, body: body.subarray(0, most) })).status).toBe(204);
      if (encoding === 'json') body[most] = 32;
      expect((await client.call('POST', pathOf(name), { headers, body })).status).toBe(413);
      await client.call('POST', pathOf(name), { headers: { ...headers, ...CLOSED }, body: '2\n' });
      await Promise.all(readers.map(({ done }) => done));
      const middle = Buffer.concat([body.subarray(0, most), Buffer.from(encoding === 'json' ? '\n' : '')]);
      const whole = Buffer.concat([Buffer.from('1\n'), middle, Buffer.from('2\n')]);
      for (const reader of readers) {
        expect(reader.position).toBe(whole.length);
        reader.compare(whole);
      }
      const { headers: head } = await client.call('HEAD', pathOf(name));
      expect(positionOf(head['stream-next-offset'])).toBe(whole.length);
    }
  });
});
