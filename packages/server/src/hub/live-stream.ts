import type { ByteStream, Clock } from 'fanpipe';
import type { BackendCursor, BackendStream, LineagePart, StreamConfig, StreamState } from '../backends/backend.ts';
import { InvalidArgumentError, LimitExceededError, OffsetNotWrittenError } from '../errors.ts';
import type { AppendOutcome, HubAppendOptions } from './append-outcome.ts';
import { Appender, type AppendListener } from './appender.ts';
import { checkProducer, checkSeq } from './check-producer.ts';
import type { HubLimits } from './hub-options.ts';
import { HubReader } from './hub-reader.ts';
import { Present, type PresentOwner } from './present.ts';
import type { Quota } from './quota.ts';
import { TouchTimer } from './touch-timer.ts';

/** What a live stream has in common with all others of its hub. */
export interface HubCommons {
  readonly limits: HubLimits;
  readonly quota: Quota;
  readonly clock: Clock;
  /** Holds a stream that is used. */
  readonly hold: (stream: LiveStream) => void;
  /** Told how long the backend took for an append, in milliseconds. */
  readonly onAppend: ((ms: number) => void) | undefined;
  /** Of all streams. */
  readonly counts: { appends: number; appendedBytes: number; readers: number };
}

/**
 * A stream in use: who appends to it and who reads it in this process. One object per stream and generation, as long as somebody has
 * it.
 *
 * The past is read from the backend, the present from memory; see `HubReader` and `Present`. Once the stream is deleted, everything
 * rejects with `StreamDeletedError`; but what memory has of one that had ended may be read for some seconds more.
 */
export class LiveStream implements PresentOwner, AppendListener {
  readonly name: string;
  /** Another stream of the same name has another one. */
  readonly generation: number;
  readonly config: StreamConfig;
  /** The parts that it inherits, oldest first; empty unless it is a fork. */
  readonly inherited: readonly LineagePart[];
  readonly #backend: BackendStream;
  readonly #commons: HubCommons;
  readonly #appender: Appender;
  readonly #touches: TouchTimer | undefined;
  #present: Present | undefined;
  #knownTail: number;
  #readers = 0;
  #wasUsed = false;
  #closed: { readonly reason: unknown } | undefined;

  /** @internal Streams are opened with `hub.open()`. */
  constructor(backend: BackendStream, state: StreamState, commons: HubCommons) {
    const { name, generation, config, inherited, tail } = state;
    this.name = name;
    this.generation = generation;
    this.config = config;
    this.inherited = inherited;
    this.#backend = backend;
    this.#commons = commons;
    this.#knownTail = tail;
    this.#appender = new Appender(backend, commons.limits, commons.quota, this, config.retainBytes);
    if (config.ttl !== undefined) {
      this.#touches = new TouchTimer(commons.clock, config.ttl, () => {
        if (this.#readers === 0 && this.#present?.isFollowed !== true) return false;
        backend.touch();
        return true;
      });
    }
  }

  /** What the stream is now. Rejects with `StreamDeletedError`. */
  async state(): Promise<StreamState> {
    const state = await this.#backend.state();
    this.sawTail(state.tail);
    return state;
  }

  /** Somebody reads or writes: time to live begins anew. Appends do it, and readers as long as they are open. */
  touch(): void {
    this.#backend.touch();
  }

  /**
   * Appends the chunks as one; they are handed over. They go to the backend at once, behind those of the calls before. Resolves when it is
   * acknowledged, or with the reason for which it takes no effect.
   *
   * Rejects with `InvalidArgumentError`, `LimitExceededError`, `StreamDeletedError`, `StorageError`, `FencedError` (another process writes
   * the stream at the same time), `OffsetOverflowError`, `ServerClosedError`. Nothing is taken then.
   */
  append(chunks: readonly Uint8Array[], options: HubAppendOptions = NO_OPTIONS): Promise<AppendOutcome> {
    let size = 0;
    for (const chunk of chunks) size += chunk.byteLength;
    try {
      this.checkOpen();
      checkProducer(options.producer);
      checkSeq(options.seq);
      if (size === 0 && options.end === undefined) throw new InvalidArgumentError('There is nothing to append');
    } catch (error) {
      return Promise.reject(error);
    }
    this.#use();
    return this.#appender.append(chunks, size, options);
  }

  /** @internal */
  now(): number {
    return this.#commons.clock.now();
  }

  /** @internal */
  acknowledged(tail: number, size: number, began: number): void {
    const { counts, onAppend } = this.#commons;
    counts.appends++;
    counts.appendedBytes += size;
    onAppend?.(this.now() - began);
    this.sawTail(tail);
  }

  /**
   * A reader from an offset on. It counts as one until it is closed.
   *
   * @throws InvalidArgumentError, LimitExceededError, ServerClosedError
   */
  read(from: number): HubReader {
    this.checkOpen();
    checkOffset(from);
    const { limits, counts } = this.#commons;
    if (this.#readers >= limits.maxReaders) {
      throw new LimitExceededError(
        'readers',
        limits.maxReaders,
        `Stream ${JSON.stringify(this.name)} has ${this.#readers} readers: the limit is ${limits.maxReaders}`,
      );
    }
    this.#readers++;
    counts.readers++;
    this.#use();
    this.#touches?.start();
    return new HubReader(this, from, () => {
      this.#readers--;
      counts.readers--;
    });
  }

  /**
   * The present from `from` on, as a stream that goes on until the end: bytes, then the end or a `StreamFailedError`. Undefined where
   * memory does not have that offset: read up to the present first. A stream that is read too slowly is cut off with a
   * `DisconnectedError` of fanpipe; that says where to go on.
   *
   * Rejects with `InvalidArgumentError`, `OffsetNotWrittenError`, `StreamDeletedError`, `ServerClosedError`, `StorageError`.
   */
  async follow(from: number): Promise<ByteStream | undefined> {
    this.checkOpen();
    checkOffset(from);
    this.#use();
    if (this.#present === undefined) {
      const { head, tail } = await this.state();
      this.checkOpen();
      if (from > tail) throw new OffsetNotWrittenError(from, tail);
      if (this.#present === undefined) {
        if (from < head || from < tail - this.#commons.limits.window) return undefined;
        this.startPresent(from);
      }
    } else if (from > this.#knownTail) {
      const { tail } = await this.state();
      if (from > tail) throw new OffsetNotWrittenError(from, tail);
    }
    for (;;) {
      this.checkOpen();
      const present = this.#present ?? this.startPresent(from);
      if (from < present.head) return undefined;
      if (from <= present.tail) {
        this.#touches?.start();
        return present.follow(from);
      }
      await new Promise<void>((resolve) => present.wait({ woken: resolve }));
    }
  }

  /** @internal Refuses while the server shuts down. */
  checkOpen(): void {
    if (this.#closed !== undefined) throw this.#closed.reason;
  }

  /** @internal */
  get present(): Present | undefined {
    return this.#present;
  }

  /** @internal All bytes below it are acknowledged; there may be more. */
  get knownTail(): number {
    return this.#knownTail;
  }

  /** @internal */
  sawTail(tail: number): void {
    if (tail > this.#knownTail) this.#knownTail = tail;
  }

  /** @internal Begins the present at an offset that was written. */
  startPresent(from: number): Present {
    this.checkOpen();
    this.sawTail(from);
    this.#present = new Present(this, this.#backend.cursor(from), this.#commons.limits.window);
    return this.#present;
  }

  /** @internal */
  presentStopped(present: Present): void {
    if (this.#present === present) this.#present = undefined;
  }

  /** @internal */
  backendCursor(from: number): BackendCursor {
    this.checkOpen();
    return this.#backend.cursor(from);
  }

  /** @internal Somebody has opened it. */
  used(): void {
    if (this.#wasUsed) return;
    this.#wasUsed = true;
    this.#commons.hold(this);
  }

  #use(): void {
    this.used();
    this.#backend.touch();
  }

  /** @internal Frees what nobody uses. Whether the stream was used since the last call, or is. */
  sweep(): boolean {
    if (this.#present?.checkUnused() === true) this.#present.stop();
    const isInUse = this.#wasUsed || this.#readers > 0 || this.#present !== undefined || this.#appender.isBusy;
    this.#wasUsed = false;
    return isInUse;
  }

  /** @internal Refuses what comes, and tells readers why. Resolves when the appends that were called have come to their end. */
  close(reason: unknown): Promise<void> {
    this.#closed ??= { reason };
    this.#touches?.stop();
    this.#present?.fail(reason);
    return this.#appender.idle();
  }
}

const NO_OPTIONS: HubAppendOptions = {};

function checkOffset(offset: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0) throw new InvalidArgumentError('An offset is a whole number from 0');
}
