/** What there is: catch-up, parts, tags, long-poll, HEAD. */
import { describe, expect, test } from 'vitest';
import { parseRange } from '../../../packages/server/src/http/range.ts';
import { memoryBackend, StorageError, StreamFailedError } from '../../../packages/server/src/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { type BackendCall, wrapBackend } from '../hub/wrapped-backend.ts';
import { bytesOf, Call, Client, HttpRig, tokenAt } from './http-rig.ts';

async function quiet(): Promise<void> {
  for (let i = 0; i < 5; i++) await settle();
}

describe('catch-up', () => {
  test('all from an offset to the tail, whole, of a length that is known', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'hello world');
    for (const [query, text] of [
      ['', 'hello world'],
      ['?offset=-1', 'hello world'],
      [`?offset=${tokenAt(1, 6)}`, 'world'],
      [`?offset=${tokenAt(1, 11)}`, ''],
      [`?offset=${tokenAt(0, 0)}`, 'hello world'],
    ]) {
      const answer = await rig.call(`GET a${query}`);
      expect([
        answer.status,
        await answer.text(),
        answer.next,
        answer.header('stream-up-to-date'),
        answer.header('stream-closed'),
      ]).toEqual([200, text, tokenAt(1, 11), 'true', undefined]);
    }
  });

  test('messages are an array, with numbers as they were sent', async () => {
    const rig = new HttpRig();
    await rig.create('j', 'application/json', '[12345678901234567890, 1.0]');
    const second = (await rig.append('j', ' {"b":1,\n"a":1e400} ', 'application/json')).next;
    expect(await (await rig.call('GET j')).text()).toBe('[12345678901234567890,1.0,{"b":1, "a":1e400}]');
    expect(await (await rig.call(`GET j?offset=${second}`)).text()).toBe('[]');
    expect(await (await rig.call('GET j?offset=now')).text()).toBe('[]');
    const first = tokenAt(1, 21);
    expect(await (await rig.call(`GET j?offset=${first}`)).text()).toBe('[1.0,{"b":1, "a":1e400}]');
    expect((await rig.call(`GET j?offset=${tokenAt(1, 20)}`)).status).toBe(400);
  });

  test.each(['text/plain', 'application/json'])(
    'a long body of %s comes as fast as its client takes it, and no faster',
    async (type) => {
      const rig = new HttpRig();
      const isJson = type === 'application/json';
      const messages = Array.from({ length: 300 }, (_, i) => `"${i} ${'x'.repeat(1000)}"`);
      const body = isJson ? `[${messages.join(',')}]` : messages.join('');
      await rig.create('a', type, body);
      const answer = await rig.call('GET a');
      const client = answer.open(Object.assign(new Client(), { room: 1 }));
      await client.until(({ isFull }) => isFull);
      await quiet();
      expect(client.frames).toHaveLength(1);
      while (client.state === 'open') {
        const { length } = client.frames;
        client.drain(1);
        await client.until(({ frames, state }) => frames.length > length || state !== 'open');
      }
      expect(client.text).toBe(body);
      expect(client.bytes.length).toBe((answer.reply.body as { length: number }).length);
    },
  );

  test('what comes while it is sent is not in it', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'x'.repeat(200_000));
    const answer = await rig.call('GET a');
    const client = answer.open(Object.assign(new Client(), { room: 1 }));
    await rig.append('a', 'later');
    client.drain();
    await client.done();
    expect(client.bytes).toHaveLength(200_000);
    expect(await (await rig.call(`GET a?offset=${answer.next}`)).text()).toBe('later');
  });

  test('BROKEN: a stream that is deleted while it is sent breaks the body off', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'x'.repeat(500_000));
    const client = (await rig.call('GET a')).open(Object.assign(new Client(), { room: 1 }));
    await rig.call('DELETE a');
    client.drain();
    await client.done();
    expect(client.state).toBe('aborted');
    expect(rig.faults).toEqual([]);
  });

  test('BROKEN: a store that fails while it is sent breaks the body off, and the host is told', async () => {
    let isBroken = false;
    const before = (call: BackendCall): void => {
      if (isBroken && call === 'next') throw new StorageError('broken');
    };
    const rig = new HttpRig({ backend: wrapBackend(memoryBackend({ firstGeneration: 1 }), { before }) });
    await rig.create('a', 'text/plain', 'x'.repeat(500_000));
    const client = (await rig.call('GET a')).open(Object.assign(new Client(), { room: 1 }));
    await client.until(({ isFull }) => isFull);
    isBroken = true;
    client.drain();
    await client.done();
    expect(client.state).toBe('aborted');
    expect(rig.faults).toEqual([expect.any(StorageError)]);
  });

  test('BROKEN: what is wrong before a long body has begun has a status, as with a short one', async () => {
    let isBroken = false;
    const before = (call: BackendCall): void => {
      if (isBroken && call === 'next') throw new StorageError('broken');
    };
    const rig = new HttpRig({
      limits: { maxReaders: 1 },
      backend: wrapBackend(memoryBackend({ firstGeneration: 1 }), { before }),
    });
    await rig.create('a', 'text/plain', 'x'.repeat(300_000));
    const first = await rig.call('GET a');
    expect([
      (await rig.call('GET a')).status,
      (await rig.call('GET a', { headers: { range: 'bytes=1-' } })).status,
    ]).toEqual([429, 429]);
    expect(await first.text()).toHaveLength(300_000);
    isBroken = true;
    expect((await rig.call('GET a')).status).toBe(503);
    isBroken = false;
    // None of them has kept its place.
    expect(await (await rig.call('GET a')).text()).toHaveLength(300_000);
  });

  test('a client that goes frees its reader', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'x'.repeat(500_000));
    const answer = await rig.call('GET a');
    const client = answer.open(Object.assign(new Client(), { room: 1 }));
    await client.until(({ isFull }) => isFull);
    answer.stop();
    client.drain();
    await quiet();
    expect(client.frames).toHaveLength(1);
    expect((await rig.server.hub.stats()).readers).toBe(0);
  });

  test('the end is told by what reaches it: closed, or failed with the reason', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'all', { 'stream-closed': 'true' });
    for (const query of ['', `?offset=${tokenAt(1, 3)}`, '?offset=now']) {
      const answer = await rig.call(`GET a${query}`);
      expect([answer.status, answer.header('stream-closed'), answer.header('stream-error')]).toEqual([
        200,
        'true',
        undefined,
      ]);
    }
    await rig.create('f', 'text/plain', 'part');
    await rig.call('POST f', { headers: { 'stream-error': 'lost%20%E2%82%AC' } });
    for (const query of ['', `?offset=${tokenAt(2, 4)}`, '?offset=now']) {
      const answer = await rig.call(`GET f${query}`);
      expect([
        answer.status,
        answer.header('stream-closed'),
        answer.header('stream-error'),
        answer.header('stream-up-to-date'),
      ]).toEqual([200, undefined, 'lost%20%E2%82%AC', 'true']);
    }
  });

  test('RETAIN: of a stream whose oldest bytes are gone: the start is what is left, old offsets say where that is', async () => {
    const rig = new HttpRig();
    await rig.server.hub.create('a', { contentType: 'text/plain', retainBytes: 10 });
    for (const part of ['aaaaa', 'bbbbb', 'ccccc']) await rig.append('a', part);
    const whole = await rig.call('GET a');
    expect([
      whole.status,
      await whole.text(),
      whole.header('stream-oldest-offset'),
      whole.header('accept-ranges'),
    ]).toEqual([200, 'bbbbbccccc', tokenAt(1, 5), 'none']);
    for (const live of ['', '&live=long-poll', '&live=sse', '&live=raw']) {
      for (const offset of [0, 3]) {
        const gone = await rig.call(`GET a?offset=${tokenAt(1, offset)}${live}`);
        expect([gone.status, gone.header('stream-oldest-offset')]).toEqual([410, tokenAt(1, 5)]);
      }
    }
    expect((await rig.call('HEAD a')).header('stream-oldest-offset')).toBe(tokenAt(1, 5));
  });
});

describe('tags and caches', () => {
  test('OFFSET: those of a server that has lost its streams mean nothing to the one that follows', async () => {
    const begun = Date.now();
    const before = new HttpRig({ backend: memoryBackend({ time: () => begun }) });
    const put = { headers: { 'content-type': 'text/plain' }, body: 'abc' };
    const { next } = await before.call('PUT a', put);
    const tag = (await before.call('GET a')).header('etag') as string;
    const after = new HttpRig({ backend: memoryBackend({ time: () => begun + 1 }) });
    await after.call('PUT a', { ...put, body: 'xyz' });
    expect((await after.call(`GET a?offset=${next}`)).status).toBe(410);
    expect((await after.call('GET a', { headers: { 'if-none-match': tag } })).status).toBe(200);
    const part = await after.call('GET a', { headers: { range: 'bytes=1-', 'if-range': tag } });
    expect([part.status, await part.text()]).toEqual([200, 'xyz']);
  });

  test('a tag changes with bytes and with the end, and matches until then', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'x');
    const tag = async (): Promise<string> => (await rig.call('GET a')).header('etag') as string;
    const match = async (etag: string, query = ''): Promise<number> =>
      (await rig.call(`GET a${query}`, { headers: { 'if-none-match': etag } })).status;
    const first = await tag();
    expect(await match(first)).toBe(304);
    expect(await match(first, '?offset=-1')).toBe(304);
    expect(await match(first, `?offset=${tokenAt(1, 1)}`)).toBe(200);
    await rig.append('a', 'y');
    expect(await match(first)).toBe(200);
    const second = await tag();
    await rig.call('POST a', { headers: { 'stream-closed': 'true' } });
    expect(await match(second)).toBe(200);
    expect(new Set([first, second, await tag()]).size).toBe(3);
    expect((await rig.call('GET a?offset=now')).header('etag')).toBeUndefined();
    await rig.call('DELETE a');
    await rig.create('a', 'text/plain', 'xy', { 'stream-closed': 'true' });
    expect(await match(second)).toBe(200);
  });

  test('what is kept: bytes for a minute or as long as the stream lives, nothing new not at all', async () => {
    const rig = new HttpRig();
    const cache = async (target: string): Promise<string | undefined> =>
      (await rig.call(target)).header('cache-control');
    await rig.create('a', 'text/plain', 'x');
    expect(await cache('GET a')).toBe('public, max-age=60, stale-while-revalidate=300');
    expect(await cache(`GET a?offset=${tokenAt(1, 1)}`)).toBe('public, no-cache');
    expect(await cache('GET a?offset=now')).toBe('no-store');
    expect(await cache('HEAD a')).toBe('no-store');
    expect(await cache('GET a?offset=-1&live=sse')).toBe('no-cache, no-transform');
    expect(await cache('GET a?live=raw')).toBe('no-store, no-transform');
    expect(await cache('GET b')).toBe('no-store');
    await rig.create('t', 'text/plain', 'x', { 'stream-ttl': '5' });
    expect(await cache('GET t')).toBe('public, max-age=5');
    await rig.create('e', 'text/plain', 'x', { 'stream-expires-at': new Date(Date.now() + 30_000).toISOString() });
    expect(await cache('GET e')).toMatch(/^public, max-age=(29|30)$/);
    const secret = new HttpRig({ authorize: () => true });
    await secret.create('a', 'text/plain', 'x');
    expect((await secret.call('GET a')).header('cache-control')).toMatch(/^private, max-age=60/);
  });
});

describe('parts', () => {
  const range = async (
    rig: HttpRig,
    header: string,
    more: Record<string, string> = {},
    query = '',
  ): Promise<[number, string, string | undefined]> => {
    const answer = await rig.call(`GET a${query}`, { headers: { range: header, ...more } });
    return [answer.status, answer.status === 416 ? '' : await answer.text(), answer.header('content-range')];
  };

  test('of an open stream have no total, those of one that has ended do', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'audio/mpeg', '0123456789');
    expect(await range(rig, 'bytes=2-4')).toEqual([206, '234', 'bytes 2-4/*']);
    expect(await range(rig, 'bytes=7-')).toEqual([206, '789', 'bytes 7-9/*']);
    expect(await range(rig, 'bytes=-3', {}, '?offset=-1')).toEqual([206, '789', 'bytes 7-9/*']);
    expect(await range(rig, 'bytes=10-')).toEqual([416, '', 'bytes */10']);
    expect(await range(rig, 'bytes=-0')).toEqual([416, '', 'bytes */10']);
    const part = await rig.call('GET a', { headers: { range: 'bytes=2-4' } });
    expect([part.next, part.header('stream-up-to-date')]).toEqual([tokenAt(1, 5), undefined]);
    await rig.call('POST a', { headers: { 'stream-closed': 'true' } });
    expect(await range(rig, 'bytes=7-100')).toEqual([206, '789', 'bytes 7-9/10']);
    const last = await rig.call('GET a', { headers: { range: 'bytes=7-' } });
    expect([last.header('stream-closed'), last.header('stream-up-to-date')]).toEqual(['true', 'true']);
  });

  test('what is no single range, what has an offset, and arrays are given whole', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'audio/mpeg', '0123456789');
    for (const header of ['bytes=0-1,3-4', `bytes=${'0-,'.repeat(999)}0-`, 'lines=1-2', 'bytes=5-2', 'x']) {
      expect((await range(rig, header)).slice(0, 2)).toEqual([200, '0123456789']);
    }
    expect(await range(rig, 'bytes=1-2', {}, `?offset=${tokenAt(1, 5)}`)).toEqual([200, '56789', undefined]);
    await rig.create('j', 'application/json', '[1,2]');
    const array = await rig.call('GET j', { headers: { range: 'bytes=0-1' } });
    expect([array.status, await array.text(), array.header('accept-ranges')]).toEqual([200, '[1,2]', 'none']);
  });

  test('one made to be slow is not', () => {
    expect(parseRange(`bytes=0-${' '.repeat(100_000)}x`, 10)).toBeUndefined();
    expect(parseRange(`bytes=${' '.repeat(100_000)}0${' '.repeat(100_000)}x`, 10)).toBeUndefined();
    expect(parseRange(' bytes = 2 - 4 ', 10)).toEqual({ from: 2, to: 5 });
    expect(parseRange('bytes=- 4', 10)).toEqual({ from: 6, to: 10 });
  });

  test('If-Range holds as long as the bytes before are the same, whatever came after them', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'audio/mpeg', '01234');
    const tag = (await rig.call('GET a')).header('etag') as string;
    await rig.append('a', '56789', 'audio/mpeg');
    expect(await range(rig, 'bytes=5-', { 'if-range': tag })).toEqual([206, '56789', 'bytes 5-9/*']);
    expect((await range(rig, 'bytes=5-', { 'if-range': `W/${tag}` }))[0]).toBe(200);
    expect((await range(rig, 'bytes=5-', { 'if-range': 'Tue, 01 Jan 2030 00:00:00 GMT' }))[0]).toBe(200);
    await rig.call('DELETE a');
    await rig.create('a', 'audio/mpeg', 'other bytes');
    expect((await range(rig, 'bytes=5-', { 'if-range': tag })).slice(0, 2)).toEqual([200, 'other bytes']);
  });

  test('where the oldest bytes are gone, a part is for those alone who count from the start of the stream', async () => {
    const rig = new HttpRig();
    await rig.server.hub.create('a', { contentType: 'audio/mpeg', retainBytes: 10 });
    await rig.append('a', 'aaaaa', 'audio/mpeg');
    await rig.append('a', 'bbbbb', 'audio/mpeg');
    const tag = (await rig.call('GET a', { headers: { range: 'bytes=0-0' } })).header('etag') as string;
    await rig.append('a', 'ccccc', 'audio/mpeg');
    // It would count from the first byte that it got.
    expect((await range(rig, 'bytes=7-')).slice(0, 2)).toEqual([200, 'bbbbbccccc']);
    const later = (await rig.call('GET a')).header('etag') as string;
    expect((await range(rig, 'bytes=7-', { 'if-range': later })).slice(0, 2)).toEqual([200, 'bbbbbccccc']);
    expect(await range(rig, 'bytes=7-', { 'if-range': tag })).toEqual([206, 'bbbccccc', 'bytes 7-14/*']);
    const gone = await rig.call('GET a', { headers: { range: 'bytes=2-', 'if-range': tag } });
    expect([gone.status, gone.header('stream-oldest-offset')]).toEqual([410, tokenAt(1, 5)]);
  });
});

describe('long-poll', () => {
  test('gives what there is at once, and else what comes first', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'past');
    const now = await rig.call('GET a?offset=-1&live=long-poll');
    expect([now.status, await now.text(), now.header('stream-up-to-date')]).toEqual([200, 'past', 'true']);
    expect(now.header('stream-cursor')).toMatch(/^\d+$/);
    const waiting = rig.call(`GET a?offset=${now.next}&live=long-poll`);
    await quiet();
    await rig.append('a', 'new');
    const then = await waiting;
    expect([then.status, await then.text(), then.next]).toEqual([200, 'new', tokenAt(1, 7)]);
  });

  test('gives 204 when its time is over, with where to go on and a later cursor', async () => {
    const clock = new FakeClock();
    const time = Date.UTC(2026, 0, 1);
    const rig = new HttpRig({ clock, longPollTimeout: 500, now: () => time, random: () => 0.5 });
    await rig.create('a', 'text/plain', 'past');
    const first = rig.call('GET a?offset=now&live=long-poll');
    await clock.advance(499);
    await clock.advance(1);
    const answer = await first;
    const cursor = answer.header('stream-cursor') as string;
    expect([answer.status, answer.next, answer.header('stream-up-to-date'), answer.header('cache-control')]).toEqual([
      204,
      tokenAt(1, 4),
      'true',
      'no-store',
    ]);
    const second = rig.call(`GET a?offset=now&live=long-poll&cursor=${cursor}`);
    await clock.advance(500);
    expect(Number((await second).header('stream-cursor'))).toBe(Number(cursor) + 91);
    expect((await rig.server.hub.stats()).readers).toBe(0);
  });

  test('a client that goes frees its reader and its timer', async () => {
    const clock = new FakeClock();
    const rig = new HttpRig({ clock, backend: memoryBackend({ firstGeneration: 1 }) });
    await rig.create('a', 'text/plain', 'past');
    await rig.call('GET a');
    await quiet();
    const { pending } = clock;
    const call = new Call('GET a?offset=now&live=long-poll');
    const answer = rig.call(call);
    await quiet();
    call.gone();
    expect((await answer).status).toBe(204);
    expect((await rig.server.hub.stats()).readers).toBe(0);
    expect(clock.pending).toBeLessThanOrEqual(pending + 1);
  });

  test('an end answers at once: closed 204, failed 409, deleted 404, shutdown 204', async () => {
    const rig = new HttpRig();
    for (const [name, end, status, header] of [
      ['closed', { 'stream-closed': 'true' }, 204, 'stream-closed'],
      ['failed', { 'stream-error': 'x' }, 409, 'stream-error'],
    ] as const) {
      await rig.create(name, 'text/plain', 'past');
      const waiting = rig.call(`GET ${name}?offset=now&live=long-poll`);
      await quiet();
      await rig.call(`POST ${name}`, { headers: end });
      for (const answer of [await waiting, await rig.call(`GET ${name}?offset=now&live=long-poll`)]) {
        expect([answer.status, answer.header(header), answer.header('stream-up-to-date')]).toEqual([
          status,
          header === 'stream-error' ? 'x' : 'true',
          'true',
        ]);
      }
    }
    await rig.create('d', 'text/plain');
    const deleted = rig.call('GET d?offset=now&live=long-poll');
    await quiet();
    await rig.call('DELETE d');
    expect((await deleted).status).toBe(404);
    await rig.create('s', 'text/plain');
    const shut = rig.call('GET s?offset=now&live=long-poll');
    await quiet();
    rig.server.drain();
    expect((await shut).status).toBe(204);
    expect(rig.faults).toEqual([]);
  });

  test('data before a failure comes first, with the reason, since it reaches it', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'part');
    await rig.call('POST a', { headers: { 'stream-error': 'x' } });
    const answer = await rig.call('GET a?offset=-1&live=long-poll');
    expect([answer.status, await answer.text(), answer.header('stream-error')]).toEqual([200, 'part', 'x']);
    const failure = await rig.server
      .stream('a')
      .text()
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(StreamFailedError);
  });
});

describe('HEAD', () => {
  test('says what a stream is, and is never kept', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'Text/Plain; charset=utf-8', 'past', { 'stream-ttl': '3600' });
    const answer = await rig.call('HEAD a');
    expect([
      answer.status,
      answer.header('content-type'),
      answer.next,
      answer.header('stream-ttl'),
      answer.header('stream-closed'),
    ]).toEqual([200, 'Text/Plain; charset=utf-8', tokenAt(1, 4), '3600', undefined]);
    expect(answer.reply.body).toBeUndefined();
    await rig.call('POST a', { headers: { 'stream-closed': 'true' } });
    expect((await rig.call('HEAD a')).header('stream-closed')).toBe('true');
    await rig.create('e', 'text/plain', undefined, { 'stream-expires-at': '2099-01-01T00:00:00+01:00' });
    expect((await rig.call('HEAD e')).header('stream-expires-at')).toBe('2098-12-31T23:00:00.000Z');
    expect(bytesOf('').length).toBe(0);
  });
});
