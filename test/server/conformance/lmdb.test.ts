/** The official suite of the protocol on streams in LMDB, at level disk. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lmdbBackend } from '../../../packages/server/src/backends/lmdb/index.ts';
import { officialSuite } from './official-suite.ts';

let path: string;

officialSuite(
  async () => {
    path = await mkdtemp(join(tmpdir(), 'fanpipe-conformance-'));
    return lmdbBackend({ path });
  },
  () => rm(path, { recursive: true, force: true }),
);
