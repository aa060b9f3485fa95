/**
 * A store that fails. One scene is played again and again, and each time another call of the storage fails; what fails is tried again,
 * so it must come to the same every time.
 */
import { describe, expect, test } from 'vitest';
import type { BackendCursor, BackendStream } from '../../../packages/server/src/backends/backend.ts';
import { LocalBackend } from '../../../packages/server/src/backends/index.ts';
import { MemoryStorage } from '../../../packages/server/src/backends/memory/memory-storage.ts';
import { ServerError, StorageError } from '../../../packages/server/src/errors.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import {
  append,
  bytes,
  contents,
  created,
  EPOCH,
  forked,
  hops,
  memoryFor,
  nextOf,
  opened,
  outcome,
  until,
} from './rig.ts';
import { ScriptedStorage, type StorageCall, type Verdict } from './scripted-storage.ts';

const TRIES = 4;

class Stage {
  readonly clock = new FakeClock();
  readonly memory = new MemoryStorage(2e6);
  readonly backend: LocalBackend;
  readonly failures: unknown[] = [];
  /** Calls so far, and what becomes of one. */
  calls = 0;
  judge: (call: StorageCall, n: number) => Verdict = () => ({});

  constructor() {
    const storage = new ScriptedStorage(this.memory, (call) => this.judge(call, ++this.calls));
    this.backend = new LocalBackend(storage, { clock: this.clock, time: () => EPOCH + this.clock.now() });
  }

  /** Until it does not fail for a reason of the store. */
  async insist<T>(run: () => Promise<T>): Promise<T> {
    for (let i = 0; ; i++) {
      try {
        return await run();
      } catch (error) {
        this.failures.push(error);
        if (!(error instanceof StorageError) || i === TRIES) throw error;
      }
    }
  }

  /** Appends all of them in their order: from the first that failed on, again. Says what was acknowledged, in its order. */
  async appendAll(stream: BackendStream, texts: readonly string[], facts = false): Promise<void> {
    const { writer } = await this.insist(() => stream.acquire());
    let done = 0;
    await this.insist(async () => {
      const first = done;
      const all = texts
        .slice(first)
        .map((text, i) => writer.append([bytes(text)], facts ? { facts: new Map([['n', `${first + i}`]]) } : {}));
      const results = await Promise.allSettled(all);
      const taken = results.filter(({ status }) => status === 'fulfilled').length;
      // The acknowledged ones are a prefix, and what failed is not visible.
      expect(results.slice(0, taken).every(({ status }) => status === 'fulfilled')).toBe(true);
      const before = done;
      done += taken;
      const { tail } = await stream.state();
      if (taken > 0) expect(results[taken - 1]).toMatchObject({ value: { tail } });
      expect(texts.slice(before, done).join('').length).toBeLessThanOrEqual(tail);
      const failed = results[taken];
      if (failed?.status === 'rejected') throw failed.reason;
    });
  }

  async read(cursor: BackendCursor, count: number): Promise<string> {
    let text = '';
    while (text.length < count) text += await this.insist(() => nextOf(cursor, 4));
    return text;
  }

  /** Everything that can be seen. */
  async shown(): Promise<unknown> {
    const { backend } = this;
    const seen: unknown[] = [];
    for await (const { name, createdAt: _, generation: __, inherited, ...state } of backend.list()) {
      const stream = await opened(backend, name);
      const text = await this.insist(() => contents(stream));
      const { facts } = await this.insist(() => stream.acquire());
      const kept = { tail: this.memory.tail(stream.generation), parts: inherited.length };
      seen.push({ name, ...state, config: state.config.fork?.offset, text, facts: [...facts], kept });
    }
    return { seen, stats: await backend.stats(), records: [...this.memory.records()].length };
  }
}

/** What is played. */
async function play(stage: Stage): Promise<unknown> {
  const { backend, clock } = stage;
  const a = await stage.insist(() => created(backend, 'a', { retainBytes: 16 }, { text: 'abc' }));
  const waiting = stage.read(a.cursor(3), 9);
  await stage.appendAll(a, ['de', 'fgh', 'ij', 'kl'], true);
  expect(await waiting).toBe('defghijkl');
  const fork = await stage.insist(() => forked(a, backend, 'fork', 6, { retainFor: 60_000 }));
  await stage.appendAll(fork, ['FF', 'GG']);
  await stage.appendAll(a, ['mnop', 'qrst', 'uvwx', 'yz']);
  expect(await stage.read(fork.cursor(0), 10)).toBe('abcdefFFGG');
  await stage.insist(() => created(backend, 'short', { ttl: 3000 }, { text: 'xyz' }));
  const aging = await stage.insist(() => created(backend, 'aging', { retainFor: 2000 }, { text: 'old' }));
  await stage.appendAll(aging, ['er']);
  await clock.advance(2000);
  aging.touch();
  (await backend.open('short'))?.touch();
  await stage.appendAll(aging, ['new']);
  await clock.advance(1500);
  (await stage.insist(() => backend.open('short')))?.touch();
  await settle();
  await clock.advance(12_000);
  await stage.insist(() => backend.delete('a'));
  const ended = await stage.insist(() => created(backend, 'ended', {}, { text: '123' }));
  const { writer } = await stage.insist(() => ended.acquire());
  await stage.insist(() => writer.append([bytes('45')], { end: { kind: 'failed', reason: 'r' } }));
  const other = await stage.insist(() => created(backend, 'other', { retainBytes: 4 }));
  await stage.appendAll(other, ['abcd', 'efgh', 'ijkl']);
  // Retention that failed is tried again a moment later.
  await clock.advance(5000);
  const early = await stage.shown();
  await stage.insist(() => backend.delete('fork'));
  await clock.advance(5000);
  await stage.insist(() => created(backend, 'a', {}, { text: 'again' }));
  return [early, await stage.shown()];
}

/** In bounded time. */
async function inTime<T>(what: string, promise: Promise<T>): Promise<T> {
  let result: { readonly value: T } | { readonly error: unknown } | undefined;
  promise.then(
    (value) => {
      result = { value };
    },
    (error) => {
      result = { error };
    },
  );
  await until(what, () => result !== undefined);
  if (result !== undefined && 'value' in result) return result.value;
  throw result?.error;
}

async function unbroken(): Promise<{ readonly calls: number; readonly shown: unknown }> {
  const stage = new Stage();
  const shown = await play(stage);
  const { calls } = stage;
  await stage.backend.close();
  expect(stage.failures).toEqual([]);
  expect(calls).toBeGreaterThan(60);
  return { calls, shown };
}

describe('a store whose nth call fails', () => {
  for (const how of ['throw', 'reject'] as const) {
    for (const inRow of [1, 3]) {
      test(`${how === 'throw' ? 'throwing' : 'rejecting'}, ${inRow} in a row`, async () => {
        const { calls, shown } = await unbroken();
        for (let n = 1; n <= calls; n++) {
          const stage = new Stage();
          let failed = 0;
          stage.judge = (_call, at) => {
            if (at < n || at >= n + inRow) return {};
            failed++;
            return { failure: { how, reason: at % 2 === 0 ? new Error('broken') : new StorageError('broken') } };
          };
          const found = await inTime(`the scene with call ${n} failing`, play(stage));
          expect(failed, `call ${n}`).toBe(Math.min(inRow, stage.calls - n + 1));
          expect(found, `after call ${n} failed`).toEqual(shown);
          for (const failure of stage.failures) expect(failure).toBeInstanceOf(StorageError);
          await stage.backend.close();
        }
      });
    }
  }

  test('all calls of one kind, for a while: reads, trims, drops', async () => {
    for (const kind of ['read', 'trim', 'drop', 'retainFrom'] as const) {
      const stage = new Stage();
      const { backend, clock } = stage;
      const stream = await created(backend, 's', { retainBytes: 8 }, { text: 'abcd' });
      await created(backend, 't', { ttl: 1000 }, { text: 'abcd' });
      const failure = { how: 'reject', reason: new Error('broken') } as const;
      stage.judge = (call) => (call === kind ? { failure } : {});
      await stage.appendAll(stream, ['efgh', 'ijkl', 'mnop', 'qrst']);
      if (kind === 'read') await expect(stream.cursor(14).next()).rejects.toBeInstanceOf(StorageError);
      if (kind === 'drop') await expect(backend.delete('s')).rejects.toBeInstanceOf(StorageError);
      await clock.advance(5000);
      stage.judge = () => ({});
      await clock.advance(3000);
      // What could not be let go, freed or removed goes by itself.
      expect(await stream.state()).toMatchObject({ head: 12, tail: 20 });
      expect(await contents(stream)).toBe('mnopqrst');
      expect(await backend.stats()).toEqual({ streams: 1, bytes: 8 });
      expect([...stage.memory.records()]).toHaveLength(1);
      // There is room for all the rest.
      await created(backend, 'rest', {}, { text: 'x'.repeat(1e6 - 8) });
      await backend.delete('rest');
      expect(await backend.delete('s')).toBe(true);
      expect([...stage.memory.records()]).toHaveLength(0);
      await backend.close();
    }
  });
});

describe('what fails', () => {
  test('takes with it what was called after it and before it was known, and nothing else', async () => {
    for (const at of [0, 1, 4]) {
      for (const steps of [0, 1, 2, 5]) {
        const stage = new Stage();
        const stream = await created(stage.backend, 's');
        const { writer } = await stream.acquire();
        let count = 0;
        stage.judge = (call) => {
          if (call !== 'write' || count++ !== at) return {};
          return { failure: { how: 'reject', reason: new Error('broken') }, before: () => hops(steps) };
        };
        const results = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((text) => outcome(append(writer, text))));
        expect(results).toEqual(results.map((_, i) => (i < at ? 'done' : 'ERR_FANPIPE_STORAGE')));
        expect(await append(writer, 'x')).toMatchObject({ offset: at });
        expect(await contents(stream)).toBe(`${'abcdef'.slice(0, at)}x`);
      }
    }
  });

  test('an end that fails is none, and the writer that failed to take over did not', async () => {
    const stage = new Stage();
    const stream = await created(stage.backend, 's', {}, { text: 'a' });
    const { writer } = await stream.acquire();
    const waiting = stream.cursor(1).next();
    const broken: Verdict = { failure: { how: 'reject', reason: new Error('broken') } };
    stage.judge = () => broken;
    expect(await outcome(writer.append([bytes('b')], { end: { kind: 'closed' } }))).toBe('ERR_FANPIPE_STORAGE');
    expect(await outcome(stream.acquire())).toBe('ERR_FANPIPE_STORAGE');
    stage.judge = () => ({});
    expect((await stream.state()).end).toBeUndefined();
    await append(writer, 'c');
    expect(await waiting).toMatchObject({ offset: 1, next: 2 });
    const { writer: next } = await stream.acquire();
    expect(next.epoch).toBe(writer.epoch + 1);
  });

  test('in the middle of memory that is full: nothing is in a wrong place', async () => {
    const clock = new FakeClock();
    const room = memoryFor(['s', 't'], 2, 10);
    const backend = new LocalBackend(new MemoryStorage(room), { clock, time: () => EPOCH + clock.now() });
    const stream = await created(backend, 's', { retainFor: 1000 });
    await created(backend, 't');
    const { writer } = await stream.acquire();
    const texts = ['abc', 'defghijklmn', 'o', 'p'];
    const results = await Promise.allSettled(texts.map((text) => append(writer, text)));
    expect(results[0]).toMatchObject({ status: 'fulfilled' });
    for (const result of results.slice(1)) {
      expect(result).toMatchObject({ reason: { code: 'ERR_FANPIPE_STORAGE', isFull: true } });
    }
    await append(writer, 'opqrstu');
    expect(await contents(stream)).toBe('abcopqrstu');
    expect(await outcome(append(writer, 'v'))).toBe('ERR_FANPIPE_STORAGE');
    await backend.delete('t');
    expect(await outcome(created(backend, 't', {}, { text: 'v' }))).toBe('ERR_FANPIPE_STORAGE');
    expect(await backend.open('t')).toBeUndefined();
    await created(backend, 't');
    expect(await outcome(created(backend, 'u'))).toBe('ERR_FANPIPE_STORAGE');
    await clock.advance(4000);
    expect(await backend.stats()).toEqual({ streams: 2, bytes: 0 });
    expect(await append(writer, '0123456789')).toMatchObject({ offset: 10 });
    expect(await outcome(append(writer, 'x'.repeat(17)))).toBe('ERR_FANPIPE_STORAGE');
    // An end always fits.
    await writer.append([], { end: { kind: 'closed' }, facts: new Map([['closer', 'me']]) });
    await backend.delete('s');
    await created(backend, 's', {}, { text: '0123456789' });
    await backend.close();
  });
});

describe('a store that never answers until it is closed', () => {
  /** Begins everything there is, and does not wait for it. */
  async function begin(stage: Stage): Promise<Promise<unknown>[]> {
    const { backend, clock } = stage;
    const all: Promise<unknown>[] = [];
    const go = async (run: () => Promise<unknown>): Promise<void> => {
      const done = run();
      done.catch(() => {});
      all.push(done);
      for (let i = 0; i < 3; i++) await settle();
    };
    await go(() => created(backend, 's', { retainBytes: 4, ttl: 5000 }, { text: 'abc' }));
    await go(() => created(backend, 'source', {}, { text: 'abc' }));
    await go(async () => {
      const stream = await opened(backend, 's');
      const { writer } = await stream.acquire();
      all.push(append(writer, 'd'), append(writer, 'efgh'), stream.acquire(), stream.cursor(8).next());
      for (const promise of all.slice(-4)) promise.catch(() => {});
      await Promise.all(all.slice(-4));
    });
    await go(async () => forked(await opened(backend, 'source'), backend, 'fork', 2));
    await go(() => backend.delete('source'));
    await go(() => backend.delete('fork'));
    await go(() => backend.delete('s'));
    await go(() => backend.create('s', { contentType: 't/t' }));
    await clock.advance(6000);
    return all;
  }

  test('whichever call it is, closing ends all of it', async () => {
    const usual = new Stage();
    await begin(usual);
    const { calls } = usual;
    await usual.backend.close();
    expect(calls).toBeGreaterThan(10);
    for (let n = 1; n <= calls; n++) {
      const stage = new Stage();
      let release = (): void => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      stage.judge = (_call, at) => (at === n ? { before: () => released } : {});
      const all = await begin(stage);
      const closed = stage.backend.close();
      await stage.clock.advance(9999);
      await stage.clock.advance(1);
      // Everything has been told, though the store has not answered yet.
      const results = await inTime(`everything is told, call ${n}`, Promise.allSettled(all));
      for (const result of results) {
        if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(ServerError);
      }
      release();
      await inTime(`it is closed, call ${n}`, closed);
      expect(stage.clock.pending).toBe(0);
    }
  });
});
