import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { StorageError } from '../../errors.ts';

const MAGIC = 0xbeefc0de;
const VERSION = 2;
/** The first two pages say which pages are the newest; after the header of a page stands this. */
const META = { magic: 24, version: 28, pageSize: 48, lastPage: 144, transaction: 152, end: 160 };

/**
 * Whether LMDB can open the file of a store: it ends the process when that is something else or has been cut off. A file that is not there
 * or empty is a new store.
 *
 * @throws StorageError, what the system says
 */
export function checkFile(file: string, path: string): void {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    const { size } = fstatSync(descriptor);
    if (size === 0) return;
    const first = metaAt(descriptor, 0);
    if (first === undefined) throw new StorageError(`What is in ${path} is no LMDB store, or one of another version`);
    const second = metaAt(descriptor, first.pageSize);
    const newest = second !== undefined && second.transaction > first.transaction ? second : first;
    const needed = (newest.lastPage + 1) * newest.pageSize;
    if (second === undefined || size < needed) {
      throw new StorageError(`The store ${path} is damaged: its file has ${size} bytes, of ${needed} at least`);
    }
  } finally {
    closeSync(descriptor);
  }
}

interface Meta {
  readonly pageSize: number;
  readonly lastPage: number;
  readonly transaction: bigint;
}

function metaAt(descriptor: number, position: number): Meta | undefined {
  const bytes = Buffer.alloc(META.end);
  if (readSync(descriptor, bytes, 0, META.end, position) < META.end) return undefined;
  if (bytes.readUInt32LE(META.magic) !== MAGIC || bytes.readUInt32LE(META.version) !== VERSION) return undefined;
  return {
    pageSize: bytes.readUInt32LE(META.pageSize),
    lastPage: Number(bytes.readBigUInt64LE(META.lastPage)),
    transaction: bytes.readBigUInt64LE(META.transaction),
  };
}
