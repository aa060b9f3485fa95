import { type ByteStream, type ByteWriter, systemClock } from 'fanpipe';
import type { Backend, BackendStream, ListOptions, StreamState } from '../backends/backend.ts';
import {
  ForkSourceError,
  ServerClosedError,
  StreamDeletedError,
  StreamExistsError,
  StreamNotFoundError,
  StreamSoftDeletedError,
} from '../errors.ts';
import {
  checkLimits,
  type HubOptions,
  type HubStats,
  type NewStreamConfig,
  type NewStreamOptions,
} from './hub-options.ts';
import { HubStream, type HubStreamOptions } from './hub-stream.ts';
import { HubWriter, type HubWriterOptions } from './hub-writer.ts';
import { type HubCommons, LiveStream } from './live-stream.ts';
import { LiveStreams } from './live-streams.ts';
import { Quota } from './quota.ts';
import { checkConfig, difference, forkConfig, plainConfig } from './stream-config.ts';
import { Sweeper } from './sweeper.ts';

/** What `hub.create()` says. */
export interface Created {
  /** False: it was there, and is like that. */
  readonly isNew: boolean;
  readonly stream: LiveStream;
  readonly state: StreamState;
}

/**
 * All streams of a backend, as this process reads and writes them: a backend for the past, memory for the present.
 *
 * The hub does not close the backend: whoever made it does.
 */
export class Hub {
  readonly backend: Backend;
  readonly #commons: HubCommons;
  readonly #quota: Quota;
  readonly #sweeper: Sweeper;
  readonly #streams: LiveStreams;
  readonly #writers: Set<HubWriter> = new Set();
  #closing: Promise<void> | undefined;
  /** Why streams are closed, once they are. */
  #closed: ServerClosedError | undefined;

  /** @throws InvalidArgumentError */
  constructor(backend: Backend, options: HubOptions = {}) {
    const limits = checkLimits(options);
    const clock = options.clock ?? systemClock;
    this.backend = backend;
    this.#quota = new Quota(backend, limits);
    this.#sweeper = new Sweeper(clock);
    this.#streams = new LiveStreams(this.#sweeper);
    this.#commons = {
      limits,
      clock,
      quota: this.#quota,
      hold: (stream) => this.#streams.hold(stream),
      onAppend: options.onAppend,
      counts: { appends: 0, appendedBytes: 0, readers: 0 },
    };
  }

  /**
   * Creates a stream. Where there is one of that name with the same type, expiry, end and source, nothing happens.
   *
   * Rejects with `StreamExistsError` (there is another one), `StreamSoftDeletedError`, `ForkSourceError`, `InvalidNameError`,
   * `InvalidArgumentError`, `LimitExceededError`, `StorageError`, `ServerClosedError`. Nothing was created then. With
   * `StreamDeletedError` where it was created, and deleted before that could be told.
   */
  create(name: string, config: NewStreamConfig = {}, options: NewStreamOptions = {}): Promise<Created> {
    if (this.#closing !== undefined) return Promise.reject(new ServerClosedError());
    return this.#create(name, config, options);
  }

  async #create(name: string, config: NewStreamConfig, options: NewStreamOptions): Promise<Created> {
    const { chunks = [], end, fork } = options;
    checkConfig(config, fork?.offset);
    let size = 0;
    for (const chunk of chunks) size += chunk.byteLength;
    const existing = await this.backend.open(name);
    if (existing !== undefined) {
      return (await this.#existing(existing, config, options)) ?? this.#create(name, config, options);
    }

    const full =
      fork === undefined
        ? plainConfig(config)
        : forkConfig(config, await this.#source(fork.source, fork.generation), fork.offset);
    const { isNew, stream } = await this.#quota.createWithin(size, () =>
      this.backend.create(name, full, end === undefined ? { chunks } : { chunks, end }),
    );
    if (!isNew) return (await this.#existing(stream, config, options)) ?? this.#create(name, config, options);
    const state = await stream.state();
    return { isNew, stream: this.#live(stream, state), state };
  }

  /** Undefined: it has been deleted since. */
  async #existing(
    stream: BackendStream,
    config: NewStreamConfig,
    options: NewStreamOptions,
  ): Promise<Created | undefined> {
    const state = await stateOf(stream);
    if (state === undefined) return undefined;
    const how = difference(state, config, options);
    if (how !== undefined) throw new StreamExistsError(stream.name, how);
    return { isNew: false, stream: this.#live(stream, state), state };
  }

  async #source(name: string, generation: number | undefined): Promise<StreamState> {
    let source: BackendStream | undefined;
    try {
      source = await this.backend.open(name);
    } catch (error) {
      if (!(error instanceof StreamSoftDeletedError)) throw error;
      throw new ForkSourceError(name, 'soft-deleted', 'it was deleted');
    }
    if (source === undefined || (generation !== undefined && source.generation !== generation)) {
      throw new ForkSourceError(name, 'not-found', 'it is not there');
    }
    // Where it has been deleted since, the next look says what became of it.
    return (await stateOf(source)) ?? this.#source(name, generation);
  }

  /** The stream of that name. Rejects with `StreamNotFoundError`, `StreamSoftDeletedError`, `ServerClosedError`. */
  open(name: string): Promise<LiveStream> {
    if (this.#closing !== undefined) return Promise.reject(new ServerClosedError());
    return this.#open(name);
  }

  async #open(name: string): Promise<LiveStream> {
    const stream = await this.backend.open(name);
    if (stream === undefined) throw new StreamNotFoundError(name);
    const live = this.#streams.get(stream.generation);
    if (live === undefined) {
      const state = await stateOf(stream);
      // It has been deleted since: there may be another one.
      return state === undefined ? this.#open(name) : this.#live(stream, state);
    }
    return this.#taken(live);
  }

  #live(stream: BackendStream, state: StreamState): LiveStream {
    let live = this.#streams.get(stream.generation);
    if (live === undefined) {
      live = new LiveStream(stream, state, this.#commons);
      this.#streams.add(live);
    }
    return this.#taken(live);
  }

  #taken(live: LiveStream): LiveStream {
    if (this.#closed === undefined) live.used();
    else void live.close(this.#closed);
    return live;
  }

  /** Deletes the stream of that name; says whether there was one. Its readers and writers get a `StreamDeletedError`. */
  async delete(name: string): Promise<boolean> {
    this.#checkOpen();
    return this.backend.delete(name);
  }

  /** All streams, in the order of the UTF-8 bytes of their names. */
  list(options?: ListOptions): AsyncIterable<StreamState> {
    this.#checkOpen();
    return this.backend.list(options);
  }

  /**
   * A writer of a stream, at once: it is opened, and created if need be, in the background. Whatever goes wrong there fails the writer.
   *
   * @throws InvalidArgumentError of fanpipe, ServerClosedError
   */
  writer(name: string, options: HubWriterOptions = {}): ByteWriter {
    this.#checkOpen();
    const open = (): Promise<LiveStream> => this.#openForWriter(name, options.create ?? true);
    const writer = new HubWriter(open, options, () => this.#writers.delete(writer));
    this.#writers.add(writer);
    return writer;
  }

  async #openForWriter(name: string, create: boolean | NewStreamConfig): Promise<LiveStream> {
    if (typeof create === 'object') return (await this.#create(name, create, {})).stream;
    try {
      return await this.#open(name);
    } catch (error) {
      if (!create || !(error instanceof StreamNotFoundError)) throw error;
    }
    try {
      return (await this.#create(name, {}, {})).stream;
    } catch (error) {
      // Somebody else was faster, with another configuration. Any will do.
      if (error instanceof StreamExistsError) return this.#open(name);
      throw error;
    }
  }

  /**
   * Past and present of a stream, at once: what goes wrong is what the stream fails with. It ends when the stored stream is closed, and
   * fails with a `StreamFailedError` after the last byte of one that failed.
   *
   * From an offset, `position` is the offset in the stored stream; else it counts from where the stream began to read.
   * The chunks are shared with the store and with other readers, and must not be changed.
   *
   * @throws InvalidArgumentError, ServerClosedError
   */
  stream(name: string, options: HubStreamOptions = {}): ByteStream {
    this.#checkOpen();
    const source = new HubStream(options);
    const stream = source.start(() => this.open(name));
    this.#sweeper.add(source);
    return stream;
  }

  /** What the hub has done and holds. */
  async stats(): Promise<HubStats> {
    const { streams, bytes } = await this.backend.stats();
    const { counts } = this.#commons;
    let live = 0;
    for (const stream of this.#streams.all()) if (stream.present !== undefined) live++;
    return { streams, bytes, live, ...counts, level: this.backend.level };
  }

  /**
   * Ends the hub: nothing new is taken, and what its writers were given is stored, their ends too. Then all that wait are told by a
   * `ServerClosedError`. Resolves when the appends under way have come to their end. When the signal fires, all are told and it
   * resolves at once; what is not stored by then may be lost. May be called again.
   */
  close({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const reason = new ServerClosedError();
    this.#closing ??= this.#close(reason);
    return signal === undefined ? this.#closing : orAborted(this.#closing, signal, () => void this.#tell(reason));
  }

  async #close(reason: ServerClosedError): Promise<void> {
    await Promise.all([...this.#writers].map((writer) => writer.settle().then(() => writer.lose(reason))));
    await this.#tell(reason);
  }

  /** Tells all that wait. Resolves when the appends under way have come to their end. */
  async #tell(reason: ServerClosedError): Promise<void> {
    this.#closed ??= reason;
    this.#sweeper.stop();
    for (const writer of this.#writers) writer.lose(reason);
    await Promise.all([...this.#streams.all()].map((stream) => stream.close(reason)));
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new ServerClosedError();
  }
}

/** Undefined: it has been deleted. */
async function stateOf(stream: BackendStream): Promise<StreamState | undefined> {
  try {
    return await stream.state();
  } catch (error) {
    if (error instanceof StreamDeletedError) return undefined;
    throw error;
  }
}

/** Resolves when the promise does, or the signal fires: after `aborted` then. */
function orAborted(promise: Promise<void>, signal: AbortSignal, aborted: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      aborted();
      resolve();
    };
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
