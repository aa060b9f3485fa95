import { byReaders, bytesFigure, caseName, figure, groupBy, isThroughput, markdownTable, titleOf } from './cases.mjs';
import { goalText, measuredText } from './goals.mjs';

const WORKS = {
  latency: {
    title: 'Wake-up latency, 1,000 parked readers',
    text: 'Wall clock from the write until a reader runs, microseconds.',
    columns: [
      ['p50', (m) => figure(m.p50)],
      ['p99', (m) => figure(m.p99)],
    ],
  },
  churn: {
    title: 'Join and leave',
    text: 'Million per second of CPU time; a thousand join one channel, then leave in the order they came.',
    columns: [
      ['joins', (m) => figure(m.joins)],
      ['leaves', (m) => figure(m.leaves)],
    ],
  },
  'write-cost': {
    title: 'Cost of a write beside streams that do not read',
    text: 'Nanoseconds of CPU time per 1 KiB write by reference, the delivery to one following stream included.',
    columns: [['ns per write', (m) => figure(m.value)]],
  },
};

/** The goals of every run side by side. */
function goalsTable(runs) {
  const ids = [...new Set(runs.flatMap((run) => run.goals.map((row) => row.id)))];
  const rows = ids.map((id) => {
    const found = runs.map((run) => run.goals.find((row) => row.id === id));
    const cells = found.flatMap((row) =>
      row === undefined
        ? ['', '', '']
        : [
            goalText(row),
            `${measuredText(row)}${row.against && row.against !== 'fanpipe' ? ` (${row.against})` : ''}`,
            row.pass ? 'pass' : '**miss**',
          ],
    );
    return [found.find((row) => row !== undefined).text, ...cells];
  });
  const header = ['', ...runs.flatMap((run) => [`Node ${major(run)} goal`, 'measured', ''])];
  return markdownTable(header, rows);
}

const major = (run) => run.node.split('.')[0];

/** Memory of all peers: a row per peer, a column per question. */
function memoryTable(cases) {
  const columns = [
    ['all of 10 read', (o) => o.kind === 'reading', (m) => bytesFigure(Math.max(0, m.bytes))],
    ['one of 10 stalled', (o) => o.kind === 'stalled' && o.readers === 10 && o.size === 65536, stalled],
    ['one of 1,000 stalled', (o) => o.kind === 'stalled' && o.readers === 1000, stalled],
    ['per 100-byte write', (o) => o.size === 100 && o.readers === 2, (m) => bytesFigure(m.perWrite)],
    ['per open stream', (o) => o.kind === 'open', (m) => bytesFigure(Math.max(0, m.bytes))],
    ['per parked stream', (o) => o.kind === 'parked', (m) => bytesFigure(m.bytes)],
  ];
  const rows = [
    ...groupBy(cases, ({ peer, copy }) =>
      peer !== 'fanpipe' ? peer : copy === false ? 'fanpipe, by reference' : 'fanpipe',
    ),
  ].map(([name, outcomes]) => [
    name,
    ...columns.map(([, matches, pick]) => {
      const outcome = outcomes.find(matches);
      if (outcome === undefined) return '';
      return outcome.error === undefined ? pick(outcome.median) : 'failed';
    }),
  ]);
  return markdownTable(['', ...columns.map(([title]) => title)], rows);
}

/** What a stalled reader makes the channel hold; and whether it held up the others. */
function stalled({ ratio, others }) {
  const frozen = others !== null && others < 0.999 ? `, others got ${Math.round(others * 100)} %` : '';
  return `${ratio.toFixed(3)}x${frozen}`;
}

function section(run) {
  let text = `## Node ${run.node}\n`;
  for (const [title, group] of groupBy(run.cases.filter(isThroughput), titleOf)) {
    const { header, rows } = byReaders(group);
    text += `\n### ${title[0].toUpperCase()}${title.slice(1)}\n\n${markdownTable(header, rows)}`;
  }
  for (const [work, { title, text: about, columns }] of Object.entries(WORKS)) {
    const outcomes = run.cases.filter((outcome) => outcome.work === work);
    if (outcomes.length === 0) continue;
    const rows = outcomes.map((outcome) => [
      work === 'write-cost' ? caseName(outcome) : outcome.peer,
      ...columns.map(([, pick]) => (outcome.error === undefined ? pick(outcome.median) : 'failed')),
    ]);
    text += `\n### ${title}\n\n${about}\n\n${markdownTable(['', ...columns.map(([name]) => name)], rows)}`;
  }
  const memory = run.cases.filter((outcome) => outcome.work === 'memory');
  if (memory.length > 0) {
    text += `\n### Memory held\n\nHeap and external memory after a full collection, beyond what was there before. Chunks of 64 KiB; a stalled\nreader's column is a multiple of what lies behind it.\n\n${memoryTable(memory)}`;
  }
  return text;
}

/** The report of one or several runs (`run` as bench/run.mjs writes it), oldest Node first. */
export function markdownReport(runs, { notes, charts }) {
  const [first] = runs;
  const machines = new Set(runs.map((run) => `${run.cpu}, ${run.cores} cores, ${run.memoryGiB} GiB, ${run.platform}`));
  const lines = runs.map(
    (run) =>
      `- Node ${run.node} (V8 ${run.v8}), commit ${run.commit}, ${run.date}: at most ${run.rounds} rounds of ${run.targetMs} ms after ${run.warmMs} ms of warm-up${run.nodeFlags.length > 0 ? `, with ${run.nodeFlags.join(' ')}` : ''}.`,
  );
  const peers = Object.entries(notes).map(([id, { label, kind, note }]) => [
    id,
    label,
    kind === 'ours' ? '' : kind === 'sync' ? 'synchronous' : 'asynchronous',
    note,
  ]);
  return `# Benchmark results

Written by \`npm run bench\`${first.quick ? ' (`--quick`)' : ''}; do not edit. How it is measured: [../README.md](../README.md).

- ${[...machines].join('; ')}
${lines.join('\n')}
${charts.map((chart) => `\n![${chart.alt}](${chart.file})\n`).join('')}
Throughput is in million deliveries (writes times readers) per second of CPU time. Chunks go by reference unless it says
copied.

## Goals

"The peer" is the best asynchronous one of that case, named behind the figure.

${goalsTable(runs)}
${runs.map(section).join('\n')}
## Peers

${markdownTable(['id', 'what', '', 'how it is used'], peers).replace('| --- | ---: | ---: | ---: |', '| --- | --- | --- | --- |')}`;
}
