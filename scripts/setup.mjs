#!/usr/bin/env node
/**
 * Makes a clone ready: dependencies installed, the packages built. Plain JavaScript without dependencies, because it
 * runs before there are any.
 *
 *   node scripts/setup.mjs [--quiet]
 *
 * - Nothing to do takes well under 200 ms, so that every npm script can begin with it.
 * - It decides by content, not by time: the installed tree must be the one of package-lock.json, and the built files
 *   must be the ones that came from these sources. A checkout that touches times rebuilds nothing; a deleted or
 *   hand-built `dist` is noticed.
 * - All progress goes to stderr; `--quiet` also leaves out the closing line on stdout, so that the output of the command
 *   that follows stays byte-exact.
 * - Two that run at once wait for each other. A build replaces the files of `dist` one by one and atomically, and
 *   removes the ones that no source gives any more.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withFolderLock } from './folder-lock.mjs';
import { npm } from './npm.mjs';

const OLDEST_NODE = 20;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cache = join(root, '.cache');
/** In the order in which they use each other. */
const PACKAGES = ['fanpipe', 'server'];
const quiet = process.argv.includes('--quiet');

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function stop(text) {
  say(text);
  process.exit(1);
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Paths of all files below `folder`, relative to it and sorted. */
function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}

/**
 * Why dependencies must be installed, or undefined. npm notes in node_modules/.package-lock.json what it installed;
 * that must be the wanted versions, and nothing may be absent but optional packages (those of other platforms).
 */
function whyInstall() {
  const installed = readJson(join(root, 'node_modules', '.package-lock.json'))?.packages;
  if (installed === undefined) return 'node_modules is missing';
  const wanted = readJson(join(root, 'package-lock.json'))?.packages;
  if (wanted === undefined) stop('package-lock.json is missing or damaged: restore it');
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue;
    const present = installed[path];
    if (present === undefined) {
      if (entry.optional || entry.devOptional) continue;
      return `${path} is not installed`;
    }
    if (present.version !== entry.version || present.integrity !== entry.integrity) return `${path} has changed`;
  }
  for (const [path, { extraneous }] of Object.entries(installed)) {
    // Extraneous is what somebody added by hand with --no-save.
    if (wanted[path] === undefined && !extraneous) return `${path} is no longer wanted`;
  }
  return undefined;
}

function install(why) {
  say(`${why}: running npm ci …`);
  // NODE_ENV=production would leave out the compiler.
  const failure = npm(['ci', '--include=dev', '--include=optional'], root);
  if (failure !== undefined) stop(failure);
  const left = whyInstall();
  if (left !== undefined) stop(`npm ci ran, but ${left}`);
}

const folderOf = (name) => join(root, 'packages', name);
const distOf = (name) => join(folderOf(name), 'dist');
const stampOf = (name) => join(cache, `build-${name}.json`);

/** A digest of everything that decides what a build gives: sources, compiler options, compiler version, packages used. */
function sourceDigest(name) {
  const folder = folderOf(name);
  const source = join(folder, 'src');
  const inputs = filesBelow(source)
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .map((file) => join(source, file));
  inputs.push(join(folder, 'tsconfig.build.json'), join(folder, 'package.json'), join(root, 'tsconfig.base.json'));
  inputs.push(join(root, 'node_modules', 'typescript', 'package.json'));
  const digest = createHash('sha256');
  for (const file of inputs) {
    digest.update(`${relative(root, file).split(sep).join('/')}\0`);
    digest.update(readFileSync(file));
    digest.update('\0');
  }
  const before = PACKAGES[PACKAGES.indexOf(name) - 1];
  if (before !== undefined) digest.update(sourceDigest(before));
  return digest.digest('hex');
}

/** A digest of what stands in dist: names, sizes and times, so that a build by hand is noticed. */
function distDigest(name) {
  const dist = distOf(name);
  const digest = createHash('sha256');
  for (const file of filesBelow(dist)) {
    const { size, mtimeMs } = statSync(join(dist, file));
    digest.update(`${file}\0${size}\0${mtimeMs}\0`);
  }
  return digest.digest('hex');
}

/** Why a package must be built, or undefined. */
function whyBuild(name) {
  if (!existsSync(join(distOf(name), 'index.js'))) return 'it is not built';
  const stamp = readJson(stampOf(name));
  if (stamp?.sources !== sourceDigest(name)) return 'sources have changed';
  if (stamp.dist !== distDigest(name)) return 'dist has changed';
  return undefined;
}

function build(name, why) {
  say(`${why}: building packages/${name} …`);
  const folder = folderOf(name);
  const dist = distOf(name);
  const sources = sourceDigest(name);
  // Beside dist and as deep as dist, since source maps hold relative paths.
  for (const left of readdirSync(folder).filter((entry) => entry.startsWith('.dist-'))) {
    rmSync(join(folder, left), { recursive: true, force: true });
  }
  const fresh = join(folder, `.dist-${process.pid}`);
  const typescript = join(root, 'node_modules', 'typescript');
  const compiler = join(typescript, readJson(join(typescript, 'package.json')).bin.tsc);
  const args = [compiler, '-p', join(folder, 'tsconfig.build.json'), '--outDir', fresh];
  const done = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (done.status !== 0) {
    rmSync(fresh, { recursive: true, force: true });
    stop(`the build failed (exit ${done.status ?? done.signal}); dist was left as it was`);
  }
  const built = filesBelow(fresh);
  for (const file of built) {
    mkdirSync(dirname(join(dist, file)), { recursive: true });
    renameSync(join(fresh, file), join(dist, file));
  }
  const current = new Set(built);
  for (const file of filesBelow(dist)) if (!current.has(file)) rmSync(join(dist, file));
  rmSync(fresh, { recursive: true, force: true });
  writeFileSync(stampOf(name), JSON.stringify({ sources, dist: distDigest(name) }));
}

if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
  stop(`fanpipe needs Node ${OLDEST_NODE} or newer, this is ${process.version}`);
}
if (whyInstall() !== undefined || PACKAGES.some((name) => whyBuild(name) !== undefined)) {
  const work = () => {
    const needInstall = whyInstall();
    if (needInstall !== undefined) install(needInstall);
    for (const name of PACKAGES) {
      const needBuild = whyBuild(name);
      if (needBuild !== undefined) build(name, needBuild);
    }
  };
  withFolderLock(join(cache, 'setup.lock'), work, (pid) => say(`waiting for another setup (process ${pid}) …`));
}
if (!quiet) console.log('setup: dependencies and build are up to date');
