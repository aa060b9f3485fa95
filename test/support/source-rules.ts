/**
 * The rules about which file of the library may use what, as functions over sources, so that a test can also feed them a
 * tree in which each rule is broken.
 */

/** Path below `packages/fanpipe/src`, with `/`, and the text of the file. */
export type Sources = ReadonlyMap<string, string>;

/** One import or re-export. */
export interface ImportOf {
  readonly file: string;
  /** A path below `src` for a relative import, else the name as it stands. */
  readonly target: string;
  readonly isRelative: boolean;
  /** Erased by the compiler: `import type` and `export type`. With inline `type` the import itself stays. */
  readonly isTypeOnly: boolean;
}

/** The handles of the core: they may use the monitor and the interop, which know the cursor in turn. */
const HANDLES = ['base-stream', 'base-writer', 'byte-stream', 'byte-writer', 'typed-stream', 'typed-writer'];
/** What stands between the handles and the channel and touches sources of the caller. */
const FEEDERS = ['pump', 'collect'];

const isNodeFile = (file: string): boolean => file === 'node.ts' || /^interop\/node-streams[^/]*\.ts$/.test(file);
const isHandle = (file: string): boolean => HANDLES.some((name) => file === `core/${name}.ts`);
const isFeeder = (file: string): boolean => FEEDERS.some((name) => file === `core/${name}.ts`);
/** Channel, cursors, policies and all that they are made of; a new file in `core` belongs here unless it is listed above. */
const isKernel = (file: string): boolean => file.startsWith('core/') && !isHandle(file) && !isFeeder(file);
const folderOf = (file: string): string => (file.includes('/') ? file.slice(0, file.indexOf('/')) : '');

/** The source without comments. Strings stay; none of ours holds what would be taken for a comment. */
export function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
}

/** All imports, re-exports and dynamic imports of a file. */
export function importsOf(file: string, source: string): ImportOf[] {
  const code = withoutComments(source);
  const found: ImportOf[] = [];
  const add = (specifier: string, isTypeOnly: boolean): void => {
    const isRelative = specifier.startsWith('.');
    const target = isRelative ? new URL(specifier, `file:///${file}`).pathname.slice(1) : specifier;
    found.push({ file, target, isRelative, isTypeOnly });
  };
  for (const [, clause = '', specifier = ''] of code.matchAll(
    /^\s*(?:import|export)\s+([^'"`;()=]*?)\s*from\s*['"]([^'"]+)['"]/gm,
  )) {
    add(specifier, /^type\b/.test(clause));
  }
  for (const [, specifier = ''] of code.matchAll(/^\s*import\s*['"]([^'"]+)['"]/gm)) add(specifier, false);
  for (const [, specifier = ''] of code.matchAll(/\b(?:import|require)\s*\(\s*['"`]([^'"`]+)['"`]/g)) {
    add(specifier, false);
  }
  return found;
}

function allImports(sources: Sources): ImportOf[] {
  return [...sources].flatMap(([file, source]) => importsOf(file, source));
}

/** The imports that break a rule, as a test prints them. */
export function importsThat(sources: Sources, breakTheRule: (imported: ImportOf) => boolean): string[] {
  return allImports(sources)
    .filter(breakTheRule)
    .map(({ file, target }) => `${file} imports ${target}`);
}

/** Files that import nothing, so that every folder may use them. */
const LEAVES = new Set(['errors.ts', 'signals.ts']);

/** Whether the arrows of docs/architecture.md allow this relative import. */
function isAllowed(file: string, target: string): boolean {
  if (LEAVES.has(file)) return false;
  if (LEAVES.has(target)) return true;
  // Whoever imports what imports `node:` needs Node too.
  if (isNodeFile(target) && !isNodeFile(file)) return false;
  const from = folderOf(file);
  const to = folderOf(target);
  switch (from) {
    case 'monitor':
      return to === 'monitor';
    case 'core':
      if (to === 'core') return !isKernel(file) || isKernel(target);
      if (file === 'core/base-stream.ts' && to === 'monitor') return true;
      return isHandle(file) && (target === 'interop/web-streams.ts' || /^interop\/iter-streams[^/]*\.ts$/.test(target));
    case 'interop':
      return to === 'interop' || to === 'core';
    case 'remote':
    case 'pool':
      return to === from || to === 'core' || to === 'monitor';
    case '':
      return to !== '';
    default:
      return false;
  }
}

/** Imports against the arrows. */
export function wrongArrows(sources: Sources): string[] {
  return importsThat(sources, ({ file, target, isRelative }) => isRelative && !isAllowed(file, target));
}

/** Imports from outside `src`, which are only Node's, and these only where Node is meant. */
export function foreignImports(sources: Sources): string[] {
  return importsThat(
    sources,
    ({ file, target, isRelative }) => !isRelative && !(target.startsWith('node:') && isNodeFile(file)),
  );
}

/** Imports into a folder that has an index, past that index. */
export function pastTheIndex(sources: Sources): string[] {
  return importsThat(sources, ({ file, target, isRelative }) => {
    const folder = folderOf(target);
    return (
      isRelative && folder !== folderOf(file) && sources.has(`${folder}/index.ts`) && !target.endsWith('/index.ts')
    );
  });
}

/** Relative imports of files that are not there; without this a typing error would hide an arrow. */
export function missingTargets(sources: Sources): string[] {
  return importsThat(sources, ({ target, isRelative }) => isRelative && !sources.has(target));
}

const IMPURE = [
  /\bDate\b/,
  /\bperformance\b/,
  /\bsetTimeout\b/,
  /\bsetInterval\b/,
  /\bsetImmediate\b/,
  /\brequestAnimationFrame\b/,
  /\bMath\s*\.\s*random\b/,
  /\bcrypto\b/,
  /\bconsole\b/,
  /\bprocess\b/,
];

/** Uses of a clock, a timer, chance or the console in the kernel. */
export function impurities(sources: Sources): string[] {
  const found: string[] = [];
  for (const [file, source] of sources) {
    if (!isKernel(file)) continue;
    const code = withoutComments(source);
    for (const pattern of IMPURE) {
      const [use] = pattern.exec(code) ?? [];
      if (use !== undefined) found.push(`${file} uses ${use}`);
    }
  }
  return found;
}

/** Groups of files that import each other's values in a circle (strongly connected components, after Tarjan). */
export function cycles(sources: Sources): string[][] {
  const targets = new Map<string, string[]>([...sources.keys()].map((file) => [file, []]));
  for (const { file, target, isRelative, isTypeOnly } of allImports(sources)) {
    if (isRelative && !isTypeOnly && sources.has(target)) targets.get(file)?.push(target);
  }
  const indexes = new Map<string, number>();
  const lows = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (file: string): void => {
    const index = indexes.size;
    indexes.set(file, index);
    lows.set(file, index);
    stack.push(file);
    for (const target of targets.get(file) ?? []) {
      if (!indexes.has(target)) {
        visit(target);
        lows.set(file, Math.min(lows.get(file) as number, lows.get(target) as number));
      } else if (stack.includes(target)) {
        lows.set(file, Math.min(lows.get(file) as number, indexes.get(target) as number));
      }
    }
    if (lows.get(file) !== index) return;
    const group = stack.splice(stack.indexOf(file));
    if (group.length > 1 || targets.get(file)?.includes(file)) found.push(group.sort());
  };
  for (const file of sources.keys()) if (!indexes.has(file)) visit(file);
  return found;
}

/** Names that say nothing about what is in the file. */
export function vagueNames(files: Iterable<string>): string[] {
  return [...files].filter((file) => /(^|[/.-])(utils?|helpers?|misc|common)\b[^/]*$/i.test(file));
}

/** Files with more lines than `limit`. */
export function longFiles(sources: Sources, limit: number): string[] {
  return [...sources]
    .map(([file, source]) => ({ file, lines: source.trimEnd().split('\n').length }))
    .filter(({ lines }) => lines > limit)
    .map(({ file, lines }) => `${file} has ${lines} lines`);
}

/** What is no re-export in an entry file. */
export function codeIn(source: string): string {
  return withoutComments(source)
    .replace(/^\s*export\s+(?:type\s+)?(?:\*|\{[^}]*\})\s*from\s*'[^']+';/gm, '')
    .trim();
}
