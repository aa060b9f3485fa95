import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** How a run came out. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A run that is under way. */
export interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves when the text has been printed; rejects when the demo ends without it. */
  printed(text: string): Promise<void>;
}

/** A folder in which the demo is called, as a user calls it, and which sees what it leaves behind. */
export class DemoFolder {
  readonly path: string = mkdtempSync(join(tmpdir(), 'fanpipe-test-'));
  readonly #temp: string = join(this.path, 'temp');

  constructor() {
    mkdirSync(this.#temp);
  }

  /** What the demo left in the folder for temporary files; `tsx` has one of its own there. */
  get leftBehind(): string[] {
    return readdirSync(this.#temp).filter((name) => name.startsWith('fanpipe-demo-'));
  }

  start(...args: string[]): Run {
    const child = spawn(process.execPath, ['--import', 'tsx', join('demo', 'main.ts'), ...args], {
      cwd: root,
      env: { ...process.env, TMPDIR: this.#temp, INIT_CWD: this.path },
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
    const printed = (text: string): Promise<void> =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (stdout.includes(text)) resolve();
        };
        child.stdout.on('data', look);
        child.on('close', () => reject(new Error(`The demo ended without "${text}":\n${stdout}${stderr}`)));
        look();
      });
    return { child, ended, printed };
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
