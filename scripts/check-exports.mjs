#!/usr/bin/env node
/**
 * Packs both packages as npm would publish them and checks the tarballs: what it holds, publint, "are the types wrong", and
 * that it works in a project of its own, where nothing of this repository can help it: every entry can be imported, its
 * declarations compile without this repository's options, and a bundle of one part of it has nothing of the others.
 *
 * Prints one line per check; the exit code is 1 if any failed.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
// Outside the repository, so that no module is found further up.
const work = mkdtempSync(join(tmpdir(), 'fanpipe-exports-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));
const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));
let failures = 0;

function report(name, problem) {
  console.log(problem === undefined ? `ok      ${name}` : `FAILED  ${name}\n${problem.replace(/^/gm, '        ')}`);
  if (problem !== undefined) failures++;
}

/** Runs a command; returns its stdout, or stops with what it said. */
function run(name, command, args, cwd = work) {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const said = `${done.error?.message ?? ''}${done.stdout ?? ''}${done.stderr ?? ''}`.trim();
  return done.status === 0 ? { stdout: done.stdout } : { problem: `${name} ended with ${done.status}:\n${said}` };
}

/** The file behind a package's command. */
function bin(name, command) {
  const folder = join(modules, name);
  const { bin: entry } = readJson(join(folder, 'package.json'));
  return join(folder, typeof entry === 'string' ? entry : entry[command]);
}

/** The packages, in the order in which they use each other; what each may depend on, and which entries need Node. */
const PACKAGES = [
  { folder: 'fanpipe', dependencies: [], nodeEntries: ['./node'] },
  { folder: 'server', dependencies: ['fanpipe', 'lmdb'], nodeEntries: ['./node', './lmdb'] },
];
const CLOSED_EXTENSIONS = '(js|d\\.ts|js\\.map|d\\.ts\\.map)';
const allowed = new RegExp(`^(package\\.json|README\\.md|LICENSE|dist/(?!.*\\.test\\.).*\\.${CLOSED_EXTENSIONS})$`);

// A project that has nothing but the packed packages, what they depend on and, for entries that need Node, its types.
const project = join(work, 'project');
const projectModules = join(project, 'node_modules');
mkdirSync(join(projectModules, '@types'), { recursive: true });
for (const borrowed of ['@types/node', 'undici-types', 'lmdb']) {
  symlinkSync(join(modules, borrowed), join(projectModules, borrowed), 'junction');
}
writeFileSync(join(project, 'package.json'), JSON.stringify({ type: 'module' }));

/** Packs a package, checks the tarball and unpacks it into the project. Returns its manifest. */
function pack({ folder, dependencies }) {
  const source = join(root, 'packages', folder);
  const manifest = readJson(join(source, 'package.json'));
  const packed = run('npm pack', 'npm', ['pack', '--json', '--pack-destination', work, source]);
  if (packed.problem !== undefined) {
    report(`npm pack ${manifest.name}`, packed.problem);
    process.exit(1);
  }
  const [{ filename, files }] = JSON.parse(packed.stdout);
  const tarball = join(work, filename);

  const paths = files.map((file) => file.path);
  const needed = ['README.md', 'LICENSE'];
  for (const target of Object.values(manifest.exports)) {
    for (const file of typeof target === 'string' ? [target] : Object.values(target)) needed.push(file.slice(2));
  }
  const strays = paths.filter((path) => !allowed.test(path)).map((path) => `does not belong there: ${path}`);
  const missing = needed.filter((path) => !paths.includes(path)).map((path) => `is missing: ${path}`);
  report(`${manifest.name}: ${paths.length} files in the tarball`, [...strays, ...missing].join('\n') || undefined);

  const found = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
  const unexpected = found.filter((name) => !dependencies.includes(name));
  // What depends on the other package of this repository must ask for the version that stands here.
  const stale = PACKAGES.map((other) => readJson(join(root, 'packages', other.folder, 'package.json'))).filter(
    ({ name, version }) => (manifest.dependencies?.[name] ?? version) !== version,
  );
  report(
    `${manifest.name}: ${dependencies.length === 0 ? 'no dependencies' : `depends on ${dependencies.join(', ')} alone`}`,
    [...unexpected, ...stale.map(({ name, version }) => `${name} is ${version} here`)].join('\n') || undefined,
  );

  const publint = [bin('publint', 'publint'), 'run', tarball, '--strict'];
  report(`${manifest.name}: publint`, run('publint', process.execPath, publint).problem);
  const attw = [
    bin('@arethetypeswrong/cli', 'attw'),
    tarball,
    '--profile',
    'esm-only',
    '--format',
    'ascii',
    '--no-emoji',
  ];
  report(`${manifest.name}: are the types wrong`, run('attw', process.execPath, attw).problem);

  const unpacked = run('tar', 'tar', ['-xzf', tarball]);
  if (unpacked.problem !== undefined) {
    report(`unpack ${manifest.name}`, unpacked.problem);
    process.exit(1);
  }
  const place = join(projectModules, manifest.name);
  mkdirSync(dirname(place), { recursive: true });
  renameSync(join(work, 'package'), place);
  return manifest;
}

/** Every entry can be imported, and its declarations compile without this repository's options. */
function use(manifest, nodeEntries) {
  const compiler = bin('typescript', 'tsc');
  for (const entry of Object.keys(manifest.exports).filter((name) => !name.endsWith('.json'))) {
    const specifier = manifest.name + entry.slice(1);
    const script = `const names = Object.keys(await import(${JSON.stringify(specifier)}));
if (names.length === 0) throw new Error('exports nothing');
console.log(names.length);`;
    const { problem, stdout } = run('node', process.execPath, ['--input-type=module', '--eval', script], project);
    report(`import ${specifier}${stdout === undefined ? '' : ` (${stdout.trim()} names)`}`, problem);

    const file = join(project, `uses-${specifier.replace(/[@/]/g, '-')}.ts`);
    writeFileSync(
      file,
      `import * as library from '${specifier}';\nexport const names: string[] = Object.keys(library);\n`,
    );
    for (const [module, moduleResolution] of [
      ['nodenext', 'nodenext'],
      ['esnext', 'bundler'],
    ]) {
      const args = ['--noEmit', '--strict', '--target', 'es2022', '--module', module];
      args.push('--moduleResolution', moduleResolution);
      args.push('--lib', 'es2022,esnext.disposable,dom,dom.iterable,dom.asynciterable');
      // Without skipLibCheck the declarations themselves are checked. Main entries must not need Node's types.
      args.push('--types', nodeEntries.includes(entry) ? 'node' : '', '--skipLibCheck', 'false', file);
      const compiled = run('tsc', process.execPath, [compiler, '--ignoreConfig', ...args], project);
      report(`types of ${specifier} (${moduleResolution})`, compiled.problem);
    }
  }
}

for (const each of PACKAGES) use(pack(each), each.nodeEntries);

// The bundler comes with tsx. A bundle of one part must have that, and no class of another.
const { buildSync } = createRequire(createRequire(join(root, 'package.json')).resolve('tsx/package.json'))('esbuild');
const PARTS = {
  ByteWriter: ['fanpipe', ['ByteWriter', 'ByteStream']],
  TypedWriter: ['fanpipe', ['TypedWriter', 'TypedStream']],
  RemoteByteStream: ['fanpipe/remote', ['RemoteByteStream', 'WrongRangeError']],
  StreamPool: ['fanpipe/pool', ['StreamPool', 'PoolBudgetError']],
};
/** Written and read by both: a remote stream can be shared, an entry is a writer. */
const BUILT_ON = { RemoteByteStream: ['ByteWriter'], StreamPool: ['ByteWriter'] };
for (const [part, [specifier, own]] of Object.entries(PARTS)) {
  const contents = `import { ${part} } from '${specifier}';\nconsole.log(new ${part}());`;
  const options = { bundle: true, format: 'esm', platform: 'neutral', write: false, logLevel: 'silent' };
  let text;
  try {
    [{ text }] = buildSync({ ...options, stdin: { contents, resolveDir: project } }).outputFiles;
  } catch (error) {
    report(`a bundle of ${part} alone`, error.message);
    continue;
  }
  const has = (name) => new RegExp(`\\b${name}\\b`).test(text);
  const wanted = own.filter((name) => !has(name)).map((name) => `${name} is missing`);
  const strange = Object.entries(PARTS)
    .filter(([other]) => other !== part && !BUILT_ON[part]?.includes(other))
    .flatMap(([, [, names]]) => names.filter(has).map((name) => `${name} is in it`));
  report(`a bundle of ${part} alone (${text.length} characters)`, [...wanted, ...strange].join('\n') || undefined);
}
process.exitCode = failures > 0 ? 1 : 0;
