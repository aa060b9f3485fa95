/** Installs what the benchmarks measure against into bench/node_modules, exactly as pinned, where it is not there yet. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { npm } from './npm.mjs';

const bench = fileURLToPath(new URL('../bench', import.meta.url));

function versionAt(...path) {
  try {
    return JSON.parse(readFileSync(join(bench, ...path, 'package.json'), 'utf8')).version;
  } catch {
    return undefined;
  }
}

/** Ends the process with exit code 1 if that does not work. */
export function installPeers() {
  const { dependencies } = JSON.parse(readFileSync(join(bench, 'package.json'), 'utf8'));
  const isThere = ([name, version]) => versionAt('node_modules', name) === version;
  if (Object.entries(dependencies).every(isThere)) return;
  const problem = npm(['ci', '--no-audit', '--no-fund', '--workspaces=false'], bench);
  if (problem === undefined) return;
  process.stderr.write(`The peers could not be installed: ${problem}\n`);
  process.exit(1);
}
