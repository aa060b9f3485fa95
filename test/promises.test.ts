/**
 * Every promise of docs/semantics.md has an id, and every id stands in the title of a test that proves it. A title of this
 * kind begins with the ids, up to a colon: `DETACH: …`, `typed POLICY block: …`, `ACC, ORD: …`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

interface Title {
  readonly file: string;
  readonly text: string;
}

/** Words in capitals that are names of other things. */
const NO_PROMISES = new Set([
  'BYOB',
  'CPU',
  'EOF',
  'EPIPE',
  'GC',
  'HTTP',
  'JSON',
  'NO_COLOR',
  'RSS',
  'SIGINT',
  'SIGTERM',
  'SSE',
  'TCP',
  'TTY',
  'UTF',
  'WHATWG',
  'WPT',
]);

/** The ids of the promises: the headings of level 3 that are one word in capitals. */
function promisesIn(semantics: string): string[] {
  return [...semantics.matchAll(/^### ([A-Z]+)$/gm)].map(([, id]) => id as string);
}

/** The titles of all tests and groups in a source. Tests that are always skipped prove nothing and do not count. */
function titlesIn(file: string, source: string): Title[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const call = /(?<![\w.])(?:describe|test|it|testWith)((?:\.\w+)*)\s*(?:\((?!\s*['"`])[^;]*?\)\s*)?\(\s*/g;
  const titles: Title[] = [];
  for (const match of code.matchAll(call)) {
    if (/\.(skip|todo|fails)\b/.test(match[1] ?? '')) continue;
    const args = code.slice(match.index + match[0].length, match.index + match[0].length + 1000);
    // testWith(name, present, title, …) has its title third; elsewhere it comes first.
    const literal = match[0].startsWith('testWith')
      ? /^'[^']*',[^'"`]*(?:'[^']*'[^'"`]*)*?,\s*(['"`])((?:\\.|(?!\1)[\s\S])*)\1,\s*(?:async\s*)?\(/.exec(args)
      : /^(['"`])((?:\\.|(?!\1)[\s\S])*)\1/.exec(args);
    if (literal !== null) titles.push({ file, text: literal[2] as string });
  }
  return titles;
}

/** Words in capitals before the first colon of a title that are no promise. */
function unknownIdsIn({ text }: Title, promises: readonly string[]): string[] {
  const colon = text.indexOf(':');
  if (colon < 0) return [];
  const words = text.slice(0, colon).match(/\b[A-Z][A-Z_]{2,}\b/g) ?? [];
  return words.filter((word) => !promises.includes(word) && !NO_PROMISES.has(word));
}

function withoutTest(promises: readonly string[], titles: readonly Title[]): string[] {
  return promises.filter((id) => !titles.some(({ text }) => new RegExp(`\\b${id}\\b`).test(text)));
}

const root = fileURLToPath(new URL('..', import.meta.url));

function allTitles(): Title[] {
  const folders = [join(root, 'test'), join(root, 'packages', 'fanpipe', 'src')];
  return folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
      // Tests, and what is put through by several of them.
      .filter((path) => /\.test\.ts$|-cases\.ts$|[\\/]contract[\\/]\w+\.ts$/.test(path))
      // This file's own examples of wrong titles are none.
      .filter((path) => path !== fileURLToPath(import.meta.url))
      .flatMap((path) => titlesIn(relative(root, path), readFileSync(path, 'utf8'))),
  );
}

const promises = promisesIn(readFileSync(join(root, 'docs', 'semantics.md'), 'utf8'));
const titles = allTitles();

describe('promises and tests belong together', () => {
  test('both are found', () => {
    expect(promises).toHaveLength(43);
    expect(new Set(promises).size).toBe(promises.length);
    expect(titles.length).toBeGreaterThan(100);
  });

  test('no promise without a test', () => expect(withoutTest(promises, titles)).toEqual([]));

  test('no test of an unknown promise', () => {
    const unknown = titles.flatMap((title) =>
      unknownIdsIn(title, promises).map((id) => `${id} in ${title.file}: ${title.text}`),
    );
    expect(unknown).toEqual([]);
  });
});

describe('the check sees what is wrong', () => {
  test('headings', () => {
    expect(promisesIn('# A\n\n### ACC\n\n### Words\n\n#### NOT\n\n### ORD\ntext ### END\n')).toEqual(['ACC', 'ORD']);
  });

  test('titles', () => {
    const source = `
      describe('END of it', () => {
        test('ACC: one', () => {});
        it.skip('NOW: never runs', () => {});
        test.todo('LOSS: some day');
        // test('GONE: a comment', () => {});
        testWith('ReadableStream.from', typeof x === 'function', 'ORD: by need', () => {});
        test(
          \`NEXT: a template\`, () => {});
        test.each(['a', 'b'])('WAIT: %s', () => {});
        regex.test('SAFE: no test');
      });`;
    expect(titlesIn('a.test.ts', source).map(({ text }) => text)).toEqual([
      'END of it',
      'ACC: one',
      'ORD: by need',
      'NEXT: a template',
      'WAIT: %s',
    ]);
  });

  test('a promise without a test, and a test of no promise', () => {
    const some = [
      { file: 'a.test.ts', text: 'ACC, ORD: both' },
      { file: 'a.test.ts', text: 'typed ACCC block: a slip' },
      { file: 'a.test.ts', text: 'UTF and BYOB: no promises' },
      { file: 'a.test.ts', text: 'strings are UTF-8; NOTHING here' },
    ];
    expect(withoutTest(['ACC', 'ORD', 'END'], some)).toEqual(['END']);
    expect(some.flatMap((title) => unknownIdsIn(title, ['ACC', 'ORD', 'END']))).toEqual(['ACCC']);
  });
});
