import { LocalBackend, type LocalBackendOptions } from '../local/local-backend.ts';
import { MemoryStorage } from './memory-storage.ts';

export interface MemoryBackendOptions extends LocalBackendOptions {
  /** Bytes of all streams together; appends beyond fail with a `StorageError` until there is room. Default 1 GiB. */
  readonly maxBytes?: number;
}

/** Keeps streams in memory: they are gone with the process. */
export function memoryBackend(options: MemoryBackendOptions = {}): LocalBackend {
  return new LocalBackend(new MemoryStorage(options.maxBytes ?? 2 ** 30), options);
}
