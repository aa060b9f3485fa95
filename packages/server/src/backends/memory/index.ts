import type { Backend } from '../backend.ts';
import { LocalBackend, type LocalBackendOptions } from '../local/local-backend.ts';
import { MemoryStorage } from './memory-storage.ts';

export interface MemoryBackendOptions extends LocalBackendOptions {
  /**
   * Bytes of all streams together, those too that only forks need. An append or a creation that does not fit rejects with a `StorageError`
   * whose `isFull` is set, and nothing of it is taken; it fits when something was deleted, has expired or was let go. What streams,
   * appends and facts cost beside their bytes counts, so that it is about the memory that they take. An end always fits. Default 1 GiB.
   */
  readonly maxBytes?: number;
}

/** Keeps streams in memory: they are gone with the process, or when it is closed. Acknowledges at the level `'memory'`, at once. */
export function memoryBackend(options: MemoryBackendOptions = {}): Backend {
  return new LocalBackend(new MemoryStorage(options.maxBytes ?? 2 ** 30), options);
}
