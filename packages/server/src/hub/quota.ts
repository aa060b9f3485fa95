import type { Backend } from '../backends/backend.ts';
import { LimitExceededError } from '../errors.ts';
import type { HubLimits } from './hub-options.ts';

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
  #asking: Promise<void> | undefined;
  #creating = 0;
  #created = 0;

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
    while (!this.fits(size)) {
      const before = this.#settled;
      await (this.#asking ??= this.#ask());
      if (this.fits(size)) return;
      // Bytes that were acknowledged meanwhile may be counted twice.
      if (this.#settled !== before) continue;
      const { maxTotalBytes } = this.#limits;
      throw new LimitExceededError(
        'total-bytes',
        maxTotalBytes,
        `${size} bytes more would exceed the limit of ${maxTotalBytes} bytes for all streams together`,
      );
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

  async #ask(): Promise<void> {
    const before = this.#acknowledged;
    try {
      const { bytes } = await this.#backend.stats();
      // What was acknowledged meanwhile may be in that number or not.
      this.#known = bytes + this.#acknowledged - before;
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
    if (!isAcknowledged) return;
    this.#acknowledged += size;
    if (this.#known !== undefined) this.#known += size;
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
      if (unsure > 0) continue;
      throw new LimitExceededError('streams', maxStreams, `There are ${streams} streams: the limit is ${maxStreams}`);
    }
    // In the same step: whoever asks next must find it.
    this.#creating++;
  }
}
