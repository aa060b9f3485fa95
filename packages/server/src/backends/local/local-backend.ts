import { type Clock, systemClock } from 'fanpipe';
import {
  BackendClosedError,
  ForkSourceError,
  InvalidNameError,
  StreamDeletedError,
  StreamSoftDeletedError,
} from '../../errors.ts';
import {
  type Backend,
  type BackendStats,
  type CreateOptions,
  type DurabilityLevel,
  type ListOptions,
  LONGEST_NAME,
  type StreamConfig,
  type StreamState,
} from '../backend.ts';
import { Expiries } from './expiries.ts';
import { LocalStream, type StreamHost } from './local-stream.ts';
import type { Storage, StreamRecord } from './storage.ts';

export interface LocalBackendOptions {
  /** Default the runtime's. */
  readonly clock?: Clock;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly time?: () => number;
}

/** Old bytes are looked for so often, in milliseconds, at most. */
const SWEEP = 1000;
const encoder = new TextEncoder();

/** All rules of the port for the streams of one process, over any storage. */
export class LocalBackend implements Backend, StreamHost {
  readonly storage: Storage;
  readonly #clock: Clock;
  readonly #time: () => number;
  readonly #streams = new Map<string, LocalStream>();
  readonly #byGeneration = new Map<number, LocalStream>();
  /** Names that are being created. */
  readonly #creating = new Map<string, Promise<unknown>>();
  /** Drops under way. */
  readonly #dropping = new Set<Promise<unknown>>();
  readonly #aging = new Set<LocalStream>();
  readonly #expiries: Expiries;
  #generation: number;
  #bytes = 0;
  #sweep: unknown;
  #isSweeping = false;
  #closed: Promise<void> | undefined;

  constructor(storage: Storage, options: LocalBackendOptions = {}) {
    this.storage = storage;
    this.#clock = options.clock ?? systemClock;
    this.#time = options.time ?? Date.now;
    this.#expiries = new Expiries(this.#clock, (stream) => void this.#remove(stream).catch(() => {}));
    this.#generation = storage.lastGeneration();
    const records = [...storage.records()].sort((a, b) => a.generation - b.generation);
    for (const record of records) this.#add(record, true);
    for (const stream of [...this.#streams.values()]) {
      this.#generation = Math.max(this.#generation, stream.generation);
      if (stream.record.isDeleted && stream.forks === 0) void this.#drop(stream).catch(() => {});
    }
  }

  get level(): DurabilityLevel {
    return this.storage.level;
  }

  time(): number {
    return this.#time();
  }

  check(): void {
    if (this.#closed !== undefined) throw new BackendClosedError();
  }

  counted(bytes: number): void {
    this.#bytes += bytes;
  }

  touched(stream: LocalStream): void {
    const { ttl } = stream.config;
    if (ttl === undefined || stream.gone !== undefined) return;
    stream.deadline = this.#clock.now() + ttl;
    // Rounded up, so that after a restart it does not expire too early.
    const step = Math.max(1000, ttl / 8);
    const expiresAt = this.#time() + ttl;
    if (expiresAt <= (stream.record.expiresAt ?? 0)) return;
    stream.save({ expiresAt: expiresAt + step }).catch(() => {});
  }

  async create(
    name: string,
    config: StreamConfig,
    options: CreateOptions = {},
  ): Promise<{ readonly isNew: boolean; readonly stream: LocalStream }> {
    checkName(name);
    for (;;) {
      this.check();
      const existing = this.#find(name);
      if (existing !== undefined) return { isNew: false, stream: existing };
      const other = this.#creating.get(name);
      if (other === undefined) break;
      await other;
    }
    const creation = this.#create(name, config, options);
    const settled = creation.catch(() => {});
    this.#creating.set(name, settled);
    try {
      return { isNew: true, stream: await creation };
    } finally {
      this.#creating.delete(name);
    }
  }

  async open(name: string): Promise<LocalStream | undefined> {
    this.check();
    await this.#creating.get(name);
    return this.#find(name);
  }

  async delete(name: string, generation?: number): Promise<boolean> {
    this.check();
    await this.#creating.get(name);
    const stream = this.#find(name);
    if (stream === undefined || (generation !== undefined && generation !== stream.generation)) return false;
    await this.#remove(stream);
    return true;
  }

  async *list({ prefix = '', after }: ListOptions = {}): AsyncIterable<StreamState> {
    this.check();
    const names = [...this.#streams.keys()].filter((name) => name.startsWith(prefix));
    names.sort(compareNames);
    for (const name of names) {
      if (after !== undefined && compareNames(name, after) <= 0) continue;
      const stream = this.#streams.get(name);
      if (stream !== undefined && stream.gone === undefined && !stream.record.isDeleted) yield stream.snapshot();
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

  #find(name: string): LocalStream | undefined {
    const stream = this.#streams.get(name);
    if (stream?.record.isDeleted) throw new StreamSoftDeletedError(name);
    return stream;
  }

  async #create(name: string, config: StreamConfig, options: CreateOptions): Promise<LocalStream> {
    const source = config.fork === undefined ? undefined : this.#sourceOf(config);
    // It must not go while the fork is made.
    if (source !== undefined) source.forks++;
    const offset = config.fork?.offset ?? 0;
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
      expiresAt:
        config.expiresAt ?? (config.ttl === undefined ? undefined : now + config.ttl + Math.max(1000, config.ttl / 8)),
    };
    try {
      await this.storage.write({
        generation: record.generation,
        offset,
        chunks: (options.chunks ?? []).filter(({ length }) => length > 0),
        time: now,
        record,
        ...(options.facts === undefined ? {} : { facts: options.facts }),
      });
    } finally {
      if (source !== undefined) source.forks--;
    }
    return this.#add(record, false);
  }

  #sourceOf({ fork }: StreamConfig): LocalStream {
    const { source: name, generation, offset } = fork as NonNullable<StreamConfig['fork']>;
    const source = this.#streams.get(name);
    if (source === undefined || (source.generation !== generation && !source.record.isDeleted))
      throw new ForkSourceError(name, 'not-found', 'there is no such stream');
    if (source.record.isDeleted) throw new ForkSourceError(name, 'soft-deleted', 'it was deleted');
    if (offset < source.head || offset > source.tail) {
      throw new ForkSourceError(
        name,
        'offset',
        `offset ${offset} is not in it: it goes from ${source.head} to ${source.tail}`,
      );
    }
    return source;
  }

  /** Takes a stream into the tables. `isStored` says that it was found in the storage. */
  #add(record: StreamRecord, isStored: boolean): LocalStream {
    const { fork, ttl, expiresAt, retainFor } = record.config;
    const source = fork === undefined ? undefined : this.#byGeneration.get(fork.generation);
    const stream = new LocalStream(this, record, source);
    if (source !== undefined) source.forks++;
    this.#streams.set(record.name, stream);
    this.#byGeneration.set(record.generation, stream);
    this.#bytes += stream.bytes;
    const until = expiresAt ?? (ttl === undefined ? undefined : isStored ? record.expiresAt : this.#time() + ttl);
    if (until !== undefined) stream.deadline = this.#clock.now() + (until - this.#time());
    if (!record.isDeleted) this.#expiries.add(stream);
    if (retainFor !== undefined) {
      this.#aging.add(stream);
      this.#armSweep();
    }
    return stream;
  }

  async #remove(stream: LocalStream): Promise<void> {
    if (stream.gone !== undefined) return;
    stream.finish(new StreamDeletedError(stream.name));
    this.#aging.delete(stream);
    if (stream.forks === 0) {
      await this.#drop(stream);
      return;
    }
    await stream.save({ isDeleted: true });
  }

  async #drop(stream: LocalStream): Promise<void> {
    if (this.#streams.get(stream.name) === stream) this.#streams.delete(stream.name);
    this.#byGeneration.delete(stream.generation);
    this.#bytes -= stream.bytes;
    const { source } = stream;
    const work = stream.settled().then(() => this.storage.drop(stream.generation));
    this.#dropping.add(work);
    try {
      await work;
    } finally {
      this.#dropping.delete(work);
    }
    if (source === undefined) return;
    source.forks--;
    if (source.forks === 0 && source.record.isDeleted) await this.#drop(source);
  }

  #armSweep(): void {
    if (this.#isSweeping || this.#aging.size === 0 || this.#closed !== undefined) return;
    this.#isSweeping = true;
    this.#sweep = this.#clock.setTimeout(() => {
      this.#isSweeping = false;
      for (const stream of this.#aging) stream.retain();
      this.#armSweep();
    }, SWEEP);
    (this.#sweep as { unref?(): void } | undefined)?.unref?.();
  }

  async #close(): Promise<void> {
    // `check` refuses everything from here on.
    await Promise.resolve();
    this.#expiries.stop();
    if (this.#isSweeping) this.#clock.clearTimeout(this.#sweep);
    await Promise.allSettled([...this.#creating.values(), ...this.#dropping]);
    const streams = [...this.#streams.values()];
    await Promise.all(streams.map((stream) => stream.settled()));
    for (const stream of streams) if (stream.gone === undefined) stream.finish(new BackendClosedError());
    await this.storage.close();
  }
}

/** @throws InvalidNameError */
function checkName(name: string): void {
  if (typeof name !== 'string' || name.length === 0) throw new InvalidNameError('The name of a stream is empty');
  const bytes = encoder.encode(name).length;
  if (bytes > LONGEST_NAME) {
    throw new InvalidNameError(`The name of a stream has ${bytes} bytes; at most ${LONGEST_NAME} are allowed`);
  }
  if (!isWellFormed(name)) throw new InvalidNameError('The name of a stream has half a surrogate pair');
}

function isWellFormed(text: string): boolean {
  return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text);
}

/** In the order of their UTF-8 bytes, which is that of their code points. */
function compareNames(one: string, other: string): number {
  const length = Math.min(one.length, other.length);
  for (let i = 0; i < length; i++) {
    const a = one.charCodeAt(i);
    const b = other.charCodeAt(i);
    if (a !== b) return rank(a) - rank(b);
  }
  return one.length - other.length;
}

/** Surrogates stand for what comes after all other code units. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x2000 : unit;
}
