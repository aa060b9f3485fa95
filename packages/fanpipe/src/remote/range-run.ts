import type { RangeWaiter, WaiterHome } from './range-waiter.ts';
import type { RemoteResource } from './remote-resource.ts';
import type { SparseCache } from './sparse-cache.ts';
import type { Transfer } from './transfer.ts';
import { WaiterList } from './waiter-list.ts';

/** Who sees to the connections. */
export interface RunKeeper {
  /** It keeps a connection that it does not read from. */
  paused(run: RangeRun): void;
  /** It is over. Told before those who wait: `failure` holds what it failed with, if it did. */
  over(run: RangeRun, failure?: { readonly reason: unknown }): void;
}

/** Who wants a request to go on beyond those who wait for its bytes. Told of its end before anybody else. */
export interface RunOwner {
  /** It has read as far as it may, and is kept open. */
  paused(run: RangeRun): void;
  /** It reads again. */
  resumed(run: RangeRun): void;
  /** It has come to its end, or to that of the resource. */
  ended(run: RangeRun): void;
  /** It has failed. `isTold` says whether somebody waited and knows. */
  failed(run: RangeRun, reason: unknown, isTold: boolean): void;
  /** It was stopped: nobody read it for long, others need its connection, or everything ends. */
  stopped(run: RangeRun): void;
}

/**
 * One request that is under way, or waits for its turn: reads as long as somebody wants bytes of it, and no further.
 *
 * What comes goes to those who wait for it, directly, and into the cache. Without an owner it is over as soon as nobody waits.
 * It has no promise pending and no code running while it is paused.
 */
export class RangeRun implements WaiterHome {
  /** Offset after the last byte that is asked for; Infinity: to the end of the resource. */
  readonly end: number;
  /** Reads up to here although nobody waits, and not beyond as far as a chunk allows; to the end if this is the end. */
  limit: number;
  readonly #resource: RemoteResource;
  readonly #cache: SparseCache;
  readonly #keeper: RunKeeper;
  readonly #waiters: WaiterList = new WaiterList(this);
  #owner: RunOwner | undefined;
  #transfer: Transfer | undefined;
  #position: number;
  /** Size of the last chunk: as much is expected of the next one. */
  #step = 0;
  #isReading = false;
  #isOver = false;
  /** The last chunk, where the cache is too small for it. */
  #last: { readonly at: number; readonly chunk: Uint8Array } | undefined;

  constructor(
    resource: RemoteResource,
    cache: SparseCache,
    keeper: RunKeeper,
    from: number,
    end: number,
    owner?: RunOwner,
  ) {
    this.#resource = resource;
    this.#cache = cache;
    this.#keeper = keeper;
    this.#position = from;
    this.#owner = owner;
    this.end = end;
    this.limit = from;
  }

  /** Offset of the next byte that comes. */
  get position(): number {
    return this.#position;
  }

  /** It keeps a connection, and nobody waits for what it would bring. */
  get isPaused(): boolean {
    return this.#transfer !== undefined && !this.#isReading && !this.#isOver;
  }

  /**
   * Whether the byte at `at` is on its way, so that it need not be asked for: within the range; without an end within what is
   * read ahead, or near it. Not to be asked once it is over.
   */
  brings(at: number): boolean {
    if (at < this.#position) return false;
    if (this.end < Number.POSITIVE_INFINITY) return at < this.end;
    const { rangeSupport, options } = this.#resource;
    // A server without ranges would begin anew, and send all that lies before.
    const near = rangeSupport === 'none' ? options.skipLimit : options.mergeGap;
    return at <= Math.max(this.limit, this.#position) + near;
  }

  /** Makes the request. */
  start(): void {
    const { end } = this;
    this.#transfer = this.#resource.transfer(this.#position, end === Number.POSITIVE_INFINITY ? undefined : end);
    this.pull();
  }

  /** Reads on, if somebody wants that. To be called after the limit was moved. */
  pull(): void {
    if (this.#transfer === undefined || this.#isReading || this.#isOver || !this.#isWanted()) return;
    this.#isReading = true;
    this.#owner?.resumed(this);
    void this.#read(this.#transfer);
  }

  /** The waiter gets its bytes from here. They must be still to come; what lies behind the end is cut off. */
  join(waiter: RangeWaiter): void {
    if (waiter.to > this.end) waiter.to = this.end;
    this.#waiters.add(waiter);
    this.pull();
  }

  leave(waiter: RangeWaiter): void {
    if (this.#waiters.remove(waiter) && this.#waiters.size === 0 && this.#owner === undefined) this.stop();
  }

  /** The owner wants nothing more of it. It goes on for those who wait. */
  disown(): void {
    this.#owner = undefined;
    this.#last = undefined;
    this.limit = this.#position;
    if (this.#waiters.size === 0 && this.#position < this.#lastEnd()) this.stop();
    // At its end it is over in a moment by itself, and its connection can be used again. It may have learnt only now where that is.
    else this.pull();
  }

  /** Some bytes from `at` on that came last and are not in the cache. */
  view(at: number, to: number): Uint8Array | undefined {
    const last = this.#last;
    if (last === undefined || at < last.at || at >= this.#position) return undefined;
    return last.chunk.subarray(at - last.at, to - last.at);
  }

  /** Aborts the request. Who waits fails with `reason`; there must be one if anybody does. */
  stop(reason?: unknown): void {
    if (this.#isOver) return;
    this.#transfer?.return().catch(() => {});
    this.#finish(
      (owner) => owner.stopped(this),
      undefined,
      (waiter) => waiter.fail(reason),
    );
  }

  async #read(transfer: Transfer): Promise<void> {
    try {
      do {
        const { value, done } = await transfer.next();
        if (this.#isOver) return;
        if (done) {
          this.#ended();
          return;
        }
        this.#deliver(value);
      } while (this.#isWanted());
    } catch (reason) {
      if (!this.#isOver) this.#failed(reason);
      return;
    }
    if (this.#isOver) return;
    this.#isReading = false;
    if (this.#owner === undefined) {
      this.stop();
      return;
    }
    this.#owner.paused(this);
    this.#keeper.paused(this);
  }

  /** At its end it reads once more, so that the connection is free again and a body that is too long is noticed. */
  #isWanted(): boolean {
    if (this.#waiters.size > 0) return true;
    if (this.#position < this.limit && (this.#position + this.#step <= this.limit || this.limit === this.end))
      return true;
    return this.#position >= this.#lastEnd();
  }

  /** Offset after the last byte that can come, as far as that is known. */
  #lastEnd(): number {
    return Math.min(this.end, this.#resource.size ?? Number.POSITIVE_INFINITY);
  }

  #deliver(chunk: Uint8Array): void {
    const at = this.#position;
    const next = at + chunk.length;
    this.#position = next;
    this.#step = chunk.length;
    const isKept = this.#cache.insert(at, chunk, this.#lastEnd() - next);
    this.#last = isKept || this.#owner === undefined ? undefined : { at, chunk };
    this.#waiters.deliver(at, chunk);
  }

  #ended(): void {
    this.#finish(
      (owner) => owner.ended(this),
      undefined,
      (waiter) => waiter.finish(),
    );
  }

  #failed(reason: unknown): void {
    const isTold = this.#waiters.size > 0;
    this.#finish(
      (owner) => owner.failed(this, reason, isTold),
      { reason },
      (waiter) => waiter.fail(reason),
    );
  }

  /** Those who wait come last: they may ask for more at once, and must find everything in order then. */
  #finish(
    tellOwner: (owner: RunOwner) => void,
    failure: { readonly reason: unknown } | undefined,
    tell: (waiter: RangeWaiter) => void,
  ): void {
    this.#isOver = true;
    this.#last = undefined;
    if (this.#owner !== undefined) tellOwner(this.#owner);
    this.#keeper.over(this, failure);
    this.#waiters.tellAll(tell);
  }
}
