import { readFileSync, readlinkSync, type Stats } from 'node:fs';
import { hostname } from 'node:os';
import type { Database, RootDatabase } from 'lmdb';
import { StoreInUseError } from '../../errors.ts';

const OWNER = Buffer.from('owner');

interface Owner {
  readonly pid: number;
  /** When the process began, as the system counts; empty where that cannot be told. */
  readonly started: string;
  readonly host: string;
  /** Device and number of the file, so that the owner of a store is not taken for that of its copy. */
  readonly file: string;
}

/** What LMDB's binding has, and its types have not. */
interface Lockable {
  /** Whether this thread has it now; false if any of the process has it. Free again when the store is closed. */
  tryLock(key: Buffer): boolean;
}

/**
 * Lets one owner at a time have a store.
 *
 * Who that is stands in the store, and is read and written in one transaction, which LMDB lets only one process have. A process that was
 * killed leaves its name there, and is recognised by two things: the system knows no such process any more that began at that time; and it
 * no longer holds the lock that LMDB takes for each process that reads. The latter is seen from another container too.
 */
export class StoreLock {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #path: string;
  #meta: Database<Buffer, Buffer> | undefined;

  /** Nothing must have been read yet. @throws StoreInUseError */
  constructor(root: RootDatabase<Buffer, Buffer>, path: string) {
    this.#root = root;
    this.#path = path;
    if (!(root as unknown as Lockable).tryLock(OWNER)) throw new StoreInUseError(path, 'this process');
    // One of the same number, in another container. LMDB would not let this one read beside it.
    if (readersOf(root).has(process.pid)) throw new StoreInUseError(path, `another process ${process.pid}`);
  }

  /** `file` is the store's. @throws StoreInUseError */
  acquire(meta: Database<Buffer, Buffer>, file: Stats): void {
    const self: Owner = {
      pid: process.pid,
      started: startOf(process.pid),
      host: hostname(),
      file: `${file.dev}:${file.ino}`,
    };
    const other = this.#root.transactionSync(() => {
      const owner = ownerIn(meta);
      if (owner !== undefined && isAlive(owner, self, readersOf(this.#root))) return owner;
      meta.put(OWNER, Buffer.from(JSON.stringify(self)));
      return undefined;
    });
    if (other !== undefined) {
      const where = other.host === self.host ? '' : ` on ${other.host}`;
      throw new StoreInUseError(this.#path, `process ${other.pid}${where}`);
    }
    this.#meta = meta;
  }

  release(): void {
    this.#root.transactionSync(() => {
      this.#meta?.remove(OWNER);
    });
  }
}

function ownerIn(meta: Database<Buffer, Buffer>): Owner | undefined {
  const stored = meta.get(OWNER);
  if (stored === undefined) return undefined;
  try {
    return JSON.parse(stored.toString()) as Owner;
  } catch {
    return undefined;
  }
}

function isAlive(owner: Owner, self: Owner, readers: ReadonlySet<number>): boolean {
  // No other thread of this process has it, and no other process of that number lives: so that left it there.
  if (owner.pid === self.pid) return false;
  if (readers.has(owner.pid)) return true;
  // Its processes cannot be seen from here.
  if (owner.host !== self.host || owner.file !== self.file) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return owner.started === '' || owner.started === startOf(owner.pid);
}

/** Processes that LMDB has among its readers; when the store was opened it has struck off those that are gone. */
function readersOf(root: RootDatabase<Buffer, Buffer>): Set<number> {
  const lines = root.readerList().split('\n');
  return new Set(lines.map((line) => Number.parseInt(line, 10)).filter((pid) => !Number.isNaN(pid)));
}

/** The time at which a process began, in ticks, with the start of the system that they count from and the numbering of processes. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const numbering = readlinkSync('/proc/self/ns/pid');
    // The name of the program stands in parentheses and may hold anything; the 22nd field is the 20th after it.
    return `${boot} ${numbering} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
  } catch {
    return '';
  }
}
