import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { LmdbBackendOptions } from '../../../packages/server/src/backends/lmdb/index.ts';
import { InvalidArgumentError } from '../../../packages/server/src/errors.ts';
import { makeScratch } from './scratch.ts';
import type { StoreFailure } from './store-child.ts';
import { canMount, type StoreProcess } from './store-process.ts';

const MiB = 1024 * 1024;
const FULL = { code: 'ERR_FANPIPE_STORAGE', isFull: true };
const scratch = makeScratch();

interface Filled {
  readonly count: number;
  readonly error: StoreFailure;
}

type Options = Omit<LmdbBackendOptions, 'path'>;

/** Fills it, opens it again, deletes, and fills it again: nothing is lost, and what was deleted makes room. */
async function fillTwice(store: StoreProcess, path: string, size: number, options: Options): Promise<void> {
  await store.call('open', path, options);
  for (const name of ['kept', 'deleted']) await store.call('create', name);
  // In turns, so that what is freed lies between what stays.
  for (let i = 0; i < 4; i++) for (const name of ['kept', 'deleted']) await store.call('append', name, size, 97 + i);
  const kept = 'abcd'.replace(/./g, (letter) => letter.repeat(size));

  const { count, error } = await store.call<Filled>('fill', 'deleted', size, 120);
  expect(error).toMatchObject(FULL);
  expect(error.message).toContain(`There is no room left for the store ${path}`);
  expect(count).toBeGreaterThan(3);
  // Who only reads, closes, or takes over is not disturbed.
  expect(await store.call('read', 'kept')).toBe(kept);
  expect(await store.call('state', 'deleted')).toMatchObject({ tail: (4 + count) * size });
  await store.call('close');
  await store.call('open', path, options);
  expect(await store.call<string>('read', 'deleted')).toBe(kept + 'x'.repeat(count * size));
  expect(await store.call('read', 'kept')).toBe(kept);

  for (let round = 0; round < 3; round++) {
    expect(await store.call('delete', 'deleted')).toBe(true);
    // It is freed by and by.
    await eventually('a stream fits', () => store.call('create', 'deleted'));
    let room = 0;
    for (let patience = 0; room < count * 0.7 && patience < 2000; patience++) {
      const more = await store.call<Filled>('fill', 'deleted', size, 122);
      expect(more.error).toMatchObject(FULL);
      room += more.count;
    }
    expect(room, 'appends that fit again').toBeGreaterThanOrEqual(count * 0.7);
    expect(await store.call('read', 'deleted')).toBe('z'.repeat(room * size));
  }
  expect(await store.call('read', 'kept')).toBe(kept);
  await store.call('close');
}

/** Tries again as long as there is no room. */
async function eventually(what: string, attempt: () => Promise<unknown>): Promise<void> {
  for (let patience = 0; patience < 2000; patience++) {
    try {
      await attempt();
      return;
    } catch (error) {
      expect(error, what).toMatchObject(FULL);
    }
  }
  throw new Error(`It did not come to this: ${what}`);
}

describe('a limit', () => {
  for (const size of [200, 10_000, 250_000]) {
    test(`appends of ${size} bytes`, async () => {
      const path = scratch.folder();
      const maxBytes = (size < 1000 ? 1.5 : 4) * MiB;
      await fillTwice(scratch.process(), path, size, { maxBytes, level: 'os' });
      expect(statSync(join(path, 'data.mdb')).size).toBeLessThan(1.2 * maxBytes);
    });
  }

  test('an append that is too large does no harm to others, and fails alone', async () => {
    const path = scratch.folder();
    const backend = scratch.open(path, { maxBytes: 4 * MiB });
    const writers = [];
    for (const name of ['large', 'small']) {
      const { stream } = await backend.create(name, { contentType: 'text/plain' });
      writers.push((await stream.acquire()).writer);
    }
    const [large, small] = writers as [(typeof writers)[0], (typeof writers)[0]];
    for (let i = 1; i <= 10; i++) {
      const refused = large.append([Buffer.alloc(5 * MiB)]);
      // Behind it there would be a gap.
      const behind = large.append([Buffer.from('b')]);
      const other = small.append([Buffer.from('o')]);
      await expect(refused).rejects.toMatchObject(FULL);
      await expect(behind).rejects.toMatchObject(FULL);
      expect((await other).tail).toBe(i);
      expect((await large.append([Buffer.from('l')])).tail).toBe(i);
    }
  });

  test('streams and facts count too', async () => {
    const backend = scratch.open(scratch.folder(), { maxBytes: MiB, level: 'os' });
    const fill = async (): Promise<void> => {
      for (let i = 0; i < 10_000; i++) await backend.create(`${i}`.padEnd(1000, 'x'), { contentType: 'text/plain' });
    };
    await expect(fill()).rejects.toMatchObject(FULL);
    const { streams } = await backend.stats();
    expect(streams).toBeGreaterThan(50);
    const stream = await backend.open('0'.padEnd(1000, 'x'));
    const { writer } = (await stream?.acquire()) ?? {};
    await expect(writer?.append([], { facts: new Map([['a', 'b'.repeat(500_000)]]) })).rejects.toMatchObject(FULL);
    // To end a stream takes no room.
    await writer?.append([], { end: { kind: 'closed' } });
    expect(await stream?.state()).toMatchObject({ end: { kind: 'closed' } });
  });

  test('must be one', () => {
    for (const maxBytes of [0, -1, 1000, Number.NaN]) {
      expect(() => scratch.open(scratch.folder(), { maxBytes })).toThrow(InvalidArgumentError);
    }
  });
});

// Where a system does not let everybody mount one.
describe.skipIf(!canMount())('a disk', () => {
  for (const size of [200, 10_000, 250_000]) {
    test(`appends of ${size} bytes`, async () => {
      const path = scratch.folder();
      const store = scratch.process({ disk: { path, size: (size < 1000 ? 10 : 12) * MiB } });
      await fillTwice(store, path, size, { level: 'os' });
      // What removals need was left at all times.
      expect(await store.call('free', path)).toBeGreaterThan(6 * MiB);
    });
  }
});
