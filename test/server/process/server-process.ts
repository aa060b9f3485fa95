/** A server as a process of its own, started from what is built, as a user does. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { HttpClient } from './http-client.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const URL_LINE = /^fanpipe listens on http:\/\/127\.0\.0\.1:(\d+)\n$/;
/** Told by a signal, it collects its garbage. */
const RUN = `process.on('SIGUSR2', gc); import('./packages/server/dist/cli/main.js').then(({ main }) => main(process.argv.slice(1)))
  .then((code) => process.exit(code))`;

/** Those that run: a test that is stopped in the middle cannot end its own. */
const running = new Set<ChildProcess>();
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});

let isBuilt = false;

/** Builds the packages where their sources have changed, once for each file of tests. */
function build(): void {
  if (isBuilt) return;
  const { status, stderr } = spawnSync(process.execPath, ['scripts/setup.mjs', '--quiet'], {
    cwd: root,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the build failed: ${stderr}`);
  isBuilt = true;
}

export interface ProcessOptions {
  /** Folder to keep streams in; left out: in memory. */
  readonly data?: string;
  /** Default 0: any that is free. */
  readonly port?: number;
  /** More arguments of the command. */
  readonly args?: readonly string[];
}

/** See the head of the module. */
export class ServerProcess {
  stdout = '';
  stderr = '';
  /** Resolves with how it ended, when all that it said has been heard. */
  readonly exited: Promise<[code: number | null, signal: NodeJS.Signals | null]>;
  readonly #child: ChildProcess;
  #client: HttpClient | undefined;

  /** Begins to start it; `listening` tells when it has started. */
  constructor({ data, port = 0, args = [] }: ProcessOptions) {
    build();
    const all = ['--port', String(port), ...(data === undefined ? [] : ['--data', data]), ...args];
    this.#child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '--eval', RUN, '--', ...all], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.on('data', (text) => (this.stdout += String(text)));
    this.#child.stderr?.on('data', (text) => (this.stderr += String(text)));
    const child = this.#child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    this.exited = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  }

  /** Starts one and waits until it listens. */
  static async start(options: ProcessOptions): Promise<ServerProcess> {
    const server = new ServerProcess(options);
    await server.listening();
    return server;
  }

  /** Resolves with the port, once it listens. Rejects if it ends before, with what it said. */
  async listening(): Promise<number> {
    let isOver = false;
    void this.exited.then(() => (isOver = true));
    while (!this.stdout.includes('\n')) {
      if (isOver) throw new Error(`the server ended: ${this.stdout}${this.stderr}`);
      await Promise.race([once(this.#child.stdout as NodeJS.EventEmitter, 'data'), this.exited]);
    }
    const port = Number(URL_LINE.exec(this.stdout)?.[1]);
    if (Number.isNaN(port)) throw new Error(`the server says where it listens in a strange way: ${this.stdout}`);
    this.#client ??= new HttpClient(port);
    return port;
  }

  /** Speaks to it; there once it listens. */
  get client(): HttpClient {
    if (this.#client === undefined) throw new Error('the server does not listen yet');
    return this.#client;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** Sends a signal and waits for the end of it. */
  async end(signal: NodeJS.Signals): Promise<[code: number | null, signal: NodeJS.Signals | null]> {
    this.#child.kill(signal);
    const how = await this.exited;
    this.#client?.close();
    return how;
  }
}

/**
 * A port that is free and that the system gives to nobody by chance: a client that connects to a port of those on which nobody listens
 * can come to be connected to itself.
 */
export async function quietPort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
