/** A stream whose every answer a test gives by hand, in the order and at the moment that it likes. */
import type {
  Acknowledgement,
  AppendOptions,
  BackendCursor,
  BackendStats,
  BackendStream,
  BackendWriter,
  Facts,
  StreamEnd,
  StreamState,
} from '../../../packages/server/src/backends/backend.ts';

/** An append that the stream was asked for, and has not answered. */
export class Asked {
  readonly epoch: number;
  readonly text: string;
  readonly options: AppendOptions;
  readonly answer: Promise<Acknowledgement>;
  #resolve!: (acknowledgement: Acknowledgement) => void;
  reject!: (reason: unknown) => void;
  readonly #stream: ScriptedStream;

  constructor(stream: ScriptedStream, epoch: number, chunks: readonly Uint8Array[], options: AppendOptions) {
    this.#stream = stream;
    this.epoch = epoch;
    this.text = Buffer.concat(chunks).toString();
    this.options = options;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.reject = reject;
    });
  }

  /** It takes effect. */
  acknowledge(): void {
    const offset = this.#stream.text.length;
    this.#stream.commit(this.text, this.options);
    this.#resolve({ offset, tail: this.#stream.text.length, level: 'memory' });
  }
}

export class ScriptedStream implements BackendStream {
  readonly name = 's';
  readonly generation = 1;
  text = '';
  head = 0;
  end: StreamEnd | undefined;
  readonly facts = new Map<string, string>();
  /** Appends that wait for an answer. */
  asked: Asked[] = [];
  epoch = 0;
  /** What `acquire` waits for. */
  gate: Promise<void> = Promise.resolve();
  stateGate: Promise<void> = Promise.resolve();
  stats: BackendStats = { streams: 1, bytes: 0 };
  touches = 0;
  #breakWriter = (_reason: unknown): void => {};

  commit(text: string, { facts, end }: AppendOptions = {}): void {
    this.text += text;
    for (const [name, value] of facts ?? []) {
      if (value === undefined) this.facts.delete(name);
      else this.facts.set(name, value);
    }
    this.end ??= end;
  }

  #state(): StreamState {
    const { name, generation, head, end } = this;
    const config = { contentType: 'text/plain' };
    return { name, generation, config, createdAt: 0, head, tail: this.text.length, end, inherited: [] };
  }

  async state(): Promise<StreamState> {
    await this.stateGate;
    return this.#state();
  }

  async acquire(): Promise<{ writer: BackendWriter; state: StreamState; facts: Facts }> {
    await this.gate;
    const epoch = ++this.epoch;
    let broken: { readonly reason: unknown } | undefined;
    this.#breakWriter = (reason) => {
      broken = { reason };
    };
    const append = (chunks: readonly Uint8Array[], options: AppendOptions = {}): Promise<Acknowledgement> => {
      if (broken !== undefined) return Promise.reject(broken.reason);
      const asked = new Asked(this, epoch, chunks, options);
      this.asked.push(asked);
      return asked.answer;
    };
    return { writer: { epoch, append }, state: this.#state(), facts: new Map(this.facts) };
  }

  cursor(): BackendCursor {
    throw new Error('nobody reads here');
  }

  touch(): void {
    this.touches++;
  }

  /** Answers the oldest one. */
  acknowledge(): void {
    (this.asked.shift() as Asked).acknowledge();
  }

  acknowledgeAll(): void {
    while (this.asked.length > 0) this.acknowledge();
  }

  /** Rejects all that were asked and all that this writer is asked from now on. */
  rejectAll(reason: unknown): void {
    this.#breakWriter(reason);
    for (const asked of this.asked.splice(0)) asked.reject(reason);
  }
}
