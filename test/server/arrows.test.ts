/** The arrows of `@fanpipe/server`: cli → node → http → hub → backends. Each rule is also shown a broken tree. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { foreignServerImports, wrongServerArrows } from '../support/server-rules.ts';
import { codeIn, cycles, longFiles, missingTargets, type Sources } from '../support/source-rules.ts';

const MOST_LINES = 430;
const src = fileURLToPath(new URL('../../packages/server/src', import.meta.url));

const sources: Sources = new Map(
  readdirSync(src, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'))
    .map((entry) => {
      const path = join(entry.parentPath ?? entry.path, entry.name);
      return [relative(src, path).split(sep).join('/'), readFileSync(path, 'utf8')];
    }),
);

describe('the server keeps to the arrows', () => {
  test('the scan sees the files', () => {
    expect([...sources.keys()]).toEqual(expect.arrayContaining(['index.ts', 'errors.ts', 'backends/backend.ts']));
    expect(missingTargets(sources)).toEqual([]);
  });
  test('folders import only what they may', () => expect(wrongServerArrows(sources)).toEqual([]));
  test('nothing foreign but fanpipe, and Node and lmdb where they are meant', () =>
    expect(foreignServerImports(sources)).toEqual([]));
  test('no cycle of value imports', () => expect(cycles(sources)).toEqual([]));
  test('the entries only re-export', () => {
    const entries = [...sources.keys()].filter((file) => file === 'index.ts' || file === 'node.ts');
    for (const entry of entries) expect(codeIn(sources.get(entry) ?? ''), entry).toBe('');
  });
  test(`no file of more than ${MOST_LINES} lines`, () => expect(longFiles(sources, MOST_LINES)).toEqual([]));
});

describe('each rule sees what breaks it', () => {
  const tree = (file: string, source: string): Sources => new Map([[file, source]]);

  test.each([
    ['backends/local/local-backend.ts', "import { Hub } from '../../hub/index.ts';"],
    ['hub/live-stream.ts', "import type { Reply } from '../http/reply.ts';"],
    ['http/feed.ts', "import { serve } from '../node/serve.ts';"],
    ['http/handler.ts', "import { StreamServer } from '../stream-server.ts';"],
    ['hub/hub.ts', "import { lmdbBackend } from '../backends/lmdb/index.ts';"],
    ['index.ts', "export { serve } from './node/serve.ts';"],
    ['node.ts', "export { main } from './cli/main.ts';"],
    ['errors.ts', "import type { Hub } from './hub/index.ts';"],
  ])('%s with %j', (file, source) => expect(wrongServerArrows(tree(file, source))).toHaveLength(1));

  test.each([
    ['hub/hub.ts', "import type { Backend } from '../backends/index.ts';"],
    ['node/serve.ts', "import { StreamServer } from '../stream-server.ts';"],
    ['stream-server.ts', "import { Hub } from './hub/index.ts';"],
    ['cli/main.ts', "import { lmdbBackend } from '../backends/lmdb/index.ts';"],
    ['backends/lmdb/lmdb-storage.ts', "import type { Storage } from '../local/storage.ts';"],
  ])('allowed: %s with %j', (file, source) => expect(wrongServerArrows(tree(file, source))).toEqual([]));

  test('foreign imports', () => {
    expect(foreignServerImports(tree('hub/hub.ts', "import { open } from 'lmdb';"))).toHaveLength(1);
    expect(foreignServerImports(tree('http/handler.ts', "import { Buffer } from 'node:buffer';"))).toHaveLength(1);
    expect(foreignServerImports(tree('node/listener.ts', "import { createServer } from 'node:http';"))).toEqual([]);
    expect(foreignServerImports(tree('hub/hub.ts', "import { ByteWriter } from 'fanpipe';"))).toEqual([]);
    expect(foreignServerImports(tree('hub/hub.ts', "import pad from 'left-pad';"))).toHaveLength(1);
  });
});
