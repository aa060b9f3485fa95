/** The hub: creating, opening, deleting, forks, limits, writers that replace each other, and the end of it all. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Backend } from '../../../packages/server/src/backends/backend.ts';
import { memoryBackend } from '../../../packages/server/src/backends/index.ts';
import { Hub, type HubOptions } from '../../../packages/server/src/hub/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { append, bytes, isSettled, nextOf, readBytes } from './reading.ts';
import { type Hooks, wrapBackend } from './wrapped-backend.ts';

let clock: FakeClock;
let backend: Backend;
let hooks: Hooks;

beforeEach(() => {
  clock = new FakeClock();
  hooks = {};
  backend = memoryBackend({ clock });
});

afterEach(() => backend.close());

const hubOf = (options: HubOptions = {}): Hub => new Hub(wrapBackend(backend, hooks), { clock, ...options });

/** A promise that a test resolves. */
function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open = (): void => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

describe('create and open', () => {
  test('a new stream, with its first bytes and its end', async () => {
    const hub = hubOf();
    const { isNew, stream, state } = await hub.create(
      's',
      { contentType: 'text/plain' },
      { chunks: [bytes('ab'), bytes('c')], end: { kind: 'closed' } },
    );
    expect(isNew).toBe(true);
    expect(state).toMatchObject({ name: 's', head: 0, tail: 3, end: { kind: 'closed' } });
    expect(stream.config).toEqual({ contentType: 'text/plain' });
    const reader = stream.read(0);
    expect([await nextOf(reader), await nextOf(reader)]).toEqual(['abc', '<closed>']);
  });

  test('the same once more changes nothing, another one is refused', async () => {
    const hub = hubOf();
    const { stream } = await hub.create('s', { contentType: 'text/plain', ttl: 5_000 }, { chunks: [bytes('a')] });
    const again = await hub.create('s', { contentType: 'TEXT/plain', ttl: 5_000 }, { chunks: [bytes('b')] });
    expect(again).toMatchObject({ isNew: false, state: { tail: 1 } });
    expect(again.stream).toBe(stream);
    await expect(hub.create('s', { contentType: 'text/html', ttl: 5_000 })).rejects.toMatchObject({
      code: 'ERR_FANPIPE_STREAM_EXISTS',
    });
  });

  test('of two that create at once one does, and the other is held against it', async () => {
    const hub = hubOf();
    const results = await Promise.allSettled([
      hub.create('s', { contentType: 'text/plain' }),
      hub.create('s', { contentType: 'text/plain' }),
      hub.create('s', { contentType: 'text/html' }),
    ]);
    expect(results.map((result) => (result.status === 'fulfilled' ? result.value.isNew : 'refused'))).toEqual([
      true,
      false,
      'refused',
    ]);
  });

  test('a stream that is open is one object', async () => {
    const hub = hubOf();
    const { stream } = await hub.create('s');
    const opened = await Promise.all([hub.open('s'), hub.open('s'), hub.open('s')]);
    expect(opened.every((each) => each === stream)).toBe(true);
  });

  test('so is one that another process has created, however many open it at once', async () => {
    await backend.create('s', { contentType: 'text/plain' });
    const hub = hubOf();
    const [one, other] = await Promise.all([hub.open('s'), hub.open('s')]);
    expect(one).toBe(other);
  });

  test('what is not there cannot be opened', async () => {
    await expect(hubOf().open('s')).rejects.toMatchObject({ code: 'ERR_FANPIPE_STREAM_NOT_FOUND', stream: 's' });
    expect(await hubOf().delete('s')).toBe(false);
  });

  test('bad names and configurations are refused', async () => {
    const hub = hubOf();
    await expect(hub.create('')).rejects.toMatchObject({ code: 'ERR_FANPIPE_INVALID_NAME' });
    await expect(hub.create('s', { ttl: 1, expiresAt: 2 })).rejects.toMatchObject({
      code: 'ERR_FANPIPE_INVALID_ARGUMENT',
    });
    for (const config of [
      { ttl: -1 },
      { ttl: Number.NaN },
      { ttl: '5' as never },
      { expiresAt: Number.POSITIVE_INFINITY },
      { expiresAt: 9e15 },
      { retainBytes: 0.5 },
      { retainFor: -1 },
      { contentType: 'text/plain\r\nX: y' },
      { contentType: 5 as never },
    ]) {
      await expect(hub.create('s', config)).rejects.toMatchObject({ code: 'ERR_FANPIPE_INVALID_ARGUMENT' });
    }
    for (const offset of [-1, 0.5, Number.NaN]) {
      await expect(hub.create('s', {}, { fork: { source: 't', offset } })).rejects.toThrow(/fork.offset/);
    }
    expect(await hub.create('s', { ttl: 0 })).toMatchObject({ isNew: true });
    for (const bad of [
      { maxStreams: -1 },
      { window: 1.5 },
      { window: Number.POSITIVE_INFINITY },
      { maxProducers: 0 },
    ]) {
      expect(() => hubOf(bad)).toThrow(expect.objectContaining({ code: 'ERR_FANPIPE_INVALID_ARGUMENT' }));
    }
  });

  test('a stream that is deleted just when it is opened, or asked for again, is not there', async () => {
    const deleteOnce = (): void => {
      hooks.before = async (call) => {
        if (call !== 'state') return;
        delete hooks.before;
        await backend.delete('s');
      };
    };
    await backend.create('s', { contentType: 'text/plain' });
    deleteOnce();
    await expect(hubOf().open('s')).rejects.toMatchObject({ code: 'ERR_FANPIPE_STREAM_NOT_FOUND' });
    await backend.create('s', { contentType: 'text/plain' });
    deleteOnce();
    expect(await hubOf().create('s', { contentType: 'text/html' })).toMatchObject({ isNew: true });
  });

  test('a list of all', async () => {
    const hub = hubOf();
    for (const name of ['b', 'a/1', 'a/2']) await hub.create(name);
    const names: string[] = [];
    for await (const { name } of hub.list({ prefix: 'a/' })) names.push(name);
    expect(names).toEqual(['a/1', 'a/2']);
  });

  test('stats', async () => {
    const hub = hubOf();
    const { stream } = await hub.create('s', {}, { chunks: [bytes('12')] });
    await append(stream, '345');
    await append(stream, '6');
    const reader = stream.read(6);
    void reader.next();
    await settle();
    expect(await hub.stats()).toEqual({
      streams: 1,
      bytes: 6,
      live: 1,
      readers: 1,
      appends: 2,
      appendedBytes: 4,
      level: 'memory',
    });
    reader.close();
    expect(await hub.stats()).toMatchObject({ readers: 0 });
  });
});

describe('forks', () => {
  test('show their source up to where they left it', async () => {
    const hub = hubOf();
    const { stream: source } = await hub.create('src', { contentType: 'text/plain', ttl: 60_000 });
    await append(source, 'abcdef');
    const { stream: fork, state } = await hub.create('f', {}, { fork: { source: 'src', offset: 3 } });
    expect(state).toMatchObject({ tail: 3, config: { contentType: 'text/plain', ttl: 60_000 } });
    await append(source, 'ghi');
    await append(fork, 'XY');
    expect(await readBytes(fork.read(0), 5)).toBe('abcXY');
    expect(await hub.create('f', {}, { fork: { source: 'src' } })).toMatchObject({ isNew: false });
    await expect(hub.create('f', {}, { fork: { source: 'src', offset: 4 } })).rejects.toMatchObject({
      code: 'ERR_FANPIPE_STREAM_EXISTS',
    });
  });

  test('do not know the producers of their source', async () => {
    const hub = hubOf();
    const { stream: source } = await hub.create('src');
    const producer = { id: 'p', epoch: 3, seq: 0 };
    await source.append([bytes('a')], { producer, seq: '9' });
    const { stream: fork } = await hub.create('f', {}, { fork: { source: 'src' } });
    expect(await fork.append([bytes('b')], { producer: { id: 'p', epoch: 0, seq: 0 }, seq: '1' })).toMatchObject({
      kind: 'appended',
      offset: 1,
    });
  });

  test('need a source', async () => {
    const hub = hubOf();
    const problem = (problem: string) => ({ code: 'ERR_FANPIPE_FORK_SOURCE', problem });
    await expect(hub.create('f', {}, { fork: { source: 'src' } })).rejects.toMatchObject(problem('not-found'));
    await hub.create('src', { contentType: 'text/plain' });
    await expect(hub.create('f', {}, { fork: { source: 'src', offset: 1 } })).rejects.toMatchObject(problem('offset'));
    await expect(hub.create('f', { contentType: 'text/html' }, { fork: { source: 'src' } })).rejects.toMatchObject(
      problem('content-type'),
    );
    await hub.create('f', {}, { fork: { source: 'src' } });
    await hub.delete('src');
    await expect(hub.create('g', {}, { fork: { source: 'src' } })).rejects.toMatchObject(problem('soft-deleted'));
    await expect(hub.open('src')).rejects.toMatchObject({ code: 'ERR_FANPIPE_STREAM_SOFT_DELETED' });
  });

  test('need a source that is still there', async () => {
    const hub = hubOf();
    await hub.create('src');
    hooks.before = async (call) => {
      if (call === 'state') await backend.delete('src');
    };
    await expect(hub.create('f', {}, { fork: { source: 'src' } })).rejects.toMatchObject({
      code: 'ERR_FANPIPE_FORK_SOURCE',
      problem: 'not-found',
    });
  });
});

describe('limits', () => {
  test('of streams, without one being set: what keeps a client from taking all memory', async () => {
    let streams = 249_999;
    const { stats: _, ...rest } = wrapBackend(backend, hooks);
    const hub = new Hub({ ...rest, stats: async () => ({ streams, bytes: 0 }) }, { clock });
    expect(await hub.create('s')).toMatchObject({ isNew: true });
    streams++;
    await expect(hub.create('t')).rejects.toMatchObject({ kind: 'streams', limit: 250_000, message: /maxStreams/ });
    expect(await hub.create('s')).toMatchObject({ isNew: false });
  });

  test('of streams, exact however many are created at once; what is there may be created again', async () => {
    const hub = hubOf({ maxStreams: 3 });
    await hub.create('s0');
    hooks.before = async (call) => {
      if (call === 'create' || call === 'stats') await settle();
    };
    const results = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => hub.create(`s${i % 10}`)));
    const created = results.filter((result) => result.status === 'fulfilled' && result.value.isNew);
    expect(created).toHaveLength(2);
    expect((await backend.stats()).streams).toBe(3);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ kind: 'streams', limit: 3 });
    }
    expect(await hub.create('s0')).toMatchObject({ isNew: false });
    await hub.delete('s0');
    expect(await hub.create('new')).toMatchObject({ isNew: true });
  });

  test('of bytes, for the first ones of a stream too', async () => {
    const hub = hubOf({ maxStreamBytes: 4, maxTotalBytes: 6 });
    const chunks = [bytes('12345')];
    await expect(hub.create('s', {}, { chunks })).rejects.toMatchObject({ kind: 'stream-bytes' });
    const { stream } = await hub.create('s', {}, { chunks: [bytes('1234')] });
    await expect(stream.append([bytes('5')])).rejects.toMatchObject({ kind: 'stream-bytes' });
    await expect(hub.create('t', {}, { chunks: [bytes('123')] })).rejects.toMatchObject({ kind: 'total-bytes' });
    const { stream: other } = await hub.create('t', {}, { chunks: [bytes('12')] });
    await expect(other.append([bytes('3')])).rejects.toMatchObject({ kind: 'total-bytes' });
    expect(await other.append([], { end: { kind: 'closed' } })).toMatchObject({ kind: 'appended' });
    await hub.delete('s');
    const { stream: next } = await hub.create('u');
    await append(next, '1234');
  });

  test('retention makes room', async () => {
    const hub = hubOf({ maxStreamBytes: 10 });
    const { stream } = await hub.create('s', { retainBytes: 5 });
    for (let i = 0; i < 20; i++) await append(stream, '1234');
    expect((await stream.state()).tail).toBe(80);
  });

  test('of producers: the oldest one is forgotten', async () => {
    const { stream } = await hubOf({ maxProducers: 2 }).create('s');
    const send = async (id: string, seq: number) =>
      (await stream.append([bytes('x')], { producer: { id, epoch: 0, seq } })).kind;
    expect([await send('a', 0), await send('b', 0), await send('c', 0)]).toEqual(Array(3).fill('appended'));
    expect(await send('b', 1)).toBe('appended');
    expect(await send('a', 1)).toBe('sequence-gap');
  });

  test('bad producers and empty appends are refused', async () => {
    const { stream } = await hubOf().create('s');
    const bad = { code: 'ERR_FANPIPE_INVALID_ARGUMENT' };
    await expect(stream.append([])).rejects.toMatchObject(bad);
    for (const producer of [
      { id: '', epoch: 0, seq: 0 },
      { id: 'x'.repeat(1_025), epoch: 0, seq: 0 },
      { id: '\xff'.repeat(513), epoch: 0, seq: 0 },
      { id: 'a\ud800', epoch: 0, seq: 0 },
      { id: '\ud800\ud800', epoch: 0, seq: 0 },
      { id: '\udc00\ud800', epoch: 0, seq: 0 },
      { id: 5 as never, epoch: 0, seq: 0 },
      { id: 'a', epoch: -1, seq: 0 },
      { id: 'a', epoch: 0, seq: 0.5 },
      { id: 'a', epoch: 2 ** 53, seq: 0 },
    ]) {
      await expect(stream.append([bytes('x')], { producer })).rejects.toMatchObject(bad);
    }
    for (const seq of ['\udc00', 5 as never]) {
      await expect(stream.append([bytes('x')], { seq })).rejects.toMatchObject(bad);
    }
    for (const id of ['x'.repeat(1_024), '\xff'.repeat(512), '€'.repeat(341), '😀'.repeat(256)]) {
      const producer = { id, epoch: 0, seq: 0 };
      expect(await stream.append([bytes('x')], { producer, seq: id })).toMatchObject({ kind: 'appended' });
    }
  });
});

describe('two processes on one backend', () => {
  test('FENCE, ACK: take a stream from each other, and every append is there once, in the order of its hub', async () => {
    const [one, other] = [hubOf(), hubOf()];
    const { stream: mine } = await one.create('s');
    const theirs = await other.open('s');
    expect(theirs).not.toBe(mine);
    for (let i = 0; i < 10; i++) {
      await append(mine, `m${i}`);
      await append(theirs, `t${i}`);
    }
    const expected = Array.from({ length: 10 }, (_, i) => `m${i}t${i}`).join('');
    expect(await readBytes(mine.read(0), 40)).toBe(expected);
  });

  test('see what the other appends, and the end of it', async () => {
    const [one, other] = [hubOf(), hubOf()];
    const { stream: mine } = await one.create('s');
    const theirs = await other.open('s');
    const reader = mine.read(0);
    const next = nextOf(reader);
    await settle();
    await append(theirs, 'abc');
    expect(await next).toBe('abc');
    await theirs.append([], { end: { kind: 'closed' } });
    expect(await nextOf(reader)).toBe('<closed>');
    expect(await mine.append([bytes('x')])).toEqual({ kind: 'ended', tail: 3, end: { kind: 'closed' } });
  });

  test('a producer that changes the process goes on', async () => {
    const [one, other] = [hubOf(), hubOf()];
    const { stream: mine } = await one.create('s');
    const theirs = await other.open('s');
    const producer = (seq: number) => ({ producer: { id: 'p', epoch: 0, seq } });
    await mine.append([bytes('0')], producer(0));
    expect(await theirs.append([bytes('0')], producer(0))).toMatchObject({ kind: 'duplicate' });
    expect(await theirs.append([bytes('1')], producer(1))).toMatchObject({ kind: 'appended' });
    expect(await mine.append([bytes('1')], producer(1))).toMatchObject({ kind: 'duplicate' });
    expect(await mine.append([bytes('2')], producer(2))).toMatchObject({ kind: 'appended' });
    expect(await readBytes(mine.read(0), 3)).toBe('012');
  });
});

describe('streams that nobody uses', () => {
  test('are not held, and no timer stays behind', async () => {
    const hub = hubOf();
    const create = async (): Promise<WeakRef<object>> => new WeakRef((await hub.create('s')).stream);
    const stream = await create();
    await clock.advance(30_000);
    expect(clock.pending).toBe(0);
    await collected(stream);
    const again = await hub.open('s');
    await append(again, 'abc');
    expect(await readBytes(again.read(0), 3)).toBe('abc');
  });

  test('one of an earlier generation that is opened late does not stand in the way of the newest', async () => {
    await backend.create('s', { contentType: 'text/plain' });
    const hub = hubOf();
    const { passed, open } = gate();
    hooks.after = (call) => (call === 'state' ? passed : undefined);
    const opening = hub.open('s');
    await settle();
    delete hooks.after;
    await hub.delete('s');
    const { stream } = await hub.create('s');
    open();
    expect((await opening).generation).toBeLessThan(stream.generation);
    expect(await hub.open('s')).toBe(stream);
  });

  test('whoever still has one, and those who open it again, have the same', async () => {
    const hub = hubOf();
    const { stream } = await hub.create('s');
    await clock.advance(30_000);
    globalThis.gc?.();
    await settle();
    expect(await hub.open('s')).toBe(stream);
  });

  test('one that is used again is looked after again', async () => {
    const hub = hubOf();
    const { stream } = await hub.create('s');
    await clock.advance(30_000);
    const follower = await stream.follow(0);
    follower?.cancel();
    await clock.advance(30_000);
    expect(stream.present).toBeUndefined();
    expect(clock.pending).toBe(0);
  });
});

async function collected(reference: WeakRef<object>): Promise<void> {
  for (let round = 0; round < 50; round++) {
    if (reference.deref() === undefined) return;
    // What was looked at is held until the end of the turn.
    await settle();
    globalThis.gc?.();
  }
  throw new Error('It is still held');
}

describe('close', () => {
  test('nothing new is taken, what is under way is finished, and readers are told', async () => {
    const hub = hubOf();
    const { stream } = await hub.create('s');
    await append(stream, 'a');
    const { passed, open } = gate();
    hooks.before = (call) => (call === 'append' ? passed : undefined);
    const underWay = stream.append([bytes('b')]);
    const reader = stream.read(1);
    const follower = await stream.follow(1);
    const closedError = { code: 'ERR_FANPIPE_SERVER_CLOSED' };
    const waiting = expect(reader.next()).rejects.toMatchObject(closedError);
    const closed = hub.close();
    await expect(hub.open('s')).rejects.toMatchObject(closedError);
    await expect(hub.create('t')).rejects.toMatchObject(closedError);
    await expect(hub.delete('s')).rejects.toMatchObject(closedError);
    expect(() => hub.writer('s')).toThrow(expect.objectContaining(closedError));
    expect(() => hub.stream('s')).toThrow(expect.objectContaining(closedError));
    await settle();
    await expect(stream.append([bytes('c')])).rejects.toMatchObject(closedError);
    expect(() => stream.read(0)).toThrow(expect.objectContaining(closedError));
    expect(await isSettled(closed)).toBe(false);
    open();
    expect(await underWay).toMatchObject({ kind: 'appended', tail: 2 });
    await closed;
    await waiting;
    await expect(follower?.text()).rejects.toMatchObject(closedError);
    await expect(reader.next()).rejects.toMatchObject(closedError);
    expect(clock.pending).toBe(0);
    expect((await (await backend.open('s'))?.state())?.tail).toBe(2);
    await hub.close();
  });

  test('no timer is left, though readers are still open', async () => {
    const own = new FakeClock();
    const hub = new Hub(backend, { clock: own });
    const { stream } = await hub.create('s', { ttl: 60_000 });
    stream.read(0);
    expect(own.pending).toBeGreaterThan(0);
    await hub.close();
    expect(own.pending).toBe(0);
  });

  test('a signal ends the wait, and readers are told, though the store does not answer', async () => {
    const hub = hubOf();
    const { stream } = await hub.create('s');
    const { passed, open } = gate();
    hooks.before = (call) => (call === 'append' ? passed : undefined);
    const underWay = stream.append([bytes('b')]);
    const writer = hub.writer('s');
    void writer.write('c');
    const waiting = expect(stream.read(0).next()).rejects.toMatchObject({ code: 'ERR_FANPIPE_SERVER_CLOSED' });
    const controller = new AbortController();
    const closed = hub.close({ signal: controller.signal });
    expect(await isSettled(closed)).toBe(false);
    controller.abort();
    await closed;
    await waiting;
    await hub.close({ signal: AbortSignal.abort() });
    open();
    await underWay;
  });

  test('a stream that is being opened meanwhile is closed', async () => {
    const hub = hubOf();
    await hub.create('s');
    await hub.create('t');
    const { passed, open } = gate();
    hooks.before = (call) => (call === 'open' ? passed : undefined);
    await backend.create('u', { contentType: 'text/plain' });
    const opening = [hub.open('t'), hub.open('u')];
    await hub.close();
    open();
    for (const stream of await Promise.all(opening)) {
      await expect(stream.append([bytes('x')])).rejects.toMatchObject({ code: 'ERR_FANPIPE_SERVER_CLOSED' });
    }
    expect(clock.pending).toBe(0);
  });
});
