import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { ServerError, StorageError } from '../../errors.ts';
import { AppendTable } from './append-table.ts';
import { checkFile } from './check-file.ts';
import { StoreLock } from './store-lock.ts';

/** Changes when what is stored is read in another way. */
const FORMAT = 1;
const FORMAT_KEY = Buffer.from('format');

type Bytes = Database<Buffer, Buffer>;

export interface LmdbStoreOptions {
  readonly path: string;
  /** Without it nothing waits for the disk. */
  readonly isSynced: boolean;
}

/** What LMDB's binding has, and its types have not. */
interface Syncable {
  sync(callback: (error?: unknown) => void): void;
}

/** An LMDB environment in a folder, with the databases of a store, owned by this process. */
export class LmdbStore {
  /** As the system calls it. */
  readonly folder: string;
  readonly root: RootDatabase<Buffer, Buffer>;
  readonly streams: Bytes;
  readonly appends: AppendTable;
  readonly facts: Bytes;
  readonly removals: Bytes;
  readonly meta: Bytes;
  readonly #lock: StoreLock;
  readonly #isSynced: boolean;

  /** @throws StoreInUseError, StorageError */
  constructor({ path, isSynced }: LmdbStoreOptions) {
    this.#isSynced = isSynced;
    this.folder = folderAt(path);
    this.root = openRoot(this.folder, path, isSynced);
    try {
      this.#lock = new StoreLock(this.root, path);
      checkOrigin(this.root, path);
      this.meta = this.#database('meta');
      checkFormat(this.meta, path);
      this.#lock.acquire(this.meta, statSync(join(this.folder, 'data.mdb')));
      this.streams = this.#database('streams');
      this.appends = new AppendTable(this.root);
      this.facts = this.#database('facts');
      this.removals = this.#database('removals');
      this.root.transactionSync(() => {
        this.meta.put(FORMAT_KEY, Buffer.from(String(FORMAT)));
      });
      // What is in a file survives only if the file does.
      if (isSynced) for (const folder of [this.folder, dirname(this.folder)]) syncFolder(folder);
    } catch (error) {
      void this.root.close();
      throw error instanceof ServerError ? error : openingFailure(path, error);
    }
  }

  /** Nothing must be under way. */
  async close(): Promise<void> {
    try {
      this.#lock.release();
    } catch {
      // A process that has gone owns nothing, whatever stands there.
    }
    if (!this.#isSynced) await new Promise<unknown>((resolve) => (this.root as unknown as Syncable).sync(resolve));
    await this.root.close();
  }

  #database(name: string): Bytes {
    return this.root.openDB<Buffer, Buffer>({ name, encoding: 'binary', keyEncoding: 'binary' });
  }
}

/** Makes the folder. @throws StorageError */
function folderAt(path: string): string {
  try {
    makeFolder(resolve(path));
    return realpathSync(path);
  } catch (cause) {
    throw openingFailure(path, cause);
  }
}

/** Level by level: `mkdirSync` with `recursive` of Node 20 never comes back where a folder is there in which none can be made (`/proc/a`). */
function makeFolder(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && statSync(path).isDirectory()) return;
    const above = dirname(path);
    if (code !== 'ENOENT' || existsSync(above)) throw error;
    makeFolder(above);
    makeFolder(path);
  }
}

function openRoot(folder: string, path: string, isSynced: boolean): RootDatabase<Buffer, Buffer> {
  try {
    checkFile(join(folder, 'data.mdb'), path);
    return open<Buffer, Buffer>({
      path: folder,
      keyEncoding: 'binary',
      maxDbs: 8,
      noSubdir: false,
      // A commit is what LMDB calls one: nothing of it is to be seen before the disk has it, and nothing at all where that fails.
      overlappingSync: false,
      noSync: !isSynced,
      // Its own batches have promises that nobody holds, so that a failure would end the process.
      eventTurnBatching: false,
    });
  } catch (cause) {
    throw cause instanceof StorageError ? cause : openingFailure(path, cause);
  }
}

function checkOrigin(root: RootDatabase<Buffer, Buffer>, path: string): void {
  // They end in a zero byte.
  const names = [...root.getKeys({})].map((key) => key.toString().replaceAll('\0', ''));
  if (names.length === 0 || names.includes('meta')) return;
  throw new StorageError(`The store ${path} is an LMDB store of another program: take another folder`);
}

function checkFormat(meta: Bytes, path: string): void {
  const stored = meta.get(FORMAT_KEY)?.toString() ?? String(FORMAT);
  if (stored === String(FORMAT)) return;
  throw new StorageError(`The store ${path} has format ${stored}; this version reads format ${FORMAT} only`);
}

function openingFailure(path: string, cause: unknown): StorageError {
  return new StorageError(`The store ${path} cannot be opened: ${(cause as Error).message}`, { cause });
}

/** Not every system can. */
function syncFolder(path: string): void {
  try {
    const folder = openSync(path, 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  } catch {
    // Then the system takes care of it.
  }
}
