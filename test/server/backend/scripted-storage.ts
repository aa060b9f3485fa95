/** A storage whose calls a test watches, slows down, has fail, or never answers. */

import type { DurabilityLevel } from '../../../packages/server/src/backends/backend.ts';
import type { Storage, StorageWrite, StreamRecord } from '../../../packages/server/src/backends/local/storage.ts';

export type StorageCall = 'write' | 'trim' | 'drop' | 'read' | 'facts' | 'retainFrom';
type Trim = Parameters<Storage['trim']>;

/** What becomes of one call. */
export interface Verdict {
  /** It fails so: thrown, or as a rejection. Nothing happens. Reads always throw. */
  readonly failure?: { readonly how: 'throw' | 'reject'; readonly reason: unknown };
  /** Waited for before it takes effect, and before it is told. */
  readonly before?: () => Promise<void>;
  readonly after?: () => Promise<void>;
}

/**
 * Keeps the law of storages over another one: writes of a stream take effect in the order of the calls, and when one fails, those fail
 * that were called after it and before that was told.
 */
export class ScriptedStorage implements Storage {
  readonly #storage: Storage;
  readonly #judge: (call: StorageCall) => Verdict;
  #last: Promise<unknown> = Promise.resolve();
  readonly #lines = new Map<number, Line>();

  constructor(storage: Storage, judge: (call: StorageCall) => Verdict) {
    this.#storage = storage;
    this.#judge = judge;
  }

  get level(): DurabilityLevel {
    return this.#storage.level;
  }

  records(): Iterable<StreamRecord> {
    return this.#storage.records();
  }

  lastGeneration(): number {
    return this.#storage.lastGeneration();
  }

  tail(generation: number): number {
    return this.#storage.tail(generation);
  }

  facts(generation: number): Map<string, string> {
    return this.#now('facts', () => this.#storage.facts(generation));
  }

  read(generation: number, from: number, to: number, maxBytes: number): Uint8Array[] {
    return this.#now('read', () => this.#storage.read(generation, from, to, maxBytes));
  }

  retainFrom(generation: number, bytes: number | undefined, since: number | undefined): number {
    return this.#now('retainFrom', () => this.#storage.retainFrom(generation, bytes, since));
  }

  write(write: StorageWrite): Promise<void> {
    return this.#later('write', write.generation, () => this.#storage.write(write));
  }

  trim(...args: Trim): Promise<void> {
    return this.#later('trim', args[0], () => this.#storage.trim(...args));
  }

  drop(generation: number): Promise<void> {
    return this.#later('drop', generation, () => this.#storage.drop(generation));
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#storage.close();
  }

  #now<T>(call: StorageCall, run: () => T): T {
    const { failure } = this.#judge(call);
    if (failure !== undefined) throw failure.reason;
    return run();
  }

  #later(call: StorageCall, generation: number, run: () => Promise<void>): Promise<void> {
    const { failure, before, after } = this.#judge(call);
    let line = this.#lines.get(generation);
    if (line === undefined) this.#lines.set(generation, (line = new Line()));
    const place = line.enter();
    if (failure?.how === 'throw') {
      // Who called it knows at once; what it calls before it can act on that fails too.
      if (call === 'write') line.fail(place, failure.reason);
      queueMicrotask(() => line.tell(place));
      throw failure.reason;
    }
    const previous = this.#last;
    const work = (async () => {
      await previous;
      if (before !== undefined) await before();
      line.check(place);
      try {
        if (failure !== undefined) throw failure.reason;
        await run();
      } catch (error) {
        if (call === 'write') line.fail(place, error);
        throw error;
      }
    })();
    this.#last = work.catch(() => {});
    return work.then(after, async (error) => {
      if (after !== undefined) await after();
      line.tell(place);
      throw error;
    });
  }
}

interface Place {
  readonly number: number;
  /** Changes when a failure is told. */
  readonly era: number;
}

/** The calls for one stream. */
class Line {
  #number = 0;
  #era = 0;
  #failed: (Place & { readonly reason: unknown }) | undefined;

  enter(): Place {
    return { number: this.#number++, era: this.#era };
  }

  /** @throws the reason of one that was called before it and failed, and had not been told when it was called */
  check({ number, era }: Place): void {
    if (this.#failed !== undefined && this.#failed.era === era && number > this.#failed.number)
      throw this.#failed.reason;
  }

  fail({ number, era }: Place, reason: unknown): void {
    if (this.#failed?.era !== era || number < this.#failed.number) this.#failed = { number, era, reason };
  }

  tell({ era }: Place): void {
    if (this.#failed?.era === era && era === this.#era) this.#era++;
  }
}
