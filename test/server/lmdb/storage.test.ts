import { afterEach, expect, test } from 'vitest';
import { LmdbStorage } from '../../../packages/server/src/backends/lmdb/lmdb-storage.ts';
import type { Interval } from '../../../packages/server/src/backends/local/intervals.ts';
import type { StreamRecord } from '../../../packages/server/src/backends/local/storage.ts';
import { Random } from '../../support/random.ts';
import { randomSeed } from '../../support/seed.ts';
import { until } from '../backend/rig.ts';
import { makeScratch } from './scratch.ts';

const PIECE = 4096 - 24;
const scratch = makeScratch();
const storages: LmdbStorage[] = [];
afterEach(() => Promise.all(storages.splice(0).map((storage) => storage.close())));

function open(path = scratch.folder()): LmdbStorage {
  const storage = new LmdbStorage({ path, level: 'os' });
  storages.push(storage);
  return storage;
}

function recordOf(generation: number, head = 0): StreamRecord {
  const config = { contentType: 'text/plain' };
  const rest = { end: undefined, isDeleted: false, expiresAt: undefined };
  return { name: `stream ${generation}`, generation, config, createdAt: 0, epoch: 0, head, ...rest };
}

interface Append {
  readonly offset: number;
  readonly bytes: Buffer;
  readonly time: number;
}

/** Appends of all sizes about those that matter to the layout. */
async function fill(storage: LmdbStorage, generation: number, random: Random, count: number): Promise<Append[]> {
  await storage.write({ generation, offset: 0, chunks: [], time: 0, record: recordOf(generation) });
  const appends: Append[] = [];
  let offset = 0;
  let time = 1000;
  const sizes = [1, 2, 100, 2000, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE - 1, 100_000];
  const writes: Promise<void>[] = [];
  for (let i = 0; i < count; i++) {
    const bytes = Buffer.from(random.bytes(random.pick(sizes)));
    time += random.between(0, 3);
    const cut = random.between(0, bytes.length + 1);
    const chunks = [bytes.subarray(0, cut), bytes.subarray(cut)].filter(({ length }) => length > 0);
    writes.push(storage.write({ generation, offset, chunks, time }));
    appends.push({ offset, bytes, time });
    offset += bytes.length;
  }
  await Promise.all(writes);
  return appends;
}

const readAll = (storage: LmdbStorage, generation: number, from: number, to: number): Buffer => {
  const chunks: Uint8Array[] = [];
  for (let at = from; at < to; ) {
    const read = storage.read(generation, at, to, to - at);
    chunks.push(...read);
    at += read.reduce((sum, { length }) => sum + length, 0);
  }
  return Buffer.concat(chunks);
};

const seed = randomSeed();

test(`any range can be read, and what is retained begins where an append does (seed ${seed})`, async () => {
  const random = new Random(seed);
  const storage = open();
  const streams = new Map<number, Append[]>();
  for (const generation of [1, 2, 3]) streams.set(generation, await fill(storage, generation, random, 60));
  for (const [generation, appends] of streams) {
    const all = Buffer.concat(appends.map(({ bytes }) => bytes));
    const tail = all.length;
    expect(storage.tail(generation)).toBe(tail);
    for (let i = 0; i < 200; i++) {
      const from = random.between(0, tail);
      const to = random.between(from + 1, tail + 1);
      const max = random.between(1, 20_000);
      const read = Buffer.concat(storage.read(generation, from, to, max));
      expect(read.length).toBe(Math.min(to - from, max));
      expect(read.equals(all.subarray(from, from + read.length)), `${generation}: ${from} to ${to}`).toBe(true);
    }
    const borders = [...appends.map(({ offset }) => offset), tail];
    const newest = appends.at(-1) as Append;
    for (let i = 0; i < 200; i++) {
      const bytes = random.chance(0.5) ? random.between(0, tail + 10) : undefined;
      const since = random.chance(0.5) || bytes === undefined ? random.between(990, newest.time + 10) : undefined;
      const bySize = borders.find((border) => bytes === undefined || tail - border <= bytes) as number;
      const byAge = appends.find(({ time }) => since === undefined || time >= since)?.offset ?? tail;
      const expected = Math.max(Math.min(bySize, newest.offset), byAge);
      expect(storage.retainFrom(generation, bytes, since), `${bytes} bytes since ${since}`).toBe(expected);
    }
  }
});

test('reads that begin at the last byte of a piece, at the first of the next, and around them', async () => {
  const random = new Random(seed ^ 2);
  const storage = open();
  const all = Buffer.from(random.bytes(5 * PIECE + 7));
  await storage.write({ generation: 1, offset: 0, chunks: [], time: 0, record: recordOf(1) });
  await storage.write({ generation: 1, offset: 0, chunks: [all.subarray(0, 3 * PIECE)], time: 1 });
  await storage.write({ generation: 1, offset: 3 * PIECE, chunks: [all.subarray(3 * PIECE)], time: 1 });
  for (let border = PIECE; border < all.length; border += PIECE) {
    for (const from of [border - 2, border - 1, border, border + 1]) {
      expect(readAll(storage, 1, from, all.length).equals(all.subarray(from)), `from ${from}`).toBe(true);
      expect(storage.store.appends.pieceAt(1, from), `piece at ${from}`).toBe(from - (from % PIECE));
    }
  }
});

test(`what is let go of goes, but for what is held (seed ${seed})`, async () => {
  const random = new Random(seed ^ 1);
  const path = scratch.folder();
  const storage = open(path);
  const appends = await fill(storage, 1, random, 80);
  const neighbour = await fill(storage, 2, random, 5);
  const all = Buffer.concat(appends.map(({ bytes }) => bytes));
  const count = (): number => storage.store.appends.table.getCount({});
  const of2 = (): boolean =>
    readAll(storage, 2, 0, storage.tail(2)).equals(Buffer.concat(neighbour.map(({ bytes }) => bytes)));
  const head = (appends[60] as Append).offset;
  let held: Interval[] = [];
  for (let at = 0; at < all.length; ) {
    const from = at + random.between(1, 40_000);
    const to = from + random.between(1, 20_000);
    held.push({ from, to: Math.min(to, all.length) });
    at = to + 1;
  }
  held = held.filter(({ from, to }) => from < to);
  for (; ; held = held.filter(() => random.chance(0.6))) {
    const before = count();
    await storage.trim(1, head, recordOf(1, head), held);
    await until('it is freed', () => storage.store.removals.getCount({}) === 0);
    for (const { from, to } of [...held, { from: head, to: all.length }]) {
      expect(readAll(storage, 1, from, to).equals(all.subarray(from, to)), `${from} to ${to}`).toBe(true);
    }
    // At most a value on either side is there for nothing.
    const kept = [...held, { from: head, to: all.length }].reduce((sum, { from, to }) => sum + to - from, 0);
    expect(count()).toBeLessThanOrEqual(before);
    const bytes = [...storage.store.appends.table.getRange({})].reduce((sum, { value }) => sum + (value as number), 0);
    const others = neighbour.reduce((sum, append) => sum + append.bytes.length, 0);
    expect(bytes).toBeLessThanOrEqual(kept + others + 2 * PIECE * (held.length + 1));
    expect(of2()).toBe(true);
    if (held.length === 0) break;
  }
  expect(storage.tail(1)).toBe(all.length);
  expect(storage.retainFrom(1, undefined, 0)).toBe(head);
  await storage.close();
  storages.length = 0;
  const again = open(path);
  expect([...again.records()].map((record) => record.head)).toEqual([head, 0]);
  expect(readAll(again, 1, head, all.length).equals(all.subarray(head))).toBe(true);
  await again.drop(1);
  await until('it is freed', () => again.store.removals.getCount({}) === 0);
  expect(again.store.appends.table.getCount({})).toBe(
    neighbour.reduce((sum, { bytes }) => sum + Math.ceil(bytes.length / PIECE), 0),
  );
});

test('an append of 100 MiB is one, and is read in small parts', async () => {
  const path = scratch.folder();
  const storage = open(path);
  await storage.write({ generation: 1, offset: 0, chunks: [], time: 0, record: recordOf(1) });
  const size = 100 * 1024 * 1024;
  const bytes = Buffer.alloc(size, new Random(seed).bytes(997));
  await storage.write({ generation: 1, offset: 0, chunks: [bytes], time: 1 });
  await storage.write({ generation: 1, offset: size, chunks: [Buffer.from('x')], time: 2 });
  expect(storage.tail(1)).toBe(size + 1);
  expect(storage.retainFrom(1, size - 1, undefined)).toBe(size);
  expect(storage.retainFrom(1, undefined, 2)).toBe(size);
  for (let at = 0; at < size; at += 1_234_567) {
    const read = Buffer.concat(storage.read(1, at, size, 5000));
    expect(read.equals(bytes.subarray(at, at + 5000)), `at ${at}`).toBe(true);
  }
});

test('a value that is not there is told, and not passed over', async () => {
  const storage = open();
  const [first, second] = (await fill(storage, 1, new Random(1), 2)) as [Append, Append];
  const { appends } = storage.store;
  await storage.store.root.batch(() => appends.remove(appends.keys(1, 0, first.bytes.length, 1)[0] as Buffer));
  const message = /^The store is damaged: bytes from offset 0 on are not there/;
  expect(() => storage.read(1, 0, first.bytes.length, 10)).toThrow(message);
  expect(Buffer.concat(storage.read(1, second.offset, second.offset + 1, 1))).toEqual(second.bytes.subarray(0, 1));
  // In the midst of what is there.
  await storage.write({ generation: 2, offset: 0, chunks: [], time: 0, record: recordOf(2) });
  await storage.write({ generation: 2, offset: 0, chunks: [Buffer.alloc(5 * PIECE)], time: 1 });
  await storage.store.root.batch(() => appends.remove(appends.keys(2, 2 * PIECE, 3 * PIECE, 1)[0] as Buffer));
  expect(() => storage.read(2, 10, 5 * PIECE, 5 * PIECE)).toThrow(`bytes from offset ${2 * PIECE} on are not there`);
  expect(Buffer.concat(storage.read(2, 3 * PIECE, 5 * PIECE, PIECE))).toEqual(Buffer.alloc(PIECE));
});

test('what is dropped leaves nothing behind, and what stays is not touched', async () => {
  const storage = open();
  const { appends, facts, streams, removals } = storage.store;
  for (const generation of [1, 2, 3]) {
    const names = Array.from({ length: 1500 }, (_, i) => [`p:${i}`, `${generation}`] as const);
    const record = recordOf(generation);
    await storage.write({ generation, offset: 0, chunks: [Buffer.alloc(1)], time: 0, facts: new Map(names), record });
  }
  await storage.drop(2);
  expect(storage.facts(1).size).toBe(1500);
  await until('it is freed', () => removals.getCount({}) === 0);
  expect([streams, appends.table, facts].map((table) => table.getCount({}))).toEqual([2, 2, 3000]);
  expect([...storage.facts(3).values()].every((value) => value === '3')).toBe(true);
});
