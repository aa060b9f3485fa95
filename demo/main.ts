/**
 * The demo: one real file, read once, and five readers of different speed that each get all of it. Then the copy that one of them
 * made goes to a server, in one upload, and 50 clients over HTTP read it while it arrives.
 *
 *   npm run demo                 the running Node binary
 *   npm run demo -- FILE         a file
 *   npm run demo -- -            standard input
 *
 * Exit code: 0 if every reader saw the same bytes, 1 if not, 2 for a source that cannot be read, and 128 plus the number
 * of the signal that ended it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BroadcastResult, startBroadcast } from './broadcast.ts';
import { formatBytes, formatCount } from './format.ts';
import { liveLine, type Progress, plainLine, showLive, showPlain } from './progress.ts';
import { createReaders } from './readers.ts';
import { type RelayResult, relay } from './server/relay.ts';
import { progressLine, relayProblems, relaySummary } from './server/relay-report.ts';
import { type DemoSource, openSource, READ_SIZE, SourceError } from './source.ts';
import { elsewhere, messageOf, problemsOf, summaryOf } from './summary.ts';

const USAGE = `npm run demo [-- FILE | -]

Reads a file once and gives it to five readers at the same time: SHA-256, gzip, statistics, a copy on disk, and one that
is slow on purpose. Then streams it through a server to 50 HTTP clients of different speed. FILE is the running Node binary where none is given; - is standard input.`;

/** The most that may wait for a reader before the source has to wait for it. */
const MARK = 8 * 1024 * 1024;
/** So much of the file goes through the server: fifty times this over one loopback. */
const RELAYED = 64 * 1024 * 1024;

const stop = new AbortController();
let stoppedBy: 'SIGINT' | 'SIGTERM' | 'SIGHUP' | undefined;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // The first one ends everything in order; who asks again does not want to wait for that.
    if (stoppedBy !== undefined) process.exit(128 + constants.signals[signal]);
    stoppedBy = signal;
    stop.abort(new Error(`stopped by ${signal}`));
  });
}

// A reader of our output that has had enough (`npm run demo | head`) ends the demo too.
process.stdout.on('error', () => stop.abort(new Error('nobody reads the output')));

const args = process.argv.slice(2);
if (args.includes('--help') || args.includes('-h')) {
  console.log(USAGE);
} else if (args.length > 1 || (args[0]?.startsWith('-') && args[0] !== '-')) {
  console.error(`demo: ${args.join(' ')} is not understood.\n\n${USAGE}`);
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await broadcast(await openSource(args[0]));
  } catch (error) {
    if (!(error instanceof SourceError)) throw error;
    console.error(`demo: ${error.message}`);
    process.exitCode = 2;
  }
}

async function broadcast({ name, size, stream }: DemoSource): Promise<number> {
  const { stdout, env } = process;
  const isScreen = stdout.isTTY && env.TERM !== 'dumb';
  const colors = isScreen && !env.NO_COLOR;
  const folder = mkdtempSync(join(tmpdir(), 'fanpipe-demo-'));
  let progress: Progress | undefined;
  const cleanUp = (): void => {
    progress?.stop();
    progress = undefined;
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', cleanUp);

  const readers = createReaders(folder, stop.signal);
  console.log(
    `${name}${size === undefined ? '' : ` (${formatBytes(size)})`} is read once, for ${readers.length} readers.`,
  );
  console.log(`Each may lag by ${formatBytes(MARK)}; beyond that the source waits for it.\n`);
  const running = startBroadcast(stream, readers, MARK, stop.signal);
  progress = isScreen ? showLive(running, size, MARK, stdout, colors) : showPlain(running, stdout);
  const result = await running.result;
  progress.stop();
  progress = undefined;
  try {
    return await report(result, folder, colors, isScreen);
  } finally {
    cleanUp();
    process.off('exit', cleanUp);
  }
}

async function report(result: BroadcastResult, folder: string, colors: boolean, isScreen: boolean): Promise<number> {
  if (stop.signal.aborted) return stopped();
  console.log(`\n${summaryOf(result, MARK).join('\n')}\n`);
  const problems = problemsOf(result, MARK, READ_SIZE);
  if (problems.length > 0) {
    console.error(`Check failed:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    return 1;
  }
  const green = (text: string): string => (colors ? `\u001b[32m${text}\u001b[39m` : text);
  console.log(
    green(`Check passed: all ${result.readers.length} readers saw the same ${formatCount(result.bytes)} bytes.`),
  );
  console.log(`SHA-256 ${result.digest}\n`);

  const size = Math.min(result.bytes, RELAYED);
  const what = size < result.bytes ? `Its first ${formatBytes(size)} go` : 'It goes';
  console.log(`${what} to a server now, in one upload, and 50 clients read it over HTTP while it arrives.\n`);
  const line = isScreen ? liveLine(process.stdout) : plainLine(process.stdout);
  let relayed: RelayResult;
  try {
    relayed = await relay({
      path: join(folder, 'copy'),
      size,
      folder: join(folder, 'store'),
      signal: stop.signal,
      onProgress: (progress) => line(progress.elapsed, progressLine(progress)),
    });
  } catch (error) {
    if (stop.signal.aborted) return stopped();
    console.error(`Check failed:\n  ${messageOf(error)}`);
    return 1;
  }
  console.log(`\n${relaySummary(relayed).join('\n')}\n`);
  const wrong = relayProblems(relayed);
  if (wrong.length > 0) {
    console.error(`Check failed:\n${wrong.map((problem) => `  ${problem}`).join('\n')}`);
    return 1;
  }
  const same = `${relayed.clients.length - 1} clients got the same ${formatCount(relayed.bytes)} bytes`;
  console.log(green(`Check passed: ${same} over HTTP, and one that never read held nobody up.`));
  console.log(`SHA-256 ${relayed.digest}`);
  console.log(`\n${elsewhere().join('\n')}`);
  return 0;
}

function stopped(): number {
  console.error(`\ndemo: ${messageOf(stop.signal.reason)}; the copy is removed.`);
  return stoppedBy === undefined ? 1 : 128 + constants.signals[stoppedBy];
}
