import { StorageError } from '../../errors.ts';
import type { DurabilityLevel, Facts } from '../backend.ts';
import type { Interval } from '../local/intervals.ts';
import type { Storage, StorageWrite, StreamRecord } from '../local/storage.ts';
import { SlabLog } from './slab-log.ts';

const DONE: Promise<void> = Promise.resolve();

/** What is counted of a stream beside its bytes, in bytes, as measured: its record, log and place among the others. */
export const STREAM_COST = 2048;
/** The same of an append, for where it begins, with the room for those to come. */
export const APPEND_COST = 16;
/** The same of a fact, beside its text. */
const FACT_COST = 160;

interface Stored {
  record: StreamRecord;
  readonly log: SlabLog;
  facts: Map<string, string> | undefined;
  /** Of its facts. */
  factsCost: number;
}

/** Keeps all in memory, up to a limit: of bytes, and of what streams, appends and facts cost, of which a client may make as many as it likes. */
export class MemoryStorage implements Storage {
  readonly level: DurabilityLevel = 'memory';
  readonly #maxBytes: number;
  readonly #streams = new Map<number, Stored>();
  #held = 0;
  #generation = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  *records(): Iterable<StreamRecord> {
    for (const { record } of this.#streams.values()) yield record;
  }

  lastGeneration(): number {
    return this.#generation;
  }

  facts(generation: number): Map<string, string> {
    return new Map(this.#streams.get(generation)?.facts);
  }

  tail(generation: number): number {
    return this.#streams.get(generation)?.log.tail ?? 0;
  }

  write({ generation, offset, chunks, time, facts, record }: StorageWrite): Promise<void> {
    let stored = this.#streams.get(generation);
    let growth = 0;
    for (const { length } of chunks) growth += length;
    if (chunks.length > 0) growth += APPEND_COST;
    if (stored === undefined) growth += recordCost(record as StreamRecord);
    const moreFacts = facts === undefined ? 0 : factsGrowth(stored?.facts, facts);
    growth += moreFacts;
    // What ends a stream or lets go of something always fits.
    const isMore = chunks.length > 0 || stored === undefined;
    if (isMore && this.#held + growth > this.#maxBytes) {
      const message = `The memory of the server is full: ${this.#held} of ${this.#maxBytes} bytes are used (maxBytes), ${growth} more do not fit`;
      return Promise.reject(new StorageError(message, { isFull: true }));
    }
    if (stored !== undefined && offset !== stored.log.tail) {
      return Promise.reject(new StorageError('A write before it failed', { isFull: true }));
    }
    if (stored === undefined) {
      stored = { record: record as StreamRecord, log: new SlabLog(offset), facts: undefined, factsCost: 0 };
      this.#streams.set(generation, stored);
      this.#generation = Math.max(this.#generation, generation);
    }
    // Neither name nor type ever change.
    if (record !== undefined) stored.record = record;
    if (facts !== undefined) {
      stored.facts ??= new Map();
      for (const [name, value] of facts) {
        if (value === undefined) stored.facts.delete(name);
        else stored.facts.set(name, value);
      }
      stored.factsCost += moreFacts;
    }
    this.#held += growth;
    stored.log.append(chunks, time);
    return DONE;
  }

  read(generation: number, from: number, to: number, maxBytes: number): Uint8Array[] {
    return this.#stored(generation).log.read(from, to, maxBytes);
  }

  retainFrom(generation: number, bytes: number | undefined, since: number | undefined): number {
    return this.#stored(generation).log.retainFrom(bytes, since);
  }

  trim(generation: number, head: number, record: StreamRecord, held: readonly Interval[]): Promise<void> {
    const stored = this.#stored(generation);
    const before = logCost(stored.log);
    stored.log.trim(head, held);
    this.#held -= before - logCost(stored.log);
    stored.record = record;
    return DONE;
  }

  drop(generation: number): Promise<void> {
    const stored = this.#streams.get(generation);
    if (stored === undefined) return DONE;
    this.#held -= recordCost(stored.record) + logCost(stored.log) + stored.factsCost;
    this.#streams.delete(generation);
    return DONE;
  }

  close(): Promise<void> {
    this.#streams.clear();
    return DONE;
  }

  #stored(generation: number): Stored {
    const stored = this.#streams.get(generation);
    if (stored === undefined) throw new StorageError(`There is no stream of generation ${generation}`);
    return stored;
  }
}

function recordCost({ name, config }: StreamRecord): number {
  return STREAM_COST + name.length + config.contentType.length;
}

function logCost(log: SlabLog): number {
  return log.bytes + log.appends * APPEND_COST;
}

function factsGrowth(known: Facts | undefined, changes: ReadonlyMap<string, string | undefined>): number {
  let growth = 0;
  for (const [name, value] of changes) {
    growth += factCost(name, value) - factCost(name, known?.get(name));
  }
  return growth;
}

function factCost(name: string, value: string | undefined): number {
  return value === undefined ? 0 : FACT_COST + name.length + value.length;
}
