/**
 * The benchmarks under the Node that runs this file; `npm run bench` starts it once per Node that it finds. Without
 * filters it measures a plan (`--quick` or the full one), prints how it stands against the goals and writes what it
 * found to `--out`. With `--only`, `--peers`, `--readers`, … it measures just these and writes nothing.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { judge } from './goals.mjs';
import { machine } from './machine.mjs';
import { peerIds } from './peers/index.mjs';
import { fullPlan, quickPlan, WRITE_COST_KINDS } from './plan.mjs';
import { printCases } from './report/cases.mjs';
import { printGoals } from './report/goals.mjs';
import { runTasks } from './runner.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const nodeMajor = Number(process.versions.node.split('.')[0]);

const text = { type: 'string' };
const filters = {
  only: text,
  peers: text,
  readers: text,
  size: text,
  every: text,
  copy: text,
  yield: text,
  kind: text,
};
const { values: flags } = parseArgs({
  options: {
    ...filters,
    quick: { type: 'boolean' },
    all: { type: 'boolean' },
    rounds: text,
    seconds: text,
    'node-flags': text,
    'target-ms': text,
    'warm-ms': text,
    ours: text,
    out: text,
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
});

const usage = `npm run bench -- [options]

  (none)                 everything, a quarter of an hour per Node; writes bench/results
  --quick                the rows of the goals, less than a minute; writes .cache/bench
  --ours PATH            measure another build of fanpipe (its index.js)
  --rounds N             rounds of every case
  --seconds S            begin no further case then, once every case had a round
  --node-flags FLAG,…    for the children; --quick has --no-concurrent-recompilation
  --warm-ms, --target-ms CPU milliseconds of warm-up and of the measured part, per round

Any of these measures just that and writes nothing:
  --only WORK,…          throughput (default), burst, memory, latency, churn, write-cost
  --peers ID,…           ${peerIds.join(', ')}
  --readers N,…          default 1,10,100,1000
  --size BYTES,…         default 1024
  --every N,…            writes per turn, default 16
  --copy reference,copy  how fanpipe is given its chunks, default reference
  --yield await,immediate
  --kind KIND,…          of memory (reading, stalled, open, parked) and write-cost (idle, stalled, gone, …)
  --json                 print the outcomes as JSON
`;
if (flags.help) {
  process.stdout.write(usage);
  process.exit(0);
}

const list = (value, otherwise) => (value === undefined ? otherwise : value.split(',').map((item) => item.trim()));
const numbers = (value, otherwise) => list(value, otherwise).map(Number);

/** The cases of the filters: every combination of what each work looks at. */
function explore() {
  const axes = {
    peer: list(flags.peers, peerIds),
    readers: [numbers(flags.readers, [1, 10, 100, 1000]).sort((a, b) => a - b)],
    size: numbers(flags.size, [1024]),
    every: numbers(flags.every, [16]),
    copy: list(flags.copy, ['reference']).map((copy) => copy === 'copy'),
    yieldBy: list(flags.yield, ['await']),
  };
  const looksAt = {
    throughput: axes,
    burst: { ...axes, every: [1024], size: numbers(flags.size, [64]) },
    latency: { peer: axes.peer, readers: numbers(flags.readers, [1000]), copy: axes.copy },
    churn: { peer: axes.peer },
    memory: {
      peer: axes.peer,
      kind: list(flags.kind, ['reading', 'stalled', 'open', 'parked']),
      readers: numbers(flags.readers, [10]),
      size: numbers(flags.size, [65536]),
      copy: list(flags.copy, ['copy']).map((copy) => copy === 'copy'),
    },
    'write-cost': {
      peer: ['fanpipe'],
      kind: list(flags.kind, WRITE_COST_KINDS),
      extra: numbers(flags.readers, [1, 10_000]),
    },
  };
  return list(flags.only, ['throughput'])
    .flatMap((work) => {
      if (looksAt[work] === undefined)
        throw new Error(`No such work: ${work}. Known: ${Object.keys(looksAt).join(', ')}`);
      return Object.entries(looksAt[work]).reduce(
        (cases, [field, values]) => cases.flatMap((task) => values.map((value) => ({ ...task, [field]: value }))),
        [{ work }],
      );
    })
    .filter(({ peer, copy, work }) => work === 'memory' || !copy || peer.startsWith('fanpipe'));
}

const exploring = Object.keys(filters).some((filter) => flags[filter] !== undefined);
const defaults = flags.quick
  ? { rounds: 5, warmMs: 50, targetMs: 50 }
  : exploring
    ? { rounds: 3, warmMs: 200, targetMs: 150 }
    : { rounds: 3, warmMs: 400, targetMs: 300 };
const timing = {
  warmMs: Number(flags['warm-ms'] ?? defaults.warmMs),
  targetMs: Number(flags['target-ms'] ?? defaults.targetMs),
};
const plan = exploring ? explore() : flags.quick ? quickPlan() : fullPlan();
// A short run cannot wait for code that another thread compiles, least of all on a busy machine.
const nodeFlags = list(flags['node-flags'], flags.quick ? ['--no-concurrent-recompilation'] : []).filter(Boolean);
const rounds = Number(flags.rounds ?? defaults.rounds);

if (flags.ours === undefined && !existsSync(join(here, '../packages/fanpipe/dist/index.js'))) {
  process.stderr.write('packages/fanpipe/dist/index.js is missing: run npm run setup, or give --ours PATH.\n');
  process.exit(1);
}

function onProgress({ round, done, total, task }) {
  if (!process.stderr.isTTY) return;
  const what = [task.work, task.peer, task.kind, task.size].filter(Boolean).join(' ');
  process.stderr.write(`\r\x1b[KNode ${nodeMajor}: round ${round + 1} of ${rounds}, ${done + 1} of ${total}: ${what}`);
}

const began = Date.now();
const seconds = Number(flags.seconds ?? (exploring ? Number.POSITIVE_INFINITY : flags.quick ? 50 : 1200));
const outcomes = runTasks(
  plan.map((task) => ({ ...timing, ...task })),
  {
    rounds,
    deadline: began + seconds * 1000,
    execPath: process.execPath,
    nodeFlags,
    ours: flags.ours === undefined ? undefined : pathToFileURL(resolve(flags.ours)).href,
    onProgress,
  },
);
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');

const rows = judge(outcomes, nodeMajor);
const result = {
  ...machine(),
  quick: Boolean(flags.quick),
  nodeFlags,
  rounds,
  ...timing,
  seconds: (Date.now() - began) / 1000,
  goals: rows,
  cases: outcomes,
};

if (flags.json) process.stdout.write(`${JSON.stringify(result)}\n`);
else {
  process.stdout.write(`Node ${process.version}, ${rounds} rounds, ${result.seconds.toFixed(0)} s\n`);
  if (exploring || flags.all || !flags.quick) process.stdout.write(printCases(outcomes));
  if (!exploring) process.stdout.write(`\n${printGoals(rows)}`);
}
if (!exploring) {
  const out = resolve(flags.out ?? join(here, flags.quick ? '../.cache/bench' : 'results'));
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, `latest-${nodeMajor}.json`), `${JSON.stringify(result, null, 1)}\n`);
}
if (outcomes.some((outcome) => outcome.error !== undefined)) {
  process.stderr.write('Some cases failed, see above.\n');
  process.exitCode = 1;
}
