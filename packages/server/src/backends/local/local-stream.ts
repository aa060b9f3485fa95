import {
  FencedError,
  OffsetGoneError,
  OffsetNotWrittenError,
  OffsetOverflowError,
  StorageError,
  StreamEndedError,
} from '../../errors.ts';
import type {
  Acknowledgement,
  AppendOptions,
  BackendCursor,
  BackendStream,
  BackendWriter,
  Facts,
  StreamConfig,
  StreamEnd,
  StreamState,
} from '../backend.ts';
import type { Alarm } from './agenda.ts';
import { inheritedParts } from './lineage.ts';
import { LocalCursor } from './local-cursor.ts';
import { type Hold, Retention } from './retention.ts';
import type { Storage, StreamRecord } from './storage.ts';
import { toStorageError } from './to-storage-error.ts';
import { type PendingWrite, type WriteOwner, WriteQueue } from './write-queue.ts';

/** What a stream needs of the backend that it belongs to. */
export interface StreamHost {
  readonly storage: Storage;
  /** Milliseconds since 1970. */
  time(): number;
  /** Throws if the backend is closed. */
  check(): void;
  touched(stream: LocalStream): void;
  /** So many bytes more, or fewer, are retained. */
  counted(bytes: number): void;
  /** Monotonic time in milliseconds. */
  now(): number;
  /** Its upkeep is to ring in so many milliseconds. */
  upkeepIn(stream: LocalStream, ms: number): void;
}

/**
 * One stream of one generation.
 *
 * ```text
 *   0                      head            tail         next
 *   ├────────────────────────┼───────────────┼────────────┤
 *      gone (`Retention`)        readable      under way (`WriteQueue`)
 * ```
 */
export class LocalStream implements BackendStream, WriteOwner {
  readonly host: StreamHost;
  readonly source: LocalStream | undefined;
  /** What it needs of its source. */
  readonly hold: Hold | undefined;
  readonly retention: Retention;
  readonly writes: WriteQueue;
  /** Rings when bytes may have become too old, and when something is to be tried again. */
  upkeep: Alarm | undefined;
  /** Rings when it may have expired. */
  expiry: Alarm | undefined;
  /** Cursors that wait at the tail. */
  #waiting: Set<LocalCursor> | undefined;
  /** As it is once all that is under way is done. */
  record: StreamRecord;
  tail: number;
  end: StreamEnd | undefined;
  /** Monotonic time at which it expires; Infinity: never. */
  deadline: number = Number.POSITIVE_INFINITY;
  /** Monotonic time that no touch moves the deadline beyond. */
  latest: number = Number.POSITIVE_INFINITY;
  /** `StreamDeletedError`, or that the backend is closed. */
  gone: Error | undefined;
  /** Deleted, but kept for its forks: that is stored. */
  isSoftDeleted: boolean;
  /** The storage has been asked to forget it. */
  isDropped = false;
  /** As the storage has acknowledged it. */
  #stored: StreamRecord;
  #next: number;

  constructor(host: StreamHost, record: StreamRecord, source: LocalStream | undefined, hold: Hold | undefined) {
    this.host = host;
    this.record = this.#stored = record;
    this.isSoftDeleted = record.isDeleted;
    this.source = source;
    this.hold = hold;
    this.tail = this.#next = Math.max(
      host.storage.tail(record.generation),
      record.head,
      record.config.fork?.offset ?? 0,
    );
    this.end = record.end;
    this.retention = new Retention(this);
    this.writes = new WriteQueue(host.storage, this);
  }

  get name(): string {
    return this.record.name;
  }

  get generation(): number {
    return this.record.generation;
  }

  get config(): StreamConfig {
    return this.record.config;
  }

  get head(): number {
    return this.retention.head;
  }

  /** The head as the storage knows it. */
  get storedHead(): number {
    return this.#stored.head;
  }

  /** Where its own bytes begin. */
  get border(): number {
    return this.record.config.fork?.offset ?? 0;
  }

  async state(): Promise<StreamState> {
    this.check();
    return this.snapshot();
  }

  snapshot(): StreamState {
    const { head, tail, end } = this;
    const { name, generation, config, createdAt } = this.record;
    return { name, generation, config, createdAt, head, tail, end, inherited: inheritedParts(this) };
  }

  async acquire(): Promise<{ writer: BackendWriter; state: StreamState; facts: Facts }> {
    this.check();
    const epoch = this.record.epoch + 1;
    // From here on the writer before is refused. Writes are acknowledged in the order of the calls: then what it has begun is over.
    await this.save({ epoch });
    this.check();
    try {
      const facts = this.host.storage.facts(this.generation);
      return { writer: new LocalWriter(this, epoch), state: this.snapshot(), facts };
    } catch (error) {
      throw toStorageError(error);
    }
  }

  cursor(offset: number): BackendCursor {
    return new LocalCursor(this, offset);
  }

  touch(): void {
    this.host.touched(this);
  }

  /** @throws StreamDeletedError, BackendClosedError */
  check(): void {
    this.host.check();
    if (this.gone !== undefined) throw this.gone;
  }

  append(epoch: number, chunks: readonly Uint8Array[], options: AppendOptions = {}): Promise<Acknowledgement> {
    try {
      this.check();
      if (epoch !== this.record.epoch) throw new FencedError(this.name, epoch);
      const { offset = this.#next } = options;
      if (offset !== this.#next) throw new FencedError(this.name, epoch);
      if (this.record.end !== undefined) throw new StreamEndedError(this.name, this.#next);
      return this.#append(chunks, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Bytes from `offset` on; none at the tail. Views.
   *
   * @throws OffsetGoneError, OffsetNotWrittenError, StreamDeletedError, BackendClosedError, StorageError
   */
  read(offset: number, maxBytes: number): Uint8Array[] {
    this.check();
    if (offset < this.head) throw new OffsetGoneError(offset, this.head);
    if (offset > this.tail) throw new OffsetNotWrittenError(offset, this.tail);
    if (offset === this.tail) return [];
    // What a fork inherits is in its source, or in a source of that. What is deleted to others is there for it.
    let owner: LocalStream = this;
    let to = this.tail;
    while (offset < owner.border) {
      to = Math.min(to, owner.border);
      owner = owner.source as LocalStream;
    }
    let chunks: Uint8Array[];
    try {
      chunks = this.host.storage.read(owner.generation, offset, to, Math.max(1, maxBytes));
    } catch (error) {
      throw toStorageError(error);
    }
    if (chunks.length > 0) return chunks;
    throw new StorageError(`The store lacks the bytes of stream ${JSON.stringify(this.name)} from offset ${offset} on`);
  }

  /** Writes what changes of the record. When it fails nothing has changed. */
  save(change: Partial<StreamRecord>): Promise<void> {
    this.record = { ...this.record, ...change };
    return new Promise((done, reject) => {
      const offset = this.#next;
      this.writes.send(
        { offset, chunks: [], size: 0, change, resolve: () => done(), reject, state: 'sent' },
        { generation: this.generation, offset, chunks: [], time: this.host.time(), record: this.record },
      );
    });
  }

  /** The storage has let go of what is below the head. Only while no write under way changes the record. */
  trimmed(head: number): StreamRecord {
    this.record = this.#stored = { ...this.#stored, head };
    return this.record;
  }

  /** The cursor is told what comes. */
  wait(cursor: LocalCursor): void {
    this.#waiting ??= new Set();
    this.#waiting.add(cursor);
  }

  leave(cursor: LocalCursor): void {
    this.#waiting?.delete(cursor);
  }

  /** Resolves when nothing is under way. */
  settled(): Promise<void> {
    return this.writes.settled();
  }

  /** Everything that waits is told, and nothing can be done any more. */
  finish(reason: Error): void {
    this.gone = reason;
    this.writes.abandon(reason);
    for (const cursor of [...(this.#waiting ?? [])]) cursor.fail(reason);
  }

  /** For the queue of writes. */
  acknowledged({ offset, chunks, size, change, resolve }: PendingWrite): void {
    this.tail = offset + size;
    if (change !== undefined) {
      this.#stored = { ...this.#stored, ...change };
      this.end = this.#stored.end;
    }
    this.retention.grew(offset, size);
    resolve(this.tail);
    const waiting = this.#waiting;
    if (waiting !== undefined && waiting.size > 0) for (const cursor of [...waiting]) cursor.wake(offset, chunks, size);
    this.retention.apply();
  }

  /** For the queue of writes. */
  failed({ offset }: PendingWrite, before: readonly PendingWrite[]): void {
    this.#next = offset;
    this.record = this.#stored;
    for (const { change } of before) if (change !== undefined) this.record = { ...this.record, ...change };
  }

  #append(chunks: readonly Uint8Array[], { end, facts }: AppendOptions): Promise<Acknowledgement> {
    const offset = this.#next;
    let size = 0;
    for (const chunk of chunks) size += chunk.length;
    if (offset + size > Number.MAX_SAFE_INTEGER) throw new OffsetOverflowError(offset, size);
    const full = size === 0 ? [] : chunks.filter((chunk) => chunk.length > 0);
    this.touch();
    this.#next = offset + size;
    const change = end === undefined ? undefined : { end };
    if (change !== undefined) this.record = { ...this.record, ...change };
    const { generation } = this;
    const { storage } = this.host;
    return new Promise((acknowledge, reject) => {
      this.writes.send(
        {
          offset,
          chunks: full,
          size,
          change,
          resolve: (tail) => acknowledge({ offset, tail, level: storage.level }),
          reject,
          state: 'sent',
        },
        {
          generation,
          offset,
          chunks: full,
          time: this.host.time(),
          ...(facts === undefined ? {} : { facts }),
          ...(change === undefined ? {} : { record: this.record }),
        },
      );
    });
  }
}

class LocalWriter implements BackendWriter {
  readonly #stream: LocalStream;
  readonly epoch: number;

  constructor(stream: LocalStream, epoch: number) {
    this.#stream = stream;
    this.epoch = epoch;
  }

  append(chunks: readonly Uint8Array[], options?: AppendOptions): Promise<Acknowledgement> {
    return this.#stream.append(this.epoch, chunks, options);
  }
}
