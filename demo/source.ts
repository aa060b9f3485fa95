import { constants, createReadStream } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { fromCaller } from './arguments.ts';

/** What is read: a file, or standard input. */
export interface DemoSource {
  readonly name: string;
  /** In bytes; undefined where it is not known before the end. */
  readonly size: number | undefined;
  readonly stream: Readable;
}

/** A source that cannot be read. The message says what to do. */
export class SourceError extends Error {}

/** The most that one read of a file gives, in bytes. */
export const READ_SIZE: number = 256 * 1024;
const HOW_TO = 'Give a file: npm run demo -- FILE; or - for standard input; or nothing for the Node binary.';

/**
 * Opens what the command line names; without a name the running Node binary, which is a large file that is always there.
 *
 * @throws SourceError
 */
export async function openSource(argument: string | undefined): Promise<DemoSource> {
  if (argument === '-') {
    if (process.stdin.isTTY) throw new SourceError(`Standard input is a terminal: nothing is piped in. ${HOW_TO}`);
    return { name: 'standard input', size: undefined, stream: process.stdin };
  }
  const path = argument === undefined ? process.execPath : fromCaller(argument);
  let size: number | undefined;
  try {
    const stats = await stat(path);
    if (stats.isDirectory()) throw new SourceError(`${path} is a folder. ${HOW_TO}`);
    await access(path, constants.R_OK);
    // A pipe or a device does not know its size.
    if (stats.isFile()) size = stats.size;
  } catch (error) {
    if (error instanceof SourceError) throw error;
    throw new SourceError(`${path} cannot be read: ${reasonOf(error)}. ${HOW_TO}`);
  }
  return { name: path, size, stream: createReadStream(path, { highWaterMark: READ_SIZE }) };
}

function reasonOf(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EACCES':
      return 'you may not read it';
    default:
      return (error as Error).message;
  }
}
