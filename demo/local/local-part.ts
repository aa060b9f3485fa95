import { join } from 'node:path';
import { formatBytes, formatCount } from '../format.ts';
import { type Output, printCheck } from '../output.ts';
import { type DemoSource, READ_SIZE } from '../source.ts';
import { startBroadcast } from './broadcast.ts';
import { showLive, showPlain } from './progress.ts';
import { createReaders } from './readers.ts';
import { problemsOf, summaryOf } from './summary.ts';

/** The most that may wait for a reader before the source has to wait for it. */
const MARK = 8 * 1024 * 1024;

/** A file that one of the readers has written. */
export interface Copy {
  readonly path: string;
  readonly size: number;
}

/**
 * The first part: the source is read once, and five readers in this process get all of it. Prints it. Gives the copy that one of
 * them made in `folder`; undefined if a check failed. Throws the reason of `signal`.
 */
export async function localPart(
  { name, size, stream }: DemoSource,
  folder: string,
  output: Output,
  signal: AbortSignal,
): Promise<Copy | undefined> {
  const { stdout, isScreen, colors } = output;
  const readers = createReaders(folder, signal);
  const amount = size === undefined ? '' : ` (${formatBytes(size)})`;
  console.log(`${name}${amount} is read once, for ${readers.length} readers.`);
  console.log(`Each may lag by ${formatBytes(MARK)}; beyond that the source waits for it.\n`);
  const running = startBroadcast(stream, readers, MARK, signal);
  const progress = isScreen ? showLive(running, size, MARK, stdout, colors) : showPlain(running, stdout);
  const result = await running.result.finally(() => progress.stop());
  signal.throwIfAborted();
  console.log(`\n${summaryOf(result, MARK).join('\n')}\n`);
  const passed = `Check passed: all ${readers.length} readers saw the same ${formatCount(result.bytes)} bytes.`;
  const isRight = printCheck(output, problemsOf(result, MARK, READ_SIZE), passed, result.digest);
  return isRight ? { path: join(folder, 'copy'), size: result.bytes } : undefined;
}
