import { StorageError } from '../../errors.ts';
import type { DurabilityLevel } from '../backend.ts';
import type { Interval } from '../local/intervals.ts';
import type { Storage, StorageWrite, StreamRecord } from '../local/storage.ts';
import { SlabLog } from './slab-log.ts';

const DONE: Promise<void> = Promise.resolve();

interface Stored {
  record: StreamRecord;
  readonly log: SlabLog;
  facts: Map<string, string> | undefined;
}

/** Keeps all in memory, up to a limit. */
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
    let size = 0;
    for (const { length } of chunks) size += length;
    if (this.#held + size > this.#maxBytes) {
      const message = `The memory of the server is full: ${this.#held} of ${this.#maxBytes} bytes are used (maxBytes), ${size} more do not fit`;
      return Promise.reject(new StorageError(message, { isFull: true }));
    }
    let stored = this.#streams.get(generation);
    if (stored !== undefined && offset !== stored.log.tail) {
      return Promise.reject(new StorageError('A write before it failed', { isFull: true }));
    }
    if (stored === undefined) {
      stored = { record: record as StreamRecord, log: new SlabLog(offset), facts: undefined };
      this.#streams.set(generation, stored);
      this.#generation = Math.max(this.#generation, generation);
    }
    if (record !== undefined) stored.record = record;
    if (facts !== undefined) {
      stored.facts ??= new Map();
      for (const [name, value] of facts) {
        if (value === undefined) stored.facts.delete(name);
        else stored.facts.set(name, value);
      }
    }
    this.#held += size;
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
    this.#held -= stored.log.trim(head, held);
    stored.record = record;
    return DONE;
  }

  drop(generation: number): Promise<void> {
    this.#held -= this.#streams.get(generation)?.log.bytes ?? 0;
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
