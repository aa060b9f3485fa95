/**
 * Time that stands still until a test moves it. The port is that of the monitor, so it fits wherever a clock is injected.
 */

import type { Clock } from '../../packages/fanpipe/src/monitor/clock.ts';

interface FakeTimer {
  readonly at: number;
  readonly callback: () => void;
}

/** Lets everything run that can run without time passing: all microtasks, and one turn of the event loop. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A clock for tests. Timers ring in the order of their time, those of one time in the order in which they were set. */
export class FakeClock implements Clock {
  /** How many timers were ever set. */
  timersSet = 0;
  readonly #timers = new Map<number, FakeTimer>();
  #now: number;

  constructor(now = 0) {
    this.#now = now;
  }

  /** Timers that are set and have not rung. */
  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  setTimeout(callback: () => void, ms: number): unknown {
    const id = ++this.timersSet;
    this.#timers.set(id, { at: this.#now + Math.max(0, ms), callback });
    return id;
  }

  clearTimeout(handle: unknown): void {
    this.#timers.delete(handle as number);
  }

  /** Resolves when the clock has been moved on by `ms`: a promise that waits inside the code under test. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.setTimeout(resolve, ms));
  }

  /**
   * Moves time on by `ms`. Stops at every timer on the way and lets all that follows from it settle, before the first of them
   * too, so that what was begun just before the call counts from then.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let due = this.#earliest(end); due !== undefined; due = this.#earliest(end)) {
      const [id, timer] = due;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, timer.at);
      timer.callback();
      await settle();
    }
    this.#now = end;
  }

  #earliest(end: number): [number, FakeTimer] | undefined {
    let earliest: [number, FakeTimer] | undefined;
    for (const entry of this.#timers) {
      if (entry[1].at <= end && (earliest === undefined || entry[1].at < earliest[1].at)) earliest = entry;
    }
    return earliest;
  }
}
