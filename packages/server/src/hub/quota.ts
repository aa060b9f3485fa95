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
  #asking: Promise<void> | undefined;
  #creating = 0;
  #created = 0;

  constructor(backend: Backend, limits: HubLimits) {
    this.#backend = backend;
    this.#limits = limits;
  }

  /** Whether so many bytes more fit, as far as is known without asking. */
  fits(size: number): boolean {
    const { maxTotalBytes } = this.#limits;
    return maxTotalBytes === Number.POSITIVE_INFINITY || this.#isWithin(size, maxTotalBytes);
  }

  #isWithin(size: number, maxTotalBytes: number): boolean {
    return this.#known !== undefined && this.#known + this.#underWay + size <= maxTotalBytes;
  }

  /** Asks the backend, then refuses what does not fit. */
  async check(size: number): Promise<void> {
    const { maxTotalBytes } = this.#limits;
    if (this.fits(size)) return;
    await (this.#asking ??= this.#ask());
    if (this.#isWithin(size, maxTotalBytes)) return;
    throw new LimitExceededError(
      'total-bytes',
      maxTotalBytes,
      `${size} bytes more would exceed the limit of ${maxTotalBytes} bytes for all streams together`,
    );
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
      // What was acknowledged meanwhile may be in that number or not. Counted twice it is corrected the next time.
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
    if (!isAcknowledged) return;
    this.#acknowledged += size;
    if (this.#known !== undefined) this.#known += size;
  }

  /** Runs `create` if there is room for one stream more, of so many bytes; those that are being created are counted in. */
  async createWithin<T>(size: number, create: () => Promise<T>): Promise<T> {
    this.checkStream(size);
    await this.check(size);
    await this.#checkStreams();
    this.#creating++;
    this.began(size);
    let isCreated = false;
    try {
      const result = await create();
      isCreated = true;
      return result;
    } finally {
      this.#creating--;
      this.#created++;
      this.settled(size, isCreated);
    }
  }

  async #checkStreams(): Promise<void> {
    const { maxStreams } = this.#limits;
    if (maxStreams === Number.POSITIVE_INFINITY) return;
    for (;;) {
      const before = this.#created;
      const { streams } = await this.#backend.stats();
      // Those that came to be while the backend was asked may be in that number or not.
      const unsure = this.#created - before;
      if (streams + this.#creating + unsure < maxStreams) return;
      if (unsure > 0) continue;
      throw new LimitExceededError('streams', maxStreams, `There are ${streams} streams: the limit is ${maxStreams}`);
    }
  }
}
