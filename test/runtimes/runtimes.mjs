/**
 * The runtimes that the conformance suite runs on: how each is found, and how it is started.
 *
 * Versions are pinned in the package.json and package-lock.json beside this file. They are the packages that hold the
 * plain binaries, so that no install script has to run. `RUNTIME_<NAME>` in the environment (RUNTIME_DENO,
 * RUNTIME_NODE_22, RUNTIME_CHROMIUM) names another binary to use.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { withFolderLock } from '../../scripts/folder-lock.mjs';
import { npm } from '../../scripts/npm.mjs';
import { runBrowserCases } from './browser.mjs';
import { runInChromium } from './chromium.mjs';
import { distOf, entriesOf } from './entries.mjs';
import { writeWorkerdConfig } from './workerd.mjs';

const here = dirname(fileURLToPath(import.meta.url));
/** The root of the repository. */
export const root = dirname(dirname(here));
const cache = join(root, '.cache');
const prefix = join(cache, 'runtimes');
/** What drives Chromium. */
const driver = join(prefix, 'node_modules', 'playwright-core', 'index.mjs');
const DEADLINE_MS = 120_000;
const TESTS_DEADLINE_MS = 480_000;

const platform = `${process.platform}-${process.arch}`;
const node = (major) => ({
  binaries: {
    'linux-x64': `node-${major}-linux-x64/bin/node`,
    'linux-arm64': `node-${major}-linux-arm64/bin/node`,
  },
  version: ['--version'],
  run: (binary) => collect(binary, [join(here, 'run-here.mjs')]),
});

/** The server's own tests on another Node than that of `npm test`: it knows Node's HTTP closely. Without those that start processes. */
const server = (major) => ({
  ...node(major),
  absent: [],
  run: (binary) => runTests(binary, ['backend', 'conformance', 'http', 'hub', 'lmdb', 'node']),
});

/**
 * Every runtime: `binaries` gives its file below node_modules for each platform that is pinned; `absent` names what it is
 * known to lack, and a case skipped there for anything else is a failure.
 */
export const runtimes = {
  'node-20': { ...node(20), absent: [] },
  'node-22': { ...node(22), absent: [] },
  'node-24': { ...node(24), absent: [] },
  'node-26': { ...node(26), absent: [] },
  // The same Node with its iterable streams, and cases of their own: that module exists nowhere else.
  'stream-iter': {
    ...node(26),
    absent: [],
    run: (binary) =>
      collect(binary, [
        '--experimental-stream-iter',
        '--no-warnings',
        join(root, 'test', 'interop', 'iter-streams.mjs'),
      ]),
  },
  'server-22': server(22),
  'server-24': server(24),
  'server-26': server(26),
  bun: {
    binaries: { 'linux-x64': '@oven/bun-linux-x64/bin/bun', 'linux-arm64': '@oven/bun-linux-aarch64/bin/bun' },
    version: ['--version'],
    absent: [],
    run: (binary) => collect(binary, ['--no-install', join(here, 'run-here.mjs')]),
  },
  deno: {
    binaries: { 'linux-x64': '@deno/linux-x64-glibc/deno' },
    version: ['--version'],
    absent: [],
    run: runInDeno,
  },
  workerd: {
    binaries: {
      'linux-x64': '@cloudflare/workerd-linux-64/bin/workerd',
      'linux-arm64': '@cloudflare/workerd-linux-arm64/bin/workerd',
    },
    version: ['--version'],
    absent: [],
    run: (binary) => collect(binary, ['test', writeWorkerdConfig(root)]),
  },
  chromium: {
    find: findChromium,
    version: ['--version'],
    absent: ['ReadableStream.from'],
    run: async (binary) => {
      const { chromium } = await import(pathToFileURL(driver).href);
      return runInChromium(chromium, binary, root, DEADLINE_MS);
    },
  },
  // The same Chromium, with the server on this Node.
  browser: {
    find: findChromium,
    version: ['--version'],
    absent: [],
    run: async (binary) => {
      const { chromium } = await import(pathToFileURL(driver).href);
      return runBrowserCases(chromium, binary, DEADLINE_MS);
    },
  },
};

/**
 * Runs a command that prints `report {…}` and ends by itself, and returns the report. A command that still runs at the
 * deadline is killed: something was left behind that keeps it alive.
 */
function collect(command, args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, DEADLINE_MS);
    for (const pipe of [child.stdout, child.stderr]) {
      pipe.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const line = output.split('\n').find((each) => each.startsWith('report '));
      if (late) reject(new Error(`did not end within ${DEADLINE_MS} ms${line ? ', though all cases had run' : ''}`));
      else if (line === undefined || code !== 0)
        reject(new Error(`ended with ${code ?? signal}: ${output.slice(-4000)}`));
      else resolve(JSON.parse(line.slice('report '.length)));
    });
  });
}

/** Runs folders of `test/server` under vitest, and reports as the suite does. */
async function runTests(binary, folders) {
  const outcome = join(cache, `tests-${process.pid}.json`);
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const args = [
    'run',
    ...folders.map((folder) => `test/server/${folder}/`),
    '--reporter=json',
    `--outputFile=${outcome}`,
  ];
  const child = spawn(binary, [vitest, ...args], {
    cwd: root,
    env: { ...process.env, PATH: `${dirname(binary)}${delimiter}${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TESTS_DEADLINE_MS,
    killSignal: 'SIGKILL',
  });
  let output = '';
  for (const pipe of [child.stdout, child.stderr]) {
    pipe.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  const [code, signal] = await once(child, 'close');
  if (!existsSync(outcome)) throw new Error(`ended with ${code ?? signal}: ${output.slice(-4000)}`);
  const { numPassedTests: passed, testResults } = JSON.parse(readFileSync(outcome, 'utf8'));
  rmSync(outcome);
  const failures = testResults.flatMap(({ name, message, assertionResults }) => {
    const failed = assertionResults.filter(({ status }) => status === 'failed');
    if (failed.length === 0 && message) return [{ title: name, error: message }];
    return failed.map(({ fullName, failureMessages }) => ({ title: fullName, error: failureMessages.join('\n') }));
  });
  // What nobody handled fails the run and no test.
  if (code !== 0 && failures.length === 0) failures.push({ title: 'the run', error: output.slice(-4000) });
  return { passed, failures, absent: {}, seesRejections: true };
}

function runInDeno(binary) {
  const imports = join(cache, 'conformance', 'imports.json');
  const entries = entriesOf(root, { withNode: true }).map(({ name, folder, file }) => {
    return [name, pathToFileURL(join(distOf(root, folder), file)).href];
  });
  writeFileSync(imports, JSON.stringify({ imports: Object.fromEntries(entries) }));
  const alone = ['--no-config', '--no-lock', '--no-remote', '--no-npm', '--no-prompt', '--allow-net=127.0.0.1'];
  return collect(binary, ['run', ...alone, `--import-map=${imports}`, join(here, 'run-here.mjs')], {
    DENO_DIR: join(cache, 'deno'),
    DENO_NO_UPDATE_CHECK: '1',
  });
}

/** Debian's browser: the one that is there, or, for root on a system with apt-get, the one that it installs. */
function findChromium() {
  const path = '/usr/bin/chromium';
  if (existsSync(path)) return { path };
  const reason = 'there is no /usr/bin/chromium (install Debian’s package, or set RUNTIME_CHROMIUM to a Chromium)';
  if (process.getuid?.() !== 0 || spawnSync('apt-get', ['--version']).error !== undefined) return { reason };
  process.stderr.write('runtimes: installing the Debian package chromium …\n');
  const options = { stdio: ['ignore', 2, 2], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', 'chromium']]) {
    const done = spawnSync('apt-get', args, options);
    if (done.status !== 0) return { reason: `${reason}; apt-get ${args[0]} failed` };
  }
  return existsSync(path) ? { path } : { reason };
}

let whyNotInstalled;
let tried = false;

/** Installs the pinned packages into the cache, once: kept as long as the lockfile stays the same. */
function installPackages() {
  if (tried) return;
  tried = true;
  const stamp = join(prefix, 'stamp');
  const wanted = createHash('sha256')
    .update(readFileSync(join(here, 'package-lock.json')))
    .digest('hex');
  const files = Object.values(runtimes).flatMap(({ binaries }) => binaries?.[platform] ?? []);
  const isWhole = () => existsSync(driver) && files.every((file) => existsSync(join(prefix, 'node_modules', file)));
  const isCurrent = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && isWhole();
  if (isCurrent()) return;
  const work = () => {
    if (isCurrent()) return;
    process.stderr.write('runtimes: installing the pinned runtimes (about 1 GB on disk) …\n');
    mkdirSync(prefix, { recursive: true });
    for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(here, file), join(prefix, file));
    whyNotInstalled = npm(['ci', '--ignore-scripts', '--include=optional', '--no-audit', '--no-fund'], prefix);
    // npm passes over an optional package that it could not fetch: the next run tries again.
    if (whyNotInstalled === undefined) writeFileSync(stamp, wanted);
  };
  withFolderLock(join(cache, 'runtimes.lock'), work, () => process.stderr.write('runtimes: waiting for another …\n'));
}

/** Where the runtime `name` is: `{ path }`, or `{ reason }` why it cannot be had. Installs it when it is missing. */
export function findRuntime(name) {
  const { binaries, find } = runtimes[name];
  const given = process.env[`RUNTIME_${name.toUpperCase().replace('-', '_')}`];
  installPackages();
  if (find !== undefined && !existsSync(driver))
    return { reason: whyNotInstalled ?? 'playwright-core was not to be had' };
  if (given !== undefined) return existsSync(given) ? { path: given } : { reason: `there is no file ${given}` };
  if (find !== undefined) return find();
  const file = binaries[platform];
  if (file === undefined) return { reason: `no build for ${platform} is pinned` };
  const path = join(prefix, 'node_modules', file);
  if (existsSync(path)) return { path };
  return { reason: whyNotInstalled ?? `its package was not to be had for ${platform}` };
}

/** The version that a runtime says it has. */
export function versionOf(name, path) {
  const done = spawnSync(path, runtimes[name].version, { encoding: 'utf8' });
  return /\d[\d.-]*\d/.exec(done.stdout ?? '')?.[0] ?? 'unknown';
}
