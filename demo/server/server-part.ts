import { formatBytes, formatCount } from '../format.ts';
import { type Output, printCheck } from '../output.ts';
import { showRelayLive, showRelayPlain } from './progress.ts';
import { type RelayResult, relay } from './relay.ts';
import { relayProblems, relaySummary } from './report.ts';

/** So much of the file goes through the server: fifty times this over one loopback, and what the slowest client reads in 8 s. */
const LARGEST = 48 * 1024 * 1024;

/**
 * The second part: the file goes to a server in one upload, and 50 clients read it over HTTP while it arrives. The server keeps it in
 * `folder`. Prints it. Gives what came of it; undefined if a check failed. Throws the reason of `signal`, and why a server cannot run.
 */
export async function serverPart(
  file: { readonly path: string; readonly size: number },
  folder: string,
  output: Output,
  signal: AbortSignal,
  largest: number = LARGEST,
): Promise<RelayResult | undefined> {
  const size = Math.min(file.size, largest);
  const what = size < file.size ? `The first ${formatBytes(size)} of that go` : 'That goes';
  console.log(
    `${what} to a server now, in one POST that streams, and 50 clients read it over HTTP while it arrives.\n`,
  );
  const view = output.isScreen ? showRelayLive(size, output.stdout) : showRelayPlain(output.stdout);
  const result = await relay({ ...file, size, folder, signal, onProgress: view.show }).finally(view.stop);
  console.log(`\n${relaySummary(result).join('\n')}\n`);
  const same = `${result.clients.length - 1} clients got the same ${formatCount(result.bytes)} bytes`;
  const passed = `Check passed: ${same} over HTTP, and one that never read held nobody up.`;
  return printCheck(output, relayProblems(result), passed, result.digest) ? result : undefined;
}
