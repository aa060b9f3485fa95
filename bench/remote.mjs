/**
 * `npm run bench:remote`: RemoteByteStream against bare `fetch`, on a server of this machine that is a process of its own. Every
 * (case, round) is a fresh child process; every round runs every case, odd rounds in reverse order. Writes bench/results, with
 * `--quick` .cache/bench.
 */
import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { machine } from './machine.mjs';
import { shown, writeRemoteReport } from './remote/report.mjs';
import { median } from './runner.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const child = join(here, 'remote', 'child.mjs');
const MIB = 2 ** 20;
const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    rounds: { type: 'string' },
    only: { type: 'string' },
    ours: { type: 'string' },
    out: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (flags.help) {
  process.stdout.write(`npm run bench:remote -- [options]

  (none)          everything, some minutes; writes bench/results/remote-${process.versions.node.split('.')[0]}.json and remote.md
  --quick         less of everything; writes .cache/bench
  --rounds N      rounds of every case
  --only WORK,…   throughput, random, memory; prints and writes nothing
  --ours PATH     another build of fanpipe/remote (its index.js)
  --out FOLDER    where the report goes
`);
  process.exit(0);
}
if (flags.ours === undefined && !existsSync(join(here, '../packages/fanpipe/dist/remote/index.js'))) {
  process.stderr.write('packages/fanpipe/dist/remote/index.js is missing: run npm run setup, or give --ours PATH.\n');
  process.exit(1);
}

const rounds = Number(flags.rounds ?? (flags.quick ? 3 : 7));
const ways = ['fetch', 'fetch, for await', 'remote', 'remote, one GET', 'remote, read(into)'];
const whole = { size: (flags.quick ? 256 : 1024) * MIB };
const reads = {
  work: 'random',
  reads: 10_000,
  size: 64 * MIB,
  length: 4096,
  aligned: true,
  hot: 0,
  hotSize: 0,
  maxRounds: 1,
};
const hot = { hot: 0.95, hotSize: 4 * MIB };
const plan = [
  ...ways.map((how) => ({ work: 'throughput', how, ...whole, warm: 64 * MIB })),
  // The same once more when all is compiled. Behind the others, so that the goal is held against those.
  ...['fetch', 'remote'].map((how) => ({ work: 'throughput', how, ...whole, warm: whole.size, title: 'warmed up' })),
  ...['fetch', 'remote'].flatMap((how) => [
    { ...reads, how, ...hot, id: 'hot', title: '95 % of the pages in 4 MiB' },
    { ...reads, how, id: 'uniform', title: 'pages anywhere' },
    { ...reads, how, ...hot, aligned: false, id: 'hot-any', title: '95 % in 4 MiB, at any offset' },
    { ...reads, how, ...hot, width: 16, id: 'hot-wide', title: '95 % of the pages in 4 MiB, 16 at a time' },
  ]),
  {
    work: 'memory',
    how: 'remote',
    size: 1024 * MIB,
    cacheSize: 16 * MIB,
    every: 8 * MIB,
    maxRounds: 1,
    title: '1 GiB read through a cache of 16 MiB',
  },
].filter(({ work }) => flags.only === undefined || flags.only.split(',').includes(work));

const server = fork(join(here, 'remote', 'server.mjs'), { execArgv: [] });
const [port] = await once(server, 'message');
const origin = `http://127.0.0.1:${port}`;
const env = { ...process.env, NODE_OPTIONS: '' };
if (flags.ours !== undefined) env.FANPIPE_BENCH_OURS = pathToFileURL(resolve(flags.ours)).href;

const runs = plan.map((task) => ({ task, rounds: [] }));
for (let round = 0; round < rounds; round++) {
  for (const run of round % 2 === 0 ? runs : [...runs].reverse()) {
    const { task } = run;
    if (round >= (task.maxRounds ?? rounds)) continue;
    if (process.stderr.isTTY) {
      process.stderr.write(`\r\x1b[Kround ${round + 1} of ${rounds}: ${task.work}, ${task.how} ${task.title ?? ''}`);
    }
    const args = ['--expose-gc', '--no-warnings', child, JSON.stringify({ ...task, origin })];
    const done = spawnSync(process.execPath, args, { encoding: 'utf8', env, timeout: 600_000 });
    if (done.status !== 0) {
      process.stderr.write(`\n${JSON.stringify(task)} failed:\n${done.stderr}\n`);
      process.exit(1);
    }
    run.rounds.push(JSON.parse(done.stdout));
  }
}
server.kill();
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');

const medians = (all) =>
  Object.fromEntries(Object.keys(all[0]).map((field) => [field, median(all.map((result) => result[field]))]));
const cases = runs.map(({ task, rounds: all }) => ({ ...task, median: medians(all), rounds: all }));
const found = (wanted, field = 'value') =>
  cases.find((each) => Object.entries(wanted).every(([key, value]) => each[key] === value))?.median[field];
const ratio = (one, other) => (one === undefined || other === undefined ? undefined : one / other);
const requests = (id) =>
  ratio(
    found({ work: 'random', how: 'fetch', id }, 'requests'),
    found({ work: 'random', how: 'remote', id }, 'requests'),
  );

const goals = [
  {
    text: 'sequential throughput against `fetch`',
    unit: 'x',
    better: 'more',
    goal: 0.85,
    value: ratio(found({ how: 'remote' }), found({ how: 'fetch' })),
  },
  {
    text: 'fewer requests than one for each read, with a hot set',
    unit: 'x',
    better: 'more',
    goal: 5,
    value: requests('hot'),
  },
  {
    text: 'fewer requests than one for each read, pages anywhere',
    unit: 'x',
    better: 'more',
    goal: 1,
    value: requests('uniform'),
  },
  {
    text: 'cached at most, of a budget of 16 MiB',
    unit: 'bytes',
    better: 'less',
    goal: 16 * MIB,
    value: found({ work: 'memory' }, 'cached'),
  },
  {
    // Beside the cache there is what fetch has read ahead of us, which differs from moment to moment.
    text: 'held at most, with a budget of 16 MiB',
    unit: 'bytes',
    better: 'less',
    goal: 24 * MIB,
    value: found({ work: 'memory' }, 'most'),
  },
  {
    text: 'growth while 1 GiB is read',
    unit: 'bytes',
    better: 'less',
    goal: MIB,
    value: found({ work: 'memory' }, 'growth'),
  },
]
  .filter(({ value }) => value !== undefined)
  .map((row) => ({ ...row, pass: row.better === 'more' ? row.value >= row.goal : row.value <= row.goal }));

for (const { work, title, how, median: m } of cases) {
  const figures = Object.entries(m).map(([field, value]) => `${field} ${Math.round(value).toLocaleString('en')}`);
  process.stdout.write(`${[work, title, how].filter(Boolean).join(', ').padEnd(64)} ${figures.join(', ')}\n`);
}
process.stdout.write('\n');
for (const row of goals) {
  const line = `${row.better === 'more' ? '≥' : '≤'} ${shown(row, row.goal)}, measured ${shown(row, row.value)}`;
  process.stdout.write(`${row.pass ? 'pass' : 'MISS'}  ${row.text}: ${line}\n`);
}
if (flags.only === undefined) {
  const out = resolve(flags.out ?? join(here, flags.quick ? '../.cache/bench' : 'results'));
  mkdirSync(out, { recursive: true });
  const result = { ...machine(), quick: Boolean(flags.quick), rounds, goals, cases };
  const file = join(out, `remote-${process.versions.node.split('.')[0]}.json`);
  writeFileSync(file, `${JSON.stringify(result, null, 1)}\n`);
  process.stdout.write(`\nReport: ${writeRemoteReport(out)}\n`);
}
