/** The report of `bench/remote.mjs`: Markdown out of the results of every Node that is there. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { markdownTable } from '../report/cases.mjs';

const MIB = 2 ** 20;
const count = (value) => Math.round(value).toLocaleString('en');
const mebibytes = (value) => `${(value / MIB).toFixed(1)} MiB`;

/** How a measured goal is shown. */
export function shown({ unit }, value) {
  if (unit === 'bytes') return mebibytes(value);
  return unit === 'x' ? `${value.toFixed(2)}x` : count(value);
}

function section(result) {
  const { cases, goals } = result;
  const only = (work) => cases.filter((each) => each.work === work);
  const goalRows = goals.map((row) => [
    row.text,
    `${row.better === 'more' ? '≥' : '≤'} ${shown(row, row.goal)}`,
    shown(row, row.value),
    row.pass ? 'pass' : '**miss**',
  ]);
  const rates = only('throughput').map(({ how, title, median, rounds }) => [
    title === undefined ? how : `${how}, ${title}`,
    count(median.value),
    `${count(Math.min(...rounds.map(({ value }) => value)))} to ${count(Math.max(...rounds.map(({ value }) => value)))}`,
    count(median.cpu),
    count(median.requests),
  ]);
  const reads = only('random').map(({ title, how, median }) => [
    title,
    how,
    count(median.requests),
    mebibytes(median.fetched),
    count(median.value),
    count(median.cpu),
  ]);
  const memory = only('memory').map(({ title, median }) => [
    title,
    mebibytes(median.cached),
    mebibytes(median.mean),
    mebibytes(median.most),
    mebibytes(median.growth),
    mebibytes(median.left),
  ]);
  return [
    `## Node ${result.node}`,
    `${result.cpu}, ${result.cores} cores, ${result.platform}, commit ${result.commit}, ${result.date}; ${result.rounds} rounds${result.quick ? ', `--quick`' : ''}.`,
    markdownTable(['', 'goal', 'measured', ''], goalRows),
    `### Sequential, ${mebibytes(only('throughput')[0].size)}`,
    markdownTable(['', 'MiB/s', 'from to', 'MiB per CPU second', 'requests'], rates),
    '### Random reads',
    `${count(only('random')[0].reads)} reads of 4 KiB in 64 MiB, a cache of 16 MiB.`,
    markdownTable(['', 'by', 'requests', 'fetched', 'reads/s', 'reads per CPU second'], reads),
    '### Memory',
    'Held after full collections, above what was held before, from where the cache has been full for long.',
    markdownTable(['', 'cached at most', 'mean', 'most', 'second half minus first', 'left after close'], memory),
  ];
}

/** Writes `remote.md` from all `remote-*.json` in a folder, and returns its path. */
export function writeRemoteReport(folder) {
  const results = readdirSync(folder)
    .filter((name) => /^remote-\d+\.json$/.test(name))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));
  const parts = [
    '# Remote benchmark results',
    'Written by `npm run bench:remote`; do not edit. How it is measured: [../README.md](../README.md#remote).',
    ...results.flatMap(section),
  ];
  const path = join(folder, 'remote.md');
  writeFileSync(path, `${parts.join('\n\n')}\n`);
  return path;
}
