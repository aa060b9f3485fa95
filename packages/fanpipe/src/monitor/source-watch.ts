/**
 * The rules about the source, and the waiting time that they are measured in.
 *
 * A *wait* begins when a reader's turn has come and the source owes it an item; it ends with the item, with a stall, or when
 * the monitor ends. Between waits no clock runs and no timer is set.
 *
 * @module
 */

import { StalledReadError, type StallKind } from '../errors.ts';
import { Alarm } from './alarm.ts';
import type { Clock } from './clock.ts';
import type { ThroughputMeter } from './throughput-meter.ts';

/** What `onStall` is told. */
export interface StallEvent {
  /** `'timeout'`: the source was silent. `'throughput'`: it was too slow. */
  readonly kind: StallKind;
  /**
   * Milliseconds in which a reader waited: in this `next()` (`'timeout'`), or since the source was last fast enough
   * (`'throughput'`). Never less than the rule allows.
   */
  readonly waitedMs: number;
  /** What the source brought in the last window, in bytes per second. Only with `'throughput'`. */
  readonly bytesPerSecond?: number;
  /** What the waiting `next()` rejects with. */
  readonly error: StalledReadError;
}

/** After so many items in a row that lay ready, a timer is set only for one that does not. */
const HOT = 4;
/** How many microtasks an item that lies ready may take to arrive: more than a few async generators in a row need. */
const HOPS = 12;
/** An item that comes sooner than this, in milliseconds, lay ready. */
const READY = 1;
/** A third of the price of queueMicrotask, which matters for every item that lies ready. */
const RESOLVED: Promise<void> = Promise.resolve();

/** Watches the waits of one monitor, and reports each that breaks a rule. */
export class SourceWatch {
  readonly #clock: Clock;
  readonly #alarm: Alarm;
  readonly #report: (event: StallEvent, first: boolean) => void;
  #timeout: number | undefined;
  #meter: ThroughputMeter | undefined;

  #waiting = false;
  /** The clock of this wait runs, since #since. */
  #running = false;
  #since = 0;
  /** When this wait breaks the one rule and the other, if nothing comes. */
  #silentAt = 0;
  #slowAt = 0;

  /** Items in a row that lay ready. */
  #ready = 0;
  #hops = 0;
  #checkQueued = false;

  // A stall that goes on is not reported as a new one.
  #silent = false;
  #slow = false;

  /** `report` is called when a wait has ended with a stall; `first` says that this stall was not reported before. */
  constructor(clock: Clock, report: (event: StallEvent, first: boolean) => void) {
    this.#clock = clock;
    this.#alarm = new Alarm(clock, () => this.#stalled());
    this.#report = report;
  }

  /** Replaces the limit of silence, in milliseconds; a wait under way begins anew. */
  set timeout(ms: number) {
    this.#change(() => {
      this.#timeout = ms;
    });
  }

  /** Replaces the judge of speed; a wait under way begins anew. */
  set meter(meter: ThroughputMeter) {
    this.#change(() => {
      this.#meter = meter;
      this.#slow = false;
    });
  }

  /** Whether the size of items matters. */
  get measures(): boolean {
    return this.#meter !== undefined;
  }

  /** A reader begins to wait for the source. */
  begin(): void {
    this.#waiting = true;
    if (this.#timeout === undefined && this.#meter === undefined) return;
    if (this.#ready < HOT) {
      this.#start();
      return;
    }
    // The last items lay ready, so this one may too: no clock and no timer until it turns out that it does not.
    this.#hops = HOPS;
    if (!this.#checkQueued) {
      this.#checkQueued = true;
      RESOLVED.then(this.#check);
    }
  }

  /** What the reader waited for has come, or the monitor has ended. */
  end(): void {
    this.#waiting = false;
    if (this.#running) this.#ready = this.#stop() < READY ? this.#ready + 1 : 0;
  }

  /** The source has settled its read, whether someone waited for that or not: it is silent no longer. */
  settled(): void {
    this.#silent = false;
  }

  /** An item of `bytes` bytes is delivered. */
  received(bytes: number): void {
    if (this.#meter?.received(bytes)) this.#slow = false;
  }

  readonly #check = (): void => {
    this.#checkQueued = false;
    if (!this.#waiting || this.#running) return;
    if (--this.#hops > 0) {
      this.#checkQueued = true;
      RESOLVED.then(this.#check);
    } else {
      this.#start();
    }
  };

  #start(): void {
    const now = this.#clock.now();
    this.#running = true;
    this.#since = now;
    this.#silentAt = this.#timeout === undefined ? Number.POSITIVE_INFINITY : now + this.#timeout;
    this.#slowAt = this.#meter === undefined ? Number.POSITIVE_INFINITY : now + this.#meter.remaining;
    this.#alarm.set(Math.min(this.#silentAt, this.#slowAt), now);
  }

  /** Stops the clock of this wait. Returns how long it ran, in milliseconds. */
  #stop(): number {
    this.#running = false;
    this.#alarm.clear();
    const waited = Math.max(0, this.#clock.now() - this.#since);
    this.#meter?.waited(waited);
    return waited;
  }

  #change(apply: () => void): void {
    if (this.#running) this.#stop();
    apply();
    if (this.#waiting) this.#start();
  }

  #stalled(): void {
    const waited = this.#stop();
    this.#waiting = false;
    this.#ready = 0;
    if (this.#silentAt <= this.#slowAt) {
      const first = !this.#silent;
      this.#silent = true;
      this.#report(silence(waited), first);
    } else {
      const first = !this.#slow;
      this.#slow = true;
      const meter = this.#meter as ThroughputMeter;
      const event = slowness(meter);
      meter.restart();
      this.#report(event, first);
    }
  }
}

function silence(waitedMs: number): StallEvent {
  const detail = `nothing came for ${Math.round(waitedMs)} ms while a reader waited.`;
  return { kind: 'timeout', waitedMs, error: new StalledReadError('timeout', waitedMs, detail) };
}

function slowness(meter: ThroughputMeter): StallEvent {
  const { slowFor: waitedMs, rate: bytesPerSecond, minimum } = meter;
  const detail = `for ${Math.round(waitedMs)} ms of waiting it brought fewer than ${minimum} bytes per second, in the end ${Math.round(bytesPerSecond)}.`;
  return { kind: 'throughput', waitedMs, bytesPerSecond, error: new StalledReadError('throughput', waitedMs, detail) };
}
