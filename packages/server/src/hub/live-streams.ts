import type { LiveStream } from './live-stream.ts';
import type { Sweeper, Swept } from './sweeper.ts';

/**
 * The streams in use, by name. One that nobody used for a while is no longer held; whoever still has it, and opens it again, finds the
 * same object: two writers of one stream in one process would fence each other.
 */
export class LiveStreams implements Swept {
  readonly #sweeper: Sweeper;
  readonly #byName: Map<string, WeakRef<LiveStream>> = new Map();
  /** Those that were used not long ago, of earlier generations too. */
  readonly #held: Set<LiveStream> = new Set();
  /** The newest of those of each name. */
  readonly #heldByName: Map<string, LiveStream> = new Map();
  readonly #dropped: FinalizationRegistry<{ name: string; reference: WeakRef<LiveStream> }>;

  constructor(sweeper: Sweeper) {
    this.#sweeper = sweeper;
    const byName = this.#byName;
    this.#dropped = new FinalizationRegistry(({ name, reference }) => {
      if (byName.get(name) === reference) byName.delete(name);
    });
  }

  /** The stream of that name and generation, if somebody has it. */
  get(name: string, generation: number): LiveStream | undefined {
    const held = this.#heldByName.get(name);
    if (held?.generation === generation) return held;
    const stream = this.#byName.get(name)?.deref();
    return stream?.generation === generation ? stream : undefined;
  }

  /** Takes the place of one of the same name that is no longer there. */
  add(stream: LiveStream): void {
    const reference = new WeakRef(stream);
    this.#byName.set(stream.name, reference);
    this.#dropped.register(stream, { name: stream.name, reference });
  }

  /** Holds a stream until nobody has used it for a while. */
  hold(stream: LiveStream): void {
    this.#held.add(stream);
    this.#heldByName.set(stream.name, stream);
    this.#sweeper.add(this);
  }

  /** @internal Holds no longer what nobody uses. */
  sweep(): boolean {
    for (const stream of this.#held) {
      if (stream.sweep()) continue;
      this.#held.delete(stream);
      if (this.#heldByName.get(stream.name) === stream) this.#heldByName.delete(stream.name);
    }
    return this.#held.size > 0;
  }

  /** How many are in memory, whether or not somebody uses them. */
  get size(): number {
    return this.#byName.size;
  }

  /** All that are in memory, of earlier generations only those that are in use. */
  *all(): Iterable<LiveStream> {
    yield* this.#held;
    for (const reference of this.#byName.values()) {
      const stream = reference.deref();
      if (stream !== undefined && !this.#held.has(stream)) yield stream;
    }
  }
}
