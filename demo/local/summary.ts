import { alignColumns, formatBytes, formatCount, formatRate, formatSeconds, messageOf } from '../format.ts';
import type { BroadcastResult } from './broadcast.ts';

/** What was shown, in plain lines. `mark` is that of the streams. */
export function summaryOf(result: BroadcastResult, mark: number): string[] {
  const { bytes, ms, writes, readers, rssBefore, rssPeak } = result;
  const delivered = readers.reduce((sum, reader) => sum + reader.received, 0);
  const peakLag = Math.max(...readers.map((reader) => reader.peakLag));
  const table = [
    ['reader', 'read', 'rate', 'highest lag', 'result'],
    ...readers.map((reader) => [
      reader.name,
      formatBytes(reader.received),
      formatRate(reader.received, reader.endedAfter ?? ms),
      formatBytes(reader.peakLag),
      reader.outcome?.text ?? `failed: ${messageOf(reader.error)}`,
    ]),
  ];
  return [
    `Read once: ${formatCount(bytes)} bytes in ${formatCount(writes)} writes, ${formatSeconds(ms)}, ${formatRate(bytes, ms)}.`,
    `Delivered: ${formatBytes(delivered)} to ${readers.length} readers, ${formatRate(delivered, ms)} in all.`,
    ...alignColumns(table).map((line) => `  ${line}`),
    `Memory: at most ${formatBytes(peakLag)} waited for any reader (mark ${formatBytes(mark)} and one chunk), whatever the size of the file.`,
    `Resident: ${formatBytes(rssBefore)} at the start, ${formatBytes(rssPeak)} at the highest.`,
  ];
}

/** What speaks against every reader having seen the very bytes of the source; empty if nothing does. */
export function problemsOf(result: BroadcastResult, mark: number, largestWrite: number): string[] {
  const problems: string[] = [];
  if (result.error !== undefined) problems.push(`The source failed: ${messageOf(result.error)}.`);
  for (const { name, received, digest, peakLag, outcome, error } of result.readers) {
    if (outcome === undefined) {
      problems.push(`${name} failed: ${messageOf(error)}.`);
      continue;
    }
    if (received !== result.bytes) problems.push(`${name} got ${received} bytes, expected ${result.bytes}.`);
    else if (digest !== result.digest) problems.push(`${name} got other bytes than were read from the source.`);
    if (outcome.digest !== undefined && outcome.digest !== result.digest) {
      problems.push(`${name} came to the SHA-256 ${outcome.digest}, expected ${result.digest}.`);
    }
    if (peakLag > mark + largestWrite) {
      problems.push(`${peakLag} bytes waited for ${name}, expected at most ${mark + largestWrite}.`);
    }
  }
  return problems;
}
