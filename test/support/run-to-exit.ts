import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** How a process came to its end. */
export interface Exit {
  readonly code: number | null;
  /** What it printed, errors included. */
  readonly output: string;
  /** How long it lived after it had printed `finished`, in milliseconds. */
  readonly lingered: number;
}

/** Runs a script of this folder as a process of its own, until it exits by itself. */
export async function runToExit(script: string, ...args: readonly string[]): Promise<Exit> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', path, ...args], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let finishedAt = 0;
  child.stdout.on('data', (data) => {
    output += data;
    if (output.includes('finished')) finishedAt ||= performance.now();
  });
  child.stderr.on('data', (data) => {
    output += data;
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, output, lingered: performance.now() - finishedAt };
}
