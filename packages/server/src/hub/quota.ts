import type { Backend } from '../backends/backend.ts';
import { LimitExceededError } from '../errors.ts';
import type { HubLimits } from './hub-options.ts';

/** What the backend said. */
interface Answer {
  /** Number of the question. */
  readonly number: number;
  readonly bytes: number;
  /** Appends that had come to an end when it was asked. */
  readonly settled: number;
}

/**
 * How many streams and bytes there may be in all. It counts what this process adds, and asks the backend only when a limit seems
 * reached: retention, expiry and other processes take and add without a word.
 */
export class Quota {
  readonly #backend: Backend;
  readonly #limits: HubLimits;
  /** Bytes that the backend has, as far as is known; undefined: it was not asked yet. */
  #known: number | undefined;
  /** Bytes of appends under way. */
  #underWay = 0;
  #acknowledged = 0;
  /** Appends that came to an end. */
  #settled = 0;
  #asking: Promise<Answer> | undefined;
  /** How often the backend was asked. */
  #asked = 0;
  #creating = 0;
  #created = 0;
  /** What waits for an append to come to an end. */
  readonly #settleWatchers: (() => void)[] = [];
  /** What waits for a stream to be created, or not. */
  readonly #createWatchers: (() => void)[] = [];

  constructor(backend: Backend, limits: HubLimits) {
    this.#backend = backend;
    this.#limits = limits;
  }

  /** Whether so many bytes more fit, as far as is known without asking. Then `began` must follow in the same step, or not at all. */
  fits(size: number): boolean {
    const { maxTotalBytes } = this.#limits;
    if (size === 0 || maxTotalBytes === Number.POSITIVE_INFINITY) return true;
    return this.#known !== undefined && this.#known + this.#underWay + size <= maxTotalBytes;
  }

  /** Asks the backend, then refuses what does not fit. Who is told that it fits looks again: others may have been faster. */
  async check(size: number): Promise<void> {
    const { maxTotalBytes } = this.#limits;
    const asked = this.#asked;
    while (!this.fits(size)) {
      const answer = await (this.#asking ??= this.#ask());
      if (this.fits(size)) return;
      // What was freed before this call is not in an answer to an older question.
      if (answer.number <= asked) continue;
      if (answer.bytes + size > maxTotalBytes) {
        throw new LimitExceededError(
          'total-bytes',
          maxTotalBytes,
          `${size} bytes more would exceed the limit of ${maxTotalBytes} bytes for all streams together`,
        );
      }
      // What was under way then may be counted twice. When it has come to an end, the backend says.
      if (this.#settled === answer.settled) await new Promise<void>((resolve) => this.#settleWatchers.push(resolve));
    }
  }

  /** Refuses a stream that is larger than one may be. */
  checkStream(size: number): void {
    const { maxStreamBytes } = this.#limits;
    if (size <= maxStreamBytes) return;
    throw new LimitExceededError(
      'stream-bytes',
      maxStreamBytes,
      `${size} bytes exceed the limit of ${maxStreamBytes} bytes per stream`,
    );
  }

  async #ask(): Promise<Answer> {
    const number = ++this.#asked;
    const before = this.#acknowledged;
    const settled = this.#settled;
    try {
      const { bytes } = await this.#backend.stats();
      // What was acknowledged meanwhile may be in that number or not.
      this.#known = bytes + this.#acknowledged - before;
      return { number, bytes, settled };
    } finally {
      this.#asking = undefined;
    }
  }

  /** An append is under way. */
  began(size: number): void {
    this.#underWay += size;
  }

  /** It has come to an end. */
  settled(size: number, isAcknowledged: boolean): void {
    this.#underWay -= size;
    this.#settled++;
    if (isAcknowledged) {
      this.#acknowledged += size;
      if (this.#known !== undefined) this.#known += size;
    }
    wake(this.#settleWatchers);
  }

  /** Runs `create` if there is room for one stream more, of so many bytes; those that are being created are counted in. */
  async createWithin<T>(size: number, create: () => Promise<T>): Promise<T> {
    this.checkStream(size);
    await this.#reserveStream();
    try {
      while (!this.fits(size)) await this.check(size);
      return await this.#counted(size, create);
    } finally {
      this.#creating--;
      this.#created++;
      wake(this.#createWatchers);
    }
  }

  async #counted<T>(size: number, create: () => Promise<T>): Promise<T> {
    this.began(size);
    let isCreated = false;
    try {
      const result = await create();
      isCreated = true;
      return result;
    } finally {
      this.settled(size, isCreated);
    }
  }

  /** Counts one stream more as being created, if there is room for it. */
  async #reserveStream(): Promise<void> {
    const { maxStreams } = this.#limits;
    while (maxStreams !== Number.POSITIVE_INFINITY) {
      const before = this.#created;
      const { streams } = await this.#backend.stats();
      // Those that came to be while the backend was asked may be in that number or not.
      const unsure = this.#created - before;
      if (streams + this.#creating + unsure < maxStreams) break;
      if (streams >= maxStreams) {
        throw new LimitExceededError(
          'streams',
          maxStreams,
          `There are ${streams} streams, and maxStreams is ${maxStreams}`,
        );
      }
      // So may those that are being created. When one has come to be, or has not, the backend says.
      if (unsure === 0) await new Promise<void>((resolve) => this.#createWatchers.push(resolve));
    }
    // In the same step: whoever asks next must find it.
    this.#creating++;
  }
}

function wake(watchers: (() => void)[]): void {
  for (const watcher of watchers.splice(0)) watcher();
}
