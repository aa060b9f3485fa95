import type { Clock } from 'fanpipe';

/** Milliseconds between two looks. */
const INTERVAL = 5_000;

/** What is looked at now and then. Must not throw. */
export interface Swept {
  /** Frees what nobody uses. False: there is nothing more to look at. */
  sweep(): boolean;
}

/** Has things looked at now and then, by one timer, as long as there are any. Holds them meanwhile. */
export class Sweeper {
  readonly #clock: Clock;
  readonly #members: Set<Swept> = new Set();
  #timer: unknown;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(member: Swept): void {
    this.#members.add(member);
    if (this.#timer === undefined) this.#schedule();
  }

  #schedule(): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      for (const member of this.#members) if (!member.sweep()) this.#members.delete(member);
      if (this.#members.size > 0 && this.#timer === undefined) this.#schedule();
    }, INTERVAL);
    keepsNothingAlive(this.#timer);
  }

  /** Looks no more. */
  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#members.clear();
  }
}

/** Where the runtime can: the timer no longer keeps the process alive. */
export function keepsNothingAlive(timer: unknown): void {
  (timer as { unref?(): void } | undefined)?.unref?.();
}
