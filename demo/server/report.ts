import { alignColumns, formatBytes, formatCount, formatRate, formatSeconds } from '../format.ts';
import { NEVER_READS } from './client.ts';
import type { ClientResult } from './clients.ts';
import type { RelayResult } from './relay.ts';

/** The most that a server may hold for a client that never reads. */
const HELD = 1024 * 1024;

/** What was shown, in plain lines. */
export function relaySummary(result: RelayResult): string[] {
  const { bytes, ms, uploadMs, clients } = result;
  const delivered = clients.reduce((sum, client) => sum + client.bytes, 0);
  const kinds = [...new Set(clients.map(({ kind }) => kind))];
  const table = [
    ['clients', 'count', 'read each', 'slowest', 'rate of each', 'result'],
    ...kinds.map((kind) => {
      const same = clients.filter((client) => client.kind === kind);
      const read = formatBytes(Math.min(...same.map((client) => client.bytes)));
      const slowest = kind === NEVER_READS ? '-' : formatSeconds(Math.max(...same.map((client) => client.ms)));
      return [kind, String(same.length), read, slowest, rateOf(same), resultOf(result, kind, same)];
    }),
  ];
  return [
    `Uploaded once: ${formatCount(bytes)} bytes in one POST, ${formatSeconds(uploadMs)}, each on disk before a client sees it.`,
    `Delivered: ${formatBytes(delivered)} to ${clients.length} clients over sockets, ${formatSeconds(ms)}, ${formatRate(delivered, ms)} in all.`,
    ...alignColumns(table).map((line) => `  ${line}`),
    memoryOf(result),
  ];
}

/** `6.0 to 13.0 MiB/s`. */
function rateOf(clients: readonly ClientResult[]): string {
  const rates = clients.map((client) => client.bytes / client.ms).sort((a, b) => a - b);
  const [least, most] = [rates.at(0) ?? 0, rates.at(-1) ?? 0].map((rate) => formatRate(Math.round(rate * 1000), 1000));
  if (least === most) return most === formatRate(0, 1) ? '-' : `${most}`;
  const [amount, unit] = `${least}`.split(' ');
  return `${most}`.endsWith(`${unit}`) ? `${amount} to ${most}` : `${least} to ${most}`;
}

function resultOf(result: RelayResult, kind: string, same: readonly ClientResult[]): string {
  const note = same.find((client) => client.note !== undefined)?.note;
  if (same.some((client) => client.error !== undefined)) return 'failed';
  if (kind === NEVER_READS) return `${note}, ${formatBytes(result.peak.held)} held for it`;
  const wrong = same.filter((client) => client.bytes !== result.bytes || client.digest !== result.digest).length;
  return `${wrong === 0 ? 'same SHA-256' : `${wrong} with other bytes`}${note === undefined ? '' : `, ${note}`}`;
}

function memoryOf({ before, peak }: RelayResult): string {
  const memory = `${formatBytes(before.memory)} before, ${formatBytes(peak.memory)} at the highest`;
  if (before.mapped === undefined || peak.mapped === undefined) {
    return `Memory of the server: ${memory}, with what it has mapped of its store.`;
  }
  return `Memory of the server: ${memory}; ${formatBytes(Math.max(0, peak.mapped - before.mapped))} more are its files, mapped.`;
}

/** What speaks against every client having got the very bytes that were uploaded; empty if nothing does. */
export function relayProblems({ bytes, digest, clients, peak }: RelayResult): string[] {
  // The same of many is one problem.
  const counts = new Map<string, number>();
  for (const client of clients) {
    const what = problemOf(client, bytes, digest);
    if (what === undefined) continue;
    const problem = `(${client.kind}) ${what}.`;
    counts.set(problem, (counts.get(problem) ?? 0) + 1);
  }
  const problems = [...counts].map(([problem, count]) => `${count === 1 ? 'A client' : `${count} clients`} ${problem}`);
  if (peak.held > HELD) {
    problems.push(`The server held ${peak.held} bytes for a client that never reads, expected at most ${HELD}.`);
  }
  return problems;
}

function problemOf(client: ClientResult, bytes: number, digest: string): string | undefined {
  if (client.error !== undefined) return `failed: ${client.error}`;
  if (client.kind === NEVER_READS) return undefined;
  if (client.bytes !== bytes) return `got ${client.bytes} bytes, expected ${bytes}`;
  if (client.digest !== digest) return 'got other bytes than were uploaded';
  return client.isCut && client.note === undefined ? 'was to be cut and was not' : undefined;
}
