/**
 * `npm run bench:server`: `@fanpipe/server` against the reference server of the protocol and a bare `node:http` server, on this machine,
 * in one run. Each (case, server, round) is a fresh server process; the load comes from this one. Every round runs every
 * case, odd rounds in reverse order. Writes bench/results, with `--quick` .cache/bench.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { installPeers } from '../scripts/install-peers.mjs';
import { machine } from './machine.mjs';
import { median } from './runner.mjs';
import { goalRows } from './server/goals.mjs';
import { Hosted } from './server/hosted.mjs';
import { planOf } from './server/plan.mjs';
import { lineOf, writeServerReport } from './server/report.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    rounds: { type: 'string' },
    only: { type: 'string' },
    servers: { type: 'string' },
    out: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (flags.help) {
  process.stdout.write(`npm run bench:server -- [options]

  (none)           everything, some ten minutes; writes bench/results/server-${process.versions.node.split('.')[0]}.json and server.md
  --quick          less of everything; writes .cache/bench
  --rounds N       rounds of every case
  --only CASE,…    ${planOf(false)
    .map(({ id }) => id)
    .join(', ')}; prints and writes nothing
  --servers KIND,… memory, lmdb, reference, reference-files, bare; prints and writes nothing
  --out FOLDER     where the report goes
`);
  process.exit(0);
}

installPeers();
const named = (list, name) => list === undefined || list.split(',').includes(name);
const rounds = Number(flags.rounds ?? (flags.quick ? 1 : 3));
const runs = planOf(Boolean(flags.quick))
  .filter(({ id }) => named(flags.only, id))
  .flatMap((task) => task.servers.map((server) => ({ task, server, results: [] })))
  .filter(({ server }) => named(flags.servers, server));

for (let round = 0; round < rounds; round++) {
  for (const { task, server, results } of round % 2 === 0 ? runs : [...runs].reverse()) {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[Kround ${round + 1} of ${rounds}: ${task.id}, ${server}`);
    let hosted;
    try {
      hosted = await Hosted.start(server, task.nodeArgs);
      results.push(await task.run(hosted, task.options));
    } catch (error) {
      // One server that breaks under a load must not hide what the others do.
      process.stderr.write(`\n${task.id}, ${server}: ${error.message}\n`);
      if (server === 'memory' || server === 'lmdb') process.exitCode = 1;
    } finally {
      await hosted?.stop();
    }
  }
}
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');

const medians = (all) =>
  Object.fromEntries(Object.keys(all[0]).map((field) => [field, median(all.map((result) => result[field]))]));
const cases = runs
  .filter(({ results }) => results.length > 0)
  .map(({ task: { id, title, options }, server, results }) => {
    return { id, title, server, options, median: medians(results), rounds: results };
  });
const goals = goalRows(cases);
for (const each of cases) process.stdout.write(`${lineOf(each)}\n`);
process.stdout.write('\n');
for (const { text, goal, value, unit, pass, better } of goals) {
  const sign = better === 'more' ? '≥' : '≤';
  process.stdout.write(`${pass ? 'pass' : 'MISS'}  ${text}: ${sign} ${unit(goal)}, measured ${unit(value)}\n`);
}
if (flags.only === undefined && flags.servers === undefined) {
  const out = resolve(flags.out ?? join(here, flags.quick ? '../.cache/bench' : 'results'));
  mkdirSync(out, { recursive: true });
  const rows = goals.map(({ unit, ...row }) => ({ ...row, shownGoal: unit(row.goal), shown: unit(row.value) }));
  const result = { ...machine(), quick: Boolean(flags.quick), rounds, goals: rows, cases };
  writeFileSync(
    join(out, `server-${process.versions.node.split('.')[0]}.json`),
    `${JSON.stringify(result, null, 1)}\n`,
  );
  process.stdout.write(`\nReport: ${writeServerReport(out)}\n`);
}
