/** Merges the `latest-<major>.json` of a folder into its README.md and one chart per Node. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describePeers } from '../peers/index.mjs';
import { STANDARD } from '../plan.mjs';
import { groupBy } from './cases.mjs';
import { barChart } from './chart.mjs';
import { markdownReport } from './markdown.mjs';

const NAMES = {
  fanpipe: 'fanpipe',
  'fanpipe.batches': 'fanpipe batches()',
  callbacks: 'sync callbacks',
  passthrough: 'PassThroughs',
  rxjs: 'RxJS concatMap',
  effect: 'Effect PubSub',
  tee: 'tee()',
  'iter.broadcast': 'iter broadcast()',
  'iter.share': 'iter share()',
};
const LEFT_OUT = new Set(['callbacks.array', 'rxjs.sync', 'passthrough.data']);

function chartOf(run, notes) {
  const cases = run.cases.filter(
    (o) =>
      o.work === 'throughput' &&
      o.error === undefined &&
      !LEFT_OUT.has(o.peer) &&
      Object.entries(STANDARD).every(([k, v]) => o[k] === v),
  );
  const panels = [...groupBy(cases, (o) => o.readers)]
    .sort(([a], [b]) => a - b)
    .map(([readers, outcomes]) => ({
      readers,
      bars: outcomes
        .map((o) => ({ id: o.peer, kind: notes[o.peer].kind, name: NAMES[o.peer] ?? o.peer, value: o.median.value }))
        .sort((a, b) => b.value - a.value),
    }));
  return barChart({
    title: `Fan-out of 1 KiB chunks, Node ${run.node}`,
    subtitle: 'Million deliveries per second of CPU time. Longer is better; each panel has its own scale.',
    foot: `By reference, the writer gives a turn every 16 writes. Dashed: no queue, readers run inside the write. ${run.cpu}, ${run.date}.`,
    panels,
  });
}

export async function writeReport(folder) {
  const notes = await describePeers();
  const runs = readdirSync(folder)
    .filter((name) => /^latest-\d+\.json$/.test(name))
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')))
    // An older result may know a peer that has gone since.
    .map((run) => ({ ...run, cases: run.cases.filter(({ peer }) => notes[peer] !== undefined) }))
    .sort((a, b) => Number.parseInt(a.node, 10) - Number.parseInt(b.node, 10));
  const charts = [];
  for (const run of runs) {
    const file = `throughput-${Number.parseInt(run.node, 10)}.svg`;
    writeFileSync(join(folder, file), chartOf(run, notes));
    charts.push({ file, alt: `Throughput of fanpipe and its peers under Node ${run.node}` });
  }
  const report = join(folder, 'README.md');
  writeFileSync(report, markdownReport(runs, { notes, charts }));
  return report;
}
