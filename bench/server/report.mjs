/** The report of `bench/server.mjs`: Markdown out of the results of every Node that is there. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { markdownTable } from '../report/cases.mjs';

const count = (value) => Math.round(value).toLocaleString('en');
const FIELDS = {
  deliveriesPerSecond: ['deliveries/s', count],
  cpuPerDelivery: ['us of CPU per delivery', (value) => value.toFixed(1)],
  p50: ['p50, ms', (value) => value.toFixed(2)],
  p99: ['p99, ms', (value) => value.toFixed(2)],
  appendsPerSecond: ['appends/s', count],
  cpuPerAppend: ['us of CPU per append', (value) => value.toFixed(1)],
  megabytesPerSecond: ['MB/s', count],
  cpuPerMegabyte: ['us of CPU per MB', count],
  rssGrowth: ['growth of RSS, MB', (value) => (value / 1e6).toFixed(1)],
  heldForReader: ['held for it, KB', (value) => (value / 1e3).toFixed(1)],
  heldPerMessage: ['bytes held per message', count],
  few: ['behind few, ms', (value) => value.toFixed(3)],
  many: ['behind many, ms', (value) => value.toFixed(3)],
  ratio: ['ratio', (value) => value.toFixed(2)],
  heldPerReader: ['bytes of heap per reader', count],
  rssPerReader: ['bytes of RSS per reader', count],
};
const shownFields = (result) => Object.keys(result).filter((field) => FIELDS[field] !== undefined);

/** A case on one line of a terminal. */
export function lineOf({ id, server, median }) {
  const figures = shownFields(median).map((field) => `${FIELDS[field][0]} ${FIELDS[field][1](median[field])}`);
  return `${`${id}, ${server}`.padEnd(32)} ${figures.join(', ')}`;
}

function section(result) {
  const rows = result.goals.map(({ text, better, shownGoal, shown, pass }) => {
    return [text, `${better === 'more' ? '≥' : '≤'} ${shownGoal}`, shown, pass ? 'pass' : '**miss**'];
  });
  const ids = [...new Set(result.cases.map(({ id }) => id))];
  return [
    `## Node ${result.node}`,
    `${result.cpu}, ${result.cores} cores, ${result.platform}, commit ${result.commit}, ${result.date}; rounds: ${result.rounds}${result.quick ? ', `--quick`' : ''}.`,
    markdownTable(['', 'goal', 'measured', ''], rows),
    ...ids.flatMap((id) => {
      const cases = result.cases.filter((each) => each.id === id);
      const fields = shownFields(cases[0].median);
      const header = ['', ...fields.map((field) => FIELDS[field][0])];
      const body = cases.map(({ server, median }) => [
        server,
        ...fields.map((field) => FIELDS[field][1](median[field])),
      ]);
      return [`### ${cases[0].title[0].toUpperCase()}${cases[0].title.slice(1)}`, markdownTable(header, body)];
    }),
  ];
}

/** Writes `server.md` from all `server-*.json` in a folder, and returns its path. */
export function writeServerReport(folder) {
  const results = readdirSync(folder)
    .filter((name) => /^server-\d+\.json$/.test(name))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));
  const parts = [
    '# Server benchmark results',
    'Written by `npm run bench:server`; do not edit. How it is measured: [../README.md](../README.md#server).',
    ...results.flatMap(section),
  ];
  const path = join(folder, 'server.md');
  writeFileSync(path, `${parts.join('\n\n')}\n`);
  return path;
}
