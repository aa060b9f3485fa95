import type { Clock } from 'fanpipe';
import { turn } from './harness.ts';

/** A clock that stands still. `pending` counts the timers that are set. */
export class FakeClock implements Clock {
  #now = 0;
  #timers = new Map<object, { at: number; callback: () => void }>();

  now(): number {
    return this.#now;
  }

  setTimeout(callback: () => void, ms: number): unknown {
    const handle = {};
    this.#timers.set(handle, { at: this.#now + ms, callback });
    return handle;
  }

  clearTimeout(handle: unknown): void {
    this.#timers.delete(handle as object);
  }

  get pending(): number {
    return this.#timers.size;
  }

  /** Moves on by `ms`, calling what comes due in its order. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await turn();
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.#now = Math.max(this.#now, due[1].at);
      due[1].callback();
      await turn();
    }
    this.#now = end;
    await turn();
  }
}
