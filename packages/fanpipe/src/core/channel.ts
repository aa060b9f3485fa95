import { OffsetOverflowError } from '../errors.ts';
import { type Batch, BatchCache } from './batch-cache.ts';
import { ChunkCache, sharedResult } from './chunk-cache.ts';
import { ChunkNode, chunkOf, viewOf } from './chunk-node.ts';
import type { Cursor } from './cursor.ts';
import { Flushes } from './flushes.ts';
import { History } from './history.ts';
import { OverflowHeap } from './overflow-heap.ts';
import { ParkingLot } from './parking-lot.ts';
import { BlockSeat, type BoundedSeat } from './policies.ts';
import type { Ending, Seat } from './seat.ts';
import { Waits } from './waits.ts';

/** State of a writer. */
export type WriterState = 'open' | 'closed' | 'failed';

/**
 * What a writer and its streams share: the list of chunks, the tail, and who waits.
 *
 * ```text
 *            history.head                     tail
 *                 │                            │
 *   (collected) [ ][ ][ ][ ][ ][ ][ ][ ][ ][ ][ ]
 *                    ▲           ▲             ▲ ▲
 *                    │           │             │ └ parked cursors: in a lot, woken by the next write
 *                    │           └ plain cursor: a pointer, known to nobody but its reader
 *                    └ bounded seat: in a heap by the offset at which it overflows
 * ```
 *
 * Only the channel changes its state. It runs no user code: what a reader or a callback does happens in a later
 * microtask, so it may be called from anywhere, a reader's loop included. It knows neither clock, timer nor console.
 *
 * Holds at every moment, for every attached stream:
 * `origin ≤ position ≤ position + lag ≤ tail`, and delivered + missed + lag = tail − start.
 */
export class Channel<T> {
  /** The empty node that the next write fills; its `start` is the tail. */
  tail: ChunkNode<T>;
  /** Offset at which the channel began. */
  readonly origin: number;
  /** Whether a value is whole or not at all (typed), or may be cut anywhere (bytes). */
  readonly wholeRecords: boolean;
  readonly replay: number;
  state: WriterState = 'open';
  /** What the writer failed with. */
  reason: unknown = undefined;
  /** Attached streams. */
  streamCount = 0;
  /** Waits for room, for the blocking streams. */
  readonly room: Waits = new Waits();
  /** Told once, in the order of their coming, when the writer ends. */
  readonly endWatchers: Set<() => void> = new Set();
  /** Seats that are to be detached if their cursors are dropped. */
  readonly seated: Set<Seat<T>> = new Set();

  readonly flushes: Flushes<T> = new Flushes(this);

  readonly #history: History<T>;
  /** Of the attached streams, how many have a lag of 0. */
  #caughtUp = 0;
  readonly #parked: ParkingLot<T> = new ParkingLot();
  readonly #parkedForBatches: ParkingLot<T> = new ParkingLot();
  #batchWakeScheduled = false;
  readonly #chunks: ChunkCache<T> = new ChunkCache();
  readonly #batches: BatchCache<T> = new BatchCache();
  readonly #blockHeap: OverflowHeap<T> = new OverflowHeap();
  readonly #otherHeap: OverflowHeap<T> = new OverflowHeap();
  /** No bounded stream overflows before the tail passes this offset. */
  #alarm = Number.POSITIVE_INFINITY;
  #blockingCount = 0;

  constructor(origin: number, replay: number, wholeRecords: boolean) {
    this.origin = origin;
    this.replay = replay;
    this.wholeRecords = wholeRecords;
    this.tail = new ChunkNode<T>(origin);
    this.#history = new History(replay, this.tail);
  }

  // ---- writing

  /** Refuses a size that would take the tail past the largest offset. */
  checkRoom(size: number): void {
    if (size > Number.MAX_SAFE_INTEGER - this.tail.start) throw new OffsetOverflowError(this.tail.start, size);
  }

  /** Writes one chunk: `data`, or where `at` is not negative, the `size` bytes there. */
  write(data: T | ArrayBuffer, at: number, size: number): void {
    if (this.#allWait) {
      // Nobody will ever come to this chunk, so it needs no place in the list.
      this.tail.start += size;
      if (this.streamCount > 0) {
        const chunk = at < 0 ? (data as T) : viewOf<T>(data as ArrayBuffer, at, size);
        this.#parked.handOver(this.streamCount === 1 ? { value: chunk, done: false } : sharedResult(chunk));
      }
      return;
    }
    const first = this.tail;
    this.append(data, at, size);
    this.settle(first);
  }

  /** Whether every stream is plain and waits for one chunk, and nothing is kept for others. No flush is under way then. */
  get #allWait(): boolean {
    return this.#parked.plainCount === this.streamCount && !this.#history.active;
  }

  /** Appends one chunk without waking anyone; `settle` must follow. */
  append(data: T | ArrayBuffer, at: number, size: number): void {
    const node = this.tail;
    const tail = new ChunkNode<T>(node.start + size);
    node.data = data;
    node.at = at;
    node.next = tail;
    if (this.flushes.guardsTail) this.flushes.guardsTail = false;
    else node.open = tail;
    this.tail = tail;
    if (this.#history.active) this.#history.appended(node, tail);
  }

  /** Serves who waits, then lets the policies act. `first` is the first node that was appended. */
  settle(first: ChunkNode<T>): void {
    this.#chunks.clear();
    this.#caughtUp = 0;
    if (this.#parked.count !== 0) this.#deliver(first);
    if (this.#parkedForBatches.count !== 0) this.#scheduleBatchWake();
    const tail = this.tail.start;
    if (tail > this.#alarm) this.#overflow();
    if (tail >= this.flushes.slideAt) this.flushes.slide();
  }

  #deliver(first: ChunkNode<T>): void {
    const after = first.next as ChunkNode<T>;
    const plain = this.#parked.deliver(this.resultOf(first), after);
    if (plain === 0) return;
    if (after === this.tail) this.#caughtUp += plain;
    this.passed(first);
  }

  /** Ends the channel: readers get what is there, then the end or the reason. False if it had ended. */
  end(state: 'closed' | 'failed', reason: unknown): boolean {
    if (this.state !== 'open') return false;
    this.state = state;
    this.reason = reason;
    this.#parked.drain(settleParked);
    this.#parkedForBatches.drain(settleParked);
    const watchers = new Set(this.endWatchers);
    this.endWatchers.clear();
    for (const watcher of watchers) watcher();
    return true;
  }

  /** Whether a blocking stream is over its mark. */
  get isBlocked(): boolean {
    return this.#blockingCount > 0;
  }

  /** How much may be written before a blocking stream is over its mark; Infinity without one. */
  get desiredSize(): number {
    if (this.#blockingCount > 0) return 0;
    while (this.#blockHeap.refreshTop()) {}
    const { top } = this.#blockHeap;
    // Not by `overflowAt`, which near the largest offset is beyond what a number holds exactly.
    return top === undefined ? Number.POSITIVE_INFINITY : top.highWaterMark - (this.tail.start - top.position);
  }

  // ---- opening and leaving

  /** Oldest offset that can be replayed; the tail when nothing is. */
  get head(): number {
    const { tail } = this;
    if (this.replay === 0) return tail.start;
    const oldest = Math.max(this.origin, tail.start - this.replay);
    return this.recordFrom(oldest);
  }

  /** `offset`, or in a channel of records the first border at or after it. */
  recordFrom(offset: number): number {
    if (!this.wholeRecords) return offset;
    const node = this.#history.find(offset, this.tail);
    return node.start >= offset || node.next === null ? node.start : node.next.start;
  }

  /** The node that holds a retained offset. */
  nodeAt(offset: number): ChunkNode<T> {
    return this.#history.find(offset, this.tail);
  }

  /** Counts a stream that is opened at `node`. */
  joined(node: ChunkNode<T>): void {
    this.streamCount++;
    if (node === this.tail) this.#caughtUp++;
  }

  /** A plain cursor has read the last chunk of an ended channel. */
  leftAtEnd(): void {
    this.streamCount--;
    this.#caughtUp--;
  }

  /** Detaches a stream, whatever its state, and frees what only it held. */
  detach(seat: Seat<T>, ending: Ending): void {
    if (seat.ending !== null) return;
    seat.withdraw();
    seat.freeze(ending);
    this.seated.delete(seat);
    this.streamCount--;
    if (seat.countedAt === this.tail.start) this.#caughtUp--;
    else this.flushes.moved(seat.position, Number.POSITIVE_INFINITY, seat.since);
    const { parked, watcher, onDetached } = seat;
    if (parked !== null) this.unpark(parked);
    seat.watcher = null;
    seat.onDetached = null;
    watcher?.();
    onDetached?.();
    if (this.#caughtUp === this.streamCount) this.#chunks.clear();
  }

  // ---- reading

  /** The iterator result of a filled node, shared by the readers that are at the same place. */
  resultOf(node: ChunkNode<T>): IteratorYieldResult<T> {
    return this.streamCount === 1 ? { value: chunkOf(node), done: false } : this.#chunks.resultOf(node);
  }

  /** The same as a resolved promise, shared too. */
  promiseOf(node: ChunkNode<T>): Promise<IteratorYieldResult<T>> {
    return this.streamCount === 1
      ? Promise.resolve({ value: chunkOf(node), done: false })
      : this.#chunks.promiseOf(node);
  }

  /** A plain cursor has come from `last` to `node`, where the fast path stops. */
  arrived(node: ChunkNode<T>, last: ChunkNode<T>): void {
    if (node === this.tail) this.#caughtUp++;
    if (!this.flushes.isEmpty) this.flushes.arrived(node);
    this.passed(last);
  }

  /**
   * A reader has taken what `node` holds, and was maybe the last one that could want it: then the node is unlinked from
   * what follows. Only the garbage collector needs this. A dead node that has grown old would keep all younger ones
   * alive, and each of them would have to survive, until the next full collection.
   */
  passed(node: ChunkNode<T>): void {
    if (this.#caughtUp !== this.streamCount) return;
    this.#chunks.clear();
    if (this.#history.active) return;
    node.next = null;
    node.open = null;
  }

  /** A seat has moved, by reading or by missing. */
  moved(seat: Seat<T>, from: number, to: number): void {
    if (to === this.tail.start && seat.countedAt !== to) {
      seat.countedAt = to;
      this.#caughtUp++;
    }
    if (!this.flushes.isEmpty) this.flushes.moved(from, to, seat.since);
  }

  /** All that waits for a plain cursor at `node`, which then stands at the tail. */
  takeBatch(node: ChunkNode<T>): Batch<T> {
    const batch = this.#batches.get(node, this.tail);
    this.#tookAll(node);
    return batch;
  }

  /** The same as a resolved promise. */
  takeBatchPromise(node: ChunkNode<T>): Promise<Batch<T>> {
    const promise = this.#batches.getPromise(node, this.tail);
    this.#tookAll(node);
    return promise;
  }

  #tookAll(node: ChunkNode<T>): void {
    this.#caughtUp++;
    if (!this.flushes.isEmpty) this.flushes.moved(node.start, this.tail.start, -1);
    this.passed(node);
  }

  /** A cursor waits for the next write. */
  park(cursor: Cursor<T>): void {
    this.#lotOf(cursor).add(cursor);
  }

  /** A cursor waits no longer. */
  unpark(cursor: Cursor<T>): void {
    if (cursor.slot >= 0) this.#lotOf(cursor).remove(cursor);
  }

  #lotOf(cursor: Cursor<T>): ParkingLot<T> {
    // A reader that waits is served its first chunk within the write, so that no policy acts on it. Only a plain one
    // may wait for the end of the burst, since nothing can happen to it.
    return cursor.taken === 'for batches' && cursor.seat === null ? this.#parkedForBatches : this.#parked;
  }

  #scheduleBatchWake(): void {
    if (this.#batchWakeScheduled) return;
    this.#batchWakeScheduled = true;
    queueMicrotask(this.#wakeBatches);
  }

  readonly #wakeBatches = (): void => {
    this.#batchWakeScheduled = false;
    this.#parkedForBatches.drain(settleParked);
  };

  // ---- policies

  /** The heap that watches a seat. */
  overflows(seat: BoundedSeat<T>): OverflowHeap<T> {
    return seat instanceof BlockSeat ? this.#blockHeap : this.#otherHeap;
  }

  /** Puts a seat that is within its mark under the watch of its heap. */
  watch(seat: BoundedSeat<T>): void {
    this.overflows(seat).push(seat);
    if (seat.overflowAt < this.#alarm) this.#alarm = seat.overflowAt;
  }

  #overflow(): void {
    this.#alarm = Math.min(this.#overflowIn(this.#blockHeap), this.#overflowIn(this.#otherHeap));
  }

  #overflowIn(heap: OverflowHeap<T>): number {
    for (;;) {
      const seat = heap.top;
      if (seat === undefined) return Number.POSITIVE_INFINITY;
      if (seat.overflowAt >= this.tail.start) return seat.overflowAt;
      if (heap.refreshTop()) continue;
      heap.remove(seat);
      seat.exceeded();
    }
  }

  /** A blocking stream went over its mark. */
  blocked(): void {
    this.#blockingCount++;
  }

  /** A blocking stream is within its mark again, or gone. */
  unblocked(): void {
    if (--this.#blockingCount === 0) this.room.resolveAll();
  }

  /** The channel has ended and nobody will open it any more: whoever still holds one of its handles holds no bytes by it. */
  forget(): void {
    this.#history.clear();
  }

  holdWindow(mark: number, node: ChunkNode<T>): void {
    this.#history.hold(mark, node, this.tail);
  }

  releaseWindow(mark: number): void {
    this.#history.release(mark, this.tail);
  }

  /** Offset of the first byte of the newest `mark` bytes; records that do not fit whole are not counted in. */
  windowStart(mark: number): number {
    return this.recordFrom(this.tail.start - mark);
  }

  /** Calls `done` when all attached streams have read, or missed, what was written so far; returns how to give up. */
  flush(done: () => void): () => void {
    this.flushes.slide();
    const pending = this.streamCount - this.#caughtUp;
    if (pending > 0) return this.flushes.add(pending, done);
    done();
    return () => {};
  }
}

function settleParked<T>(cursor: Cursor<T>): void {
  cursor.settleParked();
}
