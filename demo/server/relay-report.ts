import { formatBytes, formatCount, formatRate, formatSeconds } from '../format.ts';
import { alignColumns } from '../summary.ts';
import type { RelayProgress, RelayResult } from './relay.ts';

/** Of how many clients no digest is wanted: the one that never reads. */
const NEVER = 'never reads';

/** One line that says how far it is. */
export function progressLine({ elapsed, uploaded, delivered, done }: RelayProgress): string {
  const amounts = `${formatBytes(uploaded)} uploaded, ${formatBytes(delivered)} delivered`;
  return `  ${formatSeconds(elapsed).padStart(6)}  ${amounts}, ${formatRate(delivered, elapsed)}, ${done} clients through`;
}

/** What was shown, in plain lines. */
export function relaySummary(result: RelayResult): string[] {
  const { bytes, ms, uploadMs, clients, rssBefore, rssPeak } = result;
  const delivered = clients.reduce((sum, client) => sum + client.bytes, 0);
  const kinds = [...new Set(clients.map(({ kind }) => kind))];
  const table = [
    ['clients', 'count', 'read', 'slowest', 'result'],
    ...kinds.map((kind) => {
      const same = clients.filter((client) => client.kind === kind);
      const read = formatBytes(Math.min(...same.map((client) => client.bytes)));
      const slowest = kind === NEVER ? '-' : formatSeconds(Math.max(...same.map((client) => client.ms)));
      return [kind, String(same.length), read, slowest, resultOf(result, kind)];
    }),
  ];
  return [
    `Uploaded once: ${formatCount(bytes)} bytes in one request, ${formatSeconds(uploadMs)}, each on disk before a reader sees it.`,
    `Delivered: ${formatBytes(delivered)} to ${clients.length} clients over HTTP, ${formatSeconds(ms)}, ${formatRate(delivered, ms)} in all.`,
    ...alignColumns(table).map((line) => `  ${line}`),
    `Resident memory of the server: ${formatBytes(rssBefore)} before the upload, ${formatBytes(rssPeak)} at the highest.`,
  ];
}

function resultOf({ bytes, digest, clients }: RelayResult, kind: string): string {
  const same = clients.filter((client) => client.kind === kind);
  if (kind === NEVER) return 'stayed to the end, held nobody up';
  const right = same.filter((client) => client.bytes === bytes && client.digest === digest).length;
  const note = same.find((client) => client.note !== undefined)?.note;
  return `${right === same.length ? 'same SHA-256' : `${same.length - right} with other bytes`}${note === undefined ? '' : `, ${note}`}`;
}

/** What speaks against every client having got the very bytes that were uploaded; empty if nothing does. */
export function relayProblems({ bytes, digest, clients }: RelayResult): string[] {
  const problems: string[] = [];
  for (const client of clients) {
    if (client.error !== undefined) problems.push(`A client (${client.kind}) failed: ${client.error}.`);
    else if (client.kind === NEVER) continue;
    else if (client.bytes !== bytes)
      problems.push(`A client (${client.kind}) got ${client.bytes} bytes, expected ${bytes}.`);
    else if (client.digest !== digest) problems.push(`A client (${client.kind}) got other bytes than were uploaded.`);
  }
  return problems;
}
