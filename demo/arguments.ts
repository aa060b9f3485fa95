import { resolve } from 'node:path';

/** What the command line asks for. */
export interface DemoArguments {
  /** A file; `-` is standard input, undefined the running Node binary. */
  readonly source: string | undefined;
  /** Folder in which the server keeps the stream; undefined: one that is removed at the end. */
  readonly data: string | undefined;
  readonly help: boolean;
}

/** Undefined if it is not understood. */
export function parseArguments(args: readonly string[]): DemoArguments | undefined {
  let source: string | undefined;
  let data: string | undefined;
  let help = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    if (arg === '--help' || arg === '-h') help = true;
    else if (arg === '--data') {
      data = args[++i];
      if (data === undefined || data === '') return;
    } else if (source !== undefined || (arg.startsWith('-') && arg !== '-')) return;
    else source = arg;
  }
  return { source, data: data === undefined ? undefined : fromCaller(data), help };
}

/** npm runs scripts in the folder of the package; a relative name means the folder in which npm was called. */
export function fromCaller(path: string): string {
  return resolve(process.env.INIT_CWD ?? '.', path);
}
