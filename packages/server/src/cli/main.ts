/**
 * The server as a command: starts it, says where it listens, and ends it when the process is told to end.
 *
 * Exit codes: 0, it was told to end and did; 1, it could not listen, not open its store or not close it; 2, the arguments make no sense. Whatever
 * goes wrong is one line on stderr.
 *
 * @module
 */

import { memoryBackend } from '../backends/index.ts';
import { type Serving, serve } from '../node/index.ts';
import { StreamServer } from '../stream-server.ts';
import { type Arguments, parseArguments, USAGE, UsageError } from './arguments.ts';

function complain(message: string): void {
  process.stderr.write(`fanpipe: ${message}\n`);
}

async function start({ data, host, port, longPollTimeout }: Arguments): Promise<Serving> {
  // LMDB is native code: a server in memory starts where it cannot be loaded.
  const backend =
    data === undefined ? memoryBackend() : (await import('../backends/lmdb/index.ts')).lmdbBackend({ path: data });
  const server = new StreamServer({ backend, longPollTimeout });
  try {
    return await serve({ server, host, port });
  } catch (error) {
    await server.close();
    throw error;
  }
}

function describe(error: unknown, { host, port }: Arguments): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'EADDRINUSE':
      return `port ${port} of ${host} is in use: stop what listens there, or choose another --port`;
    case 'EACCES':
      return `port ${port} of ${host} may not be used by this user: choose another --port`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${host} is no address of this machine`;
    default:
      return String(message).split('\n', 1)[0] as string;
  }
}

/** Resolves when the process is told to end. Told again, it ends at once. */
function untilTold(): Promise<void> {
  return new Promise((resolve) => {
    let isTold = false;
    const told = (signal: NodeJS.Signals): void => {
      if (isTold) process.exit(signal === 'SIGINT' ? 130 : 143);
      isTold = true;
      resolve();
    };
    process.on('SIGTERM', told).on('SIGINT', told);
  });
}

/** Runs the command. Resolves with the exit code when it is over. */
export async function main(args: readonly string[]): Promise<number> {
  // Whoever read what it says may go: it serves on.
  for (const output of [process.stdout, process.stderr]) output.on('error', () => {});
  let parsed: Arguments;
  try {
    parsed = parseArguments(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    complain(`${error.message} (--help shows all)`);
    return 2;
  }
  if (parsed.help) {
    console.log(USAGE);
    return 0;
  }
  // A signal that comes while it starts counts too.
  const told = untilTold();
  let serving: Serving;
  try {
    serving = await start(parsed);
  } catch (error) {
    complain(describe(error, parsed));
    return 1;
  }
  console.log(`fanpipe listens on ${serving.url}`);
  await told;
  try {
    await serving.close();
  } catch (error) {
    complain(describe(error, parsed));
    return 1;
  }
  return 0;
}
