import { ABORT } from 'lmdb';
import { StorageError } from '../../errors.ts';
import type { LmdbStore } from './lmdb-store.ts';
import { type Room, roomFor } from './room.ts';
import { storageFailure } from './storage-failure.ts';

/** A transaction takes no more tasks when it has so many bytes. */
const BYTES_AT_ONCE = 16 * 1024 * 1024;

export interface WriteTask {
  /** Of the stream: what is called after a write of it that fails, and before that is known, fails too. 0: of none. */
  readonly generation: number;
  /** By about so many bytes the store grows. */
  readonly size: number;
  /** Puts and removes, in the transaction that is being made. Must not throw. */
  readonly apply: () => void;
}

interface Waiting extends WriteTask {
  readonly resolve: () => void;
  readonly reject: (reason: StorageError) => void;
}

/**
 * Writes to the store, one transaction after the other. All that comes while one is under way is the next one, so that many writers share
 * what the disk costs. There is never a second one under way: it might be taken where the first was refused, and would stand behind a gap.
 *
 * When a transaction fails nothing of it is in the store, and all that waits fails with it. When it cannot be told what is in the store,
 * everything fails from there on, until it is opened anew.
 */
export class WriteQueue {
  readonly #store: LmdbStore;
  readonly #room: Room;
  readonly #next = (): void => void this.#commit();
  #waiting: Waiting[] = [];
  #isBusy = false;
  #idle: (() => void)[] = [];
  #broken: StorageError | undefined;

  constructor(store: LmdbStore, room: Room) {
    this.#store = store;
    this.#room = room;
  }

  /** Does it in one of the next transactions; resolves when that is as safe as the store makes it. Rejects with `StorageError`. */
  run(task: WriteTask): Promise<void> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...task, resolve, reject });
      if (this.#isBusy) return;
      this.#isBusy = true;
      // What comes in the same turn of the event loop comes along.
      setImmediate(this.#next);
    });
  }

  /** Resolves when nothing is under way and nothing waits. */
  settled(): Promise<void> {
    return this.#isBusy ? new Promise((resolve) => this.#idle.push(resolve)) : Promise.resolve();
  }

  async #commit(): Promise<void> {
    let tasks: readonly Waiting[] = [];
    let isApplied = false;
    try {
      tasks = this.#take();
      if (tasks.length === 0) return this.#goOn();
      // Its own promise is the only one that tells a failure: those of its parts are resolved from the start.
      const commit = this.#store.root.batch(() => {
        for (const { apply } of tasks) apply();
      });
      isApplied = true;
      await commit;
      this.#store.appends.written();
      for (const { resolve } of tasks) resolve();
    } catch (cause) {
      const failure = await storageFailure(cause, this.#store.folder);
      this.#store.appends.written();
      if (!isApplied || this.#isLost()) this.#broken = brokenBy(failure, this.#store.folder);
      for (const { reject } of [...tasks, ...this.#waiting.splice(0)]) reject(failure);
    }
    this.#goOn();
  }

  #goOn(): void {
    if (this.#waiting.length > 0) {
      setImmediate(this.#next);
      return;
    }
    this.#isBusy = false;
    for (const tell of this.#idle.splice(0)) tell();
  }

  #take(): readonly Waiting[] {
    const waiting = this.#waiting;
    let count = 0;
    let bytes = 0;
    let needed = 0;
    for (; count < waiting.length && bytes < BYTES_AT_ONCE; count++) {
      const { size } = waiting[count] as Waiting;
      bytes += size;
      needed += roomFor(size);
    }
    if (needed > 0) {
      const available = this.#room.available(needed);
      if (needed > available) this.#refuse(available);
    }
    if (count < waiting.length) return this.#waiting.splice(0, count);
    const tasks = this.#waiting;
    this.#waiting = [];
    return tasks;
  }

  /** What does not fit fails, and what was called after it for the same stream. */
  #refuse(available: number): void {
    const refused = new Set<number>();
    let left = available;
    const tasks = this.#waiting;
    this.#waiting = tasks.filter(({ generation, size, reject }) => {
      const needed = roomFor(size);
      if (!refused.has(generation) && (needed === 0 || needed <= left)) {
        left -= needed;
        return true;
      }
      if (generation > 0) refused.add(generation);
      const message = `There is no room left for the store ${this.#store.folder}: ${size} bytes more do not fit`;
      reject(new StorageError(message, { isFull: true }));
      return false;
    });
  }

  /** LMDB takes no more transactions when it could not write which pages are the newest. It would keep a write waiting for ever. */
  #isLost(): boolean {
    const { root } = this.#store;
    let id = 0;
    try {
      root.transactionSync(() => {
        id = root.getWriteTxnId();
        return ABORT;
      });
    } catch {
      return true;
    }
    return id === 0;
  }
}

function brokenBy(failure: StorageError, folder: string): StorageError {
  const message = `The store ${folder} takes no more writes until it is opened again, after this: ${failure.message}`;
  return new StorageError(message, { cause: failure });
}
