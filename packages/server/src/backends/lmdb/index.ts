import type { Backend } from '../backend.ts';
import { LocalBackend, type LocalBackendOptions } from '../local/local-backend.ts';
import { LmdbStorage } from './lmdb-storage.ts';
import type { LmdbStorageOptions } from './lmdb-storage-options.ts';

/** Where and how the store is kept, and what {@link LocalBackend} takes. */
export interface LmdbBackendOptions extends LmdbStorageOptions, LocalBackendOptions {}

/**
 * Keeps streams in an LMDB store in a folder, which belongs to this process from now on until `close`. Opening takes about a second for
 * 100,000 streams, and blocks that long.
 *
 * @throws StoreInUseError (says who has it), StorageError (the folder cannot be made or written, what is in it is damaged, of another
 * program or of another version), InvalidArgumentError. Nothing is left open then.
 */
export function lmdbBackend(options: LmdbBackendOptions): Backend {
  const storage = new LmdbStorage(options);
  try {
    return new LocalBackend(storage, options);
  } catch (error) {
    void storage.close();
    throw error;
  }
}
