/**
 * What the official suite does not see. Each test has the name of its blind spot. Numbers 2 and 3 are also shown for each header and cut
 * (names.test.ts, bodies.test.ts), 5 over fetch (fetch.test.ts) and over sockets (the listener's tests).
 */
import { describe, expect, test } from 'vitest';
import { memoryBackend } from '../../../packages/server/src/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { Client, controlOf, HttpRig, tokenAt } from './http-rig.ts';

async function quiet(): Promise<void> {
  for (let i = 0; i < 5; i++) await settle();
}

describe('blind spots of the official suite', () => {
  test('1, OVER: a long-poll reader at the tail gets the final data of an append that closes the stream', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'past');
    const waiting = rig.call('GET a?offset=now&live=long-poll');
    await quiet();
    await rig.append('a', 'last words', 'text/plain', { 'stream-closed': 'true' });
    const answer = await waiting;
    expect([answer.status, await answer.text(), answer.header('stream-closed'), answer.next]).toEqual([
      200,
      'last words',
      'true',
      tokenAt(1, 14),
    ]);
    const after = await rig.call(`GET a?offset=${answer.next}&live=long-poll`);
    expect([after.status, after.header('stream-closed'), after.header('stream-cursor')]).toEqual([
      204,
      'true',
      undefined,
    ]);
  });

  test('2: Stream-Closed counts in any case, and only as true', async () => {
    const rig = new HttpRig();
    for (const [value, isClosed] of [
      ['TRUE', true],
      ['True', true],
      ['true', true],
      ['false', false],
      ['1', false],
      ['yes', false],
      ['', false],
      ['true;', false],
    ] as const) {
      const name = `put-${value || 'empty'}`.replace(';', '.');
      await rig.create(name, 'text/plain', 'x', { 'stream-closed': value });
      expect((await rig.call(`HEAD ${name}`)).header('stream-closed'), value).toBe(isClosed ? 'true' : undefined);
      const post = `post-${name}`;
      await rig.create(post);
      expect((await rig.append(post, 'x', 'text/plain', { 'stream-closed': value })).header('stream-closed')).toBe(
        isClosed ? 'true' : undefined,
      );
      expect((await rig.call(`POST ${post}`, { headers: { 'stream-closed': value } })).status).toBe(
        isClosed ? 204 : 400,
      );
    }
  });

  test('3: a character of UTF-8 split over two appends survives events', async () => {
    const rig = new HttpRig();
    await rig.create('a');
    const live = await rig.follow('a?offset=now&live=sse');
    await quiet();
    const grin = new TextEncoder().encode('a😀b');
    for (const part of [grin.subarray(0, 2), grin.subarray(2, 4), grin.subarray(4)]) {
      await rig.append('a', part);
      await quiet();
    }
    await live.until(({ data }) => data === 'a😀b');
    // Whoever comes back from any event of it sees the rest, whole.
    let shown = '';
    for (const event of live.events) {
      if (event.type === 'data') shown += event.data;
      else {
        const back = await rig.follow(`a?live=sse&offset=${controlOf(event).streamNextOffset}`);
        await quiet();
        expect(shown + back.data).toBe('a😀b');
      }
    }
    const late = await rig.follow('a?offset=-1&live=sse');
    await late.until(({ data }) => data === 'a😀b');
  });

  test('4: DELETE while readers wait ends their replies, and the server goes on', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'x');
    await rig.create('b', 'text/plain', 'y');
    const poll = rig.call('GET a?offset=now&live=long-poll');
    const events = await rig.follow('a?offset=now&live=sse');
    const raw = await rig.follow('a?live=raw');
    const other = await rig.follow('b?offset=now&live=sse');
    await quiet();
    expect((await rig.call('DELETE a')).status).toBe(204);
    expect((await poll).status).toBe(404);
    expect((await events.done()).state).toBe('ended');
    expect(controlOf(events.events.at(-1)).streamClosed).toBeUndefined();
    expect((await raw.done()).state).toBe('aborted');
    await rig.append('b', 'z');
    await other.until(({ data }) => data === 'z');
    await rig.create('a', 'text/plain', 'anew');
    expect(await (await rig.call('GET a')).text()).toBe('anew');
    expect(rig.faults).toEqual([]);
  });

  test('5, SLOW: a reader that does not read holds no bytes', async () => {
    const rig = new HttpRig({ window: 65_536 });
    await rig.server.hub.create('a', { contentType: 'application/octet-stream', retainBytes: 1_048_576 });
    const clients = await Promise.all(
      ['live=sse&offset=now', 'live=raw'].map((query) =>
        rig.follow(`a?${query}`, undefined, Object.assign(new Client(), { room: 1 })),
      ),
    );
    await quiet();
    const chunk = new Uint8Array(1_048_576);
    /** Memory of buffers once the collector has had its time: it frees them behind our back. */
    const memory = async (wanted: number): Promise<number> => {
      for (let i = 0; i < 50; i++) {
        (globalThis as { gc?(): void }).gc?.();
        await settle();
        if (process.memoryUsage().arrayBuffers <= wanted) break;
      }
      return process.memoryUsage().arrayBuffers;
    };
    for (let i = 0; i < 4; i++) await rig.append('a', chunk.slice(), 'application/octet-stream');
    await quiet();
    const before = await memory(0);
    for (let i = 0; i < 60; i++) await rig.append('a', chunk.slice(), 'application/octet-stream');
    await quiet();
    const most = before + 4 * 1_048_576;
    expect(await memory(most)).toBeLessThanOrEqual(most);
    for (const client of clients) expect(client.frames.length).toBeLessThanOrEqual(2);
    // What it should read next is no longer kept: it is cut off, and told so when it comes back.
    for (const client of clients) client.drain();
    for (const client of clients) await client.done();
    expect(clients.map(({ state }) => state)).toEqual(['ended', 'aborted']);
  });

  test('7, EXPIRE: streams past their time to live free their memory without being touched', async () => {
    const clock = new FakeClock();
    const backend = memoryBackend({ clock, firstGeneration: 1 });
    const rig = new HttpRig({ backend, clock });
    for (let i = 0; i < 50; i++) await rig.create(`a${i}`, 'text/plain', 'x'.repeat(100_000), { 'stream-ttl': '10' });
    expect((await backend.stats()).bytes).toBe(5_000_000);
    await clock.advance(9_000);
    await rig.call('GET a0?offset=now');
    await rig.call('HEAD a1');
    await clock.advance(5_000);
    expect(await backend.stats()).toEqual({ streams: 1, bytes: 100_000 });
    await clock.advance(20_000);
    expect(await backend.stats()).toEqual({ streams: 0, bytes: 0 });
  });

  test('8: many readers of one stream, many streams with one reader, one long catch-up', async () => {
    const rig = new HttpRig();
    await rig.create('one');
    const readers = await Promise.all(Array.from({ length: 500 }, () => rig.follow('one?offset=now&live=sse')));
    await quiet();
    await rig.append('one', 'x');
    await Promise.all(readers.map((reader) => reader.until(({ data }) => data === 'x')));
    expect(new Set(readers.map(({ frames }) => frames.at(-1))).size).toBe(1);

    const many = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        await rig.create(`many/${i}`);
        return rig.follow(`many/${i}?offset=now&live=sse`);
      }),
    );
    await quiet();
    await Promise.all(many.map((_, i) => rig.append(`many/${i}`, String(i))));
    await Promise.all(many.map((reader, i) => reader.until(({ data }) => data === String(i))));

    await rig.create('long', 'application/json');
    for (let i = 0; i < 100; i++) {
      const messages = Array.from({ length: 1000 }, (_, j) => `{"n":${i * 1000 + j}}`);
      await rig.append('long', `[${messages.join(',')}]`, 'application/json');
    }
    const all = JSON.parse(await (await rig.call('GET long')).text()) as { n: number }[];
    expect(all.map(({ n }) => n)).toEqual(Array.from({ length: 100_000 }, (_, i) => i));
  });
});
