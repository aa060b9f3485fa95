const times = (value) => `${value.toFixed(2)}x`;
const bytes = (value) => `${Math.round(value).toLocaleString('en')} B`;
const megabytes = (value) => `${(value / 1e6).toFixed(1)} MB`;

/** What must be reached: a field of a case of ours, alone or against that of another server in the same run. */
const GOALS = [
  ['closed-loop', 'cpuPerDelivery', 'memory', 'reference', 0.35, 'less', 'CPU per delivery to 1,000 readers'],
  ['closed-loop', 'cpuPerDelivery', 'lmdb', 'reference', 0.4, 'less', 'CPU per delivery to 1,000 readers, lmdb'],
  ['closed-loop', 'deliveriesPerSecond', 'memory', 'reference', 2.4, 'more', 'deliveries/s to 1,000 readers'],
  ['closed-loop', 'deliveriesPerSecond', 'lmdb', 'reference', 2.2, 'more', 'deliveries/s to 1,000 readers, lmdb'],
  ['paced', 'p99', 'memory', 'reference', 0.55, 'less', '1,000 readers, 5 messages/s, p99'],
  ['long-poll', 'p50', 'memory', 'reference', 0.7, 'less', 'append to long-poll delivery, p50'],
  ['appends', 'appendsPerSecond', 'memory', 'reference', 1.8, 'more', 'appends/s, 64 in flight'],
  ['appends', 'appendsPerSecond', 'lmdb', 'reference-files', 10, 'more', 'appends/s, lmdb on disk against files'],
  ['catch-ups', 'megabytesPerSecond', 'memory', 'reference', 4, 'more', '200 catch-ups of 10 MB, MB/s'],
  ['catch-ups', 'rssGrowth', 'memory', undefined, 64e6, 'less', 'growth of RSS in that', megabytes],
  ['stuck', 'heldForReader', 'memory', undefined, 1e6, 'less', 'held for a reader that never reads', megabytes],
  ['stuck', 'heldForReader', 'lmdb', undefined, 1e6, 'less', 'the same, lmdb', megabytes],
  ['held', 'heldPerMessage', 'memory', undefined, 160, 'less', 'a message of 100 bytes, held', bytes],
  ['tail', 'ratio', 'memory', undefined, 1.5, 'less', 'at the tail of 180,000 messages against 100', times],
  ['tail', 'ratio', 'lmdb', undefined, 1.5, 'less', 'the same, lmdb', times],
  ['idle', 'rssPerReader', 'memory', undefined, 14_000, 'less', 'an idle reader of events', bytes],
];

/** The goals that these cases tell something of. */
export function goalRows(cases) {
  const find = (id, server, field) => cases.find((each) => each.id === id && each.server === server)?.median[field];
  return GOALS.map(([id, field, ours, peer, goal, better, text, unit = times]) => {
    const own = find(id, ours, field);
    const other = peer === undefined ? 1 : find(id, peer, field);
    const value = own === undefined || other === undefined ? undefined : own / other;
    const against = peer === undefined ? '' : ` against ${peer === 'reference' ? 'the reference' : `the ${peer}`}`;
    const pass = value !== undefined && (better === 'more' ? value >= goal : value <= goal);
    return { text: text + against, goal, value, unit, better, pass };
  }).filter(({ value }) => value !== undefined);
}
