import { type Clock, systemClock } from 'fanpipe';
import {
  BackendClosedError,
  ForkSourceError,
  InvalidArgumentError,
  StreamDeletedError,
  StreamSoftDeletedError,
} from '../../errors.ts';
import type {
  Backend,
  BackendStats,
  CreateOptions,
  DurabilityLevel,
  ForkPoint,
  ListOptions,
  StreamConfig,
  StreamState,
} from '../backend.ts';
import { Agenda, Alarm } from './agenda.ts';
import { Answers } from './answers.ts';
import { Changes } from './changes.ts';
import { LocalStream, type StreamHost } from './local-stream.ts';
import { checkName, compareNames } from './names.ts';
import type { Hold } from './retention.ts';
import type { Storage, StreamRecord } from './storage.ts';
import { toStorageError } from './to-storage-error.ts';

export interface LocalBackendOptions {
  /** Counts the time to live, and rings. Default the runtime's. */
  readonly clock?: Clock;
  /** Milliseconds since 1970: the time of appends, and of expiry. Default `Date.now`. */
  readonly time?: () => number;
  /**
   * How long `close` waits for a store that does not answer, in milliseconds. Appends that are under way then reject with
   * `BackendClosedError`, and may be stored or not. Default 10,000.
   */
  readonly closeTimeout?: number;
  /**
   * Generation of the first stream that is created, unless the store has had higher ones. Offsets and tags that were told over HTTP tell streams
   * apart by it, so one must not be used again, not by a store that began anew either. Default: microseconds since 1970, by `time`.
   */
  readonly firstGeneration?: number;
}

/** A stream that could not be removed is removed again after so many milliseconds. */
const AGAIN = 1000;
const CLOSE_TIMEOUT = 10_000;

/** All rules of the port for the streams of one process, over any storage. */
export class LocalBackend implements Backend, StreamHost {
  readonly storage: Storage;
  readonly #clock: Clock;
  readonly #time: () => number;
  readonly #closeTimeout: number;
  readonly #streams = new Map<string, LocalStream>();
  readonly #byGeneration = new Map<number, LocalStream>();
  /** Beside the writes of streams, which know themselves what is under way. */
  readonly #answers = new Answers();
  readonly #changes = new Changes();
  readonly #agenda: Agenda;
  #generation: number;
  #bytes = 0;
  #closed: Promise<void> | undefined;

  constructor(storage: Storage, options: LocalBackendOptions = {}) {
    this.storage = storage;
    this.#clock = options.clock ?? systemClock;
    this.#time = options.time ?? Date.now;
    this.#closeTimeout = options.closeTimeout ?? CLOSE_TIMEOUT;
    this.#agenda = new Agenda(this.#clock);
    const { firstGeneration = Math.floor(this.#time() * 1000) } = options;
    if (!Number.isSafeInteger(firstGeneration) || firstGeneration < 1) {
      throw new InvalidArgumentError(`firstGeneration must be a whole number from 1, got ${String(firstGeneration)}`);
    }
    this.#generation = Math.max(storage.lastGeneration(), firstGeneration - 1);
    // Sources are older than their forks.
    const records = [...storage.records()].sort((a, b) => a.generation - b.generation);
    for (const record of records) this.#addStored(record);
    for (const stream of this.#streams.values()) {
      stream.retention.ring();
      if (stream.isSoftDeleted && !stream.retention.isHeld) this.#freeAt(stream, this.#clock.now());
    }
  }

  get level(): DurabilityLevel {
    return this.storage.level;
  }

  time(): number {
    return this.#time();
  }

  now(): number {
    return this.#clock.now();
  }

  check(): void {
    if (this.#closed !== undefined) throw new BackendClosedError();
  }

  counted(bytes: number): void {
    this.#bytes += bytes;
  }

  upkeepIn(stream: LocalStream, ms: number): void {
    stream.upkeep ??= new Alarm(() => stream.retention.ring());
    this.#agenda.set(stream.upkeep, this.#clock.now() + ms);
  }

  touched(stream: LocalStream): void {
    const { ttl } = stream.config;
    if (ttl === undefined || stream.gone !== undefined || this.#closed !== undefined) return;
    stream.deadline = Math.min(this.#clock.now() + ttl, stream.latest);
    const expiresAt = this.#time() + ttl;
    if (expiresAt <= (stream.record.expiresAt ?? 0)) return;
    stream.save({ expiresAt: storedExpiry(expiresAt, ttl) }).catch(() => {});
  }

  async create(
    name: string,
    config: StreamConfig,
    options: CreateOptions = {},
  ): Promise<{ readonly isNew: boolean; readonly stream: LocalStream }> {
    checkName(name);
    while (!this.#isSettled(name)) await this.#settle(name);
    const existing = this.#find(name);
    if (existing !== undefined) return { isNew: false, stream: existing };
    return { isNew: true, stream: await this.#changes.run(name, () => this.#create(name, config, options)) };
  }

  async open(name: string): Promise<LocalStream | undefined> {
    while (!this.#isSettled(name)) await this.#settle(name);
    return this.#find(name);
  }

  async delete(name: string, generation?: number): Promise<boolean> {
    while (!this.#isSettled(name)) await this.#settle(name);
    const stream = this.#find(name);
    if (stream === undefined || (generation !== undefined && generation !== stream.generation)) return false;
    await this.#changes.run(name, () => this.#remove(stream));
    return true;
  }

  async *list({ prefix = '', after }: ListOptions = {}): AsyncIterable<StreamState> {
    this.check();
    const names = [...this.#streams.keys()].filter((name) => name.startsWith(prefix));
    names.sort(compareNames);
    for (const name of names) {
      if (after !== undefined && compareNames(name, after) <= 0) continue;
      const stream = this.#streams.get(name);
      if (stream === undefined || stream.gone !== undefined || stream.deadline <= this.#clock.now()) continue;
      yield stream.snapshot();
    }
  }

  async stats(): Promise<BackendStats> {
    this.check();
    return { streams: this.#streams.size, bytes: this.#bytes };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** Whether the stream of that name is not being created or removed, and need not be. */
  #isSettled(name: string): boolean {
    this.check();
    if (this.#changes.isUnderWay(name)) return false;
    const stream = this.#streams.get(name);
    return stream === undefined || stream.gone !== undefined || stream.deadline > this.#clock.now();
  }

  async #settle(name: string): Promise<void> {
    const stream = this.#streams.get(name);
    if (this.#changes.isUnderWay(name)) await this.#changes.settled(name);
    // Its alarm is late: it is not shown any more.
    else if (stream !== undefined) await this.#changes.run(name, () => this.#remove(stream));
  }

  #find(name: string): LocalStream | undefined {
    const stream = this.#streams.get(name);
    if (stream?.isSoftDeleted) throw new StreamSoftDeletedError(name);
    return stream;
  }

  async #create(name: string, config: StreamConfig, options: CreateOptions): Promise<LocalStream> {
    const { fork, ttl, expiresAt } = config;
    const source = fork === undefined ? undefined : this.#sourceOf(fork);
    const offset = fork?.offset ?? 0;
    // It must not go while the fork is made.
    const hold = source?.retention.hold(source.head, offset);
    const now = this.#time();
    const record: StreamRecord = {
      name,
      generation: ++this.#generation,
      config,
      createdAt: now,
      epoch: 0,
      head: source?.head ?? 0,
      end: options.end,
      isDeleted: false,
      expiresAt: ttl === undefined ? expiresAt : storedExpiry(now + ttl, ttl),
    };
    const { facts, chunks = [] } = options;
    try {
      await this.#answers.to(() =>
        this.storage.write({
          generation: record.generation,
          offset,
          chunks: chunks.filter(({ length }) => length > 0),
          time: now,
          record,
          ...(facts === undefined ? {} : { facts }),
        }),
      );
    } catch (error) {
      if (source !== undefined) await this.#release(source, hold as Hold);
      throw toStorageError(error);
    }
    const stream = this.#add(
      record,
      source,
      hold,
      Math.min(expiresAt ?? Infinity, ttl === undefined ? Infinity : now + ttl),
    );
    // What a fork inherits may be too old already, or too much.
    if (source !== undefined) stream.retention.ring();
    else if (config.retainFor !== undefined && stream.tail > 0) this.upkeepIn(stream, config.retainFor + 1);
    return stream;
  }

  #sourceOf({ source: name, generation, offset }: ForkPoint): LocalStream {
    const source = this.#streams.get(name);
    if (source === undefined || (source.generation !== generation && !source.isSoftDeleted)) {
      throw new ForkSourceError(name, 'not-found', 'there is no such stream');
    }
    if (source.isSoftDeleted || source.gone !== undefined) {
      throw new ForkSourceError(name, 'soft-deleted', 'it was deleted');
    }
    if (offset < source.head || offset > source.tail) {
      throw new ForkSourceError(
        name,
        'offset',
        `offset ${offset} is not in it: it goes from ${source.head} to ${source.tail}`,
      );
    }
    return source;
  }

  #addStored(record: StreamRecord): void {
    const { fork, ttl, expiresAt = Infinity } = record.config;
    const source = fork === undefined ? undefined : this.#byGeneration.get(fork.generation);
    const hold = source?.retention.hold(record.head, fork?.offset ?? 0);
    this.#generation = Math.max(this.#generation, record.generation);
    const until = Math.min(expiresAt, ttl === undefined ? Infinity : (record.expiresAt ?? Infinity));
    const stream = this.#add(record, source, hold, until);
    if (record.isDeleted) stream.gone = new StreamDeletedError(record.name);
  }

  /** Takes a stream into the tables. `until` is the time, in milliseconds since 1970, at which it expires unless it is touched. */
  #add(record: StreamRecord, source: LocalStream | undefined, hold: Hold | undefined, until: number): LocalStream {
    const stream = new LocalStream(this, record, source, hold);
    this.#streams.set(record.name, stream);
    this.#byGeneration.set(record.generation, stream);
    this.#bytes += stream.retention.bytes;
    const past = this.#clock.now() - this.#time();
    stream.latest = past + (record.config.expiresAt ?? Infinity);
    stream.deadline = past + until;
    if (until !== Infinity && !record.isDeleted) this.#freeAt(stream, stream.deadline);
    return stream;
  }

  /** Looks then whether it is to be removed. */
  #freeAt(stream: LocalStream, at: number): void {
    stream.expiry ??= new Alarm(() => {
      // It was touched since.
      if (!stream.isSoftDeleted && stream.deadline > this.#clock.now()) this.#freeAt(stream, stream.deadline);
      else this.#free(stream).catch(() => this.#freeAt(stream, this.#clock.now() + AGAIN));
    });
    this.#agenda.set(stream.expiry, at);
  }

  /** Removes a stream that has expired, or one that was kept for forks if there are none. */
  async #free(stream: LocalStream): Promise<void> {
    const { name } = stream;
    while (this.#changes.isUnderWay(name)) await this.#changes.settled(name);
    if (this.#closed !== undefined || this.#streams.get(name) !== stream) return;
    if (stream.isSoftDeleted) {
      if (!stream.retention.isHeld) await this.#changes.run(name, () => this.#drop(stream));
    } else await this.#changes.run(name, () => this.#remove(stream));
  }

  /** When it rejects, the stream is there as before. */
  async #remove(stream: LocalStream): Promise<void> {
    const reason = new StreamDeletedError(stream.name);
    // From here on nothing is taken.
    stream.gone = reason;
    try {
      await stream.settled();
      this.check();
      if (stream.retention.isHeld) {
        await stream.save({ isDeleted: true });
        stream.isSoftDeleted = true;
        this.#agenda.clear(stream.expiry);
      }
      // The last fork may have gone meanwhile.
      if (!stream.retention.isHeld) await this.#drop(stream);
    } catch (error) {
      if (!stream.isSoftDeleted) {
        if (stream.gone === reason) stream.gone = undefined;
        throw error;
      }
      this.#freeAt(stream, this.#clock.now() + AGAIN);
    }
    stream.finish(reason);
  }

  /** Has the storage forget it. */
  async #drop(stream: LocalStream): Promise<void> {
    stream.isDropped = true;
    try {
      await this.#answers.to(() => this.storage.drop(stream.generation));
    } catch (error) {
      stream.isDropped = false;
      throw toStorageError(error);
    }
    this.#streams.delete(stream.name);
    this.#byGeneration.delete(stream.generation);
    this.#agenda.clear(stream.expiry);
    this.#agenda.clear(stream.upkeep);
    this.#bytes -= stream.retention.bytes;
    const { source, hold } = stream;
    if (source !== undefined) await this.#release(source, hold as Hold);
  }

  /** A fork of it has gone; with the last one a soft-deleted source goes. */
  async #release(source: LocalStream, hold: Hold): Promise<void> {
    source.retention.release(hold);
    if (!source.isSoftDeleted) return;
    await this.#free(source).catch(() => this.#freeAt(source, this.#clock.now() + AGAIN));
  }

  async #close(): Promise<void> {
    // `check` refuses everything from here on.
    await Promise.resolve();
    this.#agenda.stop();
    await this.#withinTimeout(async () => {
      await this.#changes.allSettled();
      await Promise.all([...this.#streams.values()].map((stream) => stream.settled()));
      for (const stream of this.#streams.values()) stream.retention.flush();
    });
    const reason = new BackendClosedError();
    for (const stream of this.#streams.values()) stream.finish(reason);
    this.#answers.abandon(reason);
    this.#streams.clear();
    this.#byGeneration.clear();
    await this.storage.close();
  }

  async #withinTimeout(run: () => Promise<void>): Promise<void> {
    let handle: unknown;
    const timeout = new Promise<void>((resolve) => {
      handle = this.#clock.setTimeout(resolve, this.#closeTimeout);
      (handle as { unref?(): void } | undefined)?.unref?.();
    });
    await Promise.race([run(), timeout]);
    this.#clock.clearTimeout(handle);
  }
}

/** Rounded up, so that not every touch is a write, and after a restart the stream does not expire too early. */
function storedExpiry(expiresAt: number, ttl: number): number {
  return expiresAt + Math.max(1000, ttl / 8);
}
