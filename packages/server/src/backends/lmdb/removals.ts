import type { Database } from 'lmdb';
import type { Interval } from '../local/intervals.ts';
import type { AppendTable } from './append-table.ts';
import { generationOf, streamKey } from './keys.ts';
import type { LmdbStore } from './lmdb-store.ts';
import type { WriteQueue } from './write-queue.ts';

/** Keys that are removed in one transaction: what is appended in the meantime waits that long. */
const AT_ONCE = 1000;

type Bytes = Database<Buffer, Buffer>;

/** What of a stream goes. */
export interface Removal {
  /** Appends below it go. */
  readonly to: number;
  /** But for those that have bytes there. In order. */
  readonly held: readonly Interval[];
}

/** All of it, facts too. */
export const ALL: Removal = { to: Number.MAX_SAFE_INTEGER, held: [] };

/**
 * Removes what is no longer needed, in the background and in pieces. What is to go stands in the store, written together with what made it
 * superfluous, so that the next process finishes what one could not.
 */
export class Removals {
  readonly #noted: Bytes;
  readonly #appends: AppendTable;
  readonly #facts: Bytes;
  readonly #queue: WriteQueue;
  readonly #pending = new Map<number, Removal>();
  /** What was noted last, whether that transaction is committed yet or not. */
  readonly #latest = new Map<number, Removal>();
  #running: Promise<void> | undefined;
  #isStopped = false;

  constructor(store: LmdbStore, queue: WriteQueue) {
    this.#noted = store.removals;
    this.#appends = store.appends;
    this.#facts = store.facts;
    this.#queue = queue;
    for (const { key, value } of this.#noted.getRange({})) {
      this.#pending.set(generationOf(key), JSON.parse(value.toString()) as Removal);
    }
    this.resume();
  }

  /**
   * Has `apply` write why it is to go, notes it instead of what was noted before, and begins. Resolves when it is sure to go; rejects with
   * `StorageError`, and then nothing has changed.
   */
  async add(generation: number, removal: Removal, apply: () => void): Promise<void> {
    await this.#write(() => {
      apply();
      this.#latest.set(generation, removal);
      this.#noted.put(streamKey(generation), Buffer.from(JSON.stringify(removal)));
    });
    this.#pending.set(generation, removal);
    this.resume();
  }

  /** Goes on, if there is something that could not be removed before. */
  resume(): void {
    if (this.#running !== undefined || this.#isStopped || this.#pending.size === 0) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Comes to an end after the piece that is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    // A removal needs some pages itself, so a disk that is full takes only small ones.
    let limit = AT_ONCE;
    while (!this.#isStopped) {
      const [first] = this.#pending;
      if (first === undefined) return;
      const [generation, removal] = first;
      try {
        if (await this.#piece(generation, removal, limit)) this.#done(generation, removal);
        limit = Math.min(AT_ONCE, limit * 2);
      } catch {
        if (limit === 1) return;
        limit = Math.max(1, limit >> 3);
      }
    }
  }

  #write(apply: () => void): Promise<void> {
    return this.#queue.run({ generation: 0, size: 0, apply });
  }

  /** Says whether nothing is left. */
  async #piece(generation: number, removal: Removal, limit: number): Promise<boolean> {
    const pieces = this.#piecesOf(generation, removal, limit);
    const left = removal.to === ALL.to ? limit - pieces.length : 0;
    const range = { start: streamKey(generation), end: streamKey(generation + 1), limit: left };
    const facts = left === 0 ? [] : [...this.#facts.getKeys(range)];
    const isLast = pieces.length + facts.length < limit;
    await this.#write(() => {
      for (const key of pieces) this.#appends.remove(key);
      for (const key of facts) this.#facts.remove(key);
      // More may have been noted since.
      const latest = this.#latest.get(generation);
      if (isLast && (latest === undefined || latest === removal)) this.#noted.remove(streamKey(generation));
    });
    return isLast;
  }

  #piecesOf(generation: number, { to, held }: Removal, limit: number): Buffer[] {
    const keys: Buffer[] = [];
    let from = 0;
    for (const kept of [...held, { from: to, to }]) {
      if (keys.length >= limit) break;
      // The piece that holds the first byte may begin before it.
      const end = kept.from === to ? to : this.#appends.pieceAt(generation, kept.from);
      keys.push(...this.#appends.keys(generation, from, Math.min(end, to), limit - keys.length));
      from = kept.to;
    }
    return keys;
  }

  #done(generation: number, removal: Removal): void {
    if (this.#pending.get(generation) !== removal) return;
    this.#pending.delete(generation);
    if (this.#latest.get(generation) === removal) this.#latest.delete(generation);
  }
}
