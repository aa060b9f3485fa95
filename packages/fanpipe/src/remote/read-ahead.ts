import { Alarm } from '../monitor/index.ts';
import { EndWaiter } from './end-waiter.ts';
import { NotSeekableError } from './errors.ts';
import type { RangeRun, RunOwner } from './range-run.ts';
import type { RangeScheduler } from './range-scheduler.ts';
import type { RangeWaiter } from './range-waiter.ts';
import type { RemoteResource } from './remote-resource.ts';
import { EXTENT_SIZE, type SparseCache } from './sparse-cache.ts';

/** The first window. */
const FIRST_WINDOW = 64 * 1024;
/** A cache that holds fewer chunks than these would lose what is read ahead before it is read. */
const FEWEST_CHUNKS = 4;

/**
 * The one request of the sequential reader, and how far it runs ahead.
 *
 * The *window* is how many bytes are fetched ahead of the reader: 64 KiB at first, twice as many whenever the reader has taken a
 * whole window without a gap, up to the largest. A seek that leaves what is on its way starts anew.
 *
 * - Nothing is known of the server yet, or the window is the largest: one request to the end, which is not read further than
 *   the window, so that a server without ranges or validators can be read in one go, and a long reading takes one request.
 * - Otherwise a request ends with the window; the next is made when half of it is read.
 *
 * A request that is not read for `idleTimeout` is given up, if another one can go on where it was.
 */
export class ReadAhead implements RunOwner {
  readonly #resource: RemoteResource;
  readonly #cache: SparseCache;
  readonly #scheduler: RangeScheduler;
  readonly #idle: Alarm;
  readonly #idleTimeout: number;
  readonly #largest: number;
  #window: number;
  /** The reader's place: offset after what it took last. */
  #place = 0;
  /** How much it has taken without a gap. */
  #streak = 0;
  /** Never one that is over: it says so first. */
  #run: RangeRun | undefined;
  /** Where the last request ended well; undefined if the reader is no longer on its way there. */
  #edge: number | undefined;
  /** What the last request failed with, if nobody was told. */
  #failure: { readonly at: number; readonly reason: unknown } | undefined;
  /** Without ranges: the only request was made. */
  #isSpent = false;

  constructor(resource: RemoteResource, cache: SparseCache, scheduler: RangeScheduler) {
    const { cacheSize, readAhead, clock, idleTimeout } = resource.options;
    this.#resource = resource;
    this.#cache = cache;
    this.#scheduler = scheduler;
    this.#largest = cacheSize < FEWEST_CHUNKS * EXTENT_SIZE ? 0 : readAhead;
    this.#window = Math.min(FIRST_WINDOW, this.#largest);
    this.#idle = new Alarm(clock, () => this.#run?.stop(), 'quiet');
    this.#idleTimeout = idleTimeout;
  }

  /** Offset of the next byte of the request that is under way, if one is. */
  get position(): number | undefined {
    return this.#run?.position;
  }

  /** Begins to fetch, though nobody reads. */
  autostart(): void {
    // One chunk at least, where there is no room to read ahead.
    this.#open(0, Math.max(1, this.#window));
    this.#scheduler.startMore();
  }

  /** The reader is about to read at `at`. */
  approach(at: number): void {
    const distance = at - this.#place;
    if (distance === 0) return;
    if (distance < 0) this.#cache.grow();
    this.#place = at;
    this.#streak = 0;
    if (distance > 0 && distance <= this.#resource.options.skipLimit) return;
    this.#window = Math.min(FIRST_WINDOW, this.#largest);
    this.#edge = undefined;
  }

  /** The reader has taken what lies before `to`. */
  advance(to: number): void {
    this.#streak += to - this.#place;
    this.#place = to;
    if (this.#streak >= this.#window) this.#window = Math.min(2 * this.#window, this.#largest);
    const run = this.#run;
    if (run === undefined) {
      this.#goOn();
    } else if (run.end === Number.POSITIVE_INFINITY && to - run.position <= this.#resource.options.skipLimit) {
      // Not for a reader further ahead, who has that from the cache: all that lies between would be fetched.
      run.limit = to + this.#window;
      run.pull();
    }
  }

  /** Bytes from `at` on that have just come and did not fit into the cache. */
  view(at: number, to: number): Uint8Array | undefined {
    return this.#run?.view(at, to);
  }

  /** Whether it is still open how the request ends that has brought everything up to `at`. */
  isEndingAt(at: number): boolean {
    return this.#run?.position === at || this.#failure?.at === at;
  }

  /** Tells `waiter` whether the request ended well that has brought everything up to its offset. */
  settle(waiter: RangeWaiter): void {
    const at = waiter.from;
    if (this.#failure?.at === at) this.#tellFailure(waiter);
    else if (this.#run?.position === at) this.#run.join(waiter);
    else waiter.finish();
  }

  /** Sees to it that `waiter` gets its bytes, or as many of them as one request brings. */
  supply(waiter: RangeWaiter): void {
    const at = waiter.from;
    if (this.#failure?.at === at) {
      this.#tellFailure(waiter);
      return;
    }
    this.#failure = undefined;
    const { options, rangeSupport, canJoin, url } = this.#resource;
    const run = this.#run;
    if (run !== undefined && at === run.position && at === run.end) {
      // It has brought all that it was to bring, and is over in a moment.
      const ending = new EndWaiter(
        at,
        () => this.supply(waiter),
        (reason) => waiter.fail(reason),
      );
      waiter.home = { leave: () => ending.leave() };
      run.join(ending);
      return;
    }
    if (run !== undefined && this.#isNear(run, at)) {
      run.join(waiter);
      return;
    }
    if (!options.seekable && this.#isSpent) {
      const why = 'no ranges are asked for (seekable: false), and it is neither cached nor ahead';
      waiter.fail(new NotSeekableError(url.href, at, why));
      return;
    }
    const other = this.#scheduler.bringing(at);
    if (other !== undefined) other.join(waiter);
    // To leave this request would be to begin from the start, or to be refused any other.
    else if (run !== undefined && (rangeSupport === 'none' || !canJoin)) this.#scheduler.request(waiter);
    else {
      this.#open(at, at + this.#window, waiter.to).join(waiter);
      this.#scheduler.startMore();
    }
  }

  /** Gives up the request. */
  stop(): void {
    this.#idle.clear();
    this.#failure = undefined;
    this.#run?.disown();
    this.#run = undefined;
  }

  paused(): void {
    const { rangeSupport, canJoin, options } = this.#resource;
    if (rangeSupport === 'ranges' && canJoin && options.seekable) this.#idle.setIn(this.#idleTimeout);
  }

  resumed(): void {
    this.#idle.clear();
  }

  ended(run: RangeRun): void {
    this.#leave(run.position);
    this.#goOn();
  }

  failed(run: RangeRun, reason: unknown, isTold: boolean): void {
    this.#leave(undefined);
    this.#isSpent = false;
    if (!isTold) this.#failure = { at: run.position, reason };
  }

  stopped(run: RangeRun): void {
    this.#leave(run.position);
  }

  #leave(edge: number | undefined): void {
    this.#idle.clear();
    this.#run = undefined;
    this.#edge = edge;
  }

  /** Whether to read through to `at`. What is read ahead beyond that is found as any request under way. */
  #isNear(run: RangeRun, at: number): boolean {
    const { seekable, skipLimit } = this.#resource.options;
    if (at < run.position || at >= run.end) return false;
    return !seekable || at - run.position <= skipLimit;
  }

  /** Makes the next request before the reader comes to the end of what the last one brought. */
  #goOn(): void {
    const edge = this.#edge;
    const place = this.#place;
    if (edge === undefined || edge < place || edge - place > this.#window / 2) return;
    const limit = Math.min(place + this.#window, this.#resource.size ?? Number.POSITIVE_INFINITY);
    const from = this.#cache.coveredTo(edge, limit);
    if (from >= limit || !this.#resource.options.seekable) return;
    this.#open(from, limit);
    this.#scheduler.startMore();
  }

  /**
   * Takes the place of the last request with one from `from`, which reads up to `limit` by itself (as
   * far from its beginning, if that is another). It ends at `need` or behind it,
   * where it has an end.
   */
  #open(from: number, limit: number, need: number = from): RangeRun {
    this.#run?.disown();
    this.#idle.clear();
    this.#edge = undefined;
    this.#isSpent = true;
    const { options, rangeSupport, size = Number.POSITIVE_INFINITY } = this.#resource;
    let end = Number.POSITIVE_INFINITY;
    // Without seeking there is one request only, though it may have gone on with a range where it broke.
    if (rangeSupport === 'ranges' && options.seekable) {
      const goal = Math.min(size, Math.max(limit, from + 1, need < Number.POSITIVE_INFINITY ? need : 0));
      const gap = this.#cache.gapEnd(from, goal);
      if (gap < goal || this.#window < this.#largest) end = gap;
    }
    const begin = options.seekable ? from : 0;
    this.#run = this.#scheduler.open(begin, end, end < Number.POSITIVE_INFINITY ? end : begin + limit - from, this);
    return this.#run;
  }

  #tellFailure(waiter: RangeWaiter): void {
    const reason = this.#failure?.reason;
    this.#failure = undefined;
    waiter.fail(reason);
  }
}
