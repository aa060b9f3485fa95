import type { Clock } from 'fanpipe';
import { systemClock } from 'fanpipe';

/** What is watched: a connection, or one stream of HTTP/2. */
export interface Watched {
  /** Bytes that wait to be sent. */
  readonly waiting: number;
  /** Bytes the client has taken so far, as far as is known: any number that grows when it takes some. */
  readonly sent: number;
  /** Whether somebody waits for bytes of the client. */
  readonly isReceiving: boolean;
  /** Bytes that came so far. */
  readonly received: number;
  /** It has made no progress for too long: ends it. */
  cut(why: 'sending' | 'receiving'): void;
}

export interface ProgressLimits {
  /** Milliseconds for which bytes may wait for a client that takes none. 0: for ever. */
  readonly stallTimeout: number;
  /** Milliseconds for which an upload may bring nothing. 0: for ever. */
  readonly uploadTimeout: number;
}

interface Mark {
  sent: number;
  sentAt: number;
  received: number;
  receivedAt: number;
}

/** In how many looks a timeout is divided: it is exceeded by one of them at most. */
const LOOKS = 4;

/**
 * Cuts off clients that make no progress: readers that do not read, uploads that bring nothing.
 *
 * One timer looks at all of them now and then. So the ways that every request takes cost nothing, and a client is cut off after
 * the timeout and before one and a quarter of it. There is a timer only while there is somebody to look at, and it keeps no
 * process alive.
 */
export class ProgressWatch {
  readonly #limits: ProgressLimits;
  readonly #clock: Clock;
  readonly #marks = new Map<Watched, Mark | undefined>();
  readonly #interval: number;
  #timer: unknown;

  constructor(limits: ProgressLimits, clock: Clock = systemClock) {
    this.#limits = limits;
    this.#clock = clock;
    const shortest = Math.min(...[limits.stallTimeout, limits.uploadTimeout].filter((ms) => ms > 0));
    this.#interval = Math.max(1, shortest / LOOKS);
  }

  /** How many are watched. */
  get size(): number {
    return this.#marks.size;
  }

  add(watched: Watched): void {
    this.#marks.set(watched, undefined);
    if (this.#timer === undefined && this.#interval !== Number.POSITIVE_INFINITY) this.#arm();
  }

  delete(watched: Watched): void {
    this.#marks.delete(watched);
    if (this.#marks.size > 0 || this.#timer === undefined) return;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    const timer = this.#clock.setTimeout(() => this.#look(), this.#interval);
    (timer as { unref?(): void } | undefined)?.unref?.();
    this.#timer = timer;
  }

  #look(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (const [watched, mark] of this.#marks) this.#lookAt(watched, mark, now);
    if (this.#marks.size > 0) this.#arm();
  }

  #lookAt(watched: Watched, mark: Mark | undefined, now: number): void {
    const { waiting, isReceiving } = watched;
    if (waiting === 0 && !isReceiving) {
      // Most are idle, and an idle one is not worth a mark.
      if (mark !== undefined) this.#marks.set(watched, undefined);
      return;
    }
    const { sent, received } = watched;
    if (mark === undefined) {
      this.#marks.set(watched, { sent, sentAt: now, received, receivedAt: now });
      return;
    }
    if (waiting === 0 || sent !== mark.sent) {
      mark.sent = sent;
      mark.sentAt = now;
    }
    if (!isReceiving || received !== mark.received) {
      mark.received = received;
      mark.receivedAt = now;
    }
    const { stallTimeout, uploadTimeout } = this.#limits;
    if (stallTimeout > 0 && now - mark.sentAt >= stallTimeout) watched.cut('sending');
    else if (uploadTimeout > 0 && now - mark.receivedAt >= uploadTimeout) watched.cut('receiving');
  }
}
