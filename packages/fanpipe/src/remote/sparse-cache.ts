/**
 * What was fetched, by its offset, within a budget of memory: least recently used goes first.
 *
 * The bytes lie in *extents* that never overlap. Extents are found by the part of the resource in which they begin, so a step
 * costs the same however much is cached and wherever it lies. The budget is a hard limit on all memory that the extents hold,
 * what is not filled yet and an overhead for each of them included: room is made before anything is taken. A cache may begin with a
 * part of its budget, and grow when that is worth it.
 *
 * A chunk of 16 to 256 KiB that is most of its buffer becomes an extent as it is, without a copy. Others are copied, once, into
 * extents of at most 64 KiB, small ones behind each other.
 *
 * @module
 */

/** Most bytes of an extent that chunks are copied into. */
export const EXTENT_SIZE: number = 64 * 1024;
/** From this size on a chunk may be kept as it is. */
const LEAST_KEPT = 16 * 1024;
/** Most bytes of a chunk that is kept as it is, and so of any extent. */
const MOST_KEPT = 256 * 1024;
/** What an extent counts beside its memory: its objects, and what the runtime needs for a buffer. */
export const EXTENT_OVERHEAD = 256;

/** Parts of the resource that lie so many apart share a list: more than the default budget fills. */
const SLOTS = 256;

const NOTHING = new Uint8Array(0);

/** A run of bytes without a gap. It can still be appended to while its memory has room. */
class Extent {
  start = 0;
  size = 0;
  memory: Uint8Array = NOTHING;
  /** What it takes of the budget. */
  cost = 0;
  older: Extent | undefined;
  newer: Extent | undefined;

  get end(): number {
    return this.start + this.size;
  }

  /** Someone who got this chunk has transferred its memory away. */
  get isLost(): boolean {
    return this.memory.byteLength < this.size;
  }
}

/** A sparse copy of a resource. Semantics: see the head of the module. */
export class SparseCache {
  readonly #budget: number;
  /** How much of the budget is used by now. */
  #limit: number;
  /**
   * Each holds the extents of some parts of the resource, by offset. No Map: one that changes all the time leaves a chain of its
   * former tables in old space, each of which keeps the next alive, with all chunks that are in it.
   */
  readonly #slots: (Extent[] | undefined)[] = new Array(SLOTS).fill(undefined);
  #count = 0;
  #oldest: Extent | undefined;
  #newest: Extent | undefined;
  #held = 0;
  #bytes = 0;
  /** The last one that was evicted. A full cache needs no new ones, which the garbage collector would have to move. */
  #spare: Extent | undefined;

  /** Keeps at most `first`, and `budget` once it has grown. */
  constructor(budget: number, first: number = budget) {
    this.#budget = budget;
    this.#limit = Math.min(budget, first);
  }

  /** From now on the whole budget is used. What has gone by then does not come back. */
  grow(): void {
    this.#limit = this.#budget;
  }

  /** Bytes of the resource that are here. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes of memory that are held for them: never more than the budget. */
  get held(): number {
    return this.#held;
  }

  /**
   * Some bytes from `at` on and before `to`, as many as lie together, or undefined if that at `at` is not here. It is the memory
   * of the cache: not to be changed. It now counts as used.
   */
  view(at: number, to: number = Number.POSITIVE_INFINITY): Uint8Array | undefined {
    const extent = this.#covering(at);
    if (extent === undefined) return undefined;
    this.#touch(extent);
    const { memory, start, size } = extent;
    const end = Math.min(size, to - start);
    return at === start && end === memory.length ? memory : memory.subarray(at - start, end);
  }

  /** Where the bytes end that follow `at` without a gap, at most `to`: `at` itself if nothing is there. */
  coveredTo(at: number, to: number): number {
    let end = at;
    while (end < to) {
      const extent = this.#covering(end);
      if (extent === undefined) return end;
      end = extent.end;
    }
    return to;
  }

  /** Where the gap ends that begins at `at`, at most `to`. What is at `at` must not be here. */
  gapEnd(at: number, to: number): number {
    const first = bucketOf(at);
    const last = bucketOf(to);
    // Few extents and a long way: rather look at all there are than at all there could be.
    let end = to;
    if (last - first > this.#count) {
      for (let extent = this.#oldest; extent !== undefined; extent = extent.newer) {
        if (extent.start > at && extent.start < end) end = extent.start;
      }
      return end;
    }
    for (let key = first; key <= last && end === to; key++) {
      // The next one here may lie in a later part, and the nearest of all in between.
      const start = startAfter(this.#slots[key % SLOTS], at);
      if (start !== undefined && start < end && bucketOf(start) === key) end = start;
    }
    return end;
  }

  /**
   * Takes the bytes that begin at `at`, as far as they are not here yet. `more` says how many are expected to follow. A large
   * chunk may be kept as it is: it must not change any more. Returns false, and takes nothing, if it exceeds the budget.
   */
  insert(at: number, chunk: Uint8Array, more = 0): boolean {
    const { length } = chunk;
    if (length + Math.ceil(length / EXTENT_SIZE) * EXTENT_OVERHEAD > this.#limit) return length === 0;
    this.#take(at, chunk, more);
    if (this.coveredTo(at, at + length) < at + length) {
      // What it lies beside, or the room for more, has cost its own place. Alone it fits.
      this.clear();
      this.#take(at, chunk, 0);
    }
    return true;
  }

  /** Lets go of everything. */
  clear(): void {
    this.#slots.fill(undefined);
    this.#count = 0;
    this.#oldest = this.#newest = this.#spare = undefined;
    this.#held = this.#bytes = 0;
  }

  #take(at: number, chunk: Uint8Array, more: number): void {
    const end = at + chunk.length;
    for (let from = at; from < end; ) {
      const extent = this.#covering(from);
      if (extent !== undefined) {
        this.#touch(extent);
        from = extent.end;
        continue;
      }
      const to = this.gapEnd(from, end);
      const bytes = from === at && to === end ? chunk : chunk.subarray(from - at, to - at);
      if (isWorthKeeping(bytes) && this.#makeRoom(bytes.buffer.byteLength)) this.#add(from, bytes, bytes.length);
      else this.#copy(from, bytes, to === end ? more : 0);
      from = to;
    }
  }

  #copy(at: number, bytes: Uint8Array, more: number): void {
    for (let done = 0; done < bytes.length; ) {
      const rest = bytes.length - done;
      const previous = at + done === 0 ? undefined : this.#covering(at + done - 1);
      let room = previous === undefined ? 0 : previous.memory.length - previous.size;
      if (previous !== undefined && room > 0) {
        room = Math.min(room, rest);
        previous.memory.set(bytes.subarray(done, done + room), previous.size);
        previous.size += room;
        this.#bytes += room;
        this.#touch(previous);
        done += room;
        continue;
      }
      const size = Math.min(EXTENT_SIZE, rest);
      // What is expected is a wish: it must not cost the budget what it does not bring.
      const capacity = Math.min(EXTENT_SIZE, rest + more, Math.max(size, this.#limit >> 3));
      if (!this.#makeRoom(capacity)) return;
      const memory = new Uint8Array(capacity);
      memory.set(bytes.subarray(done, done + size));
      this.#add(at + done, memory, size);
      done += size;
    }
  }

  #add(start: number, memory: Uint8Array, size: number): void {
    const extent = this.#spare ?? new Extent();
    this.#spare = undefined;
    extent.start = start;
    extent.memory = memory;
    extent.size = size;
    extent.cost = memory.buffer.byteLength + EXTENT_OVERHEAD;
    const slot = bucketOf(start) % SLOTS;
    const bucket = this.#slots[slot];
    if (bucket === undefined) this.#slots[slot] = [extent];
    else bucket.splice(indexAfter(bucket, start), 0, extent);
    this.#count++;
    this.#held += extent.cost;
    this.#bytes += size;
    this.#append(extent);
  }

  /** Evicts until an extent with so much memory fits. False if it never could. */
  #makeRoom(memory: number): boolean {
    const limit = this.#limit - memory - EXTENT_OVERHEAD;
    if (limit < 0) return false;
    while (this.#held > limit) this.#remove(this.#oldest as Extent);
    return true;
  }

  #remove(extent: Extent): void {
    const bucket = this.#slots[bucketOf(extent.start) % SLOTS] as Extent[];
    if (bucket.length === 1) bucket.length = 0;
    else bucket.splice(indexAfter(bucket, extent.start) - 1, 1);
    this.#count--;
    this.#held -= extent.cost;
    this.#bytes -= extent.size;
    this.#unlink(extent);
    extent.memory = NOTHING;
    this.#spare = extent;
  }

  #covering(at: number): Extent | undefined {
    const key = bucketOf(at);
    // The last that begins before: in the same part of the resource, or in the one before, since none is longer.
    let extent = lastUpTo(this.#slots[key % SLOTS], at);
    if (extent === undefined || at >= extent.end)
      extent = key > 0 ? lastUpTo(this.#slots[(key - 1) % SLOTS], at) : undefined;
    if (extent === undefined || at >= extent.end) return undefined;
    if (!extent.isLost) return extent;
    this.#remove(extent);
    return undefined;
  }

  #touch(extent: Extent): void {
    if (extent === this.#newest) return;
    this.#unlink(extent);
    this.#append(extent);
  }

  #append(extent: Extent): void {
    extent.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = extent;
    else this.#newest.newer = extent;
    this.#newest = extent;
  }

  #unlink(extent: Extent): void {
    const { older, newer } = extent;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    extent.older = extent.newer = undefined;
  }
}

/** The part of the resource that `at` lies in: each is as long as an extent may be. */
function bucketOf(at: number): number {
  return Math.floor(at / MOST_KEPT);
}

/** Whether a chunk is kept as it is: it must be worth it, and must not hold much memory that is not its own. */
function isWorthKeeping({ length, buffer }: Uint8Array): boolean {
  if (length < LEAST_KEPT || length > MOST_KEPT || buffer.byteLength > length * 1.25) return false;
  return buffer instanceof ArrayBuffer;
}

/** Index of the first extent that begins after `at`. */
function indexAfter(bucket: readonly Extent[], at: number): number {
  let low = 0;
  let high = bucket.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((bucket[middle] as Extent).start <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

function lastUpTo(bucket: readonly Extent[] | undefined, at: number): Extent | undefined {
  return bucket?.[indexAfter(bucket, at) - 1];
}

function startAfter(bucket: readonly Extent[] | undefined, at: number): number | undefined {
  return bucket?.[indexAfter(bucket, at)]?.start;
}
