/**
 * What the runtimes need to be told where the names of the library lead: to the entries of its package.json, so that a new one
 * is known everywhere.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Needs Node's modules. */
const NODE_ONLY = './node';

/** The names of the library's entries, each with its file below `dist`. With `withNode: false`, those without `fanpipe/node`. */
export function entriesOf(root, { withNode }) {
  const { name, exports } = JSON.parse(readFileSync(join(root, 'packages', 'fanpipe', 'package.json'), 'utf8'));
  return Object.entries(exports)
    .filter(([entry, target]) => typeof target === 'object' && (withNode || entry !== NODE_ONLY))
    .map(([entry, target]) => [name + entry.slice(1), target.default.replace('./dist/', '')]);
}
