import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { open } from 'lmdb';
import { describe, expect, test } from 'vitest';
import { StoreInUseError } from '../../../packages/server/src/errors.ts';
import { makeScratch } from './scratch.ts';

const ROUNDS = 20;
const scratch = makeScratch();
const IN_USE = 'ERR_FANPIPE_STORE_IN_USE';

/** Writes who is said to own a store that nobody has open; undefined: nobody. */
async function changeOwner(path: string, change: (owner: Record<string, unknown>) => object): Promise<void> {
  const root = open<Buffer, Buffer>({ path, keyEncoding: 'binary', noSubdir: false, overlappingSync: false });
  const meta = root.openDB<Buffer, Buffer>({ name: 'meta', encoding: 'binary', keyEncoding: 'binary' });
  const key = Buffer.from('owner');
  await meta.put(key, Buffer.from(JSON.stringify(change(JSON.parse(meta.get(key)?.toString() ?? '{}')))));
  await root.close();
}

/** A store whose owner was killed. */
async function abandoned(): Promise<string> {
  const path = scratch.folder();
  const process = scratch.process();
  await process.call('open', path);
  await process.call('create', 'a');
  await process.kill();
  return path;
}

describe('one owner at a time', () => {
  test('a second process is told who has the store, and gets it when that closes it', async () => {
    const path = scratch.folder();
    const [one, other] = [scratch.process(), scratch.process()];
    await one.call('open', path);
    await one.call('create', 'a');
    const message = `The store ${path} is in use by process ${one.pid}: stop that first, or take another folder`;
    await expect(other.call('open', path)).rejects.toMatchObject({ code: IN_USE, message });
    // Having been refused disturbs nobody.
    expect(await one.call('append', 'a', 10, 1)).toBe(10);
    await one.call('close');
    await other.call('open', path);
    expect(await other.call('state', 'a')).toMatchObject({ tail: 10 });
    await expect(one.call('open', path)).rejects.toMatchObject({ code: IN_USE });
  });

  test('a process that was killed leaves the store free', async () => {
    const path = scratch.folder();
    for (let round = 0; round < 3; round++) {
      const process = scratch.process();
      await process.call('open', path);
      expect(await process.call('create', `stream ${round}`)).toBe(true);
      await process.kill();
    }
    const backend = scratch.open(path);
    expect((await backend.stats()).streams).toBe(3);
  });

  test(`of two that race one wins (${ROUNDS} rounds)`, async () => {
    const path = scratch.folder();
    const racers = [scratch.process(), scratch.process()];
    for (let round = 0; round < ROUNDS; round++) {
      const results = await Promise.allSettled(racers.map((racer) => racer.call('open', path)));
      const winners = results.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []));
      expect(winners, `round ${round}`).toHaveLength(1);
      const loser = results.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
      expect(loser.reason).toMatchObject({ code: IN_USE });
      const winner = winners[0] as number;
      expect(await racers[winner]?.call('create', `round ${round}`)).toBe(true);
      if (round % 4 === 3) {
        await racers[winner]?.kill();
        racers[winner] = scratch.process();
      } else await racers[winner]?.call('close');
    }
    expect((await scratch.open(path).stats()).streams).toBe(ROUNDS);
  });

  test('twice in one process, and again after closing', async () => {
    const path = scratch.folder();
    const backend = scratch.open(path);
    expect(() => scratch.open(path)).toThrow(StoreInUseError);
    expect(() => scratch.open(path)).toThrow(`The store ${path} is in use by this process`);
    await backend.close();
    await scratch.open(path).close();
  });

  test('in two threads of one process', async () => {
    const path = scratch.folder();
    const process = scratch.process();
    await process.call('open', path);
    await process.call('close');
    scratch.open(path);
    const source = `
      const { parentPort, workerData } = require('node:worker_threads');
      import(workerData.lmdb).then(({ open }) => {
        const root = open({ path: workerData.path, noSubdir: false, overlappingSync: false });
        parentPort.postMessage(root.tryLock(Buffer.from('owner')));
        return root.close();
      });`;
    const worker = new Worker(source, { eval: true, workerData: { path, lmdb: import.meta.resolve('lmdb') } });
    const isFree = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    expect(isFree).toBe(false);
    await worker.terminate();
  });
});

describe('whether an owner lives', () => {
  test('another process has the number of one that was killed', async () => {
    const path = await abandoned();
    // This process lives, but began at another time.
    await changeOwner(path, (owner) => ({ ...owner, pid: process.ppid }));
    await scratch.open(path).close();
  });

  test('this process has the number of one that was killed, as the first in a container always does', async () => {
    const path = await abandoned();
    await changeOwner(path, (owner) => ({ ...owner, pid: process.pid, host: 'another container' }));
    await scratch.open(path).close();
  });

  test('one that was killed in another container, or before the machine was started again', async () => {
    const path = await abandoned();
    await changeOwner(path, (owner) => ({ ...owner, pid: process.ppid, host: 'another container' }));
    await scratch.open(path).close();
    const again = await abandoned();
    await changeOwner(again, (owner) => ({ ...owner, pid: process.ppid, started: 'another boot' }));
    await scratch.open(again).close();
  });

  test('one that lives in another container is known by what LMDB locks for it', async () => {
    const path = scratch.folder();
    const owner = scratch.process();
    await owner.call('open', path);
    await changeOwner(path, (record) => ({ ...record, host: 'another container', started: 'seen from there' }));
    const message = `The store ${path} is in use by process ${owner.pid} on another container`;
    expect(() => scratch.open(path)).toThrow(message);
    await owner.kill();
    await scratch.open(path).close();
  });

  test('where it cannot be told when a process began, its number decides', async () => {
    const path = await abandoned();
    await changeOwner(path, (owner) => ({ ...owner, pid: process.ppid, started: '' }));
    expect(() => scratch.open(path)).toThrow(StoreInUseError);
  });

  test('what stands there cannot be read', async () => {
    const path = await abandoned();
    await changeOwner(path, () => [1]);
    await scratch.open(path).close();
  });
});

test('the copy of a store is a store of its own, also while the owner of the other lives', async () => {
  const path = scratch.folder();
  const owner = scratch.process();
  await owner.call('open', path);
  await owner.call('create', 'a');
  await owner.call('append', 'a', 1000, 1);
  const copy = join(scratch.folder(), 'copy');
  // Nothing is being written.
  cpSync(path, copy, { recursive: true });
  const backend = scratch.open(copy);
  expect(await (await backend.open('a'))?.state()).toMatchObject({ tail: 1000 });
  // LMDB makes the lock anew.
  const bare = join(scratch.folder(), 'bare');
  cpSync(path, bare, { recursive: true });
  rmSync(join(bare, 'lock.mdb'));
  expect((await scratch.open(bare).stats()).streams).toBe(1);
});
