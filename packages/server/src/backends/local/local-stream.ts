import {
  FencedError,
  OffsetGoneError,
  OffsetNotWrittenError,
  OffsetOverflowError,
  StreamEndedError,
} from '../../errors.ts';
import type {
  Acknowledgement,
  AppendOptions,
  BackendCursor,
  BackendStream,
  BackendWriter,
  Facts,
  LineagePart,
  StreamConfig,
  StreamEnd,
  StreamState,
} from '../backend.ts';
import { LocalCursor } from './local-cursor.ts';
import type { Storage, StreamRecord } from './storage.ts';

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
}

/** An append that the storage has not acknowledged yet. */
interface Flight {
  readonly offset: number;
  readonly chunks: readonly Uint8Array[];
  readonly size: number;
  readonly end: StreamEnd | undefined;
  readonly round: number;
  readonly resolve: (acknowledgement: Acknowledgement) => void;
  readonly reject: (reason: unknown) => void;
  isDone: boolean;
}

/** A part of the head that is not yet let go of in the storage, before it is worth a write. */
const TRIM_SLACK = 64 * 1024;

/**
 * One stream of one generation.
 *
 * ```text
 *   0        trimmed     head            tail         next
 *   ├───────────┼──────────┼───────────────┼────────────┤
 *      gone       let go of     readable      in flight
 * ```
 */
export class LocalStream implements BackendStream {
  readonly host: StreamHost;
  readonly source: LocalStream | undefined;
  /** Cursors that wait at the tail. */
  readonly waiting: Set<LocalCursor> = new Set();
  record: StreamRecord;
  tail: number;
  head: number;
  end: StreamEnd | undefined;
  /** Streams that were forked from this one and are still there. */
  forks = 0;
  /** Monotonic time at which it expires; Infinity: never. */
  deadline: number = Number.POSITIVE_INFINITY;
  /** `StreamDeletedError`, or that the backend is closed. */
  gone: Error | undefined;
  #trimmed: number;
  #next: number;
  #nextEnd: StreamEnd | undefined;
  /** Counts the failures: appends of an older round fail. */
  #round = 0;
  #flights: Flight[] = [];
  #idle: (() => void)[] = [];

  constructor(host: StreamHost, record: StreamRecord, source: LocalStream | undefined) {
    this.host = host;
    this.record = record;
    this.source = source;
    this.head = this.#trimmed = record.head;
    this.tail = this.#next = Math.max(host.storage.tail(record.generation), record.config.fork?.offset ?? 0);
    this.end = this.#nextEnd = record.end;
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

  /** Bytes that are its own and retained. */
  get bytes(): number {
    return this.tail - Math.max(this.head, this.config.fork?.offset ?? 0);
  }

  async state(): Promise<StreamState> {
    this.check();
    return this.snapshot();
  }

  snapshot(): StreamState {
    const { name, generation, config, createdAt } = this.record;
    return {
      name,
      generation,
      config,
      createdAt,
      head: this.head,
      tail: this.tail,
      end: this.end,
      inherited: this.#inherited(),
    };
  }

  async acquire(): Promise<{ writer: BackendWriter; state: StreamState; facts: Facts }> {
    this.check();
    const epoch = this.record.epoch + 1;
    // From here on the writer before is refused; what it has begun comes to its end first.
    await this.save({ epoch });
    await this.settled();
    this.check();
    const facts = this.host.storage.facts(this.generation);
    return { writer: new LocalWriter(this, epoch), state: this.snapshot(), facts };
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
      if (this.#nextEnd !== undefined) throw new StreamEndedError(this.name, this.#next);
      return this.#append(chunks, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Bytes from `offset` on; none at the tail. Views. @throws OffsetGoneError, OffsetNotWrittenError, StreamDeletedError */
  read(offset: number, maxBytes: number): Uint8Array[] {
    this.check();
    if (offset < this.head) throw new OffsetGoneError(offset, this.head);
    if (offset > this.tail) throw new OffsetNotWrittenError(offset, this.tail);
    return offset === this.tail ? [] : this.readStored(offset, this.tail, Math.max(1, maxBytes));
  }

  /** As {@link read}, for forks too: what is deleted to others is there for them. */
  readStored(from: number, to: number, maxBytes: number): Uint8Array[] {
    const border = this.config.fork?.offset ?? 0;
    if (from < border) return (this.source as LocalStream).readStored(from, Math.min(to, border), maxBytes);
    return this.host.storage.read(this.generation, from, to, maxBytes);
  }

  /** Writes what changes of the record. */
  async save(change: Partial<StreamRecord>): Promise<void> {
    this.record = { ...this.record, ...change };
    await this.host.storage.write({
      generation: this.generation,
      offset: this.#next,
      chunks: [],
      time: this.host.time(),
      record: this.record,
    });
  }

  /** Resolves when no append is under way. */
  settled(): Promise<void> {
    return this.#flights.length === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Lets go of what the limits say. */
  retain(): void {
    const { retainBytes, retainFor, fork } = this.config;
    if (retainBytes === undefined && retainFor === undefined) return;
    if (retainFor === undefined && this.bytes <= (retainBytes as number)) return;
    const since = retainFor === undefined ? undefined : this.host.time() - retainFor;
    const head = this.host.storage.retainFrom(this.generation, retainBytes, since);
    if (head <= Math.max(this.head, fork?.offset ?? 0)) return;
    this.host.counted(Math.max(this.head, fork?.offset ?? 0) - head);
    this.head = head;
    this.#trim();
  }

  /** Everything that waits is told, and nothing can be done any more. */
  finish(reason: Error): void {
    this.gone = reason;
    for (const cursor of [...this.waiting]) cursor.fail(reason);
  }

  #trim(): void {
    // Forks may still read what is let go of here.
    if (this.forks > 0) return;
    const slack = Math.min(TRIM_SLACK, (this.config.retainBytes ?? TRIM_SLACK) / 8);
    if (this.head - this.#trimmed < slack && this.head < this.tail) return;
    this.#trimmed = this.head;
    this.record = { ...this.record, head: this.head };
    // What cannot be freed now is freed with the next.
    this.host.storage.trim(this.generation, this.head, this.record).catch(() => {});
  }

  #append(chunks: readonly Uint8Array[], { end, facts }: AppendOptions): Promise<Acknowledgement> {
    const offset = this.#next;
    let size = 0;
    for (const chunk of chunks) size += chunk.length;
    if (offset + size > Number.MAX_SAFE_INTEGER) throw new OffsetOverflowError(offset, size);
    const full = size === 0 ? [] : chunks.filter((chunk) => chunk.length > 0);
    this.#next = offset + size;
    if (end !== undefined) {
      this.#nextEnd = end;
      this.record = { ...this.record, end };
    }
    this.touch();
    return new Promise((resolve, reject) => {
      const flight: Flight = { offset, chunks: full, size, end, round: this.#round, resolve, reject, isDone: false };
      this.#flights.push(flight);
      const { storage } = this.host;
      const { generation } = this;
      storage
        .write({
          generation,
          offset,
          chunks: full,
          time: this.host.time(),
          ...(facts === undefined ? {} : { facts }),
          ...(end === undefined ? {} : { record: this.record }),
        })
        .then(
          () => this.#done(flight),
          (reason) => this.#failed(flight, reason),
        );
    });
  }

  #done(flight: Flight): void {
    flight.isDone = true;
    const flights = this.#flights;
    let count = 0;
    for (; count < flights.length && flights[count]?.isDone; count++) this.#acknowledge(flights[count] as Flight);
    if (count === flights.length) flights.length = 0;
    else flights.splice(0, count);
    if (flights.length === 0) this.#tellIdle();
  }

  #acknowledge({ offset, size, chunks, end, resolve }: Flight): void {
    this.tail = offset + size;
    if (end !== undefined) this.end = end;
    this.host.counted(size);
    resolve({ offset, tail: this.tail, level: this.host.storage.level });
    if (this.waiting.size > 0) for (const cursor of [...this.waiting]) cursor.wake(offset, chunks, size);
    if (this.config.retainBytes !== undefined) this.retain();
  }

  #failed(flight: Flight, reason: unknown): void {
    if (flight.round === this.#round) {
      this.#round++;
      this.#next = this.tail;
      this.#nextEnd = this.end;
      this.record = { ...this.record, end: this.end };
    }
    this.#flights = this.#flights.filter((other) => other !== flight);
    flight.reject(reason);
    if (this.#flights.length === 0) this.#tellIdle();
  }

  #tellIdle(): void {
    const idle = this.#idle;
    if (idle.length === 0) return;
    this.#idle = [];
    for (const tell of idle) tell();
  }

  #inherited(): readonly LineagePart[] {
    const { fork } = this.config;
    if (fork === undefined) return [];
    const parts: LineagePart[] = [];
    for (let at: LocalStream | undefined = this; at?.config.fork !== undefined; at = at.source) {
      const { generation, offset } = at.config.fork;
      // What a source inherits itself ends where that fork of it ends at the latest.
      const to = Math.min(offset, parts[0]?.to ?? offset);
      if (to > 0) parts.unshift({ generation, to });
    }
    return parts.filter((part, index) => index === 0 || part.to > (parts[index - 1] as LineagePart).to);
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
