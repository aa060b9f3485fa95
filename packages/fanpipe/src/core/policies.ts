import { DisconnectedError } from '../errors.ts';
import type { Channel } from './channel.ts';
import { ChunkNode, cutChunk, NOWHERE } from './chunk-node.ts';
import { Seat } from './seat.ts';

/** What happens to a stream whose lag exceeds its mark after a write. */
export type OverflowPolicy = 'block' | 'drop-oldest' | 'drop-newest' | 'disconnect';

/** The names of all policies. */
export const OVERFLOW_POLICIES: readonly OverflowPolicy[] = ['block', 'drop-oldest', 'drop-newest', 'disconnect'];

/**
 * The place of a stream with a mark and a policy. While its lag is within the mark it stands in the channel's overflow
 * heap; when a write takes the lag beyond, the channel takes it out and calls `exceeded`.
 */
export abstract class BoundedSeat<T> extends Seat<T> {
  readonly highWaterMark: number;
  /** The tail beyond which the channel looks at this seat. Never above the true limit. */
  overflowAt = 0;
  heapIndex = -1;

  constructor(channel: Channel<T>, node: ChunkNode<T>, highWaterMark: number) {
    super(channel, node);
    this.highWaterMark = highWaterMark;
  }

  override get plain(): boolean {
    return false;
  }

  /** The stream was opened. What is already beyond the mark waits for the next write. */
  opened(): void {
    this.rearm();
  }

  /** The lag is beyond the mark, and the seat is out of the heap. */
  abstract exceeded(): void;

  override withdraw(): void {
    this.channel.overflows(this).remove(this);
  }

  /** Goes back under the watch of the heap. */
  protected rearm(): void {
    this.channel.watch(this);
  }
}

/** `block`: a write takes effect, and its promise waits until the lag is within the mark. Nothing is ever missed. */
export class BlockSeat<T> extends BoundedSeat<T> {
  #blocking = false;

  /** A stream that begins beyond its mark blocks at once, or `writeSync` would take one chunk too many. */
  override opened(): void {
    if (this.currentLag > this.highWaterMark) this.exceeded();
    else this.rearm();
  }

  override exceeded(): void {
    this.#blocking = true;
    this.channel.blocked();
  }

  protected override advanced(): void {
    if (!this.#blocking || this.currentLag > this.highWaterMark) return;
    this.#blocking = false;
    this.rearm();
    this.channel.unblocked();
  }

  override withdraw(): void {
    super.withdraw();
    if (!this.#blocking) return;
    this.#blocking = false;
    this.channel.unblocked();
  }
}

/** `disconnect`: the backlog is freed and the reader gets a {@link DisconnectedError} at once. */
class DisconnectSeat<T> extends BoundedSeat<T> {
  override exceeded(): void {
    const { currentLag: lag, currentPosition: position } = this;
    // What was waiting is now missed, so that the counters still add up when they freeze.
    this.missedSoFar += lag;
    this.node = this.channel.tail;
    this.skip = 0;
    this.channel.moved(this, position, this.node.start);
    const reason = new DisconnectedError(lag, this.highWaterMark, position);
    this.channel.detach(this, { kind: 'failed', reason });
  }
}

/**
 * `drop-oldest`: keeps exactly the newest `highWaterMark` bytes.
 *
 * A stream that has fallen behind lets go of its node and keeps an offset into the channel's history, which is one
 * window for all of them. What it misses is computed, so a stalled stream costs a write nothing.
 */
export class DropOldestSeat<T> extends BoundedSeat<T> {
  /** The stream is behind its window: only `#offset` says where it stood. */
  #behind = false;
  #offset = 0;
  /** The history keeps a window for this stream, until it has caught up. */
  #holding = false;

  override exceeded(): void {
    this.#offset = this.currentPosition;
    if (!this.#holding) {
      this.#holding = true;
      this.channel.holdWindow(this.highWaterMark, this.node);
    }
    this.#behind = true;
    this.node = NOWHERE as ChunkNode<T>;
    this.skip = 0;
    this.channel.flushes.fellBehind(this);
  }

  /** Where the window begins, or where the stream stands if that is later. */
  protected override get currentPosition(): number {
    if (!this.#behind) return super.currentPosition;
    return Math.max(this.#offset, this.channel.windowStart(this.highWaterMark));
  }

  protected override get currentMissed(): number {
    return this.#behind ? this.missedSoFar + this.currentPosition - this.#offset : this.missedSoFar;
  }

  /** Takes note of what has left the window, for a flush that waits for it. */
  slide(): void {
    const position = this.currentPosition;
    const missed = position - this.#offset;
    if (missed === 0) return;
    const from = this.#offset;
    this.miss(missed, from);
    this.#offset = position;
    this.channel.moved(this, from, position);
  }

  override locate(): void {
    if (!this.#behind) return;
    this.slide();
    this.#behind = false;
    this.channel.flushes.caughtWindow(this);
    this.node = this.channel.nodeAt(this.#offset);
    this.skip = this.#offset - this.node.start;
    this.rearm();
    this.#letGoAtTail();
  }

  protected override advanced(): void {
    this.#letGoAtTail();
  }

  #letGoAtTail(): void {
    if (!this.#holding || this.node.next !== null) return;
    this.#holding = false;
    this.channel.releaseWindow(this.highWaterMark);
  }

  override withdraw(): void {
    super.withdraw();
    // The counters freeze where they are, but nothing may be held any longer.
    if (this.#behind) {
      this.slide();
      this.#behind = false;
      this.channel.flushes.caughtWindow(this);
      this.node = new ChunkNode<T>(this.#offset);
    }
    if (this.#holding) {
      this.#holding = false;
      this.channel.releaseWindow(this.highWaterMark);
    }
  }
}

/**
 * `drop-newest`: keeps the oldest `highWaterMark` bytes and takes nothing more until these are read.
 *
 * A pointer into the shared list would pin all that follows, so what is kept becomes a list of its own.
 */
class DropNewestSeat<T> extends BoundedSeat<T> {
  #full = false;
  /** Offset after the last byte that is kept. */
  #keptTo = 0;
  #keptEnd: ChunkNode<T> | null = null;

  override exceeded(): void {
    this.#full = true;
    this.#keepFrom();
    this.#skipIfRead();
  }

  #keepFrom(): void {
    const position = this.currentPosition;
    const limit = position + this.highWaterMark;
    const end = this.channel.wholeRecords ? null : limit;
    let source = this.node;
    const head = new ChunkNode<T>(source.start);
    let kept = head;
    for (;;) {
      const after = source.next as ChunkNode<T>;
      const fits = after.start <= limit;
      // Records are whole: one that does not fit is not kept. Bytes are cut at the mark.
      if (!fits && (end === null || source.start + (source === this.node ? this.skip : 0) >= end)) break;
      const to = fits ? after.start : limit;
      kept.at = source.at;
      kept.data = fits || source.at >= 0 ? source.data : cutChunk(source.data as T, 0, limit - source.start);
      const last = new ChunkNode<T>(to);
      kept.next = last;
      kept.open = last;
      kept = last;
      if (!fits) break;
      source = after;
    }
    this.node = head;
    this.#keptEnd = kept;
    this.#keptTo = Math.max(kept.start, position);
  }

  /** Everything kept is read: what was written since is missed, and the stream goes on at the tail. */
  #skipIfRead(): void {
    if (!this.#full || this.node.next !== null) return;
    const { tail } = this.channel;
    const from = this.currentPosition;
    this.#full = false;
    this.#keptEnd = null;
    this.miss(tail.start - this.#keptTo, this.#keptTo);
    this.node = tail;
    this.skip = 0;
    this.channel.moved(this, from, tail.start);
    this.rearm();
  }

  protected override get listEnd(): ChunkNode<T> {
    return this.#keptEnd ?? super.listEnd;
  }

  protected override get currentLag(): number {
    return this.#full ? this.#keptTo - this.currentPosition : super.currentLag;
  }

  protected override get currentMissed(): number {
    return this.#full ? this.missedSoFar + this.channel.tail.start - this.#keptTo : this.missedSoFar;
  }

  protected override advanced(): void {
    this.#skipIfRead();
  }
}

/** Makes the seat of a bounded stream. */
export function createBoundedSeat<T>(
  policy: OverflowPolicy,
  channel: Channel<T>,
  node: ChunkNode<T>,
  highWaterMark: number,
): BoundedSeat<T> {
  switch (policy) {
    case 'block':
      return new BlockSeat(channel, node, highWaterMark);
    case 'drop-oldest':
      return new DropOldestSeat(channel, node, highWaterMark);
    case 'drop-newest':
      return new DropNewestSeat(channel, node, highWaterMark);
    case 'disconnect':
      return new DisconnectSeat(channel, node, highWaterMark);
  }
}
