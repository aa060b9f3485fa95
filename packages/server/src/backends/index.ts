/**
 * Where streams are kept: the port, and what is built on it for any runtime. LMDB, which needs Node, is an entry of its own.
 *
 * @module
 */

export * from './backend.ts';
export type { Interval } from './local/intervals.ts';
export { LocalBackend, type LocalBackendOptions } from './local/local-backend.ts';
export type { Storage, StorageWrite, StreamRecord } from './local/storage.ts';
export { type MemoryBackendOptions, memoryBackend } from './memory/index.ts';
