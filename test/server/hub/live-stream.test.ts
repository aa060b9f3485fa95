/** Readers over past and present: no gap, no repeat, bounded memory, and every way in which a stream can end. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Backend, BackendStream } from '../../../packages/server/src/backends/backend.ts';
import { memoryBackend } from '../../../packages/server/src/backends/index.ts';
import { Hub, type HubOptions, type LiveStream } from '../../../packages/server/src/hub/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { append, bytes, isSettled, nextOf, readBytes, shown } from './reading.ts';
import { type Hooks, wrapBackend } from './wrapped-backend.ts';

let clock: FakeClock;
let backend: Backend;
let hooks: Hooks;
let calls: string[];

beforeEach(() => {
  clock = new FakeClock();
  calls = [];
  hooks = {
    before: (call) => {
      calls.push(call);
    },
  };
  backend = memoryBackend({ clock });
});

afterEach(() => backend.close());

function hubOf(options: HubOptions = {}): Hub {
  return new Hub(wrapBackend(backend, hooks), { clock, ...options });
}

async function streamOf(options?: HubOptions): Promise<LiveStream> {
  return (await hubOf(options).create('s')).stream;
}

const count = (call: string): number => calls.filter((each) => each === call).length;

describe('past and present', () => {
  test('the past comes from the backend, what is appended then from memory', async () => {
    const stream = await streamOf();
    await append(stream, 'one ');
    await append(stream, 'two ');
    const reader = stream.read(0);
    expect(await readBytes(reader, 8)).toBe('one two ');
    const next = nextOf(reader);
    expect(await isSettled(next)).toBe(false);
    await append(stream, 'three');
    expect(await next).toBe('three');
    expect(reader.position).toBe(13);
    reader.close();
  });

  test('a reader begins at any offset, inside of an append too', async () => {
    const stream = await streamOf();
    await append(stream, 'abcdef');
    for (const from of [0, 1, 5]) {
      const reader = stream.read(from);
      expect(await readBytes(reader, 6 - from)).toBe('abcdef'.slice(from));
      reader.close();
    }
  });

  test('many readers at the tail share one cursor of the backend', async () => {
    const stream = await streamOf();
    const readers = Array.from({ length: 50 }, () => stream.read(0));
    const nexts = readers.map((reader) => nextOf(reader));
    await settle();
    expect(count('cursor')).toBe(1);
    await append(stream, 'abc');
    expect(await Promise.all(nexts)).toEqual(Array(50).fill('abc'));
    expect(count('cursor')).toBe(1);
  });

  test('they share the bytes too, small ones merged', async () => {
    const stream = await streamOf();
    const [one, other] = [stream.read(0), stream.read(0)];
    await settle();
    const waiting = [one.next(), other.next()];
    await settle();
    await append(stream, 'abc');
    const [first, second] = await Promise.all(waiting);
    expect(first).toBe(second);
  });

  test('a read brings no more than it was asked for, and the rest stays', async () => {
    const stream = await streamOf();
    const reader = stream.read(0);
    const next = nextOf(reader, 2);
    await settle();
    await append(stream, 'abcdefg');
    expect(await next).toBe('ab');
    expect(await nextOf(reader, 3)).toBe('cde');
    expect(await nextOf(reader, 9)).toBe('fg');
  });

  test('but at least a byte', async () => {
    const stream = await streamOf();
    await append(stream, 'abc');
    const reader = stream.read(0);
    expect([await nextOf(reader, 0), await nextOf(reader, -1)]).toEqual(['a', 'b']);
    void stream.follow(2);
    await settle();
    expect(await nextOf(reader, 0)).toBe('c');
  });

  test('poll gives what is in memory, and nothing else', async () => {
    const stream = await streamOf();
    await append(stream, 'abc');
    const reader = stream.read(0);
    expect(reader.poll()).toBeUndefined();
    expect(await readBytes(reader, 3)).toBe('abc');
    const follower = stream.read(3);
    void follower.next();
    await settle();
    expect(reader.poll()).toBeUndefined();
    await append(stream, 'defg');
    await settle();
    const piece = reader.poll(2);
    expect(piece && shown(piece)).toBe('de');
    const rest = reader.poll();
    expect(rest && shown(rest)).toBe('fg');
    expect(reader.poll()).toBeUndefined();
    expect(reader.position).toBe(7);
  });

  test('a reader that knows a later place skips to it', async () => {
    const stream = await streamOf();
    await append(stream, 'abcdef');
    const reader = stream.read(0);
    expect(await nextOf(reader, 1)).toBe('a');
    reader.skipTo(4);
    expect(await readBytes(reader, 2)).toBe('ef');
    for (const bad of [5, 6.5, Number.NaN]) expect(() => reader.skipTo(bad)).toThrow(/cannot go/);
    reader.skipTo(100);
    await expect(reader.next()).rejects.toMatchObject({ code: 'ERR_FANPIPE_OFFSET_NOT_WRITTEN', tail: 6 });
    // It has not misled the others: they share a cursor.
    const before = count('cursor');
    const nexts = [stream.read(6), stream.read(6)].map((each) => nextOf(each));
    await settle();
    await append(stream, 'g');
    expect(await Promise.all(nexts)).toEqual(['g', 'g']);
    expect(count('cursor')).toBe(before + 1);
  });

  test('SEAM: one that does not ask falls behind the window, reads the backend, and returns', async () => {
    const stream = await streamOf({ window: 10 });
    const slow = stream.read(0);
    const fast = stream.read(0);
    const first = nextOf(slow);
    for (let i = 0; i < 10; i++) {
      const next = nextOf(fast);
      await settle();
      await append(stream, `<${i}>`);
      await next;
    }
    expect(await first).toBe('<0>');
    expect(slow.poll()).toBeUndefined();
    const before = count('cursor');
    expect(await readBytes(slow, 27)).toBe('<1><2><3><4><5><6><7><8><9>');
    expect(count('cursor')).toBe(before + 1);
    const next = nextOf(slow);
    await settle();
    await append(stream, '!');
    expect(await next).toBe('!');
    expect(count('cursor')).toBe(before + 1);
  });

  test('without a window every byte comes from the backend', async () => {
    const stream = await streamOf({ window: 0 });
    const reader = stream.read(0);
    for (const text of ['abc', 'd', 'efg']) {
      const next = nextOf(reader);
      await settle();
      await append(stream, text);
      expect(await next).toBe(text);
    }
  });

  test('a reader is told when its offset is not in the stream', async () => {
    const stream = await streamOf();
    await append(stream, 'abc');
    await expect(stream.read(4).next()).rejects.toMatchObject({ code: 'ERR_FANPIPE_OFFSET_NOT_WRITTEN', tail: 3 });
    expect(() => stream.read(-1)).toThrow(/whole number/);
    expect(() => stream.read(1.5)).toThrow(/whole number/);
  });

  test('RETAIN: a reader below the oldest retained offset is told so, at the start and later', async () => {
    const { stream } = await hubOf({ window: 4 }).create('s', { retainBytes: 4 });
    await append(stream, 'abc');
    const early = stream.read(0);
    expect(await nextOf(early, 1)).toBe('a');
    for (let i = 0; i < 5; i++) await append(stream, 'defg');
    await settle();
    const gone = { code: 'ERR_FANPIPE_OFFSET_GONE', head: 19 };
    await expect(early.next()).rejects.toMatchObject(gone);
    await expect(stream.read(0).next()).rejects.toMatchObject(gone);
  });
});

test('RETAIN: what the pump is too late for is not held against those who are further', async () => {
  const { stream } = await hubOf({ window: 4 }).create('s', { retainBytes: 8 });
  await append(stream, 'aaaa');
  await append(stream, 'bbbb');
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const further = stream.read(4);
  hooks.before = (call) => (call === 'next' ? held : undefined);
  const here = expect(stream.read(8).next()).rejects.toMatchObject({ code: 'ERR_FANPIPE_OFFSET_GONE', offset: 8 });
  await settle();
  delete hooks.before;
  await append(stream, 'cccc');
  expect(await readBytes(further, 8)).toBe('bbbbcccc');
  const next = nextOf(further);
  const followed = stream.follow(12);
  await settle();
  // By another process, so that nobody here knows of it.
  const other = (await backend.open('s')) as BackendStream;
  const { writer } = await other.acquire();
  await writer.append([bytes('dddd')]);
  await writer.append([bytes('eeee')]);
  release();
  await here;
  expect(await next).toBe('ddddeeee');
  const follower = await followed;
  // The window is so small that it was cut off at once.
  expect((follower?.position ?? 0) - (follower?.missed ?? 0)).toBe(12);
});

describe('one step', () => {
  test('one next at a time', async () => {
    const stream = await streamOf();
    const reader = stream.read(0);
    const next = nextOf(reader);
    await expect(reader.next()).rejects.toMatchObject({ code: 'ERR_FANPIPE_INVALID_ARGUMENT' });
    await append(stream, 'abc');
    expect(await next).toBe('abc');
  });

  test('a signal ends the wait only', async () => {
    const stream = await streamOf();
    const reader = stream.read(0);
    const controller = new AbortController();
    const next = reader.next({ signal: controller.signal });
    await settle();
    controller.abort('enough');
    await expect(next).rejects.toBe('enough');
    await expect(reader.next({ signal: controller.signal })).rejects.toBe('enough');
    await append(stream, 'abc');
    expect(await nextOf(reader)).toBe('abc');
  });

  test('a signal that fires while the reader looks where it is', async () => {
    const stream = await streamOf();
    const reader = stream.read(0);
    const controller = new AbortController();
    const next = reader.next({ signal: controller.signal });
    controller.abort('enough');
    await expect(next).rejects.toBe('enough');
    await append(stream, 'abc');
    expect(await nextOf(reader)).toBe('abc');
  });

  test('a signal that many share gets one listener, and loses it', async () => {
    const stream = await streamOf();
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...options: Parameters<typeof addEventListener>) => {
      listeners++;
      addEventListener.apply(signal, options);
    };
    signal.removeEventListener = (...options: Parameters<typeof removeEventListener>) => {
      listeners--;
      removeEventListener.apply(signal, options);
    };
    const readers = Array.from({ length: 20 }, () => stream.read(0));
    const nexts = readers.map((reader) => reader.next({ signal }));
    await settle();
    expect(listeners).toBe(1);
    readers[3]?.close();
    await append(stream, 'x');
    await Promise.all(nexts.filter((_, i) => i !== 3));
    expect(listeners).toBe(0);
  });

  test('what a reader that was closed waited for never comes', async () => {
    const stream = await streamOf();
    const reader = stream.read(0);
    const next = reader.next();
    await settle();
    reader.close();
    reader.close();
    await append(stream, 'x');
    expect(await isSettled(next)).toBe(false);
    await expect(reader.next()).rejects.toThrow(/closed/);
    expect(reader.poll()).toBeUndefined();
  });

  test('one that was closed before it knew where it is does nothing more', async () => {
    const stream = await streamOf();
    const reader = stream.read(0);
    const next = reader.next();
    reader.close();
    expect(await isSettled(next)).toBe(false);
    expect(stream.present).toBeUndefined();
  });

  test('a storage error is told, and the next step tries again', async () => {
    const stream = await streamOf();
    const reader = stream.read(0);
    let isBroken = true;
    hooks.before = (call) => {
      if (call === 'next' && isBroken) throw new Error('broken');
    };
    await expect(reader.next()).rejects.toThrow('broken');
    await append(stream, 'abc');
    await expect(reader.next()).rejects.toThrow('broken');
    isBroken = false;
    expect(await nextOf(reader)).toBe('abc');
  });
});

describe('the end', () => {
  test.each([
    ['closed', { kind: 'closed' }, '<closed>'],
    ['failed', { kind: 'failed', reason: 'it broke' }, '<failed: it broke>'],
  ] as const)('readers that wait, are behind, and come later see that it has %s', async (_, end, mark) => {
    const stream = await streamOf();
    const waiting = stream.read(0);
    const next = nextOf(waiting);
    const behind = stream.read(0);
    await settle();
    await append(stream, 'abc');
    expect(await next).toBe('abc');
    const last = nextOf(waiting);
    await settle();
    await stream.append([], { end });
    expect(await last).toBe(mark);
    expect(await nextOf(waiting)).toBe(mark);
    expect([await nextOf(behind), await nextOf(behind)]).toEqual(['abc', mark]);
    const late = stream.read(3);
    expect(await nextOf(late)).toBe(mark);
    expect((await late.next()).next).toBe(3);
  });

  test('ATOMIC: bytes and end of one append', async () => {
    const stream = await streamOf();
    const reader = stream.read(0);
    const next = nextOf(reader);
    await settle();
    await stream.append([bytes('last')], { end: { kind: 'closed' } });
    expect([await next, await nextOf(reader)]).toEqual(['last', '<closed>']);
  });
});

describe('follow', () => {
  test('the present as a stream, and the end', async () => {
    const stream = await streamOf();
    await append(stream, 'abcdef');
    const follower = await stream.follow(4);
    const text = follower?.text();
    await append(stream, 'ghi');
    await stream.append([], { end: { kind: 'closed' } });
    expect(await text).toBe('efghi');
  });

  test('what memory does not have is not followed', async () => {
    const stream = await streamOf({ window: 4 });
    await append(stream, 'abcdefgh');
    expect(await stream.follow(3)).toBeUndefined();
    const follower = await stream.follow(4);
    expect(follower?.position).toBe(4);
    await settle();
    await append(stream, 'ij');
    await settle();
    expect(await stream.follow(4)).toBeUndefined();
    expect((await stream.follow(6))?.position).toBe(6);
    await expect(stream.follow(11)).rejects.toMatchObject({ code: 'ERR_FANPIPE_OFFSET_NOT_WRITTEN' });
    for (const bad of [-1, 0.5, Number.NaN]) await expect(stream.follow(bad)).rejects.toThrow(/whole number/);
  });

  test('one that falls behind the window is cut off', async () => {
    const stream = await streamOf({ window: 4 });
    const follower = await stream.follow(0);
    await append(stream, 'abc');
    await settle();
    await append(stream, 'def');
    await settle();
    expect(() => follower?.read()).toThrow(expect.objectContaining({ code: 'ERR_FANPIPE_DISCONNECTED', position: 0 }));
  });

  test('the reason of a failed stream comes after its bytes', async () => {
    const stream = await streamOf();
    const follower = await stream.follow(0);
    await stream.append([bytes('abc')], { end: { kind: 'failed', reason: 'it broke' } });
    await settle();
    expect(follower?.read()?.byteLength).toBe(3);
    expect(() => follower?.read()).toThrow(expect.objectContaining({ code: 'ERR_FANPIPE_STREAM_FAILED' }));
  });

  test('an offset that memory is about to have is waited for', async () => {
    const stream = await streamOf();
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const first = await stream.follow(0);
    hooks.after = (call) => (call === 'next' ? held : undefined);
    await append(stream, 'abc');
    const late = stream.follow(3);
    expect(await isSettled(late)).toBe(false);
    release();
    expect((await late)?.position).toBe(3);
    expect(first?.lag).toBe(3);
  });
});

describe('the present', () => {
  test('stops when nobody came for a while, and starts again', async () => {
    const stream = await streamOf();
    const reader = stream.read(0);
    const controller = new AbortController();
    const next = reader.next({ signal: controller.signal }).catch(() => 'aborted');
    await clock.advance(60_000);
    expect(stream.present).toBeDefined();
    controller.abort();
    expect(await next).toBe('aborted');
    await clock.advance(20_000);
    expect(stream.present).toBeUndefined();
    await append(stream, 'abc');
    expect(await nextOf(reader)).toBe('abc');
    const again = nextOf(reader);
    await settle();
    expect(stream.present).toBeDefined();
    await append(stream, 'def');
    expect(await again).toBe('def');
    reader.close();
  });

  test('stops by itself when much comes that nobody reads', async () => {
    const stream = await streamOf();
    const reader = stream.read(0);
    const next = nextOf(reader);
    await settle();
    await append(stream, 'a');
    await next;
    reader.close();
    const piece = bytes('x'.repeat(10_000));
    for (let i = 0; i < 10; i++) await stream.append([piece]);
    await settle();
    expect(stream.present).toBeUndefined();
  });

  test('goes on while a stream of it is read', async () => {
    const stream = await streamOf();
    const follower = await stream.follow(0);
    await clock.advance(60_000);
    expect(stream.present).toBeDefined();
    follower?.cancel();
    await clock.advance(20_000);
    expect(stream.present).toBeUndefined();
  });
});

describe('a stream that is deleted', () => {
  test('tells all who wait, and all who come', async () => {
    const hub = hubOf();
    const { stream } = await hub.create('s');
    await append(stream, 'abc');
    const deleted = { code: 'ERR_FANPIPE_STREAM_DELETED' };
    const waiting = expect(stream.read(3).next()).rejects.toMatchObject(deleted);
    const follower = await stream.follow(3);
    const followed = expect(follower?.text()).rejects.toMatchObject(deleted);
    await settle();
    expect(await hub.delete('s')).toBe(true);
    await waiting;
    await followed;
    await expect(stream.read(0).next()).rejects.toMatchObject(deleted);
    await expect(stream.state()).rejects.toMatchObject(deleted);
    await expect(stream.append([bytes('x')])).rejects.toMatchObject(deleted);
    await expect(stream.follow(0)).rejects.toMatchObject(deleted);
  });

  test('and created again is another one', async () => {
    const hub = hubOf();
    const { stream: old } = await hub.create('s');
    await append(old, 'old');
    const { stream } = (await hub.delete('s')) ? await hub.create('s') : { stream: old };
    expect(stream).not.toBe(old);
    expect(stream.generation).toBeGreaterThan(old.generation);
    await append(stream, 'new');
    expect(await readBytes(stream.read(0), 3)).toBe('new');
    await expect(old.read(0).next()).rejects.toMatchObject({ code: 'ERR_FANPIPE_STREAM_DELETED' });
    expect(await hub.open('s')).toBe(stream);
  });
});

describe('readers', () => {
  test('are limited per stream, and a place is free when one is closed', async () => {
    const stream = await streamOf({ maxReaders: 2 });
    const one = stream.read(0);
    stream.read(0);
    expect(() => stream.read(0)).toThrow(expect.objectContaining({ kind: 'readers', limit: 2 }));
    one.close();
    one.close();
    stream.read(0);
    expect(() => stream.read(0)).toThrow(expect.objectContaining({ kind: 'readers' }));
  });

  test('keep a stream with a time to live, as long as they are open', async () => {
    const hub = hubOf();
    const { stream } = await hub.create('s', { ttl: 3_000 });
    const reader = stream.read(0);
    await clock.advance(30_000);
    expect((await stream.state()).tail).toBe(0);
    reader.close();
    await clock.advance(30_000);
    await expect(stream.state()).rejects.toMatchObject({ code: 'ERR_FANPIPE_STREAM_DELETED' });
    await expect(hub.open('s')).rejects.toMatchObject({ code: 'ERR_FANPIPE_STREAM_NOT_FOUND' });
  });

  test('followers keep it too', async () => {
    const { stream } = await hubOf().create('s', { ttl: 3_000 });
    const follower = await stream.follow(0);
    await clock.advance(30_000);
    expect((await stream.state()).tail).toBe(0);
    follower?.cancel();
    await clock.advance(30_000);
    await expect(stream.state()).rejects.toMatchObject({ code: 'ERR_FANPIPE_STREAM_DELETED' });
  });
});
