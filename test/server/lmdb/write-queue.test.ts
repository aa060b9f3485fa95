import { expect, test } from 'vitest';
import type { LmdbStore } from '../../../packages/server/src/backends/lmdb/lmdb-store.ts';
import type { Room } from '../../../packages/server/src/backends/lmdb/room.ts';
import { WriteQueue } from '../../../packages/server/src/backends/lmdb/write-queue.ts';
import { StorageError } from '../../../packages/server/src/errors.ts';
import { outcome, until } from '../backend/rig.ts';

interface Commit {
  readonly done: () => void;
  /** As LMDB's binding does it: the reason comes by another promise. */
  readonly fail: (reason: object) => void;
}

/** A store whose transactions end when and how a test says, and what was put into each. */
function scripted(available = Number.POSITIVE_INFINITY) {
  const commits: Commit[] = [];
  const transactions: string[][] = [];
  const scene = { commits, transactions, isLost: false, available };
  const store = {
    folder: '/nowhere',
    appends: { written() {} },
    root: {
      batch(apply: () => void) {
        transactions.push([]);
        apply();
        return new Promise<boolean>((resolve, reject) => {
          commits.push({
            done: () => resolve(true),
            fail: (reason) => reject({ message: 'Commit failed', commitError: Promise.reject(reason) }),
          });
        });
      },
      transactionSync: (run: () => unknown) => run(),
      getWriteTxnId: () => (scene.isLost ? 0 : 7),
    },
  };
  const room = { available: () => scene.available };
  const queue = new WriteQueue(store as unknown as LmdbStore, room as unknown as Room);
  const run = (name: string, generation = 1, size = 10): Promise<void> =>
    queue.run({ generation, size, apply: () => transactions.at(-1)?.push(name) });
  return { queue, run, scene, commits, transactions };
}

const commitOf = async (commits: Commit[], index: number): Promise<Commit> => {
  await until(`transaction ${index}`, () => commits.length > index);
  return commits[index] as Commit;
};

test('all that comes while a transaction is under way is the next one', async () => {
  const { queue, run, commits, transactions } = scripted();
  const first = [run('a'), run('b', 2)];
  (await commitOf(commits, 0)).done();
  await Promise.all(first);
  const second = run('c');
  const commit = await commitOf(commits, 1);
  const third = [run('d'), run('e'), run('f')];
  let isSettled = false;
  void queue.settled().then(() => (isSettled = true));
  commit.done();
  await second;
  expect(isSettled).toBe(false);
  (await commitOf(commits, 2)).done();
  await Promise.all(third);
  await queue.settled();
  expect(transactions).toEqual([['a', 'b'], ['c'], ['d', 'e', 'f']]);
});

test('a transaction has so many bytes and no more, and the order stays', async () => {
  const { run, commits, transactions } = scripted();
  const runs = ['a', 'b', 'c', 'd'].map((name) => run(name, 1, 9 * 1024 * 1024));
  for (let i = 0; i < 2; i++) (await commitOf(commits, i)).done();
  await Promise.all(runs);
  expect(transactions).toEqual([
    ['a', 'b'],
    ['c', 'd'],
  ]);
});

test('what fails takes with it all that waits, says why, and what comes then is written', async () => {
  const { run, commits, transactions } = scripted();
  const failing = [run('a'), run('b', 2)];
  const commit = await commitOf(commits, 0);
  const waiting = run('c');
  commit.fail({ message: 'No space left on device', code: 28 });
  for (const rejected of [...failing, waiting]) {
    await expect(rejected).rejects.toMatchObject({
      code: 'ERR_FANPIPE_STORAGE',
      isFull: true,
      message: 'There is no room left for the store /nowhere: No space left on device',
    });
  }
  const next = run('d');
  (await commitOf(commits, 1)).done();
  await next;
  expect(transactions).toEqual([['a', 'b'], ['d']]);
});

test('other failures are not for want of room', async () => {
  const { run, commits } = scripted();
  const failing = run('a');
  (await commitOf(commits, 0)).fail({ message: 'Bad file descriptor', code: 9 });
  await expect(failing).rejects.toMatchObject({ isFull: false, message: /^Writing or reading failed in the store/ });
});

test('when it cannot be told what is stored, nothing is written any more', async () => {
  const { queue, run, scene, commits } = scripted();
  scene.isLost = true;
  const failing = run('a');
  (await commitOf(commits, 0)).fail({ message: 'Input/output error', code: 5 });
  await expect(failing).rejects.toMatchObject({ isFull: false });
  await expect(run('b')).rejects.toThrow(/takes no more writes until it is opened again, after this: .*Input/);
  await queue.settled();
  expect(commits).toHaveLength(1);
});

test('a task that throws is a transaction of which nobody knows what is in it', async () => {
  const { queue, run } = scripted();
  const apply = (): void => {
    throw new TypeError('no');
  };
  await expect(queue.run({ generation: 1, size: 1, apply })).rejects.toBeInstanceOf(StorageError);
  await expect(run('b')).rejects.toThrow(/takes no more writes/);
});

test('what does not fit is refused, with what follows for the same stream; all else is written', async () => {
  const { run, scene, commits, transactions } = scripted(5000);
  const runs = [run('a', 1, 100), run('large', 2, 100_000), run('behind', 2, 0), run('b', 1, 100), run('trim', 0, 0)];
  const outcomes = Promise.all(runs.map(outcome));
  (await commitOf(commits, 0)).done();
  expect(await outcomes).toEqual(['done', 'ERR_FANPIPE_STORAGE', 'ERR_FANPIPE_STORAGE', 'done', 'done']);
  expect(transactions).toEqual([['a', 'b', 'trim']]);
  scene.available = 1_000_000;
  const again = run('large', 2, 100_000);
  (await commitOf(commits, 1)).done();
  await again;
});

test('where nothing fits at all, what needs no room goes on', async () => {
  const { queue, run, commits, transactions } = scripted(-1);
  const [refused, removal] = [outcome(run('a')), run('removal', 0, 0)];
  (await commitOf(commits, 0)).done();
  await removal;
  expect(await refused).toBe('ERR_FANPIPE_STORAGE');
  // A transaction without anything is none.
  expect(await outcome(run('b'))).toBe('ERR_FANPIPE_STORAGE');
  await queue.settled();
  expect(transactions).toEqual([['removal']]);
});
