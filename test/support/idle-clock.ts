/**
 * Time for tests over real sockets: it stands still while anything happens, and jumps to the next timer when nothing does.
 *
 * A download whose server and client live in this process, and both wait by this clock, takes exactly as much of its time
 * as was waited for, however busy the machine is: a stall of ten seconds takes some turns of the event loop, and no
 * timeout ever comes too early. "Nothing happens" means that for a number of turns, each of which polls all sockets,
 * nobody touched the clock: no timer was set or taken back, the server did nothing, and the probe showed no change.
 */

import type { Clock } from '../../packages/fanpipe/src/monitor/clock.ts';

interface Timer {
  readonly id: number;
  readonly at: number;
  readonly callback: () => void;
}

/**
 * Turns of the event loop without a sign of life after which all are taken to wait, and milliseconds. The loopback hands a
 * packet over at once, so what was sent is met in the next turn; a connection with its request and first answer takes
 * about six. Turns alone would do but for what other threads have a hand in.
 */
const QUIET_TURNS = 40;
const QUIET_MS = 1;
/** After so long without a sign of life and without a timer nothing will ever happen. */
const STUCK_MS = 3000;

const ticking: Set<IdleClock> = new Set();
let turning = false;

function turn(): void {
  for (const clock of ticking) clock.turn();
  turning = ticking.size > 0;
  if (turning) setImmediate(turn);
}

/** A clock of its own for each download. `stop()` it in the end: its turns keep the process busy. */
export class IdleClock implements Clock {
  /** Read in every turn: a change is a sign of life. For what only the client knows, such as the bytes it has got. */
  probe: () => unknown = () => undefined;
  /** Called when nothing happens any more and nobody waits for a time: a download that has not ended by then hangs. */
  onStuck: () => void = () => {};
  readonly #timers: Map<number, Timer> = new Map();
  #ids = 0;
  #now = 0;
  #quiet = 0;
  #quietSince = 0;
  #probed: unknown;

  constructor() {
    ticking.add(this);
    if (!turning) {
      turning = true;
      setImmediate(turn);
    }
  }

  /** Timers that are set and have not rung. */
  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  setTimeout(callback: () => void, ms: number): unknown {
    this.#quiet = 0;
    const id = ++this.#ids;
    this.#timers.set(id, { id, at: this.#now + Math.max(0, ms), callback });
    return id;
  }

  clearTimeout(handle: unknown): void {
    if (this.#timers.delete(handle as number)) this.#quiet = 0;
  }

  /** Resolves `ms` of this clock later, or when `signal` fires, whichever is first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = (): void => {
        this.clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = this.setTimeout(done, ms);
      signal?.addEventListener('abort', done);
    });
  }

  /** A sign of life. */
  touch(): void {
    this.#quiet = 0;
  }

  /** No timer rings any more. */
  stop(): void {
    ticking.delete(this);
    this.#timers.clear();
  }

  /** One turn of the event loop has passed. */
  turn(): void {
    const probed = this.probe();
    if (probed !== this.#probed) {
      this.#probed = probed;
      this.#quiet = 0;
    }
    if (++this.#quiet === 1) this.#quietSince = performance.now();
    if (this.#quiet < QUIET_TURNS || performance.now() - this.#quietSince < QUIET_MS) return;
    let next: Timer | undefined;
    for (const timer of this.#timers.values()) if (next === undefined || timer.at < next.at) next = timer;
    if (next === undefined) {
      if (performance.now() - this.#quietSince > STUCK_MS) this.onStuck();
      return;
    }
    this.#quiet = 0;
    this.#timers.delete(next.id);
    this.#now = Math.max(this.#now, next.at);
    next.callback();
  }
}
