/** Live replies: events and plain bytes, one frame per burst for all, clients that take their time, and every way to end. */
import { describe, expect, test } from 'vitest';
import {
  memoryBackend,
  StorageError,
  StreamDeletedError,
  StreamFailedError,
} from '../../../packages/server/src/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { type BackendCall, wrapBackend } from '../hub/wrapped-backend.ts';
import { type Answer, Client, controlOf, HttpRig, tokenAt } from './http-rig.ts';

/** Runs until nothing moves any more: everything here is promises. */
async function quiet(): Promise<void> {
  for (let i = 0; i < 5; i++) await settle();
}

describe('events', () => {
  test('what there is, where it ends, and what comes', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'past');
    const client = await rig.follow('a?offset=-1&live=sse');
    await client.until(({ events }) => events.length === 2);
    await rig.append('a', ' present');
    await client.until(({ events }) => events.length === 4);
    const [data, control, data2, control2] = client.events;
    expect(data).toEqual({ type: 'data', data: 'past', id: tokenAt(1, 4) });
    expect(controlOf(control)).toMatchObject({ streamNextOffset: tokenAt(1, 4), upToDate: true });
    expect(data2).toEqual({ type: 'data', data: ' present', id: tokenAt(1, 12) });
    expect(controlOf(control2)).toMatchObject({ streamNextOffset: tokenAt(1, 12), upToDate: true });
    expect(control2?.id).toBeUndefined();
  });

  test('who is at the tail hears so at once, with an id', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'past');
    for (const offset of ['now', tokenAt(1, 4)]) {
      const client = await rig.follow(`a?offset=${offset}&live=sse`);
      expect(client.events).toHaveLength(1);
      expect(client.events[0]).toMatchObject({ type: 'control', id: tokenAt(1, 4) });
      expect(controlOf(client.events[0])).toMatchObject({ streamNextOffset: tokenAt(1, 4), upToDate: true });
    }
  });

  test('who is where nothing more can be shown yet hears so too', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'past\r');
    const client = await rig.follow(`a?offset=${tokenAt(1, 4)}&live=sse`);
    await quiet();
    expect(client.events.map(({ type }) => type)).toEqual(['control']);
    expect(controlOf(client.events[0])).toMatchObject({ streamNextOffset: tokenAt(1, 4), upToDate: true });
    await rig.append('a', '\nnext');
    await client.until(({ events }) => events.length === 3);
    expect(client.data).toBe('\nnext');
  });

  test.each(['there before', 'come later'])('of many bytes %s the last ones alone are up to date', async (when) => {
    const rig = new HttpRig();
    const text = 'x'.repeat(300_000);
    await rig.create('a', 'text/plain', when === 'come later' ? '' : text);
    const client = await rig.follow('a?offset=-1&live=sse');
    await quiet();
    if (when === 'come later') await rig.append('a', text);
    await client.until(({ data }) => data.length === text.length);
    await quiet();
    const said = client.events
      .filter(({ type }) => type === 'control')
      .map((event) => controlOf(event))
      .filter(({ streamNextOffset }) => streamNextOffset !== tokenAt(1, 0));
    expect(said.length).toBeGreaterThan(1);
    for (const { streamNextOffset, upToDate } of said) {
      expect(upToDate).toBe(streamNextOffset === tokenAt(1, text.length) ? true : undefined);
    }
  });

  test('Last-Event-ID goes before the offset', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'past');
    const client = await rig.follow('a?offset=-1&live=sse', { headers: { 'last-event-id': tokenAt(1, 2) } });
    await client.until(({ events }) => events.length === 2);
    expect(client.data).toBe('st');
    const bare = await rig.follow('a?live=sse', { headers: { 'last-event-id': tokenAt(1, 3) } });
    await bare.until(({ events }) => events.length === 2);
    expect(bare.data).toBe('t');
    expect((await rig.call('GET a?offset=-1&live=sse', { headers: { 'last-event-id': 'x' } })).status).toBe(400);
  });

  test('messages are arrays, bytes base64', async () => {
    const rig = new HttpRig();
    await rig.create('j', 'application/json', '[{"n":1.0},2]');
    const json = await rig.follow('j?offset=-1&live=sse');
    await json.until(({ events }) => events.length === 2);
    await rig.append('j', '"x"', 'application/json');
    await json.until(({ events }) => events.length === 4);
    expect(json.events.filter(({ type }) => type === 'data').map(({ data }) => data)).toEqual([
      '[{"n":1.0},2]',
      '["x"]',
    ]);
    await rig.create('b', 'application/octet-stream', 'AB');
    const answer = await rig.call('GET b?offset=-1&live=sse');
    expect(answer.header('stream-sse-data-encoding')).toBe('base64');
    const bytes = await answer.open().until(({ events }) => events.length === 2);
    expect(bytes.data).toBe('QUI=');
  });

  test('OVER: the stream closes, all its bytes, the end, and the reply ends', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'past');
    const client = await rig.follow('a?offset=now&live=sse');
    await rig.append('a', 'last', 'text/plain', { 'stream-closed': 'true' });
    await client.done();
    expect(client.state).toBe('ended');
    expect(client.data).toBe('last');
    expect(controlOf(client.events.at(-1))).toEqual({
      streamNextOffset: tokenAt(1, 8),
      upToDate: true,
      streamClosed: true,
    });
    const late = await (await rig.follow('a?offset=-1&live=sse')).done();
    expect(late.data).toBe('pastlast');
    expect(controlOf(late.events.at(-1))).toMatchObject({ streamClosed: true });
    const after = await (await rig.follow(`a?offset=${tokenAt(1, 8)}&live=sse`)).done();
    expect(after.events.map(controlOf)).toEqual([
      { streamNextOffset: tokenAt(1, 8), upToDate: true, streamClosed: true },
    ]);
  });

  test('a browser that comes again to the end of a closed stream is told not to', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'all', { 'stream-closed': 'true' });
    const answer = await rig.call('GET a?offset=-1&live=sse', { headers: { 'last-event-id': tokenAt(1, 3) } });
    expect(answer.status).toBe(204);
    expect(answer.header('stream-closed')).toBe('true');
    // One that comes for the first time must not get that from a cache, nor the events of another one's place.
    expect([answer.header('cache-control'), answer.header('vary')]).toEqual(['no-store', 'last-event-id']);
    expect((await rig.call('GET a?offset=-1&live=sse')).header('vary')).toBe('last-event-id');
  });

  test('OVER: the stream fails, the reason is told, never the end; later ones are refused, so that nobody asks for ever', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'part');
    const client = await rig.follow('a?offset=-1&live=sse');
    await client.until(({ events }) => events.length === 2);
    await rig.call('POST a', { headers: { 'stream-error': 'disk%20full' } });
    await client.done();
    expect(client.state).toBe('ended');
    expect(controlOf(client.events.at(-1))).toMatchObject({
      streamNextOffset: tokenAt(1, 4),
      upToDate: true,
      streamError: 'disk full',
    });
    expect(client.text).not.toContain('streamClosed');
    const late = await (await rig.follow('a?offset=-1&live=sse')).done();
    expect(late.data).toBe('part');
    expect(controlOf(late.events.at(-1))).toMatchObject({ streamError: 'disk full' });
    const refused = await rig.call(`GET a?offset=${tokenAt(1, 4)}&live=sse`);
    expect(refused.status).toBe(409);
    expect(refused.header('stream-error')).toBe('disk%20full');
    expect(refused.header('stream-closed')).toBeUndefined();
  });

  test('an event stream ends after its time, and no timer is left', async () => {
    const clock = new FakeClock();
    const rig = new HttpRig({ clock, sseLifetime: 1000, random: () => 0.5 });
    await rig.create('a', 'text/plain', 'x');
    const client = await rig.follow('a?offset=-1&live=sse');
    await client.until(({ events }) => events.length === 2);
    await clock.advance(999);
    expect(client.state).toBe('open');
    await clock.advance(1);
    expect(client.state).toBe('ended');
    expect(client.events).toHaveLength(2);
    expect(client.text).toMatch(/}\n\nretry:100\n\n$/);
    expect(rig.faults).toEqual([]);
  });

  test('a browser is told to come again at once when the time is over, and then no longer', async () => {
    const clock = new FakeClock();
    const rig = new HttpRig({ clock, sseLifetime: 1000, random: () => 0.5 });
    await rig.create('a', 'text/plain', 'xy');
    for (const offset of [tokenAt(1, 1), tokenAt(1, 2)]) {
      const again = await rig.follow('a?offset=-1&live=sse', { headers: { 'last-event-id': offset } });
      await again.until(({ text }) => text.includes('"upToDate":true'));
      // In the event: lines without data are no event, which not every client knows.
      expect(again.text).toMatch(/^(?!.*\n\n.*retry).*retry:3000\nid:/s);
      await clock.advance(1000);
      expect(again.text).toMatch(/retry:100\n\n$/);
    }
    // Nor is one that takes nothing given that.
    const full = new Client();
    full.room = 1;
    await rig.follow('a?offset=-1&live=sse', undefined, full);
    await full.until(({ isFull }) => isFull);
    await clock.advance(1000);
    expect([full.state, full.text.includes('retry')]).toEqual(['ended', false]);
  });

  test('a cursor of a client is passed, and never falls again', async () => {
    const time = Date.UTC(2026, 0, 1);
    const rig = new HttpRig({ now: () => time, random: () => 0 });
    await rig.create('a', 'text/plain', 'x');
    const first = await rig.follow('a?offset=now&live=sse');
    const current = Number(controlOf(first.events[0]).streamCursor);
    const second = await rig.follow(`a?offset=now&live=sse&cursor=${current + 7}`);
    await quiet();
    await rig.append('a', 'y');
    await second.until(({ events }) => events.length === 3);
    expect(
      second.events.filter(({ type }) => type === 'control').map((event) => controlOf(event).streamCursor),
    ).toEqual([String(current + 8), String(current + 8)]);
    // Nonsense is passed too, but nobody else has to take it.
    const nonsense = await rig.follow(`a?offset=now&live=sse&cursor=${'9'.repeat(15)}`);
    expect(controlOf(nonsense.events[0]).streamCursor).toBe(`1${'0'.repeat(15)}`);
    await quiet();
    await rig.append('a', 'z');
    await first.until(({ events }) => events.length === 5);
    expect(controlOf(first.events.at(-1)).streamCursor).toBe(String(current + 8));
  });
});

describe('plain bytes', () => {
  test('go on until the stream ends', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'audio/mpeg', 'AB');
    const answer = await rig.call('GET a?live=raw');
    expect(answer.header('content-type')).toBe('audio/mpeg');
    const client = answer.open();
    await client.until(({ text }) => text === 'AB');
    await rig.append('a', 'CD', 'audio/mpeg');
    await client.until(({ text }) => text === 'ABCD');
    await rig.call('POST a', { headers: { 'stream-closed': 'true' } });
    expect((await client.done()).state).toBe('ended');
    expect((await (await rig.follow('a?live=raw')).done()).text).toBe('ABCD');
    expect((await (await rig.follow(`a?live=raw&offset=${tokenAt(1, 3)}`)).done()).text).toBe('D');
  });

  test('messages are lines', async () => {
    const rig = new HttpRig();
    await rig.create('j', 'application/json', '[1,{"a":[2]}]', { 'stream-closed': 'true' });
    const answer = await rig.call('GET j?live=raw');
    expect(answer.header('content-type')).toBe('application/x-ndjson');
    expect((await answer.open().done()).text).toBe('1\n{"a":[2]}\n');
  });

  test('BROKEN, OVER: a stream that fails is broken off, never ended', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'part');
    const client = await rig.follow('a?live=raw');
    await client.until(({ text }) => text === 'part');
    await quiet();
    await rig.call('POST a', { headers: { 'stream-error': 'x' } });
    await client.done();
    expect(client.state).toBe('aborted');
    expect(client.reason).toBeInstanceOf(StreamFailedError);
    const late = await (await rig.follow('a?live=raw')).done();
    expect([late.state, late.text]).toEqual(['aborted', 'part']);
  });

  test('a stream that is deleted is broken off; events just end', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'part');
    const raw = await rig.follow('a?live=raw');
    const events = await rig.follow('a?offset=-1&live=sse');
    await quiet();
    await rig.call('DELETE a');
    expect((await raw.done()).state).toBe('aborted');
    expect(raw.reason).toBeInstanceOf(StreamDeletedError);
    expect((await events.done()).state).toBe('ended');
    expect(events.text).not.toContain('streamClosed');
    expect(rig.faults).toEqual([]);
  });

  test('BROKEN: a store that fails breaks all off, and the host is told once', async () => {
    let isBroken = false;
    const before = (call: BackendCall): void => {
      if (isBroken && call === 'next') throw new StorageError('broken');
    };
    const rig = new HttpRig({ backend: wrapBackend(memoryBackend({ firstGeneration: 1 }), { before }) });
    await rig.create('a', 'text/plain', 'past');
    const clients = await Promise.all(
      ['live=raw', 'live=raw', 'live=sse&offset=-1', 'live=sse&offset=-1'].map((query) => rig.follow(`a?${query}`)),
    );
    await quiet();
    isBroken = true;
    await rig.append('a', '1');
    await rig.append('a', '2');
    await Promise.all(clients.map((client) => client.done()));
    expect(clients.map(({ state }) => state)).toEqual(['aborted', 'aborted', 'ended', 'ended']);
    expect(rig.faults).toEqual([expect.any(StorageError)]);
  });
});

describe('one frame for all', () => {
  test('readers at the same place get the very same frame, whatever way they came', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'past');
    const clients = await Promise.all(
      Array.from({ length: 20 }, (_, i) => rig.follow(`a?live=sse&offset=${i % 2 ? 'now' : '-1'}`)),
    );
    await quiet();
    const before = clients.map(({ frames }) => frames.length);
    await rig.append('a', 'one');
    await Promise.all(clients.map((client, i) => client.until(({ frames }) => frames.length > (before[i] as number))));
    expect(new Set(clients.map(({ frames }) => frames.at(-1))).size).toBe(1);
    // The chunk of the wire is made once too.
    const [first, second] = clients.map(({ frames }) => frames.at(-1)?.chunk);
    expect(first).toBe(second);
  });

  test('appends of one burst are one event', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain');
    const client = await rig.follow('a?live=sse&offset=now');
    await quiet();
    await Promise.all(['x', 'y', 'z'].map((body) => rig.append('a', body)));
    await client.until(({ data }) => data === 'xyz');
    expect(client.frames.length).toBeLessThanOrEqual(3);
  });

  test('SLOW: a client that takes no more is given nothing, comes back by itself, and misses nothing', async () => {
    const rig = new HttpRig({ window: 1024 });
    await rig.create('a', 'text/plain');
    const slow = await rig.follow('a?live=sse&offset=now', undefined, Object.assign(new Client(), { room: 2 }));
    const quick = await rig.follow('a?live=sse&offset=now');
    await quiet();
    let written = '';
    for (let i = 0; i < 50; i++) {
      const part = `${i} ${'x'.repeat(200)} `;
      written += part;
      await rig.append('a', part);
      await quick.until(({ data }) => data === written);
    }
    expect(slow.frames).toHaveLength(2);
    expect(slow.isFull).toBe(true);
    // It goes on in steps, while more comes.
    for (let i = 0; i < 30 && slow.data !== written; i++) {
      const { length } = slow.frames;
      slow.drain(1);
      await slow.until(({ frames }) => frames.length > length);
      if (i < 5) {
        written += `late ${i} `;
        await rig.append('a', `late ${i} `);
      }
    }
    slow.drain();
    await slow.until(({ data }) => data === written);
    await quick.until(({ data }) => data === written);
    await quiet();
    await rig.append('a', 'end');
    await slow.until(({ data }) => data === `${written}end`);
    await quick.until(({ data }) => data === `${written}end`);
    expect(slow.frames.at(-1)).toBe(quick.frames.at(-1));
  });

  test('a character that is cut does not part them', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain');
    const euro = new TextEncoder().encode('€');
    const early = await rig.follow('a?live=sse&offset=now');
    await quiet();
    await rig.append('a', euro.slice(0, 2));
    await quiet();
    const middle = await rig.follow('a?live=sse&offset=-1');
    await quiet();
    await rig.append('a', euro.slice(2));
    await Promise.all([early, middle].map((client) => client.until(({ data }) => data === '€')));
    await quiet();
    await rig.append('a', '!');
    await Promise.all([early, middle].map((client) => client.until(({ data }) => data === '€!')));
    expect(early.frames.at(-1)).toBe(middle.frames.at(-1));
    // Where to go on is before what is not shown.
    const resumed = await rig.follow(`a?live=sse&offset=${controlOf(early.events[0]).streamNextOffset}`);
    await resumed.until(({ data }) => data === '€!');
  });

  test('who begins in the middle of a character sees its rest as what it is, and the next one whole', async () => {
    const rig = new HttpRig();
    await rig.create('a');
    const euro = new TextEncoder().encode('€');
    const early = await rig.follow('a?live=sse&offset=now');
    await quiet();
    await rig.append('a', euro.slice(0, 2));
    await quiet();
    const middle = await rig.follow('a?live=sse&offset=now');
    await quiet();
    await rig.append('a', euro.slice(2));
    await early.until(({ data }) => data === '€');
    await middle.until(({ data }) => data === '\ufffd');
    await quiet();
    await rig.append('a', '€');
    await Promise.all([early.until(({ data }) => data === '€€'), middle.until(({ data }) => data === '\ufffd€')]);
    expect(early.frames.at(-1)).toBe(middle.frames.at(-1));
  });

  test('who leaves is gone, and the last one takes the feed along', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain');
    const answers = await Promise.all([1, 2, 3].map(() => rig.call('GET a?live=sse&offset=now')));
    const clients = answers.map((answer) => answer.open());
    await quiet();
    expect((await rig.server.hub.stats()).readers).toBeGreaterThanOrEqual(3);
    (answers[1] as Answer).stop();
    await rig.append('a', 'x');
    await clients[2]?.until(({ data }) => data === 'x');
    expect(clients.map(({ data }) => data)).toEqual(['x', '', 'x']);
    for (const answer of answers) answer.stop();
    await quiet();
    expect((await rig.server.hub.stats()).readers).toBe(0);
  });

  test('readers beyond the limit are refused, and have a place again when one goes', async () => {
    const rig = new HttpRig({ limits: { maxReaders: 2 } });
    await rig.create('a', 'text/plain');
    const first = await rig.call('GET a?live=sse&offset=now');
    first.open();
    const second = await rig.call('GET a?live=raw');
    second.open();
    const third = await rig.call('GET a?live=sse&offset=now');
    expect(third.status).toBe(429);
    expect(third.header('retry-after')).toBe('1');
    second.stop();
    expect((await rig.call('GET a?live=sse&offset=now')).status).toBe(200);
  });

  test('more at once than memory holds is read from the backend', async () => {
    const rig = new HttpRig({ window: 1024 });
    await rig.create('a', 'text/plain');
    const clients = await Promise.all([1, 2].map(() => rig.follow('a?live=sse&offset=now')));
    await quiet();
    const parts = Array.from({ length: 60 }, (_, i) => `${i} ${'y'.repeat(300)} `);
    await Promise.all(parts.map((part) => rig.append('a', part)));
    await rig.append('a', 'end');
    await Promise.all(clients.map((client) => client.until(({ data }) => data === `${parts.join('')}end`)));
    expect(rig.faults).toEqual([]);
  });

  test('LEAVE: a server that closes sends all away: events end, bytes are broken off, later ones are refused', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'x');
    const events = await rig.follow('a?live=sse&offset=-1');
    const raw = await rig.follow('a?live=raw');
    await events.until((client) => client.events.length === 2);
    rig.server.drain();
    expect(events.state).toBe('ended');
    expect(raw.state).toBe('aborted');
    const refused = await rig.call('GET a?live=sse&offset=-1');
    expect(refused.status).toBe(503);
    expect(refused.header('retry-after')).toBe('1');
    expect((await rig.call('GET a')).status).toBe(200);
    await rig.server.close();
    expect((await rig.call('GET a')).status).toBe(503);
  });
});
