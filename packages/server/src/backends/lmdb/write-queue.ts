import { ABORT, type RootDatabase } from 'lmdb';
import type { StorageError } from '../../errors.ts';
import { storageFailure } from './storage-failure.ts';

/** A transaction takes no more tasks when it has so many bytes. */
const BYTES_AT_ONCE = 16 * 1024 * 1024;

interface Task {
  readonly size: number;
  readonly apply: () => void;
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
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #folder: string;
  readonly #written: () => void;
  readonly #next = (): void => void this.#commit();
  #waiting: Task[] = [];
  #isBusy = false;
  #idle: (() => void)[] = [];
  #broken: StorageError | undefined;

  /** `written` is called after each transaction, whatever became of it. */
  constructor(root: RootDatabase<Buffer, Buffer>, folder: string, written: () => void) {
    this.#root = root;
    this.#folder = folder;
    this.#written = written;
  }

  /** Set when nothing can be written until the store is opened anew. */
  get broken(): StorageError | undefined {
    return this.#broken;
  }

  /**
   * Has `apply` put and remove what it wants in one of the next transactions; resolves when that is as safe as the store makes it. `size`:
   * about how many bytes these are. Rejects with `StorageError`.
   */
  run(size: number, apply: () => void): Promise<void> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ size, apply, resolve, reject });
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
    const tasks = this.#take();
    let isApplied = false;
    try {
      // Its own promise is the only one that tells a failure: the others are resolved from the start.
      const commit = this.#root.batch(() => {
        for (const { apply } of tasks) apply();
      });
      isApplied = true;
      await commit;
      this.#written();
      for (const { resolve } of tasks) resolve();
    } catch (cause) {
      const failure = await storageFailure(cause, this.#folder);
      this.#written();
      if (!isApplied || this.#isLost()) this.#broken = failure;
      for (const { reject } of [...tasks, ...this.#waiting.splice(0)]) reject(failure);
    }
    if (this.#waiting.length > 0) {
      setImmediate(this.#next);
      return;
    }
    this.#isBusy = false;
    for (const tell of this.#idle.splice(0)) tell();
  }

  #take(): Task[] {
    const waiting = this.#waiting;
    let count = 0;
    for (let bytes = 0; count < waiting.length && bytes < BYTES_AT_ONCE; count++)
      bytes += (waiting[count] as Task).size;
    if (count < waiting.length) return waiting.splice(0, count);
    this.#waiting = [];
    return waiting;
  }

  /** LMDB takes no more transactions when it could not write which pages are the newest. It would keep a write waiting forever. */
  #isLost(): boolean {
    let id = 0;
    try {
      this.#root.transactionSync(() => {
        id = this.#root.getWriteTxnId();
        return ABORT;
      });
    } catch {
      return true;
    }
    return id === 0;
  }
}
