/** What a pool has done and holds, as `pool.stats()` tells it. */
export interface PoolStats<K = string> {
  /** Every key that the pool knows, in the order in which their entries began. */
  readonly entries: readonly PoolEntryStats<K>[];
  /** Bytes that all entries hold, also those that are forgotten and still have readers. Never more than `budget`. */
  readonly bytes: number;
  readonly budget: number;
  /** Attached streams, also those of entries that are forgotten. */
  readonly readers: number;
  /** Opens that joined an entry. */
  readonly hits: number;
  /** Opens that began an entry. */
  readonly misses: number;
  /** Complete entries that were let go to make room, because there were too many, or because their time was over. */
  readonly evictions: number;
  /** Entries that failed by their opener, their source or a limit. Those that were stopped are not counted. */
  readonly failures: number;
}

/** What `pool.stats()` tells of one key. */
export interface PoolEntryStats<K = string> {
  readonly key: K;
  readonly state: PoolEntryState;
  /** Bytes that the source has given. */
  readonly bytes: number;
  /** Attached streams. */
  readonly readers: number;
  /** Opens that joined this entry, without the one that began it. */
  readonly hits: number;
}

/**
 * - `'filling'`: its source is being opened or read
 * - `'complete'`: its source has ended, and all of it is here
 * - `'failed'`: it has failed, and somebody still reads what came before
 */
export type PoolEntryState = 'filling' | 'complete' | 'failed';
