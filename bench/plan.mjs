/**
 * What is measured. A task is `{ work, peer, …parameters }`; outcomes that differ in `peer` only are compared. Several `readers`
 * are measured in turn by one child. `maxRounds` limits the rounds of what is exact, or only there for the picture.
 */
import { peerIds } from './peers/index.mjs';

const READERS = [1, 10, 100, 1000];
const MANY = [10, 100, 1000];
const OURS = ['fanpipe', 'fanpipe.batches'];
const SYNC = ['callbacks', 'callbacks.array', 'rxjs.sync', 'passthrough.data'];

export const asyncPeers = peerIds.filter((id) => !OURS.includes(id) && !SYNC.includes(id));

/** The fastest asynchronous peers of all rows, as the full run shows; `--quick` measures these (and tee, which has its own row). */
const contenders = asyncPeers.filter((id) => id === 'events.on' || id === 'iter.share');
const joinContenders = asyncPeers.filter((id) => id === 'rxjs' || id === 'iter.broadcast');

/** The writer yields as one does that awaits its writes. The goals are also judged with a whole turn of the event loop. */
export const STANDARD = { size: 1024, copy: false, every: 16, yieldBy: 'await' };
export const TURN = { yieldBy: 'immediate' };
const throughput = (peer, parameters) => ({ work: 'throughput', peer, readers: READERS, ...STANDARD, ...parameters });
const burst = (peer, parameters) => ({
  work: 'burst',
  peer,
  readers: READERS,
  ...STANDARD,
  ...TURN,
  size: 64,
  ...parameters,
});
const latency = (peer) => ({ work: 'latency', peer, readers: 1000 });
const churn = (peer) => ({ work: 'churn', peer });

/** 64 KiB chunks, so that what is held beside the data shows; enough of them that a percent is more than noise. */
const held = (peer, kind, readers, copy, writes) => ({
  work: 'memory',
  peer,
  kind,
  readers,
  size: 65536,
  copy,
  writes,
});
const perStream = (peer, kind, readers) => ({ work: 'memory', peer, kind, readers });
const smallWrites = (peer, copy, readers) => ({ ...held(peer, 'stalled', readers, copy, 100_000), size: 100 });

export const WRITE_COST_KINDS = ['idle', 'stalled', 'gone', 'drop-oldest', 'drop-newest', 'disconnect'];
export const EXTRA = 10_000;
const writeCost = (kind, ms) =>
  [1, EXTRA].map((extra) => ({ work: 'write-cost', peer: 'fanpipe', kind, extra, warmMs: ms, targetMs: ms }));

const ourMemory = [
  held('fanpipe', 'reading', 10, true, 1024),
  held('fanpipe', 'stalled', 10, true, 1024),
  held('fanpipe', 'stalled', 1000, true, 1024),
  perStream('fanpipe', 'open', 50_000),
  perStream('fanpipe', 'parked', 50_000),
  smallWrites('fanpipe', true, 1),
  smallWrites('fanpipe', true, 2),
];

/** The rows of the goals, against those peers only that were ever the best one of a row. */
export function quickPlan() {
  return [
    ...['fanpipe', ...contenders].flatMap((peer) => [
      throughput(peer),
      throughput(peer, { every: 1 }),
      throughput(peer, TURN),
    ]),
    throughput('tee', { readers: MANY }),
    ...['fanpipe.batches', 'callbacks'].map((peer) => throughput(peer, { readers: MANY })),
    // What is compared goes through the same numbers of readers before, so that it is equally warm.
    throughput('fanpipe', { copy: true, readers: [1, 10, 100] }),
    throughput('fanpipe.batches', { copy: true, readers: [10, 100] }),
    burst('fanpipe.batches', { copy: true, readers: [10, 1000] }),
    ...contenders.map((peer) => burst(peer, { readers: [10, 1000] })),
    latency('fanpipe'),
    latency('events.on'),
    ...['fanpipe', ...joinContenders].map(churn),
    ...ourMemory.map((task) => ({ ...task, maxRounds: 1 })),
    ...['idle', 'gone'].flatMap((kind) => writeCost(kind, 150)),
  ];
}

export function fullPlan() {
  return [
    ...peerIds.map((peer) => throughput(peer)),
    ...[...OURS, 'callbacks', ...asyncPeers].flatMap((peer) => [
      throughput(peer, { every: 1 }),
      { ...throughput(peer, { size: 64 }), maxRounds: 2 },
      { ...throughput(peer, { size: 65536 }), maxRounds: 2 },
      // A burst to a thousand readers takes the slower ones many seconds.
      { ...burst(peer), maxRounds: contenders.includes(peer) || OURS.includes(peer) ? 3 : 1 },
    ]),
    ...OURS.flatMap((peer) => [
      ...[64, 1024, 65536].map((size) => throughput(peer, { size, copy: true })),
      burst(peer, { copy: true }),
    ]),
    ...[...OURS, 'callbacks', ...contenders, 'tee', 'passthrough'].flatMap((peer) => [
      throughput(peer, TURN),
      { ...throughput(peer, { ...TURN, every: 1 }), maxRounds: 2 },
    ]),
    ...['fanpipe', ...asyncPeers].flatMap((peer) => [latency(peer), churn(peer)]),
    ...ourMemory,
    { ...held('fanpipe', 'stalled', 10, false, 1024), maxRounds: 1 },
    { ...smallWrites('fanpipe', false, 2), maxRounds: 1 },
    ...asyncPeers.flatMap((peer) =>
      [
        held(peer, 'reading', 10, false, 1024),
        held(peer, 'stalled', 10, false, 1024),
        held(peer, 'stalled', 1000, false, 256),
        perStream(peer, 'open', 5000),
        perStream(peer, 'parked', 5000),
        smallWrites(peer, false, 2),
      ].map((task) => ({ ...task, maxRounds: 1 })),
    ),
    ...WRITE_COST_KINDS.flatMap((kind) => writeCost(kind, 400)),
  ];
}
