/** The arrows of docs/architecture.md: which file of the library may use what. Each rule is also shown a broken tree. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  codeIn,
  cycles,
  foreignImports,
  importsOf,
  impurities,
  longFiles,
  missingTargets,
  pastTheIndex,
  type Sources,
  vagueNames,
  wrongArrows,
} from './support/source-rules.ts';

const MOST_LINES = 430;
const root = fileURLToPath(new URL('..', import.meta.url));

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      relative(folder, join(entry.parentPath ?? entry.path, entry.name))
        .split(sep)
        .join('/'),
    )
    .filter((file) => !file.includes('node_modules/'));
}

const src = join(root, 'packages', 'fanpipe', 'src');
const sources: Sources = new Map(
  filesBelow(src)
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .map((file) => [file, readFileSync(join(src, file), 'utf8')]),
);

describe('the library keeps to the arrows', () => {
  test('the scan sees the files and their imports', () => {
    expect([...sources.keys()]).toEqual(expect.arrayContaining(['index.ts', 'errors.ts', 'core/channel.ts']));
    const targets = importsOf('core/channel.ts', sources.get('core/channel.ts') ?? '').map(({ target }) => target);
    expect(targets).toContain('core/chunk-node.ts');
    expect(missingTargets(sources)).toEqual([]);
  });

  test('folders import only what they may', () => expect(wrongArrows(sources)).toEqual([]));
  test('nothing outside the package but node:, and that only where Node is meant', () =>
    expect(foreignImports(sources)).toEqual([]));
  test('a folder with an index is imported through it', () => expect(pastTheIndex(sources)).toEqual([]));
  test('channel, cursors and policies know no clock, timer, chance or console', () =>
    expect(impurities(sources)).toEqual([]));
  test('no cycle of value imports', () => expect(cycles(sources)).toEqual([]));
  test('the entries only re-export', () => {
    for (const entry of ['index.ts', 'node.ts', 'remote/index.ts', 'pool/index.ts'])
      expect(codeIn(sources.get(entry) ?? ''), entry).toBe('');
  });
  test(`no file of more than ${MOST_LINES} lines`, () => expect(longFiles(sources, MOST_LINES)).toEqual([]));

  test('no file called utils or helpers', () => {
    const folders = ['packages/fanpipe/src', 'test', 'examples', 'demo', 'bench', 'scripts'];
    expect(vagueNames(folders.flatMap((folder) => filesBelow(join(root, folder))))).toEqual([]);
  });

  test('the package has no dependencies', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'packages', 'fanpipe', 'package.json'), 'utf8'));
    for (const kind of ['dependencies', 'peerDependencies', 'optionalDependencies', 'bundleDependencies']) {
      expect(Object.keys(manifest[kind] ?? {}), kind).toEqual([]);
    }
  });
});

describe('each rule sees what breaks it', () => {
  const tree = (files: Record<string, string>): Sources => new Map(Object.entries(files));

  test.each([
    ['core/channel.ts', "import { pump } from './pump.ts';"],
    ['core/channel.ts', "import type { ByteStream } from './byte-stream.ts';"],
    ['core/cursor.ts', "export { StalledReadMonitor } from '../monitor/index.ts';"],
    ['core/brand-new.ts', "import '../interop/web-streams.ts';"],
    ['core/byte-stream.ts', "import { StalledReadMonitor } from '../monitor/index.ts';"],
    ['core/byte-writer.ts', "import { toReadable } from '../interop/node-streams.ts';"],
    ['core/byte-writer.ts', "import { ByteWriter } from '../index.ts';"],
    ['index.ts', "export { toReadable } from './interop/node-streams.ts';"],
    ['interop/web-streams.ts', "import { fromReadable } from './node-streams-source.ts';"],
    ['signals.ts', "import { InvalidArgumentError } from './errors.ts';"],
    ['monitor/clock.ts', "import { checkSignal } from '../core/check.ts';"],
    ['errors.ts', "import type { StallKind } from './monitor/index.ts';"],
    ['interop/web-streams.ts', "import { systemClock } from '../monitor/index.ts';"],
    ['core/seat.ts', "const lazy = () => import('../monitor/index.ts');"],
    ['core/base-stream.ts', "import {\n  a,\n  b,\n} from '../interop/node-streams.ts';"],
  ])('arrows: %s with %j', (file, source) => {
    expect(wrongArrows(tree({ [file]: source }))).toHaveLength(1);
  });

  test.each([
    ['core/base-stream.ts', "import { StalledReadMonitor } from '../monitor/index.ts';"],
    ['core/typed-writer.ts', "import { writableToWriter } from '../interop/web-streams.ts';"],
    ['interop/web-streams.ts', "import type { Cursor } from '../core/cursor.ts';"],
    ['core/channel.ts', "// import { pump } from './pump.ts';\n/** import x from '../monitor/index.ts' */"],
    ['monitor/clock.ts', "import { InvalidArgumentError } from '../errors.ts';"],
    ['core/waits.ts', "import { joinSignal } from '../signals.ts';"],
    ['node.ts', "export { toReadable } from './interop/node-streams.ts';"],
  ])('arrows allow: %s with %j', (file, source) => {
    expect(wrongArrows(tree({ [file]: source }))).toEqual([]);
  });

  test('foreign imports', () => {
    const node = "import { Readable } from 'node:stream';";
    expect(foreignImports(tree({ 'core/pump.ts': node, 'interop/node-streams.ts': node, 'node.ts': node }))).toEqual([
      'core/pump.ts imports node:stream',
    ]);
    expect(foreignImports(tree({ 'interop/node-streams.ts': "import x from 'left-pad';" }))).toHaveLength(1);
    expect(foreignImports(tree({ 'monitor/clock.ts': "export type { A } from 'node:timers';" }))).toHaveLength(1);
  });

  test('imports past an index, and of files that are not there', () => {
    const broken = tree({
      'monitor/index.ts': '',
      'monitor/clock.ts': '',
      'core/base-stream.ts': "import { systemClock } from '../monitor/clock.ts';",
      'core/seat.ts': "import { gone } from './gone.ts';",
    });
    expect(pastTheIndex(broken)).toEqual(['core/base-stream.ts imports monitor/clock.ts']);
    expect(missingTargets(broken)).toEqual(['core/seat.ts imports core/gone.ts']);
  });

  test.each(['Date.now()', 'new Date()', 'performance.now()', 'setTimeout(f, 1)', 'Math.random()', 'console.log(1)'])(
    'impurities: %s',
    (code) => {
      expect(impurities(tree({ 'core/policies.ts': `export const x = ${code};` }))).toHaveLength(1);
      expect(impurities(tree({ 'core/policies.ts': `// never ${code}\nexport const x = 1; // nor ${code}` }))).toEqual(
        [],
      );
      expect(impurities(tree({ 'monitor/clock.ts': `export const x = ${code};` }))).toEqual([]);
    },
  );

  test('cycles, of values only', () => {
    const circle = {
      'core/a.ts': "import { b } from './b.ts';",
      'core/b.ts': "export { c } from './c.ts';",
      'core/c.ts': "import { type A } from './a.ts';",
      'core/d.ts': "import { a } from './a.ts';",
    };
    expect(cycles(tree(circle))).toEqual([['core/a.ts', 'core/b.ts', 'core/c.ts']]);
    expect(cycles(tree({ ...circle, 'core/c.ts': "import type { A } from './a.ts';" }))).toEqual([]);
    expect(cycles(tree({ 'core/a.ts': "import { a } from './a.ts';" }))).toEqual([['core/a.ts']]);
  });

  test('code in an entry, names and lengths', () => {
    expect(codeIn("/** Words. */\nexport * from './errors.ts';\nexport { a, type B } from './a.ts';")).toBe('');
    expect(codeIn("export * from './errors.ts';\nexport const x = 1;")).toBe('export const x = 1;');
    expect(vagueNames(['core/utils.ts', 'a/test-helpers.ts', 'a/util/b.ts', 'core/check.ts', 'helper.mjs'])).toEqual([
      'core/utils.ts',
      'a/test-helpers.ts',
      'helper.mjs',
    ]);
    expect(longFiles(tree({ 'a.ts': 'x\n'.repeat(3), 'b.ts': 'x\n'.repeat(4) }), 3)).toEqual(['b.ts has 4 lines']);
  });
});
