import { ResourceChangedError } from './errors.ts';
import { PendingRanges } from './pending-ranges.ts';
import type { RandomRead } from './random-read.ts';
import { RangeRun, type RunKeeper, type RunOwner } from './range-run.ts';
import type { RangeWaiter } from './range-waiter.ts';
import type { RemoteResource } from './remote-resource.ts';
import type { SinkWaiter } from './sink-waiter.ts';
import type { SparseCache } from './sparse-cache.ts';

/**
 * Which requests are made, and when: at most `maxConnections` at a time.
 *
 * The gaps of all `readAt` calls of one turn are planned together, in a microtask. What a request under way will bring is
 * waited for there; the rest becomes as few requests as the merge gap allows, oldest first. The sequential reader's request
 * goes before all of them, and its paused one makes room for any.
 */
export class RangeScheduler implements RunKeeper {
  readonly #resource: RemoteResource;
  readonly #cache: SparseCache;
  readonly #supply: (waiter: RangeWaiter) => void;
  readonly #onChanged: (error: ResourceChangedError) => void;
  readonly #pending: PendingRanges;
  readonly #running: Set<RangeRun> = new Set();
  /** Of the sequential reader, waiting for a connection. */
  readonly #first: Set<RangeRun> = new Set();
  #planned: RandomRead[] = [];
  #failure: { readonly reason: unknown } | undefined;

  /**
   * `supply` brings bytes in order, where no ranges are asked for; `onChanged` is told if the resource is no longer the same.
   */
  constructor(
    resource: RemoteResource,
    cache: SparseCache,
    supply: (waiter: RangeWaiter) => void,
    onChanged: (error: ResourceChangedError) => void,
  ) {
    this.#resource = resource;
    this.#cache = cache;
    this.#supply = supply;
    this.#onChanged = onChanged;
    this.#pending = new PendingRanges(resource.options.mergeGap);
  }

  /** Makes the request of the sequential reader, as soon as there is a connection for it. */
  open(from: number, end: number, limit: number, owner: RunOwner): RangeRun {
    const run = new RangeRun(this.#resource, this.#cache, this, from, end, owner);
    run.limit = limit;
    this.#first.add(run);
    return run;
  }

  /** Plans a `readAt`, with all others of this turn. */
  plan(read: RandomRead): void {
    if (this.#planned.push(read) === 1) queueMicrotask(this.#planAll);
  }

  /** Asks for a range of its own. */
  request(waiter: RangeWaiter): void {
    this.#pending.add(waiter);
    this.startMore();
  }

  /** The request under way that will bring the byte at `at`. */
  bringing(at: number): RangeRun | undefined {
    for (const run of this.#running) if (run.brings(at)) return run;
    for (const run of this.#first) if (run.brings(at)) return run;
    return undefined;
  }

  paused(): void {
    this.startMore();
  }

  over(run: RangeRun, failure?: { readonly reason: unknown }): void {
    this.#running.delete(run);
    this.#first.delete(run);
    if (failure?.reason instanceof ResourceChangedError) this.#onChanged(failure.reason);
    else this.startMore();
  }

  /** Everything ends: all who wait fail with `reason`, all requests are aborted, and none is made any more. */
  fail(reason: unknown): void {
    this.#failure = { reason };
    for (const read of this.#planned.splice(0)) read.failed(reason);
    for (const waiter of this.#pending.clear()) {
      // One that is told may make others leave.
      if (waiter.home === undefined) continue;
      waiter.home = undefined;
      waiter.fail(reason);
    }
    for (const run of [...this.#first, ...this.#running]) run.stop(reason);
  }

  /** Makes as many of the requests that wait as there are connections for. */
  startMore(): void {
    const { maxConnections } = this.#resource.options;
    while (this.#failure === undefined && this.#first.size + this.#pending.size > 0) {
      // One that will be refused takes no connection.
      if (this.#running.size < maxConnections || !this.#resource.canJoin) this.#start(this.#takeNext());
      else if (!this.#stopPaused()) return;
    }
  }

  #start(run: RangeRun | undefined): void {
    if (run === undefined) return;
    this.#running.add(run);
    run.start();
  }

  #takeNext(): RangeRun | undefined {
    const [run] = this.#first;
    if (run !== undefined) {
      this.#first.delete(run);
      return run;
    }
    const group = this.#pending.take();
    if (group === undefined) return undefined;
    const own = new RangeRun(this.#resource, this.#cache, this, group.from, group.to);
    for (const waiter of group.waiters.keys()) own.join(waiter);
    return own;
  }

  /** Gives up a request that is only kept open. */
  #stopPaused(): boolean {
    for (const run of this.#running) {
      if (!run.isPaused) continue;
      run.stop();
      return true;
    }
    return false;
  }

  readonly #planAll = (): void => {
    const planned = this.#planned;
    this.#planned = [];
    const { size, options } = this.#resource;
    for (const read of planned) {
      read.begin(this.#cache, size, options.seekable ? (waiter) => this.#place(read, waiter) : this.#supply);
    }
    this.startMore();
  };

  /** Finds what brings the bytes of a gap: requests under way, piece by piece, or new ones. */
  #place(read: RandomRead, gap: SinkWaiter): void {
    for (let waiter: SinkWaiter | undefined = gap; waiter !== undefined; ) {
      const run = this.bringing(waiter.from);
      const end: number = run === undefined ? this.#nextOnItsWay(waiter.from, waiter.to) : run.end;
      const rest: SinkWaiter | undefined = end < waiter.to ? read.split(waiter, end) : undefined;
      if (run === undefined) this.#pending.add(waiter);
      else run.join(waiter);
      waiter = rest;
    }
  }

  /** The first offset behind `at` and before `to` from which on a request under way brings the bytes; else `to`. */
  #nextOnItsWay(at: number, to: number): number {
    let next = to;
    for (const run of this.#running) {
      const { position } = run;
      if (position > at && position < next && run.brings(position)) next = position;
    }
    return next;
  }
}
