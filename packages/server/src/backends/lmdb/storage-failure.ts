import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { StorageError } from '../../errors.ts';

const { ENOSPC, EDQUOT, EFBIG, EIO } = constants.errno;
const MDB_MAP_FULL = -30792;
const FULL = new Set<unknown>([ENOSPC, EDQUOT, EFBIG, MDB_MAP_FULL, 'ENOSPC', 'EDQUOT', 'EFBIG']);
const PROBE = 64 * 1024;

/** What LMDB's binding rejects with when a transaction fails: the reason comes by another promise. */
interface CommitFailure {
  readonly message?: string;
  readonly code?: number | string;
  readonly commitError?: Promise<never>;
}

/** Says what the failure of a transaction, or of a read, means. `folder` is that of the store. */
export async function storageFailure(cause: unknown, folder: string): Promise<StorageError> {
  const { commitError } = cause as CommitFailure;
  const reason = commitError === undefined ? cause : await commitError.catch((error: unknown) => error);
  return failureOf(reason, folder);
}

/** As {@link storageFailure}, for what is known at once. */
export function failureOf(reason: unknown, folder: string): StorageError {
  if (reason instanceof StorageError) return reason;
  const { message, code } = reason as CommitFailure;
  const isFull = FULL.has(code) || (code === EIO && !hasRoom(folder));
  const what = isFull ? 'There is no room left for' : 'Writing or reading failed in';
  return new StorageError(`${what} the store ${folder}: ${message}`, { cause: reason, isFull });
}

/** LMDB calls it an input/output error when only a part of what it wrote was taken, which mostly is for want of room. */
function hasRoom(folder: string): boolean {
  let file: number | undefined;
  try {
    file = openSync(join(folder, 'data.mdb'), 'r+');
    const { size } = fstatSync(file);
    try {
      // What lies behind the last page means nothing to LMDB.
      return writeSync(file, Buffer.alloc(PROBE), 0, PROBE, size) === PROBE;
    } finally {
      ftruncateSync(file, size);
    }
  } catch (error) {
    return !FULL.has((error as NodeJS.ErrnoException).code);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
