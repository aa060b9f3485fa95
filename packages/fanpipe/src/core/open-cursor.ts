import { InvalidArgumentError, OffsetEvictedError, OffsetNotWrittenError } from '../errors.ts';
import { joinSignal } from '../signals.ts';
import type { Channel } from './channel.ts';
import { checkAmount, checkCallback, checkSignal } from './check.ts';
import type { ChunkNode } from './chunk-node.ts';
import { Cursor, type OnMissed } from './cursor.ts';
import { BoundedSeat, createBoundedSeat, OVERFLOW_POLICIES, type OverflowPolicy } from './policies.ts';
import { Seat } from './seat.ts';

/** Where a stream starts to read. */
export type StreamStart =
  /** At the tail: only what is written from now on. */
  | 'now'
  /** At the oldest retained offset. */
  | 'start'
  /** At this offset, which must be retained. Typed streams: at a border between records. */
  | number
  /** So much before the tail, or at the oldest retained offset if that is later. */
  | { readonly last: number };

/** What the streams of bytes and of values have in common. Amounts are bytes; typed: items, or what `size` counts. */
export interface StreamOptions {
  /** Where to start. Default `'now'`. */
  readonly from?: StreamStart | undefined;
  /** The lag that is tolerated. Default with a policy: 1 MiB (typed: 1,024). Without both, the lag is unbounded. */
  readonly highWaterMark?: number | undefined;
  /** What happens beyond the mark. Default with a mark: `'block'`. */
  readonly overflow?: OverflowPolicy | undefined;
  /**
   * Told in a microtask, when the reader has crossed a gap, how much it missed and where the gap begins. If it throws,
   * the next read rejects with a `CallbackError`, and the stream goes on.
   */
  readonly onMissed?: OnMissed | undefined;
  /** Detaches the stream when it fires: reads then reject with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The mark of a stream that names a policy and no mark. */
const DEFAULT_BYTE_MARK: number = 1024 * 1024;
const DEFAULT_ITEM_MARK = 1024;

/** How a stream is opened beyond what its reader may say. */
export interface OpenInternals<T> {
  /** Makes the cursor; default a plain {@link Cursor}. */
  readonly createCursor?: (channel: Channel<T>, node: ChunkNode<T>) => Cursor<T>;
  /** Told once when the stream is detached, also if it is dropped. Runs no user code, and must not refer to the stream. */
  readonly onDetached?: () => void;
}

/** Opens a plain stream at the tail, which is what most readers want. */
export function openAtTail<T>(channel: Channel<T>): Cursor<T> {
  const { tail } = channel;
  channel.joined(tail);
  return new Cursor(channel, tail);
}

/** Opens a stream on `channel`. All options are checked before anything changes. */
export function openCursor<T>(
  channel: Channel<T>,
  options: StreamOptions,
  copy: boolean,
  { createCursor, onDetached }: OpenInternals<T> = {},
): Cursor<T> {
  const { highWaterMark, overflow, onMissed, signal } = options;
  if (overflow !== undefined && !OVERFLOW_POLICIES.includes(overflow)) {
    throw new InvalidArgumentError('overflow', overflow, `one of ${OVERFLOW_POLICIES.map((p) => `'${p}'`).join(', ')}`);
  }
  if (highWaterMark !== undefined) checkAmount('highWaterMark', highWaterMark);
  checkCallback('onMissed', onMissed);
  checkSignal(signal);
  const start = resolveStart(channel, options.from);

  const node = channel.nodeAt(start);
  const skip = start - node.start;
  const bounded = overflow !== undefined || highWaterMark !== undefined;
  const isLate = channel.flushes.isBefore(start);
  const cursor = createCursor?.(channel, node) ?? new Cursor(channel, node);
  if (bounded || copy || signal !== undefined || skip > 0 || isLate || onDetached !== undefined) {
    const mark = highWaterMark ?? (channel.wholeRecords ? DEFAULT_ITEM_MARK : DEFAULT_BYTE_MARK);
    const seat = bounded ? createBoundedSeat(overflow ?? 'block', channel, node, mark) : new Seat(channel, node);
    seat.skip = skip;
    seat.copy = copy;
    seat.since = channel.flushes.lastId;
    seat.onDetached = onDetached ?? null;
    if (node === channel.tail) seat.countedAt = node.start;
    cursor.sit(seat, onMissed);
    channel.joined(node);
    if (signal?.aborted) {
      channel.detach(seat, { kind: 'failed', reason: signal.reason });
    } else {
      if (seat instanceof BoundedSeat) seat.opened();
      if (signal !== undefined) {
        seat.signal = signal;
        joinSignal(signal, seat);
      }
    }
  } else {
    channel.joined(node);
  }
  return cursor;
}

function resolveStart<T>(channel: Channel<T>, from: StreamStart = 'now'): number {
  const tail = channel.tail.start;
  if (from === 'now') return tail;
  const { head } = channel;
  if (from === 'start') return head;
  if (typeof from === 'object' && from !== null) {
    checkAmount('from.last', from.last);
    return channel.recordFrom(Math.max(head, tail - from.last));
  }
  if (typeof from !== 'number' || !Number.isSafeInteger(from) || from < 0) {
    throw new InvalidArgumentError('from', from, "'now', 'start', an offset (a whole number from 0) or { last: n }");
  }
  if (from > tail) throw new OffsetNotWrittenError(from, tail);
  if (from < head) throw new OffsetEvictedError(from, head);
  if (channel.recordFrom(from) !== from) {
    throw new InvalidArgumentError('from', from, 'an offset at which a record begins');
  }
  return from;
}
