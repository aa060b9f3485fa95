import type { ByteStream } from '../core/byte-stream.ts';
import { ByteWriter } from '../core/byte-writer.ts';
import { implementDispose } from '../core/dispose.ts';
import { InvalidArgumentError } from '../errors.ts';
import { PoolClosedError } from './errors.ts';
import {
  type PoolOpener,
  type PoolOpenOptions,
  type ResolvedOpenOptions,
  type ResolvedPoolOptions,
  resolveOpenOptions,
  resolvePoolOptions,
  type StreamPoolOptions,
} from './options.ts';
import { type Home, PoolEntry } from './pool-entry.ts';
import { PoolLedger } from './pool-ledger.ts';
import type { PoolStats } from './pool-stats.ts';

/**
 * Opens a source once and serves it to any number of readers: whoever asks for a key whose source is being read joins it, from
 * its first byte on.
 *
 * - The source belongs to all who read it: one that leaves disturbs none, and `onLastLeave` says what the last one means.
 * - A complete entry is kept for those who come later, within `budget`, `maxEntries` and `ttl`.
 * - An entry that failed or was stopped is never taken for complete: its readers get the bytes so far and then the error, and
 *   the next open starts afresh.
 *
 * Keys are compared as those of a `Map`.
 *
 * ```ts
 * const pool = new StreamPool();
 * const open = () => pool.open(url, ({ key, signal }) => fetch(key, { signal }));
 * const [one, other] = await Promise.all([open().bytes(), open().bytes()]); // one request
 * ```
 */
export class StreamPool<K = string> {
  readonly #options: ResolvedPoolOptions;
  readonly #ledger: PoolLedger;
  readonly #home: Home<K>;
  /** What is given to those who ask. */
  readonly #listed: Map<K, PoolEntry<K>> = new Map();
  /** All entries that hold bytes, or may yet: also those that are forgotten and still have readers. */
  readonly #held: Set<PoolEntry<K>> = new Set();
  #isClosed = false;

  /** Closes the pool, at the end of a `using` block. */
  declare [Symbol.dispose]: () => void;
  declare [Symbol.asyncDispose]: () => Promise<void>;

  /** @throws InvalidArgumentError */
  constructor(options: StreamPoolOptions = {}) {
    const resolved = resolvePoolOptions(options);
    this.#options = resolved;
    this.#ledger = new PoolLedger(resolved.budget, resolved.maxEntries);
    this.#home = {
      ledger: this.#ledger,
      clock: resolved.clock,
      ttl: resolved.ttl,
      unlist: ({ key }) => void this.#listed.delete(key),
      released: (entry) => void this.#held.delete(entry),
    };
  }

  /**
   * Opens a stream of what `opener` returns for `key`, at once. If the key has an entry that is filling or complete, the stream
   * joins it and `opener` is not called; else `opener` is called in a microtask.
   *
   * A signal that has fired, or an empty range, asks for nothing: the stream is detached, or ends, and no source is opened.
   *
   * @throws InvalidArgumentError
   * @throws OffsetNotWrittenError if `start` lies beyond the end of a complete entry
   * @throws PoolClosedError after `close()`
   */
  open(key: K, opener: PoolOpener<K>, options: PoolOpenOptions = {}): ByteStream {
    if (typeof opener !== 'function') throw new InvalidArgumentError('opener', opener, 'a function');
    const resolved = resolveOpenOptions(options);
    if (this.#isClosed) throw new PoolClosedError();
    if (resolved.signal?.aborted || resolved.start === resolved.end) return openNothing(resolved);
    const entry = this.#listed.get(key);
    if (!entry?.isJoinable()) return this.#begin(key, opener, resolved);
    const stream = entry.open(resolved);
    entry.hits++;
    this.#ledger.hits++;
    return stream;
  }

  #begin(key: K, opener: PoolOpener<K>, options: ResolvedOpenOptions): ByteStream {
    const onLastLeave = options.onLastLeave ?? this.#options.onLastLeave;
    const entry = new PoolEntry<K>(key, this.#home, onLastLeave, options.maxBytes);
    // This may throw, and then nothing has changed.
    const stream = entry.open(options);
    // One that failed, and whose readers have not come to its end yet.
    this.#listed.get(key)?.unlist();
    this.#listed.set(key, entry);
    this.#held.add(entry);
    this.#ledger.misses++;
    queueMicrotask(() => entry.start(opener));
    return stream;
  }

  /** What the pool holds and has done, at this moment. */
  stats(): PoolStats<K> {
    const { bytes, budget, readers, hits, misses, evictions, failures } = this.#ledger;
    const entries = Array.from(this.#listed.values(), (entry) => ({
      key: entry.key,
      state: entry.state,
      bytes: entry.bytes,
      readers: entry.readers,
      hits: entry.hits,
    }));
    return { entries, bytes, budget, readers, hits, misses, evictions, failures };
  }

  /**
   * Forgets the entry of `key`, at once: the next open starts afresh, and whoever reads it goes on to its end. False if there is
   * none.
   */
  delete(key: K): boolean {
    const entry = this.#listed.get(key);
    entry?.unlist();
    return entry !== undefined;
  }

  /**
   * Forgets everything and stops all sources: who reads what was not complete gets the bytes so far and then a
   * `PoolClosedError`, who reads what was goes on to its end. Later opens are refused. Nothing happens at a second call.
   */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const entry of this.#held) {
      if (entry.state === 'filling') entry.stop(new PoolClosedError());
      else entry.unlist();
    }
  }
}

implementDispose<StreamPool<unknown>>(StreamPool.prototype, (pool) => pool.close());

/** A stream of no bytes at all, or one that has failed by its signal before it began. */
function openNothing(options: ResolvedOpenOptions): ByteStream {
  const { start, overflow, highWaterMark, onMissed, signal, copy } = options;
  const writer = new ByteWriter({ offset: start });
  writer.close();
  return writer.stream({ overflow, highWaterMark, onMissed, signal, copy });
}
