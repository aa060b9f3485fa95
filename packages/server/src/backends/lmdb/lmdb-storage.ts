import { mkdirSync, realpathSync } from 'node:fs';
import { type Database, open, type RootDatabase } from 'lmdb';
import { StorageError, StoreInUseError } from '../../errors.ts';
import type { DurabilityLevel } from '../backend.ts';
import type { Storage, StorageWrite, StreamRecord } from '../local/storage.ts';
import { appendKey, factKey, factName, offsetOf, streamKey } from './keys.ts';
import { StoreLock } from './store-lock.ts';

/** Changes when what is stored is read in another way. */
const FORMAT = 1;
const FORMAT_KEY = Buffer.from('format');
const GENERATION_KEY = Buffer.from('generation');
/** Before the bytes of an append stands the time, in milliseconds since 1970. */
const HEADER = 8;
/** Appends that are removed in one turn of the event loop. */
const REMOVED_AT_ONCE = 1000;
const FULL = new Set(['ENOSPC', 'EDQUOT', 'MDB_MAP_FULL']);

type Bytes = Database<Buffer, Buffer>;
/** With `separateFlushed` a commit has a promise for the time when it is on disk. */
type Commit = Promise<boolean> & { readonly flushed?: Promise<unknown> };

/** Stores that this process has open. */
const openPaths = new Set<string>();

export interface LmdbStorageOptions {
  /** Folder of the store; made if it is not there. */
  readonly path: string;
  /** `'disk'`: acknowledged when it is on disk; `'os'`: when the system has it. Default `'disk'`. */
  readonly level?: 'os' | 'disk';
}

/**
 * Keeps streams in LMDB.
 *
 * | database | key | value |
 * | --- | --- | --- |
 * | `streams` | generation | the record, as JSON |
 * | `appends` | generation, offset | time, bytes |
 * | `facts` | generation, name | value |
 * | `meta` | `format`, `generation`, `owner` | |
 *
 * All that is written in one turn of the event loop is one transaction, and transactions that come while one is flushed are flushed
 * together, so many writers share the cost of the disk.
 */
export class LmdbStorage implements Storage {
  readonly level: DurabilityLevel;
  readonly #path: string;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #streams: Bytes;
  readonly #appends: Bytes;
  readonly #facts: Bytes;
  readonly #meta: Bytes;
  readonly #lock: StoreLock;
  readonly #tails = new Map<number, number>();
  readonly #heads = new Map<number, number>();
  #generation: number;
  #removals: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  /** @throws StoreInUseError, StorageError */
  constructor({ path, level = 'disk' }: LmdbStorageOptions) {
    this.level = level;
    mkdirSync(path, { recursive: true });
    this.#path = realpathSync(path);
    if (openPaths.has(this.#path)) throw new StoreInUseError(path, 'this process');
    const binary = { encoding: 'binary', keyEncoding: 'binary' } as const;
    try {
      this.#root = open<Buffer, Buffer>({
        path: this.#path,
        ...binary,
        maxDbs: 8,
        separateFlushed: true,
        noSubdir: false,
      });
    } catch (cause) {
      throw new StorageError(`The store ${path} cannot be opened: ${(cause as Error).message}`, { cause });
    }
    const database = (name: string): Bytes => this.#root.openDB<Buffer, Buffer>({ name, ...binary });
    this.#streams = database('streams');
    this.#appends = database('appends');
    this.#facts = database('facts');
    this.#meta = database('meta');
    try {
      this.#lock = new StoreLock(this.#root, this.#meta, path);
      this.#checkFormat(path);
    } catch (error) {
      void this.#root.close();
      throw error;
    }
    openPaths.add(this.#path);
    this.#generation = Number(this.#meta.get(GENERATION_KEY)?.toString() ?? 0);
  }

  *records(): Iterable<StreamRecord> {
    for (const { value } of this.#streams.getRange({})) {
      const record = JSON.parse(value.toString()) as StreamRecord;
      this.#heads.set(record.generation, record.head);
      yield record;
    }
  }

  lastGeneration(): number {
    return this.#generation;
  }

  facts(generation: number): Map<string, string> {
    const range = { start: streamKey(generation), end: streamKey(generation + 1) };
    return new Map([...this.#facts.getRange(range)].map(({ key, value }) => [factName(key), value.toString()]));
  }

  tail(generation: number): number {
    let tail = this.#tails.get(generation);
    if (tail === undefined) {
      const start = appendKey(generation, Number.MAX_SAFE_INTEGER);
      const end = appendKey(generation, 0);
      const [last] = this.#appends.getRange({ start, end, inclusiveEnd: true, reverse: true, limit: 1 });
      tail = last === undefined ? (this.#heads.get(generation) ?? 0) : offsetOf(last.key) + last.value.length - HEADER;
      this.#tails.set(generation, tail);
    }
    return tail;
  }

  bytes(generation: number): number {
    return this.tail(generation) - (this.#heads.get(generation) ?? 0);
  }

  async write({ generation, offset, chunks, time, facts, record }: StorageWrite): Promise<void> {
    if (this.#isClosed) throw new StorageError('The store is closed');
    let commit: Commit | undefined;
    let size = 0;
    // One turn, and so one transaction.
    try {
      if (chunks.length > 0) {
        const value = join(time, chunks);
        size = value.length - HEADER;
        commit = this.#appends.put(appendKey(generation, offset), value);
      }
      if (record !== undefined) {
        commit = this.#streams.put(streamKey(generation), Buffer.from(JSON.stringify(record)));
        if (generation > this.#generation) {
          this.#generation = generation;
          this.#heads.set(generation, record.head);
          commit = this.#meta.put(GENERATION_KEY, Buffer.from(String(generation)));
        }
      }
      for (const [name, value] of facts ?? []) {
        const key = factKey(generation, name);
        commit = value === undefined ? this.#facts.remove(key) : this.#facts.put(key, Buffer.from(value));
      }
      await commit;
      if (this.level === 'disk') await commit?.flushed;
    } catch (error) {
      throw storageError(error);
    }
    this.#tails.set(generation, Math.max(this.#tails.get(generation) ?? 0, offset + size));
  }

  read(generation: number, from: number, to: number, maxBytes: number): Uint8Array[] {
    const end = Math.min(to, from + maxBytes);
    const start = this.#beginOf(generation, from);
    const chunks: Uint8Array[] = [];
    if (start === undefined) return chunks;
    for (const { key, value } of this.#appends.getRange({ start, end: appendKey(generation, end) })) {
      const offset = offsetOf(key);
      const first = HEADER + Math.max(0, from - offset);
      chunks.push(value.subarray(first, Math.min(value.length, HEADER + end - offset)));
    }
    return chunks;
  }

  retainFrom(generation: number, bytes: number | undefined, since: number | undefined): number {
    const tail = this.tail(generation);
    const head = this.#heads.get(generation) ?? 0;
    let found = head;
    if (bytes !== undefined && tail > head) {
      const start = appendKey(generation, Math.max(head, tail - bytes));
      const [next] = this.#appends.getKeys({ start, end: streamKey(generation + 1), limit: 1 });
      const newest = this.#beginOf(generation, tail);
      found = Math.max(found, offsetOf((next ?? newest) as Buffer));
    }
    if (since !== undefined) {
      const range = { start: appendKey(generation, found), end: streamKey(generation + 1) };
      let next = tail;
      for (const { key, value } of this.#appends.getRange(range)) {
        if (value.readDoubleBE(0) < since) continue;
        next = offsetOf(key);
        break;
      }
      found = Math.max(found, next);
    }
    return found;
  }

  async trim(generation: number, head: number, record: StreamRecord): Promise<void> {
    this.#heads.set(generation, head);
    try {
      await this.#streams.put(streamKey(generation), Buffer.from(JSON.stringify(record)));
      await this.#inTurn(() => this.#remove(this.#appends, appendKey(generation, 0), appendKey(generation, head)));
    } catch (error) {
      throw storageError(error);
    }
  }

  async drop(generation: number): Promise<void> {
    this.#tails.delete(generation);
    this.#heads.delete(generation);
    const range = [streamKey(generation), streamKey(generation + 1)] as const;
    try {
      const commit: Commit = this.#streams.remove(streamKey(generation));
      await commit;
      if (this.level === 'disk') await commit.flushed;
      await this.#inTurn(async () => {
        await this.#remove(this.#facts, ...range);
        await this.#remove(this.#appends, ...range);
      });
    } catch (error) {
      throw storageError(error);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#removals;
    this.#lock.release();
    await this.#root.flushed;
    await this.#root.close();
    openPaths.delete(this.#path);
  }

  /** Key of the append that holds the byte at `offset`, or of the last one before. */
  #beginOf(generation: number, offset: number): Buffer | undefined {
    const start = appendKey(generation, offset);
    const end = appendKey(generation, 0);
    const [key] = this.#appends.getKeys({ start, end, inclusiveEnd: true, reverse: true, limit: 1 });
    return key;
  }

  /** One removal after the other. */
  #inTurn(remove: () => Promise<void>): Promise<void> {
    const done = this.#removals.then(remove);
    this.#removals = done.catch(() => {});
    return done;
  }

  /** In pieces, so that nobody waits long for his turn. */
  async #remove(database: Bytes, start: Buffer, end: Buffer): Promise<void> {
    for (;;) {
      const keys = [...database.getKeys({ start, end, limit: REMOVED_AT_ONCE })];
      if (keys.length === 0) return;
      let commit: Commit | undefined;
      for (const key of keys) commit = database.remove(key);
      await commit;
    }
  }

  #checkFormat(path: string): void {
    const format = Number(this.#meta.get(FORMAT_KEY)?.toString() ?? FORMAT);
    if (format !== FORMAT) {
      throw new StorageError(`The store ${path} has format ${format}; this version reads format ${FORMAT}`);
    }
    this.#root.transactionSync(() => {
      this.#meta.put(FORMAT_KEY, Buffer.from(String(FORMAT)));
    });
    this.#sweep();
  }

  /** What a crash left of streams that were being removed. */
  #sweep(): void {
    const known = new Set<number>();
    for (const key of this.#streams.getKeys({})) known.add(key.readUInt32BE(0) * 2 ** 32 + key.readUInt32BE(4));
    for (const database of [this.#appends, this.#facts]) {
      for (let start = streamKey(0); ; ) {
        const [key] = database.getKeys({ start, limit: 1 });
        if (key === undefined) break;
        const generation = key.readUInt32BE(0) * 2 ** 32 + key.readUInt32BE(4);
        start = streamKey(generation + 1);
        if (known.has(generation)) continue;
        const end = start;
        void this.#inTurn(() => this.#remove(database, streamKey(generation), end)).catch(() => {});
      }
    }
  }
}

function join(time: number, chunks: readonly Uint8Array[]): Buffer {
  let size = HEADER;
  for (const { length } of chunks) size += length;
  const value = Buffer.allocUnsafeSlow(size);
  value.writeDoubleBE(time, 0);
  let at = HEADER;
  for (const chunk of chunks) {
    value.set(chunk, at);
    at += chunk.length;
  }
  return value;
}

function storageError(cause: unknown): StorageError {
  if (cause instanceof StorageError) return cause;
  const { message, code } = cause as { message?: string; code?: string };
  const isFull = FULL.has(code ?? '') || /MDB_MAP_FULL|no space left/i.test(message ?? '');
  return new StorageError(isFull ? 'The disk is full' : `The store failed: ${message}`, { cause, isFull });
}
