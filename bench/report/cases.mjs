/** Plain text tables of outcomes: a row per peer, a column per number of readers, a table per whatever else differs. */

const sizeName = (size) => (size >= 1024 ? `${size / 1024} KiB` : `${size} B`);

export function figure(value) {
  if (!Number.isFinite(value)) return '-';
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  if (value >= 0.1) return value.toFixed(2);
  return value.toPrecision(2);
}

export function textTable(header, rows) {
  const widths = header.map((_, i) => Math.max(...[header, ...rows].map((row) => String(row[i] ?? '').length)));
  const line = (row) =>
    row
      .map((cell, i) => (i === 0 ? String(cell).padEnd(widths[i]) : String(cell ?? '').padStart(widths[i])))
      .join('  ')
      .trimEnd();
  return `${[line(header), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n')}\n`;
}

const units = {
  throughput: 'million deliveries per CPU second',
};

export function title({ work, size, copy, every, yieldBy }) {
  const parts = [work, sizeName(size), copy ? 'copied' : 'by reference'];
  if (work === 'throughput')
    parts.push(`a turn every ${every} writes${yieldBy === 'immediate' ? '' : ` (${yieldBy})`}`);
  return parts.join(', ');
}

export function printCases(outcomes) {
  const groups = Map.groupBy?.(outcomes, title) ?? groupBy(outcomes, title);
  let text = `Node ${process.version}\n`;
  for (const [name, group] of groups) {
    const readers = [...new Set(group.map((outcome) => outcome.readers))];
    const peers = [...new Set(group.map((outcome) => outcome.peer))];
    const rows = peers.map((peer) => [
      peer,
      ...readers.map((count) => {
        const outcome = group.find((o) => o.peer === peer && o.readers === count);
        if (outcome === undefined) return '';
        return outcome.error === undefined ? figure(outcome.median.value) : 'failed';
      }),
    ]);
    text += `\n${name}: ${units[group[0].work]}\n${textTable(['', ...readers.map((n) => `${n} readers`)], rows)}`;
    for (const { peer, readers: count, error } of group.filter((o) => o.error !== undefined)) {
      text += `${peer}, ${count} readers: ${error}\n`;
    }
  }
  return text;
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
