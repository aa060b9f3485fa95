import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type { Backend } from '../../../packages/server/src/backends/index.ts';
import { lmdbBackend } from '../../../packages/server/src/backends/lmdb/index.ts';
import { StoreProcess, type StoreProcessOptions } from './store-process.ts';

/** Folders, stores and processes of one test, that go with it. */
export interface Scratch {
  folder(): string;
  process(options?: StoreProcessOptions): StoreProcess;
  /** Opened in this process. */
  open(path: string, options?: Parameters<typeof lmdbBackend>[0] | object): Backend;
}

/** To be called once for all tests of a file. */
export function makeScratch(): Scratch {
  const folders: string[] = [];
  const processes: StoreProcess[] = [];
  const backends: Backend[] = [];
  afterEach(async () => {
    await Promise.all(processes.splice(0).map((process) => process.kill()));
    await Promise.all(backends.splice(0).map((backend) => backend.close()));
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });
  return {
    folder() {
      const folder = mkdtempSync(join(tmpdir(), 'fanpipe-lmdb-'));
      folders.push(folder);
      return folder;
    },
    process(options) {
      const process = new StoreProcess(options);
      processes.push(process);
      return process;
    },
    open(path, options = {}) {
      const backend = lmdbBackend({ path, ...options });
      backends.push(backend);
      return backend;
    },
  };
}
