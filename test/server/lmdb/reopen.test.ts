import { expect, test } from 'vitest';
import type { Backend, BackendStream } from '../../../packages/server/src/backends/backend.ts';
import type { LocalBackend } from '../../../packages/server/src/backends/index.ts';
import type { LmdbStorage } from '../../../packages/server/src/backends/lmdb/lmdb-storage.ts';
import { StreamSoftDeletedError } from '../../../packages/server/src/errors.ts';
import { contents, created, forked, listed, opened, refused, until, writing } from '../backend/rig.ts';
import { makeScratch } from './scratch.ts';

const scratch = makeScratch();
const LONG = 'ü'.repeat(512);

/** Something of everything. */
async function furnish(backend: Backend): Promise<void> {
  const { writer } = await writing(backend, 'plain', { contentType: 'text/plain; charset=utf-8' }, 'first');
  await writer.append([Buffer.from('second')], { facts: new Map([['p:a', '0,1']]) });
  await writer.append([Buffer.from('third')], { facts: new Map([['p:b', 'x']]) });
  await writer.append([], { facts: new Map([['p:b', undefined]]) });
  await created(backend, LONG, {}, { text: 'long name', end: { kind: 'closed' } });
  await created(backend, '../a\0b', {}, { facts: new Map([['', '']]) });
  const { writer: failing } = await writing(backend, 'failed', {}, 'so far');
  await failing.append([Buffer.alloc(10_000, 'l')], { end: { kind: 'failed', reason: 'no more' } });
  const { writer: retaining } = await writing(backend, 'retained', { retainBytes: 10_000 });
  for (let i = 0; i < 100; i++) await retaining.append([Buffer.alloc(1000, 97 + (i % 26))]);
  const { stream: source } = await writing(backend, 'source', {}, 'of the source');
  await created(backend, 'deleted', {}, { text: 'gone' });
  const fork = await forked(source, backend, 'fork', 6);
  await (await fork.acquire()).writer.append([Buffer.from(' and the fork')]);
  await backend.delete('source');
  await backend.delete('deleted');
}

async function check(backend: Backend): Promise<void> {
  expect(await listed(backend)).toEqual(['../a\0b', 'failed', 'fork', 'plain', 'retained', LONG]);
  const plain = await opened(backend, 'plain');
  expect(await contents(plain)).toBe('firstsecondthird');
  expect((await plain.state()).config).toEqual({ contentType: 'text/plain; charset=utf-8' });
  expect((await plain.acquire()).facts).toEqual(new Map([['p:a', '0,1']]));
  expect(await (await opened(backend, LONG)).state()).toMatchObject({ tail: 9, end: { kind: 'closed' } });
  expect((await (await opened(backend, '../a\0b')).acquire()).facts).toEqual(new Map([['', '']]));
  const failed = await opened(backend, 'failed');
  expect(await contents(failed)).toBe(`so far${'l'.repeat(10_000)}`);
  expect((await failed.state()).end).toEqual({ kind: 'failed', reason: 'no more' });
  const retained = await opened(backend, 'retained');
  expect(await retained.state()).toMatchObject({ head: 90_000, tail: 100_000 });
  expect(await contents(retained)).toBe('mnopqrstuv'.replace(/./g, (letter) => letter.repeat(1000)));
  await refused(retained.cursor(89_999).next(), 'ERR_FANPIPE_OFFSET_GONE', { head: 90_000 });
  expect(await contents(await opened(backend, 'fork'))).toBe('of the and the fork');
  await expect(backend.open('source')).rejects.toThrow(StreamSoftDeletedError);
  expect(await backend.open('deleted')).toBeUndefined();
}

async function newGeneration(backend: Backend, name: string): Promise<number> {
  const { generation } = await created(backend, name);
  return generation;
}

test('all that was there is there again: after closing, after kill -9, and the same again', async () => {
  const path = scratch.folder();
  const backend = scratch.open(path);
  await furnish(backend);
  await check(backend);
  await backend.close();
  const again = scratch.open(path);
  await check(again);
  await again.close();
  // A process that does nothing but be killed, in the midst of what it does first.
  for (let i = 0; i < 2; i++) {
    const process = scratch.process();
    await process.call('open', path);
    process.call('create', `after ${i}`).catch(() => {});
    process.call('delete', `after ${i}`).catch(() => {});
    await process.kill();
  }
  const last = scratch.open(path);
  for (let i = 0; i < 2; i++) await last.delete(`after ${i}`);
  await check(last);
  // The source goes with its last fork, and its bytes with it.
  await last.delete('fork');
  expect(await last.open('source')).toBeUndefined();
});

test('a number of a stream is never used again, though the stream has gone and the process was killed', async () => {
  const path = scratch.folder();
  const seen: number[] = [];
  for (let i = 0; i < 4; i++) {
    const process = scratch.process();
    await process.call('open', path);
    await process.call('create', 'a');
    await process.call('create', 'b');
    await process.call('delete', 'b');
    await process.call('delete', 'a');
    await process.kill();
    const backend = scratch.open(path);
    const generation = await newGeneration(backend, 'c');
    expect(generation).toBeGreaterThan(Math.max(2 * (i + 1), ...seen));
    seen.push(generation);
    await backend.delete('c');
    await backend.close();
  }
});

test('what expired while it was closed is gone, and what a source held back with it', async () => {
  const path = scratch.folder();
  let now = 1_700_000_000_000;
  const time = (): number => now;
  const backend = scratch.open(path, { time });
  await created(backend, 'ttl', { ttl: 10_000 }, { text: 'x' });
  await created(backend, 'at', { expiresAt: now + 20_000 }, { text: 'x' });
  await created(backend, 'later', { expiresAt: now + 10_000_000 }, { text: 'x' });
  const { writer } = await writing(backend, 'aging', { retainFor: 60_000 }, 'old');
  now += 5000;
  await writer.append([Buffer.from('new')]);
  await backend.close();

  now += 16_000;
  const second = scratch.open(path, { time });
  expect(await second.open('ttl')).toBeUndefined();
  expect(await second.open('at')).toBeUndefined();
  expect(await contents(await opened(second, 'aging'))).toBe('oldnew');
  await second.close();

  now += 41_000;
  const third = scratch.open(path, { time });
  expect(await listed(third)).toEqual(['aging', 'later']);
  expect(await contents(await opened(third, 'aging'))).toBe('new');
  await third.close();
});

/** How many values the store has. */
function values(backend: Backend): number {
  return ((backend as LocalBackend).storage as LmdbStorage).store.appends.table.getCount({});
}

test('what a process could not remove before it was killed, the next one does', async () => {
  const path = scratch.folder();
  const process = scratch.process();
  await process.call('open', path, { level: 'os' });
  for (const name of ['a', 'b', 'stays']) await process.call('create', name);
  await process.call('append', 'stays', 10_000, 1);
  // Enough for some transactions.
  for (const name of ['a', 'b']) await process.call('append', name, 20_000_000, 1);
  await process.call('delete', 'a');
  await process.call('delete', 'b');
  await process.kill();
  const backend = scratch.open(path, { level: 'os' });
  const before = values(backend);
  expect(before, 'it was killed before it was done').toBeGreaterThan(1000);
  await until('nothing is left of what was deleted', () => values(backend) === 3);
  expect(await contents(await opened(backend, 'stays'))).toBe('\x01'.repeat(10_000));
  await backend.close();
  expect(values(scratch.open(path))).toBe(3);
});

test('a store that is closed while it removes something is closed at once, and goes on when it is opened', async () => {
  const path = scratch.folder();
  const backend = scratch.open(path, { level: 'os' });
  const { stream, writer } = await writing(backend, 'a');
  await writer.append([Buffer.alloc(40_000_000)]);
  await backend.delete('a');
  await refused((stream as BackendStream).state(), 'ERR_FANPIPE_STREAM_DELETED');
  await backend.close();
  const again = scratch.open(path, { level: 'os' });
  expect(values(again)).toBeGreaterThan(0);
  await until('nothing is left', () => values(again) === 0);
});
