import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Database, RootDatabase } from 'lmdb';
import { StoreInUseError } from '../../errors.ts';

const OWNER = Buffer.from('owner');

interface Owner {
  readonly pid: number;
  /** When the process began, as the system counts; empty where that cannot be told. */
  readonly started: string;
  readonly host: string;
}

/**
 * Lets one process at a time own a store. Who owns it stands in the store, and is read and written in one transaction, which LMDB lets only
 * one process have. An owner that was killed is recognised by its number and the time it began, so that the next start needs no help.
 */
export class StoreLock {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #meta: Database<Buffer, Buffer>;

  /** @throws StoreInUseError */
  constructor(root: RootDatabase<Buffer, Buffer>, meta: Database<Buffer, Buffer>, path: string) {
    this.#root = root;
    this.#meta = meta;
    const other = root.transactionSync(() => {
      const owner = ownerIn(meta);
      if (owner !== undefined && isAlive(owner)) return owner;
      const self: Owner = { pid: process.pid, started: startOf(process.pid), host: hostname() };
      meta.put(OWNER, Buffer.from(JSON.stringify(self)));
      return undefined;
    });
    if (other !== undefined) {
      const where = other.host === hostname() ? '' : ` on ${other.host}`;
      throw new StoreInUseError(path, `process ${other.pid}${where}`);
    }
  }

  release(): void {
    this.#root.transactionSync(() => {
      this.#meta.remove(OWNER);
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

function isAlive({ pid, started, host }: Owner): boolean {
  // Whether a process of another machine lives cannot be told: somebody has to say so, by removing the folder's lock.
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return started === '' || started === startOf(pid);
}

/** The time at which a process began, in the system's ticks since it was started, and the boot that they count from. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    // The name of the program stands in parentheses and may hold anything; the 22nd field is the 20th after it.
    return `${boot} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
  } catch {
    return '';
  }
}
