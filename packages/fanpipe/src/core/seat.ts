import type { CallbackError } from '../errors.ts';
import { type AbortMember, leaveSignal } from '../signals.ts';
import type { Channel } from './channel.ts';
import { type ChunkNode, chunkOf, collectChunks, cutChunk, NOWHERE } from './chunk-node.ts';
import type { Cursor } from './cursor.ts';

/** How a stream ended for its reader. */
export type Ending =
  | { readonly kind: 'done' }
  | { readonly kind: 'cancelled'; readonly reason: unknown }
  | { readonly kind: 'failed'; readonly reason: unknown };

/** The ending of a stream that was read to the end of a closed writer, or that its reader left. */
export const DONE: Ending = { kind: 'done' };

/** Settles one parked `next()`. */
export type Waiter = (result: unknown) => void;

/**
 * The place of a stream that is not on the fast path: it has a policy, a signal or private copies, stands inside a
 * chunk, has several `next()` outstanding, is watched by an adapter, was opened behind a flush that does not wait for it,
 * or is detached.
 *
 * The channel may hold a seat, but a seat does not hold the cursor that reads from it, except while that is parked.
 * So a bounded stream that is dropped without cancel can be collected, and its seat is then detached.
 */
export class Seat<T> implements AbortMember {
  readonly channel: Channel<T>;
  /** The node that holds the next byte, or NOWHERE for a seat that holds no bytes. */
  node: ChunkNode<T>;
  /** How many bytes of `node` are read already. */
  skip = 0;
  /** How much of the chunk that `step` returned had been read before. */
  cut = 0;
  /** Whether the reader gets memory of its own. */
  copy = false;
  /** Flushes up to this id were called before the stream was opened and do not wait for it. */
  since = -1;
  /** The tail at which this seat was last counted as caught up. */
  countedAt = -1;
  /** What was missed at gaps that the reader has crossed, or been carried across. */
  missedSoFar = 0;
  /** The part of `missedSoFar` that `onMissed` was not told of yet. */
  unreported = 0;
  /** Where the unreported part begins. */
  gapStart = 0;
  /** Further parked `next()` calls, behind the cursor's waiter. */
  queue: Waiter[] | null = null;
  /** The cursor, while it is parked. */
  parked: Cursor<T> | null = null;
  signal: AbortSignal | null = null;
  /** A callback threw: the next read says so once. */
  trouble: CallbackError | null = null;
  /** Set when the stream is detached; the counters are frozen then. */
  ending: Ending | null = null;
  /** Told once when the stream is detached. Runs no user code, and does not refer to the cursor. */
  watcher: (() => void) | null = null;
  /** Whoever opened the stream and counts it is told too, for the whole time. The same rules. */
  onDetached: (() => void) | null = null;
  #frozenPosition = 0;
  #frozenLag = 0;

  constructor(channel: Channel<T>, node: ChunkNode<T>) {
    this.channel = channel;
    this.node = node;
  }

  /** Offset of the next byte that can still be read. */
  get position(): number {
    return this.ending === null ? this.currentPosition : this.#frozenPosition;
  }

  /** Bytes that can still be read. */
  get lag(): number {
    return this.ending === null ? this.currentLag : this.#frozenLag;
  }

  /** Bytes that can no longer be read. */
  get missed(): number {
    return this.ending === null ? this.currentMissed : this.missedSoFar;
  }

  /** Whether the fast path may take over again. */
  get plain(): boolean {
    return (
      this.skip === 0 &&
      !this.copy &&
      this.signal === null &&
      this.queue === null &&
      this.trouble === null &&
      this.ending === null &&
      this.watcher === null &&
      this.onDetached === null &&
      this.channel.flushes.isEmpty
    );
  }

  protected get currentPosition(): number {
    return this.node.start + this.skip;
  }

  protected get currentLag(): number {
    return this.channel.tail.start - this.currentPosition;
  }

  protected get currentMissed(): number {
    return this.missedSoFar;
  }

  /** Passes the next chunk and returns its node, with `cut` set; null where nothing is waiting. */
  step(): ChunkNode<T> | null {
    this.locate();
    const { node } = this;
    const after = node.next;
    if (after === null) return null;
    const from = node.start + this.skip;
    this.cut = this.skip;
    this.skip = 0;
    this.node = after;
    this.channel.moved(this, from, after.start);
    this.advanced();
    return node;
  }

  /** The next chunk as an iterator result, or null where nothing is waiting. */
  take(): IteratorYieldResult<T> | null {
    const node = this.step();
    if (node === null) return null;
    const result = this.resultFrom(node);
    this.channel.passed(node);
    return result;
  }

  /** The same as a resolved promise, which is shared with other readers where the chunk is. */
  takePromise(): Promise<IteratorYieldResult<T>> | null {
    const node = this.step();
    if (node === null) return null;
    const promise =
      this.cut === 0 && !this.copy ? this.channel.promiseOf(node) : Promise.resolve(this.resultFrom(node));
    this.channel.passed(node);
    return promise;
  }

  /** All chunks that are waiting, with neighbours merged, or null. */
  takeAll(): T[] | null {
    this.locate();
    const { node, skip, listEnd: end } = this;
    if (node === end) return null;
    const chunks = collectChunks(node, skip, end);
    this.node = end;
    this.skip = 0;
    this.channel.moved(this, node.start + skip, end.start);
    this.advanced();
    this.channel.passed(node);
    return this.copy ? chunks.map(privateCopy) : chunks;
  }

  /** Copies bytes that are waiting into `target` and returns how many. Only for a channel of bytes. */
  fill(target: Uint8Array): number {
    let filled = 0;
    while (filled < target.byteLength) {
      this.locate();
      const { node } = this;
      if (node.next === null) break;
      const from = node.start + this.skip;
      const size = Math.min(node.next.start - from, target.byteLength - filled);
      const source =
        node.at < 0
          ? (node.data as Uint8Array).subarray(this.skip, this.skip + size)
          : new Uint8Array(node.data as ArrayBuffer, node.at + this.skip, size);
      target.set(source, filled);
      filled += size;
      this.skip += size;
      const isWhole = from + size === node.next.start;
      if (isWhole) {
        this.node = node.next;
        this.skip = 0;
      }
      this.channel.moved(this, from, from + size);
      this.advanced();
      if (isWhole) this.channel.passed(node);
    }
    return filled;
  }

  /** The empty node at the end of the list on which this seat stands. */
  protected get listEnd(): ChunkNode<T> {
    return this.channel.tail;
  }

  /** A policy that has let bytes go finds the place again here, before a read. */
  locate(): void {}

  /** The stream is being detached: a policy gives back what it holds in the channel. */
  withdraw(): void {}

  /** Counts a gap that begins at `from`. */
  protected miss(amount: number, from: number): void {
    if (amount === 0) return;
    if (this.unreported === 0) this.gapStart = from;
    this.missedSoFar += amount;
    this.unreported += amount;
  }

  /** A policy looks here at what a read has changed. */
  protected advanced(): void {}

  /** Frees what the seat holds and freezes its counters. Only the channel calls this. */
  freeze(ending: Ending): void {
    this.#frozenPosition = this.currentPosition;
    this.#frozenLag = this.currentLag;
    this.missedSoFar = this.currentMissed;
    this.ending = ending;
    this.node = NOWHERE;
    this.skip = 0;
    if (this.signal !== null) leaveSignal(this.signal, this);
  }

  aborted(reason: unknown): void {
    const { parked } = this;
    this.channel.detach(this, { kind: 'failed', reason });
    if (parked !== null) parked.settleEnded();
  }

  protected resultFrom(node: ChunkNode<T>): IteratorYieldResult<T> {
    if (this.cut === 0 && !this.copy) return this.channel.resultOf(node);
    const whole = chunkOf(node);
    const chunk = this.cut === 0 ? whole : cutChunk(whole, this.cut);
    return { value: this.copy ? privateCopy(chunk) : chunk, done: false };
  }
}

/** Only streams of bytes are ever opened with `copy`. */
function privateCopy<T>(chunk: T): T {
  const source = chunk as Uint8Array;
  const copy = new Uint8Array(source.byteLength);
  copy.set(source);
  return copy as T;
}
