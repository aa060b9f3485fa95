import type { Clock } from 'fanpipe';

/** Timers count no more than that. */
const LONGEST_DELAY = 2 ** 31 - 1;

/** Something that is to happen at a time. It must not throw. */
export class Alarm {
  readonly ring: () => void;
  /** For the agenda. */
  at: number = Number.POSITIVE_INFINITY;
  /** For the agenda: where it stands there, or -1. */
  slot = -1;

  constructor(ring: () => void) {
    this.ring = ring;
  }
}

/**
 * What is to happen next, for any number of alarms. They stand in a binary heap that knows where each is, so that one that is cleared
 * leaves nothing behind. One timer, which does not keep the process alive.
 */
export class Agenda {
  readonly #clock: Clock;
  readonly #heap: Alarm[] = [];
  #handle: unknown;
  #setFor = Number.POSITIVE_INFINITY;
  #isStopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Sets it, or sets it anew. */
  set(alarm: Alarm, at: number): void {
    if (this.#isStopped) return;
    const wasAt = alarm.at;
    alarm.at = at;
    if (alarm.slot < 0) {
      this.#heap.push(alarm);
      this.#rise(alarm, this.#heap.length - 1);
    } else if (at < wasAt) this.#rise(alarm, alarm.slot);
    else this.#sink(alarm, alarm.slot);
    this.#arm();
  }

  clear(alarm: Alarm | undefined): void {
    if (alarm === undefined || alarm.slot < 0) return;
    this.#remove(alarm);
    this.#arm();
  }

  /** Nothing rings any more. */
  stop(): void {
    this.#isStopped = true;
    for (const alarm of this.#heap) alarm.slot = -1;
    this.#heap.length = 0;
    this.#arm();
  }

  #arm(): void {
    const at = this.#heap[0]?.at ?? Number.POSITIVE_INFINITY;
    // A timer that rings too early costs less than to set another each time.
    if (at >= this.#setFor && at !== Number.POSITIVE_INFINITY) return;
    if (this.#setFor !== Number.POSITIVE_INFINITY) this.#clock.clearTimeout(this.#handle);
    this.#setFor = at;
    this.#handle = undefined;
    if (at === Number.POSITIVE_INFINITY) return;
    const delay = Math.min(LONGEST_DELAY, Math.max(0, Math.ceil(at - this.#clock.now())));
    this.#handle = this.#clock.setTimeout(this.#rang, delay);
    (this.#handle as { unref?(): void } | undefined)?.unref?.();
  }

  readonly #rang = (): void => {
    this.#setFor = Number.POSITIVE_INFINITY;
    this.#handle = undefined;
    const now = this.#clock.now();
    for (let first = this.#heap[0]; first !== undefined && first.at <= now; first = this.#heap[0]) {
      this.#remove(first);
      first.ring();
    }
    this.#arm();
  };

  #remove(alarm: Alarm): void {
    const { slot } = alarm;
    alarm.slot = -1;
    const last = this.#heap.pop() as Alarm;
    if (last === alarm) return;
    this.#sink(last, slot);
    if (last.slot === slot) this.#rise(last, slot);
  }

  #rise(alarm: Alarm, from: number): void {
    const heap = this.#heap;
    let slot = from;
    while (slot > 0) {
      const parent = (slot - 1) >> 1;
      const above = heap[parent] as Alarm;
      if (above.at <= alarm.at) break;
      heap[slot] = above;
      above.slot = slot;
      slot = parent;
    }
    heap[slot] = alarm;
    alarm.slot = slot;
  }

  #sink(alarm: Alarm, from: number): void {
    const heap = this.#heap;
    let slot = from;
    for (;;) {
      let child = 2 * slot + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as Alarm).at < (heap[child] as Alarm).at) child++;
      const below = heap[child] as Alarm;
      if (below.at >= alarm.at) break;
      heap[slot] = below;
      below.slot = slot;
      slot = child;
    }
    heap[slot] = alarm;
    alarm.slot = slot;
  }
}
