/**
 * `npm run bench`: installs the peers when they are missing, runs bench/run.mjs under this Node and, for a plan, also under Node 26
 * where one is found (`FANPIPE_NODE26`, or the one that `npm run test:runtimes` has installed), and merges both into one
 * report. Every flag goes on to bench/run.mjs.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installPeers } from './install-peers.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const args = process.argv.slice(2);

function run(command, ...rest) {
  const { status, error } = spawnSync(command, rest, { cwd: root, stdio: 'inherit', shell: false });
  if (error !== undefined) throw error;
  return status ?? 1;
}

const majorOf = (node) =>
  Number.parseInt(spawnSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' }).stdout ?? '', 10);

/** A Node 26 binary: the one that is named, or the one that `npm run test:runtimes` has installed. */
function findNode26() {
  const named = process.env.FANPIPE_NODE26 || process.env.RUNTIME_NODE_26;
  if (named) {
    if (majorOf(named) !== 26) throw new Error(`${named} was named as Node 26 and is not.`);
    return named;
  }
  const cached = join(root, `.cache/runtimes/node_modules/node-26-${process.platform}-${process.arch}/bin/node`);
  return existsSync(cached) && majorOf(cached) === 26 ? cached : undefined;
}

installPeers();

const quick = args.includes('--quick');
// Filters, help and JSON are for one Node at a time.
const plain = args.every(
  (arg, i) =>
    /^--(quick|ours|out|rounds|seconds|target-ms|warm-ms|node-flags)\b/.test(arg) || !args[i].startsWith('--'),
);
const nodes = [process.execPath];
if (plain && Number.parseInt(process.versions.node, 10) !== 26) {
  const node26 = findNode26();
  if (node26 === undefined)
    process.stderr.write(
      'No Node 26 (named by FANPIPE_NODE26, or installed by npm run test:runtimes): its column is left out.\n',
    );
  else nodes.push(node26);
}

let failed = false;
for (const node of nodes) {
  const budget = quick && !args.includes('--seconds') ? ['--seconds', String(Math.floor(48 / nodes.length))] : [];
  failed = run(node, 'bench/run.mjs', ...args, ...budget) !== 0 || failed;
}
if (plain && !failed) {
  const { writeReport } = await import('../bench/report/write.mjs');
  const at = args.indexOf('--out');
  const out = at >= 0 ? resolve(args[at + 1]) : join(root, quick ? '.cache/bench' : 'bench/results');
  process.stdout.write(`\nReport: ${await writeReport(out)}\n`);
}
process.exitCode = failed ? 1 : 0;
