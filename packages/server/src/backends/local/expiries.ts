import type { Clock } from 'fanpipe';
import type { LocalStream } from './local-stream.ts';

/** Timers count no more than that. */
const LONGEST_DELAY = 2 ** 31 - 1;

interface Due {
  readonly stream: LocalStream;
  at: number;
}

/**
 * What expires next. A stream stands in a binary heap by the deadline that it had when it was put there; one that was touched since is put
 * back when its turn comes, so a touch costs nothing. One timer, which does not keep the process alive.
 */
export class Expiries {
  readonly #clock: Clock;
  readonly #expire: (stream: LocalStream) => void;
  readonly #heap: Due[] = [];
  #handle: unknown;
  #setFor = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, expire: (stream: LocalStream) => void) {
    this.#clock = clock;
    this.#expire = expire;
  }

  add(stream: LocalStream): void {
    if (stream.deadline === Number.POSITIVE_INFINITY) return;
    this.#push({ stream, at: stream.deadline });
    this.#arm();
  }

  stop(): void {
    this.#heap.length = 0;
    this.#disarm();
  }

  #arm(): void {
    const at = this.#heap[0]?.at;
    if (at === undefined || at >= this.#setFor) return;
    this.#disarm();
    this.#setFor = at;
    const delay = Math.min(LONGEST_DELAY, Math.max(0, Math.ceil(at - this.#clock.now())));
    this.#handle = this.#clock.setTimeout(this.#rang, delay);
    (this.#handle as { unref?(): void } | undefined)?.unref?.();
  }

  #disarm(): void {
    if (this.#setFor === Number.POSITIVE_INFINITY) return;
    this.#setFor = Number.POSITIVE_INFINITY;
    this.#clock.clearTimeout(this.#handle);
    this.#handle = undefined;
  }

  readonly #rang = (): void => {
    this.#setFor = Number.POSITIVE_INFINITY;
    this.#handle = undefined;
    const now = this.#clock.now();
    for (let first = this.#heap[0]; first !== undefined && first.at <= now; first = this.#heap[0]) {
      this.#pop();
      const { stream } = first;
      if (stream.gone !== undefined) continue;
      if (stream.deadline > now) this.#push({ stream, at: stream.deadline });
      else this.#expire(stream);
    }
    this.#arm();
  };

  #push(due: Due): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(due);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent] as Due;
      if (above.at <= due.at) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = due;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Due;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as Due).at < (heap[child] as Due).at) child++;
      if ((heap[child] as Due).at >= last.at) break;
      heap[index] = heap[child] as Due;
      index = child;
    }
    heap[index] = last;
  }
}
