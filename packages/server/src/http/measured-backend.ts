import type {
  Acknowledgement,
  AppendOptions,
  Backend,
  BackendCursor,
  BackendStats,
  BackendStream,
  BackendWriter,
  CreateOptions,
  Facts,
  ListOptions,
  StreamConfig,
  StreamState,
} from '../backends/backend.ts';
import type { Latency } from './metrics.ts';

/** The same backend, with a measure of how long its appends take from the call to the acknowledgement. */
export function measuredBackend(backend: Backend, appends: Latency, now: () => number): Backend {
  return new MeasuredBackend(backend, appends, now);
}

class MeasuredBackend implements Backend {
  readonly #backend: Backend;
  readonly #streams = new WeakMap<BackendStream, MeasuredStream>();
  readonly appends: Latency;
  readonly now: () => number;

  constructor(backend: Backend, appends: Latency, now: () => number) {
    this.#backend = backend;
    this.appends = appends;
    this.now = now;
  }

  get level(): Backend['level'] {
    return this.#backend.level;
  }

  async create(name: string, config: StreamConfig, options?: CreateOptions): ReturnType<Backend['create']> {
    const { isNew, stream } = await this.#backend.create(name, config, options);
    return { isNew, stream: this.#measured(stream) };
  }

  async open(name: string): Promise<BackendStream | undefined> {
    const stream = await this.#backend.open(name);
    return stream && this.#measured(stream);
  }

  delete(name: string, generation?: number): Promise<boolean> {
    return this.#backend.delete(name, generation);
  }

  list(options?: ListOptions): AsyncIterable<StreamState> {
    return this.#backend.list(options);
  }

  stats(): Promise<BackendStats> {
    return this.#backend.stats();
  }

  close(): Promise<void> {
    return this.#backend.close();
  }

  /** A backend may give the same object again, and then so does this one. */
  #measured(stream: BackendStream): MeasuredStream {
    let measured = this.#streams.get(stream);
    if (measured === undefined) this.#streams.set(stream, (measured = new MeasuredStream(stream, this)));
    return measured;
  }
}

class MeasuredStream implements BackendStream {
  readonly name: string;
  readonly generation: number;
  readonly #stream: BackendStream;
  readonly #owner: MeasuredBackend;

  constructor(stream: BackendStream, owner: MeasuredBackend) {
    this.name = stream.name;
    this.generation = stream.generation;
    this.#stream = stream;
    this.#owner = owner;
  }

  state(): Promise<StreamState> {
    return this.#stream.state();
  }

  async acquire(): Promise<{ writer: BackendWriter; state: StreamState; facts: Facts }> {
    const { writer, state, facts } = await this.#stream.acquire();
    return { writer: new MeasuredWriter(writer, this.#owner), state, facts };
  }

  cursor(offset: number): BackendCursor {
    return this.#stream.cursor(offset);
  }

  touch(): void {
    this.#stream.touch();
  }
}

class MeasuredWriter implements BackendWriter {
  readonly epoch: number;
  readonly #writer: BackendWriter;
  readonly #owner: MeasuredBackend;

  constructor(writer: BackendWriter, owner: MeasuredBackend) {
    this.epoch = writer.epoch;
    this.#writer = writer;
    this.#owner = owner;
  }

  append(chunks: readonly Uint8Array[], options?: AppendOptions): Promise<Acknowledgement> {
    const { appends, now } = this.#owner;
    const began = now();
    const acknowledged = this.#writer.append(chunks, options);
    // Beside the way of the append, which it does not make longer. What fails is no latency.
    acknowledged.then(
      () => appends.add(now() - began),
      () => {},
    );
    return acknowledged;
  }
}
