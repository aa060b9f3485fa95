/** A process of its own that has a store, and does with it what it is told. */

import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { StoreFailure, StoreReply, StoreRequest } from './store-child.ts';

const CHILD = fileURLToPath(new URL('./store-child.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

export interface StoreProcessOptions {
  /** A small disk of its own, that only this process sees, and that goes with it. */
  readonly disk?: { readonly path: string; readonly size: number };
}

/** What the store said there, as it comes here. */
export class RemoteError extends Error {
  readonly code: string;
  readonly isFull: boolean;

  constructor({ code, message, isFull }: StoreFailure) {
    super(message);
    this.code = code;
    this.isFull = isFull;
  }
}

interface Call {
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

/** A command that mounts a disk and becomes the command that follows. */
function mounting(path: string, size: number): string[] {
  return ['unshare', '-rm', 'sh', '-c', `mount -t tmpfs -o size=${size} none '${path}' && exec "$@"`, 'sh'];
}

/** Whether this system lets anybody have a disk of his own. */
export function canMount(): boolean {
  const [command = '', ...args] = mounting(tmpdir(), 1024 * 1024);
  return spawnSync(command, [...args, 'true']).status === 0;
}

export class StoreProcess {
  /** Resolves when it has ended, with how. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** Told of each acknowledgement of `load`. */
  onAcknowledged: (stream: number, append: number) => void = () => {};
  stderr = '';
  readonly #child: ChildProcess;
  readonly #calls = new Map<number, Call>();
  #lastCall = 0;

  constructor({ disk }: StoreProcessOptions = {}) {
    const node = [process.execPath, '--import', 'tsx'];
    const limited = disk === undefined ? node : [...mounting(disk.path, disk.size), ...node];
    const [execPath = '', ...execArgv] = limited;
    this.#child = fork(CHILD, { execPath, execArgv, cwd: ROOT, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    this.#child.stderr?.on('data', (data) => (this.stderr += String(data)));
    this.#child.on('message', (reply) => this.#receive(reply as StoreReply));
    this.exited = once(this.#child, 'exit').then(([code, signal]) => {
      for (const { reject } of this.#calls.values()) reject(new Error(`The process ended: ${this.stderr}`));
      this.#calls.clear();
      return { code, signal };
    });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  call<T = unknown>(op: StoreRequest['op'], ...args: readonly unknown[]): Promise<T> {
    const id = ++this.#lastCall;
    return new Promise<T>((resolve, reject) => {
      this.#calls.set(id, { resolve: resolve as Call['resolve'], reject });
      this.#child.send({ id, op, args } satisfies StoreRequest);
    });
  }

  /** As a loss of power, but for what the system has. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  #receive(reply: StoreReply): void {
    if ('acknowledged' in reply) {
      this.onAcknowledged(...reply.acknowledged);
      return;
    }
    const call = this.#calls.get(reply.id);
    this.#calls.delete(reply.id);
    if (reply.error === undefined) call?.resolve(reply.value);
    else call?.reject(new RemoteError(reply.error));
  }
}
