import type { LiveStream } from './live-stream.ts';
import type { Sweeper } from './sweeper.ts';

/**
 * The streams in use, by name. One that nobody used for a while is no longer held; whoever still has it, and opens it again, finds the
 * same object: two writers of one stream in one process would fence each other.
 */
export class LiveStreams {
  readonly #sweeper: Sweeper;
  readonly #byName: Map<string, WeakRef<LiveStream>> = new Map();
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
    this.#sweeper.add(stream);
  }

  /** How many are in memory, whether or not somebody uses them. */
  get size(): number {
    return this.#byName.size;
  }

  /** All that are in memory, of earlier generations only those that are in use. */
  *all(): Iterable<LiveStream> {
    const seen = new Set<unknown>();
    for (const reference of this.#byName.values()) {
      const stream = reference.deref();
      if (stream === undefined) continue;
      seen.add(stream);
      yield stream;
    }
    for (const member of this.#sweeper.members) {
      if (!seen.has(member) && isLiveStream(member)) yield member;
    }
  }
}

function isLiveStream(member: unknown): member is LiveStream {
  return typeof (member as Partial<LiveStream>).generation === 'number';
}
