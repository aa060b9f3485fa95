/**
 * The documents keep what they say: every block marked `ts` is type-checked and run, each in a process of its own, and every
 * relative link leads somewhere. A block that cannot run says `ts no-run: REASON`.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as fanpipe from 'fanpipe';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { anchorsIn, codeBlocksIn, linksIn, proseOf } from '../support/markdown.ts';
import { withoutComments } from '../support/source-rules.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

function markdownBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.md'))
    .map((entry) =>
      relative(root, join(entry.parentPath ?? entry.path, entry.name))
        .split(sep)
        .join('/'),
    )
    .filter((file) => !file.includes('node_modules/'))
    .sort();
}

const documents = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'packages/fanpipe/README.md',
  'packages/server/README.md',
  'bench/README.md',
  ...markdownBelow('docs'),
  ...markdownBelow('examples'),
];
const errorSource = readFileSync(join(root, 'packages', 'fanpipe', 'src', 'errors.ts'), 'utf8');
const textOf = (file: string): string => readFileSync(join(root, file), 'utf8');

interface Snippet {
  readonly title: string;
  readonly name: string;
  readonly code: string;
}

function snippetsIn(file: string, markdown: string): Snippet[] {
  return codeBlocksIn(markdown)
    .filter(({ info }) => info === 'ts')
    .map(({ line, code }) => ({ title: `${file}:${line}`, name: `${file.replace(/\W/g, '-')}-${line}`, code }));
}

/** Blocks marked `ts` that are neither run nor say why. */
function wrongMarksIn(markdown: string): string[] {
  return codeBlocksIn(markdown)
    .filter(
      ({ info }) =>
        /^(ts|typescript|js|javascript)\b/.test(info) && info !== 'ts' && !/^ts no-run: \S.{9,}$/.test(info),
    )
    .map(({ line, info }) => `line ${line}: ${info}`);
}

const snippets = documents.flatMap((file) => snippetsIn(file, textOf(file)));

// Below the root, so that `fanpipe` is found as it is from an example.
const folder = join(root, '.cache', `snippets-${process.pid}`);

interface Done {
  readonly code: number | string | null;
  readonly output: string;
}

function run(args: readonly string[]): Promise<Done> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: folder, timeout: 30_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : (error.code ?? error.signal ?? 'no exit code');
      resolve({ code, output: `${stdout}${stderr}` });
    });
  });
}

/** Compiles all files of `folder/in` in one go, which also checks their types. */
async function compile(sources: readonly { name: string; code: string }[]): Promise<Done> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'in'), { recursive: true });
  for (const { name, code } of sources) writeFileSync(join(folder, 'in', `${name}.ts`), code);
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  const config = {
    extends: '../../tsconfig.base.json',
    compilerOptions: {
      rootDir: 'in',
      outDir: 'out',
      types: ['node'],
      moduleDetection: 'force',
      noUnusedLocals: false,
      noUnusedParameters: false,
    },
    include: ['in'],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const typescript = join(root, 'node_modules', 'typescript');
  const { bin } = JSON.parse(readFileSync(join(typescript, 'package.json'), 'utf8'));
  return run([join(typescript, bin.tsc), '-p', folder, '--pretty', 'false']);
}

const runSnippet = (name: string): Promise<Done> => run([join(folder, 'out', `${name}.js`)]);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('code in the documents', () => {
  let compiled: Done;
  beforeAll(async () => {
    compiled = await compile(snippets);
  });

  test('every block is marked, and what does not run says why', () => {
    const wrong = documents.flatMap((file) => wrongMarksIn(textOf(file)).map((mark) => `${file}, ${mark}`));
    expect(wrong).toEqual([]);
    expect(snippets.length).toBeGreaterThan(10);
  });

  test('all types are right', () => {
    // The names of the compiled files hold document and line.
    expect(compiled.output).toBe('');
    expect(compiled.code).toBe(0);
  });

  test.each(snippets.map(({ title, name }) => [title, name] as const))('%s runs', async (_, name) => {
    const { code, output } = await runSnippet(name);
    expect(code, output).toBe(0);
  });
});

describe('links in the documents', () => {
  // Results are written by a full run of the benchmarks; until there are any, what links to them leads nowhere.
  const hasResults = existsSync(join(root, 'bench', 'results', 'README.md'));

  function problemWith(file: string, target: string): string | undefined {
    if (/^[a-z][a-z+.-]*:/.test(target)) return /^https:/.test(target) ? undefined : 'is no https link';
    const [path = '', anchor] = target.split('#');
    const goal = path === '' ? file : normalize(join(dirname(file), path));
    if (goal.startsWith('..')) return 'leads out of the repository';
    if (!hasResults && goal.startsWith(join('bench', 'results'))) return undefined;
    if (!existsSync(join(root, goal))) return 'does not exist';
    if (anchor === undefined) return undefined;
    if (statSync(join(root, goal)).isDirectory() || !goal.endsWith('.md')) return 'has no anchors';
    return anchorsIn(textOf(goal)).has(anchor) ? undefined : 'has no such anchor';
  }

  function brokenLinksIn(file: string, markdown: string): string[] {
    return linksIn(markdown).flatMap(({ line, target }) => {
      const problem = problemWith(file, target);
      return problem === undefined ? [] : [`${file}:${line}: ${target} ${problem}`];
    });
  }

  test.each(documents)('%s', (file) => expect(brokenLinksIn(file, textOf(file))).toEqual([]));

  test('broken ones are seen', () => {
    const broken =
      '[a](./no-such.md) [b](#no-such) [c](http://example.com) ![d](docs/no.svg) [e](../../out.md) [f](docs/semantics.md#nope)';
    expect(brokenLinksIn('README.md', broken)).toHaveLength(6);
    const fine = '[a](docs/semantics.md#policy) [b](#limits) [c](https://example.com) `[d](./no-such.md)` [e](docs)';
    expect(brokenLinksIn('README.md', fine)).toEqual([]);
  });
});

describe('what the architecture names', () => {
  const source = ['fanpipe', 'server']
    .flatMap((name) => readdirSync(join(root, 'packages', name, 'src'), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => withoutComments(readFileSync(join(entry.parentPath ?? entry.path, entry.name), 'utf8')))
    .join('\n');

  /** Names in inline code that the source does not have: `Channel.append`, `nextSlowly`, `plain`. */
  function unknownNamesIn(markdown: string): string[] {
    const prose = markdown.replace(/^\s*(`{3,})[^\n]*\n[\s\S]*?^\s*\1[ \t]*$/gm, '');
    return [...prose.matchAll(/`([A-Za-z][\w.]*)(?:\([^`]*\))?`/g)]
      .flatMap(([, name]) => (/\.(ts|md|js)$/.test(name as string) ? [] : (name as string).split('.')))
      .filter((name) => !new RegExp(`\\b${name}\\b`).test(source));
  }

  test('is there', () => expect(unknownNamesIn(textOf('docs/architecture.md'))).toEqual([]));
  test('a name that is gone is seen', () => {
    expect(unknownNamesIn('`Channel.append` fills, `Channel.noSuch` and `norThis()` do not')).toEqual([
      'noSuch',
      'norThis',
    ]);
  });
});

describe('the table of errors', () => {
  const rows = [...textOf('docs/semantics.md').matchAll(/^\| `(ERR_FANPIPE_\w+)`\s*\| `(\w+)`/gm)];

  test('has every class with its code, and no other', () => {
    const classes = Object.entries(fanpipe).flatMap(([name, value]) => {
      const { prototype } = value as { prototype?: unknown };
      return prototype instanceof fanpipe.FanpipeError ? [name] : [];
    });
    expect(rows.map(([, , name]) => name).sort()).toEqual(classes.sort());
    const codes = [...errorSource.matchAll(/class (\w+) extends[^{]*\{\s+override readonly code = '(\w+)'/g)];
    expect(rows.map(([, code, name]) => `${name} ${code}`).sort()).toEqual(
      codes.map(([, name, code]) => `${name} ${code}`).sort(),
    );
  });
});

describe('the check of code sees what is wrong', () => {
  test('types, exit codes and marks', async () => {
    const markdown = [
      '```ts',
      "import { ByteWriter } from 'fanpipe';",
      'new ByteWriter().write(1);',
      '```',
      '',
      '```ts no-run: it would never end by itself',
      'for (;;);',
      '```',
      '```ts no-run',
      '```',
      '```js',
      '```',
      '```ts',
      'await new Promise(() => {});',
      '```',
      '```ts',
      "throw new Error('no');",
      '```',
    ].join('\n');
    expect(wrongMarksIn(markdown)).toEqual(['line 9: ts no-run', 'line 11: js']);
    const found = snippetsIn('a.md', markdown);
    expect(found.map(({ title }) => title)).toEqual(['a.md:1', 'a.md:13', 'a.md:16']);
    const { code, output } = await compile(found);
    expect(code).not.toBe(0);
    expect(output).toContain('a-md-1.ts(2,24): error TS');
    // Not settling is an error too: Node ends with 13.
    for (const { name } of found.slice(1)) expect((await runSnippet(name)).code, name).not.toBe(0);
    expect(proseOf('a `b` c')).toBe('a ``` c');
  });
});
