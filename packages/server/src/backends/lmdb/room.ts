import { statfsSync } from 'node:fs';
import type { Database } from 'lmdb';
import type { LmdbStore } from './lmdb-store.ts';

/** So many bytes of the disk are left free, for removals: these need pages before they free any. */
const LEFT_FREE = 8 * 1024 * 1024;
/** So many pages are left free in the file for the same reason, where it may not grow. */
const PAGES_LEFT_FREE = 64;

interface Stats {
  readonly pageSize: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

interface RootStats extends Stats {
  readonly lastPageNumber: number;
  readonly free: Stats;
}

/**
 * How much more fits. It is asked before something is written, since LMDB gets into trouble when the disk is full: removing takes room as
 * well, and a write that fails can end the process.
 */
export class Room {
  readonly #store: LmdbStore;
  readonly #tables: readonly Database<unknown, Buffer>[];
  readonly #maxBytes: number;

  constructor(store: LmdbStore, maxBytes: number) {
    this.#store = store;
    this.#tables = [store.streams, store.appends.table, store.facts, store.removals, store.meta] as const;
    this.#maxBytes = maxBytes;
  }

  /** Bytes that fit, about. Costs less where `wanted` of them are found at once. */
  available(wanted: number): number {
    const onDisk = this.#onDisk();
    const outside = Math.min(onDisk, this.#belowLimit());
    if (outside >= wanted) return outside;
    // Pages that have just become free are used two transactions later, and until then the file grows.
    const most = onDisk < wanted ? LEFT_FREE / 4 : Number.POSITIVE_INFINITY;
    return Math.min(most, outside + this.#inside());
  }

  #onDisk(): number {
    try {
      const { bavail, bsize } = statfsSync(this.#store.folder);
      return bavail * bsize - LEFT_FREE;
    } catch {
      // Then the disk itself has to say so.
      return Number.POSITIVE_INFINITY;
    }
  }

  #belowLimit(): number {
    if (this.#maxBytes === Number.POSITIVE_INFINITY) return this.#maxBytes;
    const { lastPageNumber, pageSize } = this.#store.root.getStats() as RootStats;
    return this.#maxBytes - (lastPageNumber + 1) * pageSize;
  }

  /** Bytes in pages of the file that nothing is in. */
  #inside(): number {
    const { lastPageNumber, pageSize, free, ...main } = this.#store.root.getStats() as RootStats;
    let pages = lastPageNumber - 1 - pagesOf(free) - pagesOf({ pageSize, ...main });
    for (const table of this.#tables) pages -= pagesOf(table.getStats() as Stats);
    return Math.max(0, pages - PAGES_LEFT_FREE) * pageSize;
  }
}

function pagesOf({ treeBranchPageCount, treeLeafPageCount, overflowPages }: Stats): number {
  return treeBranchPageCount + treeLeafPageCount + overflowPages;
}

/** What an append of so many bytes takes, at most: pages are filled by half at least. */
export function roomFor(size: number): number {
  return size === 0 ? 0 : size + Math.min(size, 4096) + (size >> 5) + 512;
}
