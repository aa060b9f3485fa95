/**
 * What the library must reach, as rows: a name, the goal per Node, and how it is computed from the outcomes. A ratio is
 * one of medians of the same run. "The peer" is the fastest asynchronous one of that case.
 */
import { asyncPeers, EXTRA, STANDARD, TURN } from './plan.mjs';

const matches = (outcome, wanted) => Object.entries(wanted).every(([field, value]) => outcome[field] === value);

function medianOf(outcomes, wanted, field = 'value') {
  const found = outcomes.find((outcome) => matches(outcome, wanted));
  return found?.median?.[field];
}

function bestPeer(outcomes, wanted, field = 'value') {
  let best;
  for (const peer of asyncPeers) {
    const value = medianOf(outcomes, { ...wanted, peer }, field);
    if (value !== undefined && (best === undefined || value > best.value)) best = { peer, value };
  }
  return best;
}

const standard = { work: 'throughput', ...STANDARD };

function againstPeer(peer, wanted) {
  return (outcomes) => {
    const ours = medianOf(outcomes, { ...wanted, peer });
    // Peers have no copying mode: whatever ours does, they pass the chunk on by reference.
    const best = bestPeer(outcomes, wanted.copy === undefined ? wanted : { ...wanted, copy: false });
    if (ours === undefined || best === undefined) return undefined;
    return { value: ours / best.value, ours, theirs: best.value, against: best.peer };
  };
}

const against =
  (peer, wanted, other, otherWanted = wanted, field = 'value') =>
  (outcomes) => {
    const ours = medianOf(outcomes, { ...wanted, peer }, field);
    const theirs = medianOf(outcomes, { ...otherWanted, peer: other }, field);
    if (ours === undefined || theirs === undefined) return undefined;
    return { value: ours / theirs, ours, theirs, against: other };
  };

/** The worst of several reader counts. */
function worst(measures) {
  return (outcomes) => {
    const all = measures.map((measure) => measure(outcomes));
    if (all.includes(undefined)) return undefined;
    return all.reduce((low, each) => (each.value < low.value ? each : low));
  };
}

const plain = (wanted, field) => (outcomes) => {
  const value = medianOf(outcomes, { work: 'memory', peer: 'fanpipe', ...wanted }, field);
  return value === undefined ? undefined : { value };
};

const many = (make) => worst([10, 100, 1000].map(make));
const count = (n) => `${n.toLocaleString('en')} ${n === 1 ? 'reader' : 'readers'}`;

const atLeast = (id, text, goal20, goal26, measure) => ({
  id,
  text,
  unit: 'x',
  better: 'more',
  goal20,
  goal26,
  measure,
});
const atMost = (id, text, unit, goal, measure) => ({
  id,
  text,
  unit,
  better: 'less',
  goal20: goal,
  goal26: goal,
  measure,
});

const perChunk = [
  [1, 1, 1.6, 1, 1.2],
  [10, 2, 2.4, 1.1, 1.3],
  [100, 3.5, 2.6, 1.8, 1.7],
  [1000, 7, 3.3, 3.2, 1.7],
];

export const goals = [
  ...perChunk.map(([readers, goal20, goal26]) =>
    atLeast(
      `per-chunk-${readers}`,
      `per chunk against the peer, ${count(readers)}`,
      goal20,
      goal26,
      againstPeer('fanpipe', { ...standard, readers }),
    ),
  ),
  ...perChunk.map(([readers, , , goal20, goal26]) =>
    atLeast(
      `parked-${readers}`,
      `the same, yielding after every write, ${count(readers)}`,
      goal20,
      goal26,
      againstPeer('fanpipe', { ...standard, every: 1, readers }),
    ),
  ),
  ...perChunk.map(([readers, goal20, goal26]) =>
    atLeast(
      `turn-per-chunk-${readers}`,
      `per chunk against the peer, a turn of the event loop every 16 writes, ${count(readers)}`,
      goal20,
      goal26,
      againstPeer('fanpipe', { ...standard, ...TURN, readers }),
    ),
  ),
  atLeast(
    'tee',
    'per chunk against `tee()`, 10 readers and more',
    25,
    7,
    many((readers) => against('fanpipe', { ...standard, readers }, 'tee')),
  ),
  atLeast(
    'batches-limit',
    '`batches()` against the synchronous callback loop (a Set), 10 readers and more',
    0.55,
    0.55,
    many((readers) => against('fanpipe.batches', { ...standard, readers }, 'callbacks')),
  ),
  atLeast(
    'batches-limit-array',
    'the same against a loop over a plain array',
    0.55,
    0.55,
    many((readers) => against('fanpipe.batches', { ...standard, readers }, 'callbacks.array')),
  ),
  atLeast(
    'batches-peer',
    '`batches()` against the peer, 1,000 readers',
    25,
    20,
    againstPeer('fanpipe.batches', { ...standard, readers: 1000 }),
  ),
  atLeast(
    'burst',
    'burst of 64 B writes with the default copy, `batches()` against the peer, 1,000 readers',
    40,
    25,
    againstPeer('fanpipe.batches', { work: 'burst', ...TURN, size: 64, copy: true, readers: 1000 }),
  ),
  ...[
    [10, 0.7, 1.2],
    [100, 0.9, 5],
  ].flatMap(([readers, chunks, batches]) => [
    atLeast(
      `copy-${readers}`,
      `copying write against by reference, per chunk, ${count(readers)}`,
      chunks,
      chunks,
      against('fanpipe', { ...standard, copy: true, readers }, 'fanpipe', { ...standard, readers }),
    ),
    atLeast(
      `copy-batches-${readers}`,
      `copying write against by reference, \`batches()\`, ${count(readers)}`,
      batches,
      batches,
      against('fanpipe.batches', { ...standard, copy: true, readers }, 'fanpipe.batches', { ...standard, readers }),
    ),
  ]),
  atMost(
    'latency',
    'wake-up latency p50 against `events.on`, 1,000 readers',
    'x',
    0.5,
    against('fanpipe', { work: 'latency', readers: 1000 }, 'events.on', undefined, 'p50'),
  ),
  atLeast('joins', 'joins per second against the peer', 10, 10, againstPeer('fanpipe', { work: 'churn' })),
  atMost(
    'held',
    'held by one stalled stream of 10, times what lies behind it',
    'x',
    1.01,
    plain({ kind: 'stalled', readers: 10, copy: true }, 'ratio'),
  ),
  atMost(
    'held-1000',
    'held by one stalled stream of 1,000, times what lies behind it',
    'x',
    1.01,
    plain({ kind: 'stalled', readers: 1000 }, 'ratio'),
  ),
  atMost(
    'held-reading',
    'held when all of 10 keep up, 64 MiB written',
    'bytes',
    1 << 20,
    plain({ kind: 'reading', readers: 10 }, 'bytes'),
  ),
  atMost('open', 'per open stream', 'bytes', 128, plain({ kind: 'open' }, 'bytes')),
  atMost('parked', 'per parked stream', 'bytes', 850, plain({ kind: 'parked' }, 'bytes')),
  atMost(
    'small',
    'held per 100-byte write behind a lagging stream',
    'bytes',
    250,
    plain({ kind: 'stalled', size: 100, readers: 1, copy: true }, 'perWrite'),
  ),
  atMost(
    'small-beside',
    'the same, beside one that keeps up',
    'bytes',
    250,
    plain({ kind: 'stalled', size: 100, readers: 2, copy: true }, 'perWrite'),
  ),
  ...['idle', 'stalled', 'gone', 'drop-oldest', 'drop-newest', 'disconnect'].map((kind) =>
    atMost(
      `write-cost-${kind}`,
      `cost of a write beside ${EXTRA.toLocaleString('en')} streams (${kind}) against beside one`,
      'x',
      1.2,
      (outcomes) => {
        const wanted = { work: 'write-cost', peer: 'fanpipe', kind };
        const ours = medianOf(outcomes, { ...wanted, extra: EXTRA });
        const theirs = medianOf(outcomes, { ...wanted, extra: 1 });
        return ours === undefined || theirs === undefined ? undefined : { value: ours / theirs, ours, theirs };
      },
    ),
  ),
];

/** One row per goal: `{ id, text, unit, better, goal, value, ours, theirs, against, pass }`; unmeasured ones are left out. */
export function judge(outcomes, nodeMajor) {
  const rows = [];
  for (const { measure, goal20, goal26, ...row } of goals) {
    const measured = measure(outcomes);
    if (measured === undefined) continue;
    const goal = nodeMajor >= 26 ? goal26 : goal20;
    const pass = row.better === 'more' ? measured.value >= goal : measured.value <= goal;
    rows.push({ ...row, goal, ...measured, pass });
  }
  return rows;
}
