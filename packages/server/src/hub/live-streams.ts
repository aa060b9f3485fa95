import type { LiveStream } from './live-stream.ts';
import type { Sweeper, Swept } from './sweeper.ts';

/**
 * The streams in use, by generation: no two streams of a backend have the same. One that nobody used for a while is no longer held;
 * whoever still has it, and opens it again, finds the same object: two writers of one stream in one process would fence each other.
 */
export class LiveStreams implements Swept {
  readonly #sweeper: Sweeper;
  readonly #known: Map<number, WeakRef<LiveStream>> = new Map();
  /** Those that were used not long ago. */
  readonly #held: Map<number, LiveStream> = new Map();
  readonly #dropped: FinalizationRegistry<number>;

  constructor(sweeper: Sweeper) {
    this.#sweeper = sweeper;
    const known = this.#known;
    this.#dropped = new FinalizationRegistry((generation) => {
      // There may be a new one by now.
      if (known.get(generation)?.deref() === undefined) known.delete(generation);
    });
  }

  /** The stream of that generation, if somebody has it. */
  get(generation: number): LiveStream | undefined {
    return this.#held.get(generation) ?? this.#known.get(generation)?.deref();
  }

  /** To be called only for one that `get` does not find. */
  add(stream: LiveStream): void {
    this.#known.set(stream.generation, new WeakRef(stream));
    this.#dropped.register(stream, stream.generation);
  }

  /** Holds a stream until nobody has used it for a while. */
  hold(stream: LiveStream): void {
    this.#held.set(stream.generation, stream);
    this.#sweeper.add(this);
  }

  /** @internal Holds no longer what nobody uses. */
  sweep(): boolean {
    for (const [generation, stream] of this.#held) if (!stream.sweep()) this.#held.delete(generation);
    return this.#held.size > 0;
  }

  /** All that are in memory, whether or not somebody uses them. */
  *all(): Iterable<LiveStream> {
    for (const reference of this.#known.values()) {
      const stream = reference.deref();
      if (stream !== undefined) yield stream;
    }
  }
}
