/** Programs of other people as clients: found, run, and fed while they run. */

import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const finder = fileURLToPath(new URL('../../../scripts/find-clients.mjs', import.meta.url));
const isCi = /^(true|1)$/.test(process.env.CI ?? '');
const found = spawnSync(process.execPath, [finder], { encoding: 'utf8' });
const paths = new Map(
  found.stdout
    .trim()
    .split('\n')
    .map((line) => line.split(' ', 2) as [string, string]),
);

/** A program that may be missing. */
export interface Tool {
  readonly path: string | undefined;
  /** What a group of tests with it is called. */
  readonly title: string;
  /** Where everything is tested nothing is skipped: without the program the first step fails, and says why. */
  readonly isSkipped: boolean;
  readonly reason: string;
}

export function findTool(name: string): Tool {
  const path = paths.get(name);
  const reason = found.stderr.split('\n').find((line) => line.includes(`no ${name} `)) ?? found.stderr;
  const isSkipped = path === undefined && !isCi;
  return { path, reason, isSkipped, title: isSkipped ? `${name} (skipped: ${reason})` : name };
}

/** A program that runs. What it writes is kept. */
export class Run {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  stdout: Buffer = Buffer.alloc(0);
  stderr = '';
  /** Resolves with the exit code. */
  readonly code: Promise<number | null>;

  constructor(tool: Tool, args: readonly string[]) {
    if (tool.path === undefined) throw new Error(tool.reason);
    const { PATH, HOME } = process.env;
    // No proxy of the environment, no language but this one.
    this.child = spawn(tool.path, args, { env: { PATH, HOME, LC_ALL: 'C' }, stdio: 'pipe' });
    this.child.stdout.on('data', (data) => (this.stdout = Buffer.concat([this.stdout, data])));
    this.child.stderr.on('data', (text) => (this.stderr += String(text)));
    this.child.stdin.on('error', () => {});
    this.code = once(this.child, 'close').then(([code]) => code);
  }

  /** Resolves when it has written so many bytes; rejects if it ends before. */
  async wrote(bytes: number): Promise<void> {
    let isOver = false;
    void this.code.then(() => (isOver = true));
    while (this.stdout.length < bytes) {
      if (isOver) throw new Error(`it ended after ${this.stdout.length} of ${bytes} bytes: ${this.stderr}`);
      await Promise.race([once(this.child.stdout, 'data'), this.code]);
    }
  }
}

/** Runs a program to its end without input. */
export async function runTool(tool: Tool, args: readonly string[]): Promise<{ code: number | null; stderr: string }> {
  const run = new Run(tool, args);
  run.child.stdin.end();
  return { code: await run.code, stderr: run.stderr };
}
