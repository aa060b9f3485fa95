import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A process that works for this one: it is told one thing, and tells what it finds. Ends with this process, however that ends. */
export class Child<Task extends object, Message> {
  /** Rejects when it ends by itself, or `signal` is aborted; never resolves. */
  readonly failed: Promise<never>;
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #kill = (): void => void this.#process.kill('SIGKILL');
  #isStopping = false;

  constructor(file: string, signal: AbortSignal) {
    const child = fork(fileURLToPath(new URL(file, import.meta.url)), {
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#process = child;
    this.#exited = once(child, 'exit').catch(() => {});
    process.once('exit', this.#kill);
    this.failed = new Promise<never>((_, reject) => {
      child.once('error', reject);
      child.once('exit', (code, by) => {
        process.off('exit', this.#kill);
        if (!this.#isStopping) reject(new Error(`${file} ended too early, ${by ?? `with code ${code}`}`));
      });
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    // Whoever does not come to wait for it has failed before.
    this.failed.catch(() => {});
  }

  tell(task: Task): void {
    // An error is told by `failed`.
    this.#process.send(task, () => {});
  }

  onMessage(listener: (message: Message) => void): void {
    this.#process.on('message', listener as (message: unknown) => void);
  }

  /** Resolves when it has ended, in order. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#process.connected) this.#process.disconnect();
    await this.#exited;
  }
}
