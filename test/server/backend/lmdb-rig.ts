import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '../../../packages/server/src/backends/backend.ts';
import { lmdbBackend } from '../../../packages/server/src/backends/lmdb/index.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { EPOCH, type Rig } from './rig.ts';

/** A store in a temporary folder, which goes when it is closed. */
export async function lmdbRig(level: 'os' | 'disk' = 'os'): Promise<Rig> {
  const path = await mkdtemp(join(tmpdir(), 'fanpipe-backend-'));
  const clock = new FakeClock();
  const time = (): number => EPOCH + clock.now();
  const open = (): Backend => lmdbBackend({ path, level, clock, time });
  let backend = open();
  return {
    get backend() {
      return backend;
    },
    clock,
    time,
    reopen: async () => {
      await backend.close();
      backend = open();
      return backend;
    },
    close: async () => {
      await backend.close();
      await rm(path, { recursive: true, force: true });
    },
  };
}
