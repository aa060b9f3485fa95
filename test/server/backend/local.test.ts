/** What only the rules over a storage can be asked: what they find in it when they begin, and what they ask of it. */
import { describe, expect, test } from 'vitest';
import { LocalBackend, type StreamRecord } from '../../../packages/server/src/backends/index.ts';
import { MemoryStorage } from '../../../packages/server/src/backends/memory/memory-storage.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import {
  append,
  bytes,
  contents,
  created,
  EPOCH,
  forked,
  isSettled,
  listed,
  memoryFor,
  opened,
  refused,
  until,
} from './rig.ts';
import { ScriptedStorage, type StorageCall } from './scripted-storage.ts';

function record(generation: number, name: string, more: Partial<StreamRecord> = {}): StreamRecord {
  const config = { contentType: 't/t', ...more.config };
  const rest = { createdAt: EPOCH, epoch: 0, head: 0, end: undefined, isDeleted: false, expiresAt: undefined };
  return { ...rest, name, generation, ...more, config };
}

function store(...records: readonly [StreamRecord, string][]): MemoryStorage {
  const storage = new MemoryStorage(1e6);
  for (const [found, text] of records) {
    const offset = found.config.fork?.offset ?? found.head;
    void storage.write({ generation: found.generation, offset, chunks: [bytes(text)], time: EPOCH, record: found });
  }
  return storage;
}

function begin(storage: MemoryStorage | ScriptedStorage): { backend: LocalBackend; clock: FakeClock } {
  const clock = new FakeClock();
  return { backend: new LocalBackend(storage, { clock, time: () => EPOCH + clock.now(), firstGeneration: 1 }), clock };
}

const BORDER = Number.MAX_SAFE_INTEGER;

describe('what is found when it begins', () => {
  test('generations go on from what the store had, or from the time if that is later', async () => {
    const time = (): number => EPOCH;
    const later = new LocalBackend(store([record(5, 'a'), '']), { time });
    expect((await created(later, 'b')).generation).toBe(EPOCH * 1000);
    await later.close();
    const higher = new LocalBackend(store([record(2e15, 'a'), '']), { time });
    expect((await created(higher, 'b')).generation).toBe(2e15 + 1);
    await higher.close();
    for (const firstGeneration of [0, 1.5, Number.NaN, 2 ** 53]) {
      expect(() => new LocalBackend(store(), { firstGeneration })).toThrow(/firstGeneration/);
    }
  });

  test('a stream at the end of all offsets takes what fits, and no more', async () => {
    const { backend } = begin(store([record(1, 's', { head: BORDER - 5 }), '']));
    const stream = await opened(backend, 's');
    const { writer } = await stream.acquire();
    await refused(append(writer, '123456'), 'ERR_FANPIPE_OFFSET_OVERFLOW');
    expect(await append(writer, '12345')).toMatchObject({ offset: BORDER - 5, tail: BORDER });
    await refused(append(writer, '6'), 'ERR_FANPIPE_OFFSET_OVERFLOW');
    expect(await writer.append([])).toMatchObject({ offset: BORDER, tail: BORDER });
    expect(await contents(stream)).toBe('12345');
    await backend.close();
  });

  test('what was kept for forks that are gone is removed', async () => {
    const storage = store([record(1, 'a', { isDeleted: true }), 'abc'], [record(2, 'b'), 'def']);
    const { backend, clock } = begin(storage);
    await refused(backend.open('a'), 'ERR_FANPIPE_STREAM_SOFT_DELETED');
    await clock.advance(1);
    expect(await backend.open('a')).toBeUndefined();
    expect([...storage.records()].map(({ name }) => name)).toEqual(['b']);
    expect(await backend.stats()).toEqual({ streams: 1, bytes: 3 });
    await backend.close();
  });

  test('what has expired is not shown, whether its alarm has rung or not', async () => {
    const past = record(1, 'a', { config: { contentType: 't/t', expiresAt: EPOCH - 1 }, expiresAt: EPOCH - 1 });
    const idle = record(2, 'b', { config: { contentType: 't/t', ttl: 10 }, expiresAt: EPOCH - 1 });
    const storage = store([past, 'abc'], [idle, 'def']);
    const { backend } = begin(storage);
    expect(await listed(backend)).toEqual([]);
    expect(await backend.open('a')).toBeUndefined();
    expect((await created(backend, 'b')).generation).toBe(3);
    expect([...storage.records()]).toHaveLength(1);
    await backend.close();
  });

  test('forks of forks keep what they show, whatever their sources let go of', async () => {
    const fork = (source: string, generation: number, offset: number) => ({ fork: { source, generation, offset } });
    const storage = store(
      [record(1, 'a', { config: { contentType: 't/t', retainBytes: 1 } }), 'abcdef'],
      [record(2, 'b', { head: 5, config: { contentType: 't/t', ...fork('a', 1, 4) } }), 'BBB'],
      [record(3, 'c', { head: 1, config: { contentType: 't/t', ...fork('b', 2, 3) } }), 'CCC'],
    );
    const { backend, clock } = begin(storage);
    const { writer } = await (await opened(backend, 'a')).acquire();
    for (let i = 0; i < 10; i++) await append(writer, 'x'.repeat(10));
    await clock.advance(5000);
    expect(await contents(await opened(backend, 'c'))).toBe('bcCCC');
    expect(await contents(await opened(backend, 'b'))).toBe('BB');
    // The newest of a, two of b and what c holds of a; its own three.
    expect((await backend.stats()).bytes).toBe(10 + 3 + 2 + 3);
    for (const name of ['a', 'b', 'c']) await backend.delete(name);
    expect(await backend.stats()).toEqual({ streams: 0, bytes: 0 });
    await backend.close();
  });
});

describe('what was kept for forks before it began', () => {
  test('is freed when they go', async () => {
    const storage = new MemoryStorage(memoryFor(['source', 'fork', 's'], 2, 10, 't/t'));
    const source = record(1, 'source', { config: { contentType: 't/t', retainBytes: 2 } });
    void storage.write({ generation: 1, offset: 0, chunks: [bytes('abcd')], time: EPOCH, record: source });
    void storage.write({ generation: 1, offset: 4, chunks: [bytes('ef')], time: EPOCH });
    void storage.trim(1, 4, { ...source, head: 4 }, [{ from: 0, to: 2 }]);
    const config = { contentType: 't/t', fork: { source: 'source', generation: 1, offset: 2 } };
    void storage.write({ generation: 2, offset: 2, chunks: [], time: EPOCH, record: record(2, 'fork', { config }) });
    const { backend } = begin(storage);
    expect(await contents(await opened(backend, 'fork'))).toBe('ab');
    expect(await backend.stats()).toEqual({ streams: 2, bytes: 4 });
    const type = { contentType: 't/t' };
    await refused(created(backend, 's', type, { text: '12345678' }), 'ERR_FANPIPE_STORAGE');
    await backend.delete('fork');
    expect(await backend.stats()).toEqual({ streams: 1, bytes: 2 });
    await created(backend, 'fork', type);
    await created(backend, 's', type, { text: '12345678' });
    await backend.close();
  });
});

describe('what it asks of the storage', () => {
  test('however often a stream is touched, its expiry is seldom written', async () => {
    const calls: StorageCall[] = [];
    const storage = new ScriptedStorage(new MemoryStorage(1e6), (call) => {
      calls.push(call);
      return {};
    });
    const { backend, clock } = begin(storage);
    const stream = await created(backend, 's', { ttl: 80_000 });
    calls.length = 0;
    for (let i = 0; i < 40_000; i += 10) {
      stream.touch();
      await clock.advance(10);
    }
    expect(calls.length).toBeGreaterThanOrEqual(3);
    expect(calls.length).toBeLessThanOrEqual(5);
    await backend.close();
  });

  test('a stream that lets go of something with each append seldom trims', async () => {
    const calls = new Map<StorageCall, number>();
    const storage = new ScriptedStorage(new MemoryStorage(1e9), (call) => {
      calls.set(call, (calls.get(call) ?? 0) + 1);
      return {};
    });
    const { backend } = begin(storage);
    const stream = await created(backend, 's', { retainBytes: 80_000 });
    const { writer } = await stream.acquire();
    for (let i = 0; i < 20; i++) {
      await Promise.all(Array.from({ length: 100 }, () => append(writer, 'x'.repeat(100))));
    }
    // 120,000 bytes went, 10,000 at once.
    expect(calls.get('trim')).toBeLessThanOrEqual(12);
    expect(calls.get('trim')).toBeGreaterThanOrEqual(10);
    await backend.close();
  });

  test('a record that is being written is not overwritten by that of a trim', async () => {
    const memory = new MemoryStorage(1e6);
    let hold: Promise<void> | undefined;
    const storage = new ScriptedStorage(memory, (call) =>
      call === 'write' && hold !== undefined ? { before: () => hold as Promise<void> } : {},
    );
    const { backend } = begin(storage);
    const stream = await created(backend, 's', { retainBytes: 4 }, { text: 'abcd' });
    const { writer } = await stream.acquire();
    const appended = append(writer, 'efgh');
    let release = (): void => {};
    hold = new Promise((resolve) => {
      release = resolve;
    });
    const ended = writer.append([bytes('ijkl')], { end: { kind: 'closed' } });
    await appended;
    expect(await isSettled(ended)).toBe(false);
    expect([...memory.records()]).toMatchObject([{ head: 0, end: undefined }]);
    release();
    await ended;
    await until('it is trimmed', () => [...memory.records()][0]?.head === 8);
    expect([...memory.records()]).toMatchObject([{ end: { kind: 'closed' } }]);
    await backend.close();
  });

  test('what is stored but not acknowledged does not count, however old or large it is', async () => {
    let hold: Promise<void> | undefined;
    const storage = new ScriptedStorage(new MemoryStorage(1e6), (call) =>
      call === 'write' && hold !== undefined ? { after: () => hold as Promise<void> } : {},
    );
    const { backend, clock } = begin(storage);
    const stream = await created(backend, 's', { retainFor: 1000, retainBytes: 3 }, { text: 'abcd' });
    const { writer } = await stream.acquire();
    let release = (): void => {};
    hold = new Promise((resolve) => {
      release = resolve;
    });
    const slow = append(writer, 'efghi');
    await clock.advance(500);
    expect(await stream.state()).toMatchObject({ head: 0, tail: 4 });
    await clock.advance(10_000);
    expect(await stream.state()).toMatchObject({ head: 4, tail: 4 });
    release();
    hold = undefined;
    await slow;
    expect((await stream.state()).tail).toBe(9);
    await clock.advance(3000);
    expect(await stream.state()).toMatchObject({ head: 9, tail: 9 });
    await backend.close();
  });

  test('on closing it stores where streams begin', async () => {
    const memory = new MemoryStorage(1e6);
    memory.close = async () => {};
    const { backend, clock } = begin(memory);
    const stream = await created(backend, 's', { retainFor: 5000 }, { text: 'abcd' });
    await clock.advance(5000);
    await append((await stream.acquire()).writer, 'efgh');
    await clock.advance(3000);
    expect(await stream.state()).toMatchObject({ head: 4, tail: 8 });
    expect([...memory.records()]).toMatchObject([{ head: 0 }]);
    await backend.close();
    expect([...memory.records()]).toMatchObject([{ head: 4 }]);
  });

  test('a stream that could not be removed goes on, and frees what it lets go of', async () => {
    let isBroken = true;
    const storage = new ScriptedStorage(new MemoryStorage(memoryFor(['s'], 3, 12)), (call) =>
      isBroken && call === 'drop' ? { failure: { how: 'reject', reason: new Error('broken') } } : {},
    );
    const { backend } = begin(storage);
    const stream = await created(backend, 's', { retainBytes: 4 }, { text: 'abcd' });
    const { writer } = await stream.acquire();
    const waiting = stream.cursor(4).next();
    await refused(backend.delete('s'), 'ERR_FANPIPE_STORAGE');
    isBroken = false;
    expect(await isSettled(waiting)).toBe(false);
    for (let i = 0; i < 20; i++) await append(writer, 'efgh');
    expect(await waiting).toMatchObject({ offset: 4, next: 8 });
    expect(await contents(stream)).toBe('efgh');
    expect(await backend.delete('s')).toBe(true);
    await backend.close();
  });

  test('a stream that expires while it is being deleted is removed once', async () => {
    let drops = 0;
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const storage = new ScriptedStorage(new MemoryStorage(1e6), (call) => {
      if (call !== 'drop') return {};
      drops++;
      return { before: () => held };
    });
    const { backend, clock } = begin(storage);
    await created(backend, 's', { ttl: 1000 }, { text: 'abcd' });
    const deleted = backend.delete('s');
    await until('it is being removed', () => drops === 1);
    await clock.advance(1000);
    const creation = backend.create('s', { contentType: 't/t' });
    expect(await isSettled(creation)).toBe(false);
    release();
    expect(await deleted).toBe(true);
    expect((await creation).isNew).toBe(true);
    await clock.advance(5000);
    expect(drops).toBe(1);
    expect(await backend.stats()).toEqual({ streams: 1, bytes: 0 });
    await backend.close();
  });

  test('of what is being removed nothing is trimmed, and no alarm is left of it', async () => {
    const calls: StorageCall[] = [];
    let hold: Promise<void> | undefined;
    const storage = new ScriptedStorage(new MemoryStorage(1e6), (call) => {
      calls.push(call);
      if (call === 'trim') return { failure: { how: 'reject', reason: new Error('broken') } };
      return call === 'drop' && hold !== undefined ? { before: () => hold as Promise<void> } : {};
    });
    const { backend, clock } = begin(storage);
    const stream = await created(backend, 's', { retainBytes: 1 }, { text: 'abcd' });
    const { writer } = await stream.acquire();
    await append(writer, 'efgh');
    await until('a trim has failed', () => clock.pending === 1);
    let release = (): void => {};
    hold = new Promise((resolve) => {
      release = resolve;
    });
    const deleted = backend.delete('s');
    await until('it is being removed', () => calls.includes('drop'));
    const trims = calls.filter((call) => call === 'trim').length;
    await clock.advance(5000);
    expect(calls.filter((call) => call === 'trim')).toHaveLength(trims);
    release();
    await deleted;
    expect(clock.pending).toBe(0);
    await backend.close();
  });

  test('a fork that is not made leaves its source as it was', async () => {
    let isBroken = false;
    const storage = new ScriptedStorage(new MemoryStorage(1e6), (call) =>
      isBroken && call === 'write' ? { failure: { how: 'reject', reason: new Error('broken') } } : {},
    );
    const { backend } = begin(storage);
    const source = await created(backend, 'source', {}, { text: 'abc' });
    isBroken = true;
    await refused(forked(source, backend, 'fork', 2), 'ERR_FANPIPE_STORAGE');
    isBroken = false;
    expect(await backend.open('fork')).toBeUndefined();
    await backend.delete('source');
    expect(await backend.open('source')).toBeUndefined();
    expect(await backend.stats()).toEqual({ streams: 0, bytes: 0 });
    await backend.close();
  });
});
