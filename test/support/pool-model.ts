/**
 * What a pool promises, written down as naively as it can be: for each entry how many bytes its source gave and how it ended, for
 * each reader a range and a place in it. No list of chunks, no promises: what happens in microtasks is a list of tasks, and a
 * turn runs it.
 *
 * The model says what `stats()` must be at every moment, which readers must wait, and how each of them must end. It leaves
 * open where one chunk ends and the next begins, except for a reader that waits.
 */

import { LimitExceededError, OffsetNotWrittenError } from '../../packages/fanpipe/src/errors.ts';
import { PoolBudgetError, PoolClosedError } from '../../packages/fanpipe/src/pool/errors.ts';
import type { LastLeave } from '../../packages/fanpipe/src/pool/options.ts';
import type { PoolStats } from '../../packages/fanpipe/src/pool/pool-stats.ts';

export type Failure = (error: unknown) => boolean;

/** How a reader has ended: by reading to its end, by leaving, or badly. */
export type ModelEnding = 'done' | 'left' | { readonly is: Failure };

/** What a source does next. */
export type SourceEvent =
  | { readonly kind: 'chunk'; readonly size: number }
  | { readonly kind: 'end' }
  | { readonly kind: 'fail'; readonly reason: unknown };

export interface ModelOpen {
  readonly start: number;
  readonly end: number;
  /** Blocks beyond this lag. */
  readonly mark: number | undefined;
  readonly onLastLeave: LastLeave | undefined;
  readonly maxBytes: number;
}

interface ModelTimer {
  readonly at: number;
  readonly ring: () => void;
}

/** One stream. */
export class ModelReader {
  readonly entry: ModelEntry | null;
  readonly start: number;
  readonly end: number;
  readonly mark: number;
  position: number;
  ending: ModelEnding | null = null;
  /** A `next()` is outstanding. */
  waits = false;
  /** What that `next()` must settle with at the next turn: how many bytes, or how it ended. */
  answer: number | ModelEnding | undefined;
  /** Where the bytes of the answer begin. */
  answerFrom = 0;
  /** It collects, and so many bytes at most; where it began, and whether it met more. */
  collects: number | undefined;
  collectsFrom = 0;
  isOverLimit = false;
  /** All of the range is written: its policy acts no more. */
  sealed = false;
  /** The tail when it was detached. */
  #frozenTail: number | undefined;

  constructor(entry: ModelEntry | null, { start, end, mark }: ModelOpen) {
    this.entry = entry;
    this.start = start;
    this.end = end;
    this.position = start;
    this.mark = mark ?? Number.POSITIVE_INFINITY;
    if (entry === null) this.ending = 'done';
  }

  get lag(): number {
    const tail = this.#frozenTail ?? this.entry?.tail ?? this.start;
    return Math.max(0, Math.min(tail, this.end) - this.position);
  }

  get blocks(): boolean {
    return this.ending === null && !this.sealed && this.lag > this.mark;
  }

  /** How the reader must end now that nothing is there; null if it must wait. */
  get outcome(): ModelEnding | null {
    if (this.ending !== null) return this.ending;
    const { entry } = this;
    if (entry === null || this.lag > 0) return null;
    if (this.position >= this.end) return 'done';
    if (entry.state === 'failed') return { is: entry.failure };
    if (entry.state !== 'complete') return null;
    const { start } = this;
    return entry.tail < start
      ? { is: (error) => error instanceof OffsetNotWrittenError && error.offset === start && error.tail === entry.tail }
      : 'done';
  }

  /** It has read so many bytes. */
  took(size: number): void {
    this.position += size;
    if (this.position >= this.end) this.detach('done');
  }

  /** It comes to its end, if it is there. */
  arrive(): ModelEnding | null {
    const { outcome } = this;
    if (outcome !== null) this.detach(outcome);
    return outcome;
  }

  detach(ending: ModelEnding): void {
    if (this.ending !== null) return;
    this.#frozenTail = this.entry?.tail;
    this.ending = ending;
    if (this.waits) this.#answer(ending);
    this.entry?.left(this);
  }

  #answer(answer: number | ModelEnding): void {
    this.waits = false;
    this.answer = answer;
  }

  /** Something was written, or the entry has ended: whoever waits is served. */
  serve(): void {
    if (this.collects !== undefined) {
      this.collect();
    } else if (this.waits && this.lag > 0) {
      const { lag } = this;
      this.answerFrom = this.position;
      this.#answer(lag);
      this.took(lag);
    } else if (this.waits) {
      this.arrive();
    }
  }

  /** A collector takes all there is, until that is the end or too much. */
  collect(): void {
    if (this.ending !== null) return;
    const { lag } = this;
    // Found only after the read, which may have been the last one.
    if (lag > 0) this.took(lag);
    this.isOverLimit = this.position - this.collectsFrom > (this.collects as number);
    if (this.isOverLimit) this.detach({ is: (error) => error instanceof LimitExceededError });
    else this.arrive();
  }
}

/** One entry. */
export class ModelEntry {
  readonly pool: ModelPool;
  readonly key: string;
  readonly policy: LastLeave;
  readonly maxBytes: number;
  state: 'filling' | 'complete' | 'failed' = 'filling';
  failure: Failure = () => false;
  tail = 0;
  hits = 0;
  listed = true;
  readonly readers: Set<ModelReader> = new Set();
  /** Every reader that it ever had. */
  readonly all: ModelReader[] = [];
  expiresAt = Number.POSITIVE_INFINITY;
  /** Whether the opener was called, has returned a source, and whether that source was left or has ended. */
  source: 'unopened' | 'opening' | 'open' | 'ended' | 'left' = 'unopened';
  readonly events: SourceEvent[] = [];
  /** What of a chunk is not written, since a blocking reader is over its mark where a range begins or ends. */
  rest = 0;
  waitsForRoom = false;
  aborted = false;
  stopTimer: ModelTimer | undefined;
  expiryTimer: ModelTimer | undefined;
  #stopped = false;
  #released = false;

  constructor(pool: ModelPool, key: string, policy: LastLeave, maxBytes: number) {
    this.pool = pool;
    this.key = key;
    this.policy = policy;
    this.maxBytes = maxBytes;
  }

  get stopsAtOnce(): boolean {
    return this.policy === 'stop' || !this.listed;
  }

  join(options: ModelOpen): ModelReader {
    const end = this.state === 'complete' ? Math.min(options.end, this.tail) : options.end;
    const reader = new ModelReader(this, { ...options, end });
    reader.sealed = end <= this.tail;
    this.readers.add(reader);
    this.all.push(reader);
    this.pool.cancelTimer(this.stopTimer);
    this.pool.wake(this);
    return reader;
  }

  left(reader: ModelReader): void {
    this.readers.delete(reader);
    if (this.readers.size === 0) this.settle();
  }

  settle(): void {
    if (this.state === 'filling') {
      if (this.stopsAtOnce) this.pool.tasks.push(() => this.stopIfLeft());
      else if (this.policy !== 'keep') {
        this.stopTimer = this.pool.setTimer((this.policy as { stopAfter: number }).stopAfter, () => this.stopIfLeft());
      }
    } else if (this.state === 'complete' && this.listed) this.pool.rest(this);
    else this.release();
  }

  stopIfLeft(): void {
    if (this.readers.size === 0 && this.state === 'filling') this.stop(() => false);
  }

  stop(failure: Failure): void {
    this.#stopped = true;
    this.end('failed', failure);
  }

  end(state: 'complete' | 'failed', failure: Failure = () => false): void {
    if (this.state !== 'filling') return;
    this.state = state;
    this.failure = failure;
    this.rest = 0;
    this.pool.cancelTimer(this.stopTimer);
    for (const reader of [...this.readers]) reader.serve();
    if (state === 'complete') {
      if (this.pool.ttl !== undefined && this.listed) {
        this.expiresAt = this.pool.now + this.pool.ttl;
        this.expiryTimer = this.pool.setTimer(this.pool.ttl, () => this.expire());
      }
    } else {
      this.aborted = true;
      if (this.source === 'open') this.source = 'left';
      if (this.#stopped) this.unlist();
      else this.pool.failures++;
    }
    if (this.readers.size === 0 && !this.pool.idle.includes(this)) this.settle();
  }

  unlist(): void {
    if (!this.listed) return;
    this.listed = false;
    this.pool.cancelTimer(this.expiryTimer);
    this.pool.wake(this);
    if (this.pool.listed.get(this.key) === this) this.pool.listed.delete(this.key);
    if (this.readers.size > 0) return;
    if (this.state === 'filling') this.stop(() => false);
    else this.release();
  }

  expire(): void {
    if (!this.listed) return;
    this.pool.evictions++;
    this.unlist();
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.unlist();
    this.pool.held.delete(this);
  }

  start(opener: () => 'now' | 'late' | Failure): void {
    if (this.state !== 'filling') return;
    if (this.readers.size === 0 && this.stopsAtOnce) {
      this.stop(() => false);
      return;
    }
    this.pool.openerCalls++;
    const outcome = opener();
    if (typeof outcome === 'function') {
      this.source = 'ended';
      this.end('failed', outcome);
    } else {
      this.source = outcome === 'now' ? 'open' : 'opening';
    }
  }

  /** The source of a slow opener is there, or will never be. */
  arrives(failure: Failure | undefined): void {
    if (this.source !== 'opening') return;
    if (failure === undefined) this.source = this.state === 'filling' ? 'open' : 'left';
    else {
      this.source = 'ended';
      this.end('failed', failure);
    }
  }

  /** Lets the source give what it has, as far as the readers allow. Whether anything happened. */
  pull(): boolean {
    let moved = false;
    while (this.state === 'filling' && this.source === 'open') {
      if (this.waitsForRoom && this.blocked) return moved;
      this.waitsForRoom = false;
      if (this.rest === 0) {
        const event = this.events.shift();
        if (event === undefined) return moved;
        moved = true;
        if (event.kind === 'chunk') {
          this.rest = event.size;
        } else {
          this.source = 'ended';
          const { reason } = event as { reason?: unknown };
          if (event.kind === 'end') this.end('complete');
          else this.end('failed', (error) => error === reason);
          return true;
        }
      }
      moved = true;
      this.#write();
      // Whoever was served and has left by that has its consequences before the source is asked again.
      if (this.pool.tasks.length > 0) return true;
    }
    return moved;
  }

  get blocked(): boolean {
    return [...this.readers].some((reader) => reader.blocks);
  }

  #write(): void {
    const from = this.tail;
    let to = from + this.rest;
    for (const reader of this.readers) {
      if (reader.mark === Number.POSITIVE_INFINITY || reader.sealed) continue;
      if (reader.end <= from) reader.sealed = true;
      else to = Math.min(to, reader.start > from ? reader.start : reader.end);
    }
    const size = to - from;
    const refusal = this.claim(size);
    if (refusal !== undefined) {
      this.end('failed', refusal);
      return;
    }
    this.tail = to;
    this.rest -= size;
    for (const reader of [...this.readers]) reader.serve();
    this.waitsForRoom = this.blocked;
  }

  claim(size: number): Failure | undefined {
    const { pool } = this;
    const is = (limit: 'budget' | 'maxBytes', bytes: number, budget: number) => (error: unknown) =>
      error instanceof PoolBudgetError && error.limit === limit && error.bytes === bytes && error.budget === budget;
    if (this.tail + size > this.maxBytes) return is('maxBytes', this.tail + size, this.maxBytes);
    const { bytes, budget } = pool;
    if (bytes - pool.idle.reduce((sum, { tail }) => sum + tail, 0) + size > budget) {
      return is('budget', bytes + size, budget);
    }
    while (pool.bytes + size > budget) pool.evict();
    return undefined;
  }
}

/** The pool. */
export class ModelPool {
  readonly budget: number;
  readonly maxEntries: number;
  readonly ttl: number | undefined;
  readonly onLastLeave: LastLeave;
  now = 0;
  closed = false;
  hits = 0;
  misses = 0;
  evictions = 0;
  failures = 0;
  openerCalls = 0;
  readonly listed: Map<string, ModelEntry> = new Map();
  readonly held: Set<ModelEntry> = new Set();
  readonly entries: ModelEntry[] = [];
  /** Complete and without readers, the one that was left first at the front. */
  idle: ModelEntry[] = [];
  /** What will happen in microtasks. */
  readonly tasks: (() => void)[] = [];
  #timers: ModelTimer[] = [];

  constructor(options: { budget: number; maxEntries: number; ttl: number | undefined; onLastLeave: LastLeave }) {
    this.budget = options.budget;
    this.maxEntries = options.maxEntries;
    this.ttl = options.ttl;
    this.onLastLeave = options.onLastLeave;
  }

  get bytes(): number {
    let bytes = 0;
    for (const { tail } of this.held) bytes += tail;
    return bytes;
  }

  /** Opens a stream; the failure if it must be refused. */
  open(key: string, opener: () => 'now' | 'late' | Failure, options: ModelOpen): ModelReader | Failure {
    if (this.closed) return (error) => error instanceof PoolClosedError;
    if (options.start === options.end) return new ModelReader(null, options);
    let entry = this.listed.get(key);
    if (entry !== undefined && entry.expiresAt <= this.now) entry.expire();
    if (entry?.listed && entry.state !== 'failed') {
      if (entry.state === 'complete' && options.start > entry.tail)
        return (error) => error instanceof OffsetNotWrittenError;
      this.hits++;
      entry.hits++;
      return entry.join(options);
    }
    entry = new ModelEntry(this, key, options.onLastLeave ?? this.onLastLeave, options.maxBytes);
    this.listed.get(key)?.unlist();
    this.listed.set(key, entry);
    this.held.add(entry);
    this.entries.push(entry);
    this.misses++;
    const begun = entry;
    this.tasks.push(() => begun.start(opener));
    return entry.join(options);
  }

  delete(key: string): boolean {
    const entry = this.listed.get(key);
    entry?.unlist();
    return entry !== undefined;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const entry of [...this.held]) {
      if (entry.state === 'filling') entry.stop((error) => error instanceof PoolClosedError);
      else entry.unlist();
    }
  }

  rest(entry: ModelEntry): void {
    this.idle.push(entry);
    while (this.idle.length > this.maxEntries) this.evict();
  }

  evict(): void {
    this.evictions++;
    (this.idle[0] as ModelEntry).unlist();
  }

  wake(entry: ModelEntry): void {
    this.idle = this.idle.filter((other) => other !== entry);
  }

  setTimer(ms: number, ring: () => void): ModelTimer {
    const timer = { at: this.now + ms, ring };
    this.#timers.push(timer);
    return timer;
  }

  cancelTimer(timer: ModelTimer | undefined): void {
    this.#timers = this.#timers.filter((other) => other !== timer);
  }

  /** All microtasks, and what they bring about. */
  turn(): void {
    for (let moved = true; moved; ) {
      moved = this.tasks.length > 0;
      for (const task of this.tasks.splice(0)) task();
      for (const entry of this.entries) if (this.tasks.length === 0 && entry.pull()) moved = true;
    }
  }

  advance(ms: number): void {
    const end = this.now + ms;
    this.turn();
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end);
      const first = due.reduce<ModelTimer | undefined>((a, b) => (a === undefined || b.at < a.at ? b : a), undefined);
      if (first === undefined) break;
      this.cancelTimer(first);
      this.now = Math.max(this.now, first.at);
      first.ring();
      this.turn();
    }
    this.now = end;
  }

  stats(): PoolStats {
    const entries = Array.from(this.listed.values(), ({ key, state, tail, readers, hits }) => ({
      key,
      state,
      bytes: tail,
      readers: readers.size,
      hits,
    }));
    let readers = 0;
    for (const entry of this.held) readers += entry.readers.size;
    const { bytes, budget, hits, misses, evictions, failures } = this;
    return { entries, bytes, budget, readers, hits, misses, evictions, failures };
  }
}
