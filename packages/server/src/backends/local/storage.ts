import type { DurabilityLevel, StreamConfig, StreamEnd } from '../backend.ts';
import type { Interval } from './intervals.ts';

/** What is kept about a stream beside its bytes. */
export interface StreamRecord {
  readonly name: string;
  readonly generation: number;
  readonly config: StreamConfig;
  readonly createdAt: number;
  /** Number of the last writer. */
  readonly epoch: number;
  /** Oldest retained offset. */
  readonly head: number;
  readonly end: StreamEnd | undefined;
  /** Deleted, but kept for its forks. */
  readonly isDeleted: boolean;
  /** When it expires at the earliest, in milliseconds since 1970; undefined: never. */
  readonly expiresAt: number | undefined;
}

/** All that changes in one step. */
export interface StorageWrite {
  readonly generation: number;
  /** Offset of the first byte of `chunks`. */
  readonly offset: number;
  /** Bytes of one append. */
  readonly chunks: readonly Uint8Array[];
  /** When they were appended, in milliseconds since 1970. */
  readonly time: number;
  readonly facts?: ReadonlyMap<string, string | undefined>;
  /** The stream's record, where it changes. */
  readonly record?: StreamRecord;
}

/**
 * Where one process keeps the bytes and records of its streams. Knows no rule: who may append, what is retained, who waits and what a
 * fork sees is decided once, in `LocalBackend`.
 */
export interface Storage {
  readonly level: DurabilityLevel;
  /** All records, when the store is opened. */
  records(): Iterable<StreamRecord>;
  /** The highest generation that was ever used, also by streams that are gone. */
  lastGeneration(): number;
  facts(generation: number): Map<string, string>;
  /** Offset after the last byte; the head where there is none. */
  tail(generation: number): number;
  /**
   * Does it, whole or not at all, and resolves when it is safe at the level. Writes of a stream take effect in the order of the calls;
   * when one rejects, those called after it and before that reject too, whatever they write.
   */
  write(write: StorageWrite): Promise<void>;
  /** Bytes from `from` on, at most `maxBytes`, at least one, up to `to`. Views of memory that nobody changes. */
  read(generation: number, from: number, to: number, maxBytes: number): Uint8Array[];
  /**
   * The smallest offset at which an append begins, or the tail, so that at most `bytes` lie from it to the tail and nothing there is
   * older than `since`; never below the head. The newest append is never let go for its size. Appends whose write is under way may count.
   */
  retainFrom(generation: number, bytes: number | undefined, since: number | undefined): number;
  /**
   * Writes the record and forgets the appends below `head`, which is such an offset, but for those that have bytes in one of the `held`
   * intervals. These are in order, may lie above the head too, and may shrink or go with a later call.
   */
  trim(generation: number, head: number, record: StreamRecord, held: readonly Interval[]): Promise<void>;
  /** Forgets the stream: record, facts, bytes. When it rejects, the stream is there as it was. */
  drop(generation: number): Promise<void>;
  /** Nothing is called after it. What is under way settles first. */
  close(): Promise<void>;
}
