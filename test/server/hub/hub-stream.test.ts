/** Past and present of a stored stream as one `ByteStream`. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Backend } from '../../../packages/server/src/backends/backend.ts';
import { memoryBackend } from '../../../packages/server/src/backends/index.ts';
import { Hub, type LiveStream } from '../../../packages/server/src/hub/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { append, bytes } from './reading.ts';
import { type BackendCall, wrapBackend } from './wrapped-backend.ts';

let clock: FakeClock;
let backend: Backend;
let hub: Hub;
let stored: LiveStream;

beforeEach(async () => {
  clock = new FakeClock();
  backend = memoryBackend({ clock });
  hub = new Hub(backend, { clock, maxReaders: 2 });
  stored = (await hub.create('s')).stream;
});

afterEach(() => backend.close());

const close = () => stored.append([], { end: { kind: 'closed' } });

describe('from', () => {
  test.each([
    [undefined, 'past present'],
    ['start', 'past present'],
    ['now', 'present'],
    [2, 'st present'],
    [5, 'present'],
  ] as const)('%s', async (from, expected) => {
    await append(stored, 'past ');
    const text = hub.stream('s', from === undefined ? {} : { from }).text();
    await settle();
    await append(stored, 'present');
    await close();
    expect(await text).toBe(expected);
  });

  test('the oldest retained byte', async () => {
    const { stream } = await hub.create('r', { retainBytes: 4 });
    for (const text of ['abcd', 'efgh', 'ijkl']) await append(stream, text);
    await settle();
    const text = hub.stream('r').text();
    await settle();
    await stream.append([], { end: { kind: 'closed' } });
    expect(await text).toBe('ijkl');
  });

  test('the oldest one that is still there when it is read', async () => {
    const { stream } = await hub.create('r', { retainBytes: 4 });
    await append(stream, 'abcd');
    let states = 0;
    const before = async (call: BackendCall): Promise<void> => {
      if (call === 'state' && ++states === 3) await append(stream, 'efgh');
    };
    const text = new Hub(wrapBackend(backend, { before }), { clock }).stream('r').text();
    await settle();
    await stream.append([], { end: { kind: 'closed' } });
    expect(await text).toBe('efgh');
  });

  test('bad ones', async () => {
    for (const from of [-1, 0.5, 'end', Number.NaN]) {
      expect(() => hub.stream('s', { from: from as 'now' })).toThrow(
        expect.objectContaining({ code: 'ERR_FANPIPE_INVALID_ARGUMENT' }),
      );
    }
    await expect(hub.stream('s', { from: 9 }).text()).rejects.toMatchObject({ code: 'ERR_FANPIPE_OFFSET_NOT_WRITTEN' });
    await expect(hub.stream('t').text()).rejects.toMatchObject({ code: 'ERR_FANPIPE_STREAM_NOT_FOUND' });
  });

  test('its position is the offset of the stored stream', async () => {
    await append(stored, 'abcdef');
    const stream = hub.stream('s', { from: 4 });
    expect(stream.position).toBe(4);
    await stream[Symbol.asyncIterator]().next();
    expect(stream.position).toBe(6);
  });
});

test('no more is taken from the store than is read', async () => {
  for (let i = 0; i < 40; i++) await stored.append([bytes('x'.repeat(65_536))]);
  const stream = hub.stream('s');
  await settle();
  expect(stream.lag).toBeLessThanOrEqual(65_536);
  expect(stream.lag).toBeGreaterThan(0);
  const iterator = stream[Symbol.asyncIterator]();
  let read = 0;
  while (read < 40 * 65_536) read += (await iterator.next()).value?.byteLength ?? 0;
  expect(read).toBe(40 * 65_536);
  expect(stream.lag).toBe(0);
});

test('a failed stream fails after its last byte', async () => {
  await stored.append([bytes('abc')], { end: { kind: 'failed', reason: 'it broke' } });
  const stream = hub.stream('s');
  const iterator = stream[Symbol.asyncIterator]();
  expect((await iterator.next()).value?.byteLength).toBe(3);
  await expect(iterator.next()).rejects.toMatchObject({ code: 'ERR_FANPIPE_STREAM_FAILED', reason: 'it broke' });
});

test('one that is slower than retention is told where to go on', async () => {
  const { stream: short } = await hub.create('r', { retainBytes: 65_536 });
  const piece = bytes('x'.repeat(65_536));
  await short.append([piece]);
  const stream = hub.stream('r');
  await settle();
  for (let i = 0; i < 5; i++) await short.append([piece]);
  await settle();
  const iterator = stream[Symbol.asyncIterator]();
  await iterator.next();
  await expect(iterator.next()).rejects.toMatchObject({ code: 'ERR_FANPIPE_OFFSET_GONE', head: 5 * 65_536 });
});

test('one that is cancelled, aborted or dropped frees its place', async () => {
  const controller = new AbortController();
  const one = hub.stream('s');
  hub.stream('s', { signal: controller.signal });
  await settle();
  await expect(hub.stream('s').text()).rejects.toMatchObject({ kind: 'readers' });
  one.cancel();
  await clock.advance(10_000);
  expect(await hub.stats()).toMatchObject({ readers: 1 });
  controller.abort();
  await settle();
  expect(await hub.stats()).toMatchObject({ readers: 0 });
  hub.stream('s');
  await settle();
  expect(await hub.stats()).toMatchObject({ readers: 1 });
  for (let round = 0; round < 20 && (await hub.stats()).readers > 0; round++) {
    globalThis.gc?.();
    await clock.advance(10_000);
  }
  expect(await hub.stats()).toMatchObject({ readers: 0 });
});

test('a signal detaches it with its reason', async () => {
  const controller = new AbortController();
  const stream = hub.stream('s', { signal: controller.signal });
  const text = expect(stream.text()).rejects.toBe('enough');
  await settle();
  controller.abort('enough');
  await text;
  await expect(hub.stream('s', { signal: AbortSignal.abort('before') }).text()).rejects.toBe('before');
});

test('deleted, and closed by the hub', async () => {
  const deleted = expect(hub.stream('s').text()).rejects.toMatchObject({ code: 'ERR_FANPIPE_STREAM_DELETED' });
  await settle();
  await hub.delete('s');
  await deleted;
  await hub.create('s');
  const closed = expect(hub.stream('s').text()).rejects.toMatchObject({ code: 'ERR_FANPIPE_SERVER_CLOSED' });
  await settle();
  await hub.close();
  await closed;
});

test('a dropped stream is told apart from one that waits', async () => {
  const text = hub.stream('s').text();
  for (let round = 0; round < 5; round++) {
    globalThis.gc?.();
    await clock.advance(10_000);
  }
  await append(stored, 'abc');
  await close();
  expect(await text).toBe('abc');
});
