import { type AbortMember, joinSignal, leaveSignal } from '../signals.ts';

/** One promise that somebody waits on, with the signal that may end the wait. */
class Wait implements AbortMember {
  readonly resolve: () => void;
  readonly #reject: (reason: unknown) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #gaveUp: (wait: Wait) => void;

  constructor(
    resolve: () => void,
    reject: (reason: unknown) => void,
    signal: AbortSignal | undefined,
    gaveUp: (wait: Wait) => void,
  ) {
    this.resolve = resolve;
    this.#reject = reject;
    this.#signal = signal;
    this.#gaveUp = gaveUp;
    if (signal !== undefined) joinSignal(signal, this);
  }

  settle(): void {
    if (this.#signal !== undefined) leaveSignal(this.#signal, this);
    this.resolve();
  }

  aborted(reason: unknown): void {
    this.#gaveUp(this);
    this.#reject(reason);
  }
}

/** Any number of waits for the same thing. */
export class Waits {
  readonly #waits: Set<Wait> = new Set();

  /** Resolves at the next `resolveAll`; rejects with the signal's reason if that fires before, or has fired. */
  wait(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise<void>((resolve, reject) => {
      this.#waits.add(new Wait(resolve, reject, signal, (wait) => this.#waits.delete(wait)));
    });
  }

  resolveAll(): void {
    if (this.#waits.size === 0) return;
    const waits = new Set(this.#waits);
    this.#waits.clear();
    for (const wait of waits) wait.settle();
  }
}
