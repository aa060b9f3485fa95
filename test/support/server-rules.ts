/** The rules about which file of `@fanpipe/server` may use what; those that hold for both packages are in source-rules.ts. */
import { importsThat, type Sources } from './source-rules.ts';

/** Folders from the top down: each may use those after it. */
const LAYERS = ['cli', 'node', 'http', 'hub', 'backends'];
/** What both sides of an arrow may use. */
const LEAVES = new Set(['errors.ts']);
/** Backends, each of which is an entry of its own or part of the common index. */
const isNodeFile = (file: string): boolean =>
  file === 'node.ts' || file.startsWith('node/') || file.startsWith('cli/') || file.startsWith('backends/lmdb/');

const folderOf = (file: string): string => (file.includes('/') ? file.slice(0, file.indexOf('/')) : '');

function isAllowed(file: string, target: string): boolean {
  if (LEAVES.has(file)) return false;
  if (LEAVES.has(target)) return true;
  // Whoever imports what imports `node:` or lmdb needs Node too.
  if (isNodeFile(target) && !isNodeFile(file)) return false;
  const from = folderOf(file);
  const to = folderOf(target);
  // The server itself puts the layers together; below it nobody knows it but those that put it on a socket.
  if (from === '') return to !== 'cli';
  if (to === '') return target === 'stream-server.ts' && (from === 'node' || from === 'cli');
  return LAYERS.indexOf(from) <= LAYERS.indexOf(to);
}

/** Imports against the arrows. */
export function wrongServerArrows(sources: Sources): string[] {
  return importsThat(sources, ({ file, target, isRelative }) => isRelative && !isAllowed(file, target));
}

/** Imports from outside that are neither the library nor, where Node is meant, Node and the store. */
export function foreignServerImports(sources: Sources): string[] {
  return importsThat(sources, ({ file, target, isRelative }) => {
    if (isRelative) return false;
    if (target === 'fanpipe') return !/^(http|hub|backends|node|cli)\/|^[^/]+$/.test(file);
    if (target.startsWith('node:')) return !isNodeFile(file);
    return !(target === 'lmdb' && file.startsWith('backends/lmdb/'));
  });
}
