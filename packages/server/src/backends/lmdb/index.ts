import { LocalBackend, type LocalBackendOptions } from '../local/local-backend.ts';
import { LmdbStorage, type LmdbStorageOptions } from './lmdb-storage.ts';

export interface LmdbBackendOptions extends LmdbStorageOptions, LocalBackendOptions {}

/**
 * Keeps streams in an LMDB store in a folder. One process at a time.
 *
 * @throws StoreInUseError, StorageError
 */
export function lmdbBackend(options: LmdbBackendOptions): LocalBackend {
  return new LocalBackend(new LmdbStorage(options), options);
}
