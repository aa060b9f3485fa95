import { parseArgs } from 'node:util';

/** What the command was asked to do. */
export interface Arguments {
  readonly port: number;
  readonly host: string;
  /** Folder of the store; undefined: in memory. */
  readonly data: string | undefined;
  /** Milliseconds. */
  readonly longPollTimeout: number | undefined;
  readonly help: boolean;
}

/** The arguments make no sense; the message says which and why. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const USAGE = `fanpipe [--port PORT] [--host ADDRESS] [--data FOLDER] [--long-poll-timeout MS]

  --port PORT               default 4437; 0: any that is free
  --host ADDRESS            default 127.0.0.1; 0.0.0.0: reachable from everywhere
  --data FOLDER             keeps streams there, safe on disk before they are acknowledged; default: in memory
  --long-poll-timeout MS    how long a long-poll waits, in milliseconds; default 30000
  --help                    shows this`;

const LONGEST_TIMEOUT = 2_147_483_647;

/** Reads the arguments. Throws `UsageError`. */
export function parseArguments(args: readonly string[]): Arguments {
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        port: { type: 'string' },
        host: { type: 'string' },
        data: { type: 'string' },
        'long-poll-timeout': { type: 'string' },
        help: { type: 'boolean' },
      },
    }));
  } catch (error) {
    // Node says more than one line where an argument is ambiguous.
    throw new UsageError(String((error as Error).message).split('\n', 1)[0]);
  }
  const { port, host, data, help } = values;
  if (host === '') throw new UsageError('--host is empty');
  if (data === '') throw new UsageError('--data is empty');
  return {
    port: integer('--port', port, 65_535) ?? 4437,
    host: (host as string | undefined) ?? '127.0.0.1',
    data: data as string | undefined,
    longPollTimeout: integer('--long-poll-timeout', values['long-poll-timeout'], LONGEST_TIMEOUT),
    help: help === true,
  };
}

function integer(name: string, value: string | boolean | undefined, most: number): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (typeof value === 'string' && /^\d+$/.test(value) && number <= most) return number;
  throw new UsageError(`${name} must be a whole number from 0 to ${most}, got ${JSON.stringify(value)}`);
}
