/** How amounts are shown: binary units, three digits, always the same width class. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `93.5 MiB`. */
export function formatBytes(bytes: number): string {
  let amount = bytes;
  let unit = 0;
  while (amount >= 1000 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit++;
  }
  return `${unit === 0 ? amount : amount.toFixed(amount < 100 ? 1 : 0)} ${UNITS[unit]}`;
}

/** `30.1 MiB/s`; a dash where no time has passed. */
export function formatRate(bytes: number, ms: number): string {
  return ms > 0 ? `${formatBytes(Math.round((bytes / ms) * 1000))}/s` : '-';
}

/** `3.1 s`. */
export function formatSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 100 ? 2 : 1)} s`;
}

/** `98,041,234`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** `31 %`; of nothing, everything. */
export function formatShare(part: number, whole: number): string {
  return `${whole === 0 ? 100 : Math.floor((100 * part) / whole)} %`;
}

/** Rows as lines, with columns of one width. */
export function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        // Amounts to the right, words to the left.
        return column > 0 && column < 4 ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
