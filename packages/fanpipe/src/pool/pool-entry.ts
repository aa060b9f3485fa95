import { channelOf } from '../core/base-writer.ts';
import { ByteStream } from '../core/byte-stream.ts';
import { Alarm, type Clock } from '../monitor/index.ts';
import { EntryWriter } from './entry-writer.ts';
import { PoolAbandonedError, PoolBudgetError } from './errors.ts';
import { openRange } from './open-range.ts';
import type { LastLeave, PoolOpener, ResolvedOpenOptions } from './options.ts';
import type { Held, PoolLedger } from './pool-ledger.ts';
import { feed } from './pool-source.ts';
import type { PoolEntryState } from './pool-stats.ts';

/** What an entry needs of its pool. */
export interface Home<K> {
  readonly ledger: PoolLedger;
  readonly clock: Clock;
  readonly ttl: number | undefined;
  /** The entry is no longer given to those who ask for its key. */
  unlist(entry: PoolEntry<K>): void;
  /** The entry holds nothing any more. */
  released(entry: PoolEntry<K>): void;
}

const STATES = { open: 'filling', closed: 'complete', failed: 'failed' } as const;

/**
 * What one opener gave, and who reads it.
 *
 * ```text
 *              end of the source                 room needed, ttl, delete
 *   filling ───────────────────────▶ complete ────────────────────────────▶ forgotten
 *      │
 *      ├── opener, source, limit ──▶ failed ───── its last reader leaves, or the key is opened again ──▶ forgotten
 *      │
 *      └── last leave, close() ────────────────────────────────────────────▶ forgotten, and failed
 * ```
 *
 * The state is that of the writer: complete if and only if it closed, and only the end of the source closes it. Forgotten means:
 * not listed, so that nobody can join. The bytes are released when, beyond that, nobody reads.
 *
 * Whatever is not ours, the opener, the source and listeners of its signal, runs in a microtask, since entries end and
 * readers leave inside calls of all kinds.
 */
export class PoolEntry<K> implements Held {
  readonly key: K;
  /** Attached streams. */
  readers = 0;
  /** Opens that joined. */
  hits = 0;
  readonly #home: Home<K>;
  readonly #writer: EntryWriter;
  readonly #onLastLeave: LastLeave;
  readonly #abort: AbortController = new AbortController();
  readonly #stopTimer: Alarm;
  readonly #expiryTimer: Alarm;
  #expiresAt = Number.POSITIVE_INFINITY;
  #isListed = true;
  /** The pool ended it: neither its source nor a limit did. */
  #isStopped = false;
  #isReleased = false;

  constructor(key: K, home: Home<K>, onLastLeave: LastLeave, maxBytes: number) {
    this.key = key;
    this.#home = home;
    this.#onLastLeave = onLastLeave;
    this.#stopTimer = new Alarm(home.clock, this.#stopIfLeft, 'quiet');
    this.#expiryTimer = new Alarm(home.clock, () => this.#expire(), 'quiet');
    const writer = new EntryWriter((size) => {
      const bytes = writer.bytesWritten + size;
      if (bytes > maxBytes) throw new PoolBudgetError('maxBytes', bytes, maxBytes);
      home.ledger.claim(size);
    });
    this.#writer = writer;
    channelOf(writer).endWatchers.add(this.#ended);
  }

  get state(): PoolEntryState {
    return STATES[this.#writer.state];
  }

  get bytes(): number {
    return this.#writer.bytesWritten;
  }

  /** Whether whoever asks for the key may join. An entry whose time is over is forgotten by this. */
  isJoinable(): boolean {
    if (this.#expiresAt <= this.#home.clock.now()) this.#expire();
    return this.#isListed && this.state !== 'failed';
  }

  // ---- filling

  /** Opens the source, in a microtask after the entry began. */
  start(opener: PoolOpener<K>): void {
    if (this.state !== 'filling') return;
    // Whoever asked has left within the turn: nothing was opened, and nothing need be.
    if (this.readers === 0 && this.#stopsAtOnce) this.stop(new PoolAbandonedError(0));
    else void this.#fill(opener);
  }

  async #fill(opener: PoolOpener<K>): Promise<void> {
    try {
      // If the entry has ended by the time the source comes, the source is left.
      feed(await opener({ key: this.key, signal: this.#abort.signal }), this.#writer);
    } catch (error) {
      this.#writer.fail(error);
    }
  }

  /** Ends an entry that is filling: its source is left, it is forgotten, and who still reads gets `reason` after the bytes so far. */
  stop(reason: unknown): void {
    this.#isStopped = true;
    this.#writer.fail(reason);
  }

  /** The writer has ended, by whatever. */
  readonly #ended = (): void => {
    const { ledger, clock, ttl } = this.#home;
    this.#stopTimer.clear();
    if (this.state === 'complete') {
      if (ttl !== undefined && this.#isListed) {
        this.#expiresAt = clock.now() + ttl;
        this.#expiryTimer.set(this.#expiresAt);
      }
      if (this.readers === 0) this.#settle();
      return;
    }
    const { reason } = channelOf(this.#writer);
    queueMicrotask(() => this.#abort.abort(reason));
    if (this.#isStopped) this.unlist();
    else ledger.failures++;
    if (this.readers === 0) this.#settle();
  };

  // ---- readers

  /**
   * Opens a stream of this entry.
   *
   * @throws InvalidArgumentError, OffsetNotWrittenError; nothing has changed then
   */
  open(options: ResolvedOpenOptions): ByteStream {
    const { ledger } = this.#home;
    // Counted before: it may be detached before it is opened.
    this.readers++;
    ledger.readers++;
    let stream: ByteStream;
    try {
      stream = new ByteStream(openRange(this.#writer, options, this.#left));
    } catch (error) {
      this.readers--;
      ledger.readers--;
      throw error;
    }
    if (this.readers > 0) {
      this.#stopTimer.clear();
      ledger.wake(this);
    }
    return stream;
  }

  /** A stream was detached. This runs inside any call, or in a finaliser. */
  readonly #left = (): void => {
    this.readers--;
    this.#home.ledger.readers--;
    if (this.readers === 0) this.#settle();
  };

  /** Nobody reads: what becomes of the entry now. */
  #settle(): void {
    if (this.state === 'filling') this.#lastLeft();
    else if (this.state === 'complete' && this.#isListed) this.#home.ledger.rest(this);
    else this.#release();
  }

  #lastLeft(): void {
    if (this.#stopsAtOnce) queueMicrotask(this.#stopIfLeft);
    else if (this.#onLastLeave !== 'keep')
      this.#stopTimer.setIn((this.#onLastLeave as { stopAfter: number }).stopAfter);
  }

  /** Nobody can come back to an entry that is forgotten. */
  get #stopsAtOnce(): boolean {
    return this.#onLastLeave === 'stop' || !this.#isListed;
  }

  readonly #stopIfLeft = (): void => {
    if (this.readers === 0 && this.state === 'filling') this.stop(new PoolAbandonedError(this.bytes));
  };

  // ---- being forgotten

  /** Nobody joins any more; present readers go on to the end. Nothing happens if it is forgotten already. */
  unlist(): void {
    if (!this.#isListed) return;
    this.#isListed = false;
    this.#expiryTimer.clear();
    this.#home.ledger.wake(this);
    this.#home.unlist(this);
    if (this.readers > 0) return;
    if (this.state === 'filling') this.stop(new PoolAbandonedError(this.bytes));
    else this.#release();
  }

  evict(): void {
    this.unlist();
  }

  #expire(): void {
    if (!this.#isListed) return;
    this.#home.ledger.evictions++;
    this.unlist();
  }

  #release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.unlist();
    channelOf(this.#writer).forget();
    this.#home.ledger.release(this);
    this.#home.released(this);
  }
}
