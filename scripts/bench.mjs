/**
 * `npm run bench`: installs the peers when they are missing and runs the benchmarks. Every flag goes on to bench/run.mjs.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = (command, args) => {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
};

if (!existsSync(`${root}/bench/node_modules`)) run('npm', ['ci', '--prefix', 'bench', '--no-audit', '--no-fund']);
run(process.execPath, ['bench/run.mjs', ...process.argv.slice(2)]);
