/**
 * The demo: one real file, read once, and five readers of different speed that each get all of it. Then the copy that one of them
 * made, up to 48 MiB of it, goes to a server in one upload, and 50 clients over HTTP read it while it arrives.
 *
 *   npm run demo                        the running Node binary
 *   npm run demo -- FILE                a file
 *   npm run demo -- -                   standard input
 *   npm run demo -- --data FOLDER …     the server's streams stay in that folder: the first 48 MiB
 *
 * Exit code: 0 if every reader saw the same bytes, 1 if not, 2 for a source that cannot be read, and 128 plus the number
 * of the signal that ended it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DemoArguments, parseArguments } from './arguments.ts';
import { messageOf } from './format.ts';
import { localPart } from './local/local-part.ts';
import { openOutput } from './output.ts';
import { serverPart } from './server/server-part.ts';
import { type DemoSource, openSource, SourceError } from './source.ts';

const USAGE = `npm run demo [-- [--data FOLDER] [FILE | -]]

Reads a file once and gives it to five readers at the same time: SHA-256, gzip, statistics, a copy on disk, and one that
is slow on purpose. Then uploads it to a server while 50 HTTP clients of different speed read it. Checks every digest.

FILE is the running Node binary where none is given; - is standard input.
--data FOLDER  the server keeps its streams there, up to 48 MiB; without it, in a temporary folder that is removed at the end.`;

/** What else there is, for data that is not a file here. */
const ELSEWHERE = `For a file behind HTTP, read in parts or over a bad line: RemoteByteStream (fanpipe/remote).
For one source that many ask for, at any time: StreamPool (fanpipe/pool).`;

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
for (const output of [process.stdout, process.stderr]) {
  output.on('error', () => stop.abort(new Error('nobody reads the output')));
}

const options = parseArguments(process.argv.slice(2));
if (options === undefined) {
  console.error(`demo: ${process.argv.slice(2).join(' ')} is not understood.\n\n${USAGE}`);
  process.exitCode = 2;
} else if (options.help) {
  console.log(USAGE);
} else {
  try {
    process.exitCode = await run(await openSource(options.source), options);
  } catch (error) {
    if (!(error instanceof SourceError)) throw error;
    console.error(`demo: ${error.message}`);
    process.exitCode = 2;
  }
}

async function run(source: DemoSource, { data }: DemoArguments): Promise<number> {
  const output = openOutput();
  const folder = mkdtempSync(join(tmpdir(), 'fanpipe-demo-'));
  const cleanUp = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', cleanUp);
  try {
    const copy = await localPart(source, folder, output, stop.signal);
    if (copy === undefined) return 1;
    const result = await serverPart(copy, data ?? join(folder, 'store'), output, stop.signal);
    if (result === undefined) return 1;
    if (data !== undefined) console.log(`It stays at ${result.path} of npm run -s serve -- --data ${data}`);
    console.log(ELSEWHERE);
    return 0;
  } catch (error) {
    if (!stop.signal.aborted) {
      console.error(`Check failed:\n  ${messageOf(error)}`);
      return 1;
    }
    console.error(`\ndemo: ${messageOf(stop.signal.reason)}; the copy is removed.`);
    return stoppedBy === undefined ? 1 : 128 + constants.signals[stoppedBy];
  } finally {
    cleanUp();
    process.off('exit', cleanUp);
  }
}
