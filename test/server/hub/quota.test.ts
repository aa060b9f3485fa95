/** Limits of all streams together, when many ask for the last place at once, and when the numbers are about to change. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Backend } from '../../../packages/server/src/backends/backend.ts';
import { memoryBackend } from '../../../packages/server/src/backends/index.ts';
import { Hub, type HubOptions, type LiveStream } from '../../../packages/server/src/hub/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { append, bytes } from './reading.ts';
import { type BackendCall, type Hooks, wrapBackend } from './wrapped-backend.ts';

let clock: FakeClock;
let backend: Backend;
let hooks: Hooks;

beforeEach(() => {
  clock = new FakeClock();
  hooks = {};
  backend = memoryBackend({ clock });
});

afterEach(() => backend.close());

const hubOf = (options: HubOptions): Hub => new Hub(wrapBackend(backend, hooks), { clock, ...options });

/** Holds up calls of one kind until it is opened: before they take effect, or before that is told. */
function holdUp(held: BackendCall, of?: string, when: 'before' | 'after' = 'before'): () => void {
  let open = (): void => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  const others = hooks[when];
  hooks[when] = (call, name) => (call === held && (of === undefined || name === of) ? passed : others?.(call, name));
  return open;
}

async function fulfilled(promises: Promise<unknown>[]): Promise<number> {
  return (await Promise.allSettled(promises)).filter(({ status }) => status === 'fulfilled').length;
}

test('streams that are created at once do not share the last place', async () => {
  const hub = hubOf({ maxStreams: 2 });
  expect(await fulfilled(['a', 'b', 'c', 'd'].map((name) => hub.create(name)))).toBe(2);
  expect((await backend.stats()).streams).toBe(2);
});

test('their first bytes do not share the last room', async () => {
  const hub = hubOf({ maxTotalBytes: 10 });
  const create = (name: string) => hub.create(name, {}, { chunks: [bytes('123456')] });
  expect(await fulfilled(['a', 'b', 'c'].map(create))).toBe(1);
  expect(await hub.stats()).toMatchObject({ streams: 1, bytes: 6 });
});

test('nor do appends to several streams, all of which have to ask', async () => {
  const hub = hubOf({ maxTotalBytes: 10 });
  const streams: LiveStream[] = [];
  for (const name of ['a', 'b', 'c']) streams.push((await hub.create(name)).stream);
  const open = holdUp('stats');
  const appends = streams.map((stream) => stream.append([bytes('123456')]));
  await settle();
  open();
  expect(await fulfilled(appends)).toBe(1);
  expect((await backend.stats()).bytes).toBe(6);
});

test('bytes that are acknowledged while the backend is asked are not counted twice', async () => {
  const hub = hubOf({ maxTotalBytes: 10 });
  const { stream: one } = await hub.create('one');
  const { stream: other } = await hub.create('other');
  // What is known is more than there is: so the next one asks.
  await append((await hub.create('gone')).stream, '123456');
  await hub.delete('gone');
  const acknowledge = holdUp('append', 'one');
  const first = one.append([bytes('1234')]);
  await settle();
  const answer = holdUp('stats');
  const second = other.append([bytes('123456')]);
  await settle();
  acknowledge();
  await first;
  answer();
  expect(await second).toMatchObject({ kind: 'appended' });
});

test('bytes that are stored before that is told are not counted twice', async () => {
  const hub = hubOf({ maxTotalBytes: 10 });
  const { stream: one } = await hub.create('one');
  const { stream: other } = await hub.create('other');
  await append((await hub.create('gone')).stream, '123456');
  await hub.delete('gone');
  const tell = holdUp('append', 'one', 'after');
  const first = one.append([bytes('1234')]);
  await settle();
  const second = other.append([bytes('123456')]).catch((error: unknown) => error);
  await settle();
  tell();
  await first;
  expect(await second).toMatchObject({ kind: 'appended' });
});

test('what was freed before an append is called is free, though the backend was asked before that', async () => {
  const hub = hubOf({ maxTotalBytes: 10 });
  const { stream: one } = await hub.create('one');
  const { stream: other } = await hub.create('other');
  await append((await hub.create('full')).stream, '12345678');
  const answer = holdUp('stats', undefined, 'after');
  const first = expect(one.append([bytes('1234')])).rejects.toMatchObject({ kind: 'total-bytes' });
  await settle();
  await hub.delete('full');
  const second = other.append([bytes('123456')]).catch((error: unknown) => error);
  await settle();
  answer();
  await first;
  expect(await second).toMatchObject({ kind: 'appended' });
});

test('a stream that is created before that is told is not counted twice', async () => {
  const hub = hubOf({ maxStreams: 2 });
  const tell = holdUp('create', 'a', 'after');
  const first = hub.create('a');
  await settle();
  const second = hub.create('b').catch((error: unknown) => error);
  await settle();
  tell();
  await first;
  expect(await second).toMatchObject({ isNew: true });
  await expect(hub.create('c')).rejects.toMatchObject({ kind: 'streams' });
});

test('what retention lets go for an append needs no room in the stream', async () => {
  const hub = hubOf({ maxStreamBytes: 4 });
  const { stream } = await hub.create('s', { retainBytes: 4 });
  for (let i = 0; i < 4; i++) await append(stream, 'abc');
  expect(await stream.state()).toMatchObject({ head: 9, tail: 12 });
  await expect(stream.append([bytes('abcde')])).rejects.toMatchObject({ kind: 'stream-bytes' });
  const { stream: large } = await hub.create('large', { retainBytes: 5 });
  await append(large, 'abc');
  await expect(large.append([bytes('de')])).rejects.toMatchObject({ kind: 'stream-bytes' });
});

test('where more is stored than may be, a stream can be created, and ended', async () => {
  await hubOf({}).create('s', {}, { chunks: [bytes('123456')] });
  const hub = hubOf({ maxTotalBytes: 4, maxStreamBytes: 3 });
  expect(await hub.create('empty')).toMatchObject({ isNew: true });
  const stream = await hub.open('s');
  await expect(stream.append([bytes('7')], { end: { kind: 'closed' } })).rejects.toMatchObject({
    kind: 'stream-bytes',
  });
  expect(await stream.append([], { end: { kind: 'closed' } })).toMatchObject({ kind: 'appended' });
});
