import { type AbortMember, joinSignal, leaveSignal } from '../signals.ts';
import { ChunkWaiter } from './chunk-waiter.ts';
import { EndWaiter } from './end-waiter.ts';
import { NotSeekableError, RemoteClosedError } from './errors.ts';
import type { ResolvedRemoteOptions } from './options.ts';
import { RandomRead } from './random-read.ts';
import { RangeScheduler } from './range-scheduler.ts';
import { RangeSink } from './range-sink.ts';
import { ReadAhead } from './read-ahead.ts';
import { RemoteResource } from './remote-resource.ts';
import { SinkWaiter } from './sink-waiter.ts';
import { SparseCache } from './sparse-cache.ts';

// A signal may outlive its streams: it must not hold those that were dropped without an end.
const dropped: FinalizationRegistry<{ signal: AbortSignal; member: AbortMember }> = new FinalizationRegistry(
  ({ signal, member }) => leaveSignal(signal, member),
);

/**
 * How much is kept behind a reader that has only ever gone forward, beside what is fetched ahead of it. Buffers that are kept for
 * longer grow old in the garbage collector, and slow down a reader that never comes back.
 */
const SHORT_TAIL = 2 * 1024 * 1024;

function failOnAbort(core: RemoteCore, signal: AbortSignal): AbortMember {
  const reference = new WeakRef(core);
  const member: AbortMember = {
    aborted: (reason) => {
      reference.deref()?.fail(reason);
    },
  };
  joinSignal(signal, member);
  dropped.register(core, { signal, member }, member);
  return member;
}

/**
 * Reads at any offset: from the cache, from what is on its way, or with a request. It knows no position.
 *
 * In order and one at a time: `fill`, `chunkHere`, `requestChunk` and `learnSize`. At any time: `readAt`.
 */
export class RemoteCore {
  readonly #resource: RemoteResource;
  readonly #cache: SparseCache;
  readonly #scheduler: RangeScheduler;
  readonly #readAhead: ReadAhead;
  readonly #signal: AbortSignal | undefined;
  #onAbort: AbortMember | undefined;
  #failure: { readonly reason: unknown } | undefined;

  constructor(url: URL, options: ResolvedRemoteOptions) {
    // The signal ends all of this here, with one listener, and not once more in each request.
    this.#resource = new RemoteResource(url, { ...options, signal: undefined });
    this.#cache = new SparseCache(options.cacheSize, options.readAhead + SHORT_TAIL);
    this.#scheduler = new RangeScheduler(
      this.#resource,
      this.#cache,
      (waiter) => this.#readAhead.supply(waiter),
      (error) => this.fail(error),
    );
    this.#readAhead = new ReadAhead(this.#resource, this.#cache, this.#scheduler);
    const { signal } = options;
    this.#signal = signal;
    if (signal?.aborted) {
      this.fail(signal.reason);
      return;
    }
    if (signal !== undefined) this.#onAbort = failOnAbort(this, signal);
    if (options.autostart) this.#readAhead.autostart();
  }

  /** In bytes; undefined until it is given or learnt. */
  get size(): number | undefined {
    return this.#resource.size;
  }

  get stats(): { requests: number; retries: number; bytesFetched: number; bytesCached: number } {
    const { requests, retries, bytesFetched } = this.#resource.stats;
    return { requests, retries, bytesFetched, bytesCached: this.#cache.bytes };
  }

  /** @throws what has ended this for good, if something has */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure.reason;
  }

  /** Ends this for good: all reads fail with `reason`, those that wait too, and nothing is kept. Only the first call counts. */
  fail(reason: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { reason };
    if (this.#onAbort !== undefined) {
      leaveSignal(this.#signal as AbortSignal, this.#onAbort);
      dropped.unregister(this.#onAbort);
    }
    this.#scheduler.fail(reason);
    this.#readAhead.stop();
    this.#cache.clear();
  }

  close(): void {
    this.fail(new RemoteClosedError());
  }

  /** Gives up the request of the sequential reader. */
  stopReadAhead(): void {
    this.#readAhead.stop();
  }

  /** Memory for the bytes from `offset` on: the caller's, or one that is made when they come. */
  sink(offset: number, length: number, into?: Uint8Array): RangeSink {
    return new RangeSink(offset, Math.min(length, Number.MAX_SAFE_INTEGER - offset), () => this.#resource.size, into);
  }

  /** Reads at any place, at the same time as everything else. Resolves with fewer bytes only at the end. */
  readAt(offset: number, length: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    if (length === 0 || offset >= this.#lastEnd()) return Promise.resolve(new Uint8Array(0));
    this.#cache.grow();
    const read = new RandomRead(this.sink(offset, length), signal);
    this.#scheduler.plan(read);
    return read.promise;
  }

  /** Reads into `sink` up to its length or the end, in order. Returns how many bytes; a promise only if some must come. */
  fill(sink: RangeSink): number | Promise<number> {
    this.#readAhead.approach(sink.offset);
    const at = this.#copyCached(sink, sink.offset);
    if (at < sink.end) return this.#fillFrom(sink, at);
    this.#readAhead.advance(at);
    return sink.length;
  }

  /**
   * The bytes from `at` on that are here in one piece; null at the end; undefined if they must come. They are shared. What is
   * taken of them is to be told with {@link took}.
   */
  chunkHere(at: number): Uint8Array | null | undefined {
    this.#readAhead.approach(at);
    const view = this.#view(at, Number.POSITIVE_INFINITY);
    if (view !== undefined) return view;
    return at >= this.#lastEnd() && !this.#readAhead.isEndingAt(at) ? null : undefined;
  }

  /** Has `waiter` wait for what {@link chunkHere} did not find. What it gets is to be told with {@link took}. */
  requestChunk(waiter: ChunkWaiter): void {
    if (waiter.from < this.#lastEnd()) {
      this.#readAhead.supply(waiter);
    } else {
      waiter.to = waiter.from;
      this.#readAhead.settle(waiter);
    }
  }

  /** The reader has taken a chunk that ends at `to`. */
  took(to: number): void {
    this.#readAhead.advance(to);
  }

  /** The size, with a request if it takes one; where no response tells it, by reading to the end, if that is near enough. */
  async learnSize(): Promise<number> {
    const { options, url } = this.#resource;
    let at = 0;
    for (let skipped = 0; this.size === undefined; ) {
      this.check();
      const running = this.#readAhead.position;
      at = running ?? this.#cache.coveredTo(at, Number.MAX_SAFE_INTEGER);
      const chunk = await new Promise<Uint8Array | null>((resolve, reject) => {
        // One byte is enough for a server that tells the size of the whole, as nearly all do.
        if (running === undefined && options.seekable && skipped === 0) {
          this.#scheduler.request(new ChunkWaiter(at, resolve, reject, at + 1));
        } else {
          this.#readAhead.supply(new ChunkWaiter(at, resolve, reject));
        }
      });
      if (chunk === null) break;
      at += chunk.length;
      skipped += chunk.length;
      if (options.seekable && skipped > options.skipLimit && this.size === undefined) {
        const why = `the size is not known, and the end is not within ${options.skipLimit} bytes (skipLimit)`;
        throw new NotSeekableError(url.href, at, why);
      }
    }
    return this.size ?? at;
  }

  async #fillFrom(sink: RangeSink, begin: number): Promise<number> {
    let at = begin;
    while (at < Math.min(sink.end, this.#lastEnd())) {
      const next = await this.#fillGap(sink, at);
      if (next === at) break;
      at = this.#copyCached(sink, next);
    }
    // This is the end, unless what has brought it does not end as it should.
    if (at < sink.end) {
      await new Promise<void>((resolve, reject) => this.#readAhead.settle(new EndWaiter(at, resolve, reject)));
    }
    this.#readAhead.advance(at);
    return at - sink.offset;
  }

  /** Resolves with the offset up to which one request has brought it: `at` itself at the end. */
  #fillGap(sink: RangeSink, at: number): Promise<number> {
    // Since the gap before came, all may have ended, and nothing is asked for any more.
    this.check();
    const to = this.#cache.gapEnd(at, Math.min(sink.end, this.#lastEnd()));
    return new Promise((resolve, reject) => {
      const owner = { filled: (waiter: SinkWaiter): void => resolve(waiter.from), failed: reject };
      this.#readAhead.supply(new SinkWaiter(at, to, sink, owner));
    });
  }

  #copyCached(sink: RangeSink, from: number): number {
    let at = from;
    while (at < sink.end) {
      const view = this.#view(at, sink.end);
      if (view === undefined) break;
      sink.put(at, view);
      at += view.length;
    }
    return at;
  }

  #view(at: number, to: number): Uint8Array | undefined {
    return this.#cache.view(at, to) ?? this.#readAhead.view(at, to);
  }

  #lastEnd(): number {
    return this.#resource.size ?? Number.POSITIVE_INFINITY;
  }
}
