/** Outcomes as tables: a row per peer, a column per number of readers, a table per whatever else differs. */

const sizeName = (size) => (size >= 1024 ? `${size / 1024} KiB` : `${size} B`);

/** Three significant digits or so, for people. */
export function figure(value) {
  if (!Number.isFinite(value)) return '-';
  if (value >= 10_000) return Math.round(value).toLocaleString('en');
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  if (value >= 0.1) return value.toFixed(2);
  return value.toPrecision(2);
}

export function bytesFigure(bytes) {
  if (bytes >= 1 << 20) return `${figure(bytes / (1 << 20))} MiB`;
  if (bytes >= 10_240) return `${figure(bytes / 1024)} KiB`;
  return `${Math.round(bytes)} B`;
}

export function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) {
    const name = key(item);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(item);
  }
  return groups;
}

/** Columns aligned for a terminal. */
export function textTable(header, rows) {
  const widths = header.map((_, i) => Math.max(...[header, ...rows].map((row) => String(row[i] ?? '').length)));
  const cell = (text, i) => (i === 0 ? String(text ?? '').padEnd(widths[i]) : String(text ?? '').padStart(widths[i]));
  const line = (row) => row.map(cell).join('  ').trimEnd();
  return `${[line(header), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n')}\n`;
}

export function markdownTable(header, rows) {
  const line = (row) => `| ${row.map((cell) => String(cell ?? '').replaceAll('|', '\\|')).join(' | ')} |`;
  return `${[
    line(header),
    `| --- |${header
      .slice(1)
      .map(() => ' ---: |')
      .join('')}`,
    ...rows.map(line),
  ].join('\n')}\n`;
}

const readersName = (n) => (n === 1 ? '1 reader' : `${n.toLocaleString('en')} readers`);

/** A group of throughput or burst outcomes as `{ header, rows }`. */
export function byReaders(group, nameOf = ({ peer, copy }) => (copy ? `${peer} (copied)` : peer)) {
  const readers = [...new Set(group.map((outcome) => outcome.readers))].sort((a, b) => a - b);
  const rows = [...groupBy(group, nameOf)].map(([name, outcomes]) => [
    name,
    ...readers.map((n) => {
      const outcome = outcomes.find((each) => each.readers === n);
      if (outcome === undefined) return '';
      return outcome.error === undefined ? figure(outcome.median.value) : 'failed';
    }),
  ]);
  return { header: ['', ...readers.map(readersName)], rows };
}

/** What a table of throughput or burst outcomes is about. */
export function titleOf({ work, size, every, yieldBy }) {
  if (work === 'burst') return `burst of 1,024 writes of ${sizeName(size)}`;
  const yielding = yieldBy === 'await' ? 'an await' : 'a turn of the event loop';
  return `throughput, ${sizeName(size)}, ${yielding} ${every === 1 ? 'after every write' : `every ${every} writes`}`;
}

export const isThroughput = ({ work }) => work === 'throughput' || work === 'burst';

const columns = {
  latency: [
    ['p50, us', (m) => m.p50],
    ['p99, us', (m) => m.p99],
  ],
  churn: [
    ['million joins / CPU s', (m) => m.joins],
    ['million leaves / CPU s', (m) => m.leaves],
  ],
  'write-cost': [['ns per write', (m) => m.value]],
  memory: [
    ['bytes', (m) => m.bytes],
    ['x what lies behind', (m) => m.ratio],
    ['bytes per write', (m) => m.perWrite],
  ],
};

/** What a case of another work is, beside its peer. */
export function caseName({ kind, readers, extra, size, copy }) {
  const parts = [kind, readers && readersName(readers), extra && `${extra.toLocaleString('en')} others`];
  if (size) parts.push(sizeName(size), copy ? 'copied' : 'by reference');
  return parts.filter(Boolean).join(', ');
}

/** Every outcome as plain text. */
export function printCases(outcomes) {
  let text = '';
  for (const [name, group] of groupBy(outcomes.filter(isThroughput), titleOf)) {
    const { header, rows } = byReaders(group);
    text += `\n${name}: million deliveries per CPU second\n${textTable(header, rows)}`;
  }
  for (const [work, group] of groupBy(
    outcomes.filter((outcome) => !isThroughput(outcome)),
    (outcome) => outcome.work,
  )) {
    const rows = group.map((outcome) => [
      `${outcome.peer} ${caseName(outcome)}`.trim(),
      ...columns[work].map(([, pick]) => (outcome.error === undefined ? figure(pick(outcome.median)) : 'failed')),
    ]);
    text += `\n${work}\n${textTable(['', ...columns[work].map(([title]) => title)], rows)}`;
  }
  for (const outcome of outcomes.filter((each) => each.error !== undefined)) {
    text += `\n${outcome.work} ${outcome.peer} ${caseName(outcome)}: ${outcome.error}\n`;
  }
  return text;
}
