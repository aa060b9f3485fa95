import { InvalidArgumentError, StorageError } from '../../errors.ts';
import type { DurabilityLevel } from '../backend.ts';
import type { Interval } from '../local/intervals.ts';
import type { Storage, StorageWrite, StreamRecord } from '../local/storage.ts';
import { factKey, factName, generationOf, LONGEST_FACT_NAME, streamKey } from './keys.ts';
import type { LmdbStorageOptions } from './lmdb-storage-options.ts';
import { LmdbStore } from './lmdb-store.ts';
import { ALL, Removals } from './removals.ts';
import { retainFrom } from './retain-from.ts';
import { Room } from './room.ts';
import { failureOf } from './storage-failure.ts';
import { WriteQueue } from './write-queue.ts';

const GENERATION_KEY = Buffer.from('generation');
/** A read brings no more at once, whatever it is asked for. */
const LARGEST_READ = 1024 * 1024;
/** A store that holds nothing has some pages already. */
const LEAST_LIMIT = 1024 * 1024;
/** LMDB and Node count up to here. */
const LARGEST_APPEND = 2 ** 31 - 1;

/**
 * Keeps streams in LMDB.
 *
 * | database | key | value |
 * | --- | --- | --- |
 * | `streams` | generation | the record, as JSON |
 * | `appends` | generation, offset, time in milliseconds since 1970 | bytes of an append, of a large one the first |
 * | `appends` | generation, offset | further bytes of it |
 * | `facts` | generation, name | value |
 * | `removals` | generation | what of it is being removed, as JSON |
 * | `meta` | `format`, `generation` (the last), `owner`, `reserve` | |
 */
export class LmdbStorage implements Storage {
  readonly level: DurabilityLevel;
  readonly store: LmdbStore;
  readonly #queue: WriteQueue;
  readonly #removals: Removals;
  /** Of streams that were asked for. */
  readonly #tails = new Map<number, number>();
  readonly #heads = new Map<number, number>();
  #generation: number;
  #isClosed = false;

  /** @throws StoreInUseError, StorageError */
  constructor({ path, level = 'disk', maxBytes = Number.POSITIVE_INFINITY }: LmdbStorageOptions) {
    if (!(maxBytes >= LEAST_LIMIT)) {
      throw new InvalidArgumentError(`maxBytes is ${maxBytes}; at least ${LEAST_LIMIT} are needed`);
    }
    this.level = level;
    const store = new LmdbStore({ path, isSynced: level === 'disk' });
    this.store = store;
    this.#queue = new WriteQueue(store, new Room(store, maxBytes));
    this.#removals = new Removals(store, this.#queue);
    this.#generation = Number(store.meta.get(GENERATION_KEY)?.toString() ?? 0);
  }

  *records(): Iterable<StreamRecord> {
    for (const { key, value } of this.store.streams.getRange({})) {
      const record = this.#reading(() => JSON.parse(value.toString()) as StreamRecord | null);
      if (record?.generation !== generationOf(key)) {
        throw new StorageError(
          `The store ${this.store.folder} is damaged: the record of stream ${generationOf(key)} is not there`,
        );
      }
      if (record.head > 0) this.#heads.set(record.generation, record.head);
      yield record;
    }
  }

  lastGeneration(): number {
    return this.#generation;
  }

  facts(generation: number): Map<string, string> {
    return this.#reading(() => {
      const range = { start: streamKey(generation), end: streamKey(generation + 1) };
      const facts = new Map<string, string>();
      for (const { key, value } of this.store.facts.getRange(range)) facts.set(factName(key), value.toString());
      return facts;
    });
  }

  tail(generation: number): number {
    let tail = this.#tails.get(generation);
    if (tail === undefined) {
      tail = this.#reading(() => this.store.appends.tail(generation)) ?? this.#headOf(generation);
      this.#tails.set(generation, tail);
    }
    return tail;
  }

  async write({ generation, offset, chunks, time, facts, record }: StorageWrite): Promise<void> {
    this.#check();
    const { appends, streams, meta, facts: factTable } = this.store;
    let size = 0;
    for (const { length } of chunks) size += length;
    if (size > LARGEST_APPEND) {
      throw new StorageError(`An append of ${size} bytes is too large: at most ${LARGEST_APPEND} are stored as one`);
    }
    // All that can throw comes before the transaction, which is not undone then.
    const factKeys: (readonly [key: Buffer, value: string | undefined])[] = [];
    const json = record === undefined ? undefined : Buffer.from(JSON.stringify(record));
    const isNew = record !== undefined && generation > this.#generation;
    // A record that changes takes no more room than before.
    let more = isNew ? (json?.length ?? 0) : 0;
    if (facts !== undefined) {
      for (const [name, value] of facts) {
        factKeys.push([keyOfFact(generation, name), value]);
        more += name.length + (value?.length ?? 0);
      }
    }
    const apply = (): void => {
      if (size > 0) appends.put(generation, offset, time, chunks, size);
      for (const [key, value] of factKeys) {
        if (value === undefined) factTable.remove(key);
        else factTable.put(key, Buffer.from(value));
      }
      if (json === undefined) return;
      streams.put(streamKey(generation), json);
      if (isNew) meta.put(GENERATION_KEY, Buffer.from(String(generation)));
    };
    await this.#queue.run({ generation, size: size + more, apply });
    if (size > 0) this.#tails.set(generation, offset + size);
    if (record !== undefined && generation > this.#generation) {
      this.#generation = generation;
      if (record.head > 0) this.#heads.set(generation, record.head);
    }
    this.#removals.resume();
  }

  read(generation: number, from: number, to: number, maxBytes: number): Uint8Array[] {
    const end = Math.min(to, from + Math.min(maxBytes, LARGEST_READ));
    return end <= from ? [] : [this.#reading(() => this.store.appends.read(generation, from, end))];
  }

  retainFrom(generation: number, bytes: number | undefined, since: number | undefined): number {
    const [head, tail] = [this.#headOf(generation), this.tail(generation)];
    return this.#reading(() => retainFrom(this.store.appends, generation, { head, tail, bytes, since }));
  }

  /** Resolves when that is decided for good. What is forgotten is freed from then on, by and by. */
  async trim(generation: number, head: number, record: StreamRecord, held: readonly Interval[]): Promise<void> {
    this.#check();
    const removal = { to: head, held: held.filter(({ from }) => from < head) };
    const key = streamKey(generation);
    const value = Buffer.from(JSON.stringify(record));
    await this.#removals.add(generation, removal, () => void this.store.streams.put(key, value));
    this.#heads.set(generation, head);
  }

  /** As {@link trim}. */
  async drop(generation: number): Promise<void> {
    this.#check();
    await this.#removals.add(generation, ALL, () => void this.store.streams.remove(streamKey(generation)));
    this.#tails.delete(generation);
    this.#heads.delete(generation);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#removals.stop();
    await this.#queue.settled();
    await this.store.close();
  }

  #check(): void {
    if (this.#isClosed) throw new StorageError('The store is closed');
  }

  #headOf(generation: number): number {
    return this.#heads.get(generation) ?? 0;
  }

  #reading<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw failureOf(error, this.store.folder);
    }
  }
}

/** @throws StorageError */
function keyOfFact(generation: number, name: string): Buffer {
  const key = factKey(generation, name);
  if (key.length - 8 <= LONGEST_FACT_NAME) return key;
  throw new StorageError(`The name of a fact has ${key.length - 8} bytes; at most ${LONGEST_FACT_NAME} are stored`);
}
