/**
 * What the runtimes need to be told where the names of the packages lead: to the entries of their package.json, so that a new one
 * is known everywhere.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';

/** Folders below `packages`. */
const PACKAGES = ['fanpipe', 'server'];
/** Entries that need Node's modules. */
const NODE_ONLY = ['./node', './lmdb'];

/** The names of all entries, each with its package's folder and its file below `dist`. With `withNode: false`, those that need no Node. */
export function entriesOf(root, { withNode }) {
  return PACKAGES.flatMap((folder) => {
    const { name, exports } = JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8'));
    return Object.entries(exports)
      .filter(([entry, target]) => typeof target === 'object' && (withNode || !NODE_ONLY.includes(entry)))
      .map(([entry, target]) => ({ name: name + entry.slice(1), folder, file: target.default.replace('./dist/', '') }));
  });
}

/** Where a package is built. */
export function distOf(root, folder) {
  return join(root, 'packages', folder, 'dist');
}

/** All scripts of a folder, with slashes. */
export function scriptsIn(folder) {
  return readdirSync(folder, { recursive: true })
    .map((file) => file.split(sep).join('/'))
    .filter((file) => file.endsWith('.js'));
}

/** Scripts of the packages that import nothing from Node, each with its package's folder. */
export function scriptsForAnyRuntime(root) {
  return PACKAGES.flatMap((folder) => {
    const dist = distOf(root, folder);
    return scriptsIn(dist)
      .filter((file) => !/from '(node:|lmdb)|import\('(node:|lmdb)/.test(readFileSync(join(dist, file), 'utf8')))
      .map((file) => ({ folder, file }));
  });
}
