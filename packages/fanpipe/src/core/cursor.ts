import { CallbackError } from '../errors.ts';
import type { Channel } from './channel.ts';
import { type ChunkNode, NOWHERE } from './chunk-node.ts';
import { DONE, type Ending, Seat, type Waiter } from './seat.ts';

/** `slot` of a cursor that is not parked. */
const NOT_PARKED = -1;
/** `slot` of a plain cursor that has read to the end. */
const AT_END = -2;

// Shared by all readers of the process, so nobody may change it.
const DONE_RESULT: IteratorReturnResult<undefined> = Object.freeze({ value: undefined, done: true as const });

/** What `onMissed` is told: how much was missed, and the offset at which the gap begins. */
export type OnMissed = (missed: number, from: number) => void;

// A stream's own callback may refer to the stream. Held from the cursor, it cannot keep the cursor alive; held from the
// seat, which the channel may hold, it would.
const missedCallbacks: WeakMap<object, OnMissed> = new WeakMap();

// Seats of dropped cursors. Weakly, since a seat leads to its channel, and that to the cursors that are parked there: held
// from here, a writer that is dropped while a reader waits could never be collected. The channel holds the seat.
const dropped: FinalizationRegistry<WeakRef<Seat<unknown>>> = new FinalizationRegistry((reference) => {
  const seat = reference.deref();
  seat?.channel.detach(seat, DONE);
});

// One executor for all parked reads: a closure for each would cost as much as the promise.
const NOBODY: { waiter: Waiter | null } = { waiter: null };
let parking = NOBODY;
const keepWaiter = (resolve: Waiter): void => {
  parking.waiter = resolve;
};

/**
 * What one stream reads with; also its iterator.
 *
 * On the fast path a cursor is a pointer into the list: `next()` follows `open` and returns a promise that all readers
 * of the chunk share. Everything else goes through a {@link Seat}, and `node` is NOWHERE then, so that one check tells.
 * A promise of its own is made only when it parks, since a shared one could not be settled for one reader alone.
 */
export class Cursor<T> implements AsyncIterableIterator<T, undefined> {
  readonly channel: Channel<T>;
  node: ChunkNode<T>;
  seat: Seat<T> | null = null;
  /** Settles the oldest parked `next()`. */
  waiter: Waiter | null = null;
  /** Index in the lot of the parked cursors, or one of the constants above. */
  slot: number = NOT_PARKED;
  /** Who took the one iterator, if anyone: whether a parked read wants one chunk, or all that is there. */
  taken: 'not' | 'for chunks' | 'for batches' = 'not';

  constructor(channel: Channel<T>, node: ChunkNode<T>) {
    this.channel = channel;
    this.node = node;
  }

  /** Leaves the fast path for `seat`, and has it detached if this cursor is dropped. */
  sit(seat: Seat<T>, onMissed?: OnMissed): void {
    this.seat = seat;
    this.node = NOWHERE as ChunkNode<T>;
    this.channel.seated.add(seat);
    dropped.register(this, new WeakRef(seat as Seat<unknown>), seat);
    if (onMissed !== undefined) missedCallbacks.set(this, onMissed);
  }

  get position(): number {
    return this.seat === null ? this.node.start : this.seat.position;
  }

  get lag(): number {
    return this.seat === null ? this.channel.tail.start - this.node.start : this.seat.lag;
  }

  get missed(): number {
    return this.seat === null ? 0 : this.seat.missed;
  }

  /** How the stream was detached, if not by reading to the end. */
  get ending(): Ending | null {
    return this.seat === null ? null : this.seat.ending;
  }

  // ---- one chunk at a time

  next(): Promise<IteratorResult<T, undefined>> {
    const { node } = this;
    const after = node.open;
    if (after === null) return this.#nextSlowly();
    this.node = after;
    const promise = this.channel.promiseOf(node);
    if (after.open === null) this.channel.arrived(after, node);
    return promise;
  }

  #nextSlowly(): Promise<IteratorResult<T, undefined>> {
    if (this.waiter !== null) return this.#park() as Promise<IteratorResult<T, undefined>>;
    const { seat } = this;
    if (seat === null) {
      const { node } = this;
      if (node.next !== null) return Promise.resolve(this.#pass(node, node.next));
    } else {
      if (seat.ending !== null) return ended(seat.ending);
      if (seat.trouble !== null) return Promise.reject(this.#takeTrouble(seat));
      const promise = seat.takePromise();
      this.#afterSeat(seat);
      if (promise !== null) return promise;
    }
    return this.channel.state === 'open'
      ? (this.#park() as Promise<IteratorResult<T, undefined>>)
      : (this.#end() as Promise<IteratorReturnResult<undefined>>);
  }

  /** A plain cursor passes a filled node. */
  #pass(node: ChunkNode<T>, after: ChunkNode<T>): IteratorYieldResult<T> {
    this.node = after;
    const result = this.channel.resultOf(node);
    if (after.open === null) this.channel.arrived(after, node);
    return result;
  }

  /** The next chunk; undefined where none is waiting, null at the end. Throws what the stream failed with. */
  read(): IteratorYieldResult<T> | undefined | null {
    if (this.waiter !== null) this.settleParked();
    if (this.waiter !== null) return undefined;
    const { seat } = this;
    let result: IteratorYieldResult<T> | null = null;
    if (seat === null) {
      const { node } = this;
      if (node.next !== null) result = this.#pass(node, node.next);
    } else {
      if (seat.ending !== null) return endedNow(seat.ending);
      if (seat.trouble !== null) throw this.#takeTrouble(seat);
      result = seat.take();
      this.#afterSeat(seat);
    }
    if (result !== null) return result;
    return this.channel.state === 'open' ? undefined : endedNow(this.#leaveAtEnd());
  }

  // ---- all that is there

  nextBatch(): Promise<IteratorResult<readonly T[], undefined>> {
    const { node } = this;
    if (node.next !== null && this.waiter === null) {
      this.node = this.channel.tail;
      return this.channel.takeBatchPromise(node);
    }
    return this.#nextBatchSlowly();
  }

  #nextBatchSlowly(): Promise<IteratorResult<readonly T[], undefined>> {
    this.taken = 'for batches';
    // A wake-up may be on its way to the read before this one, and it does not look for cursors with several.
    if (this.waiter !== null) this.settleParked();
    if (this.waiter !== null) return this.#park() as Promise<IteratorResult<readonly T[], undefined>>;
    const { seat } = this;
    if (seat !== null) {
      if (seat.ending !== null) return ended(seat.ending);
      if (seat.trouble !== null) return Promise.reject(this.#takeTrouble(seat));
      const value = seat.takeAll();
      this.#afterSeat(seat);
      if (value !== null) return Promise.resolve({ value, done: false });
    }
    return this.channel.state === 'open'
      ? (this.#park() as Promise<IteratorResult<readonly T[], undefined>>)
      : (this.#end() as Promise<IteratorReturnResult<undefined>>);
  }

  // ---- bytes into memory of the reader

  /** Copies what is waiting into `target`; the count, or null at the end. Throws what the stream failed with. */
  fill(target: Uint8Array): number | null {
    // A plain cursor that has ended is counted no more, so it must not sit down again.
    if (this.slot === AT_END) return endedNow(this.#leaveAtEnd());
    const seat = this.seat ?? this.#leaveFastPath();
    if (seat.ending !== null) return endedNow(seat.ending);
    if (seat.trouble !== null) throw this.#takeTrouble(seat);
    const filled = seat.fill(target);
    this.#afterSeat(seat);
    if (filled > 0 || target.byteLength === 0 || this.channel.state === 'open') return filled;
    return endedNow(this.#leaveAtEnd());
  }

  // ---- waiting

  #park(): Promise<unknown> {
    if (this.waiter !== null) return this.#parkBehind();
    parking = this;
    const promise = new Promise<unknown>(keepWaiter);
    // It would keep this cursor alive.
    parking = NOBODY;
    if (this.seat !== null) this.seat.parked = this;
    this.channel.park(this);
    return promise;
  }

  /** Another `next()` while one is parked. */
  #parkBehind(): Promise<unknown> {
    const seat = this.seat ?? this.#leaveFastPath();
    return new Promise<unknown>((resolve) => (seat.queue ??= []).push(resolve));
  }

  /** Settles as many parked reads as can be, in their order; parks again for the rest. */
  settleParked(): void {
    const { channel } = this;
    while (this.waiter !== null) {
      const result = this.#take();
      if (result === null) {
        if (channel.state !== 'open' || this.ending !== null) this.settleEnded();
        else if (this.slot === NOT_PARKED) channel.park(this);
        return;
      }
      if (this.slot >= 0) channel.unpark(this);
      this.shiftWaiter()(result);
    }
  }

  #take(): IteratorYieldResult<unknown> | null {
    const { seat } = this;
    if (seat === null) {
      const { node } = this;
      if (node.next === null) return null;
      if (this.taken !== 'for batches') return this.#pass(node, node.next);
      this.node = this.channel.tail;
      return this.channel.takeBatch(node);
    }
    if (this.taken !== 'for batches') {
      const result = seat.take();
      this.#afterSeat(seat);
      return result;
    }
    const value = seat.takeAll();
    this.#afterSeat(seat);
    return value === null ? null : { value, done: false };
  }

  /** The waiter that is to be settled now; the one behind it becomes the first. */
  protected shiftWaiter(): Waiter {
    const waiter = this.waiter as Waiter;
    const { seat } = this;
    this.waiter = seat?.queue?.shift() ?? null;
    if (seat !== null) {
      if (seat.queue?.length === 0) seat.queue = null;
      if (this.waiter === null) seat.parked = null;
    }
    return waiter;
  }

  /** Settles every parked read with the end of the stream. */
  settleEnded(): void {
    if (this.waiter === null) return;
    this.channel.unpark(this);
    const ending = this.#leaveAtEnd();
    while (this.waiter !== null) this.shiftWaiter()(ending.kind === 'failed' ? rejection(ending.reason) : DONE_RESULT);
  }

  // ---- being watched

  /** Has `watcher` told once when this stream is detached, by a cancel, an abort, its policy or a read. */
  watch(watcher: () => void): void {
    if (this.slot !== AT_END && this.ending === null) (this.seat ?? this.#leaveFastPath()).watcher = watcher;
  }

  /** Undoes {@link watch}. */
  unwatch(): void {
    if (this.seat !== null) this.seat.watcher = null;
  }

  // ---- ending

  #end(): Promise<IteratorReturnResult<undefined>> {
    return ended(this.#leaveAtEnd());
  }

  /** The channel has ended and all is read: detaches, and says how it ended. */
  #leaveAtEnd(): Ending {
    const { seat, channel } = this;
    const ending: Ending = channel.state === 'failed' ? { kind: 'failed', reason: channel.reason } : DONE;
    if (seat !== null) {
      this.#detach(seat, ending);
      return seat.ending as Ending;
    }
    if (this.slot !== AT_END) {
      this.slot = AT_END;
      channel.leftAtEnd();
    }
    return ending;
  }

  /** Detaches this stream alone; its parked reads settle as ended. Nothing happens if it is detached already. */
  cancel(reason: unknown): void {
    if (this.slot === AT_END || this.ending !== null) return;
    const seat = this.seat ?? this.#leaveFastPath();
    this.#detach(seat, { kind: 'cancelled', reason });
    this.settleEnded();
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.cancel(undefined);
    if (this.slot === AT_END) {
      // What comes after `return()` is the end, also where the writer had failed.
      this.slot = NOT_PARKED;
      const seat = new Seat(this.channel, this.node);
      seat.freeze(DONE);
      this.seat = seat;
      this.node = NOWHERE as ChunkNode<T>;
    } else if (this.seat !== null) {
      this.seat.ending = DONE;
    }
    return Promise.resolve(DONE_RESULT);
  }

  throw(reason: unknown): Promise<never> {
    this.cancel(reason);
    return Promise.reject(reason);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #detach(seat: Seat<T>, ending: Ending): void {
    this.channel.detach(seat, ending);
    dropped.unregister(seat);
    missedCallbacks.delete(this);
  }

  // ---- the seat

  /** Gives a plain cursor a seat at the place where it stands. */
  #leaveFastPath(): Seat<T> {
    const { node, channel } = this;
    const isParked = this.slot >= 0;
    if (isParked) channel.unpark(this);
    const seat = new Seat(channel, node);
    if (node === channel.tail) seat.countedAt = node.start;
    this.seat = seat;
    this.node = NOWHERE as ChunkNode<T>;
    if (this.waiter !== null) seat.parked = this;
    if (isParked) channel.park(this);
    return seat;
  }

  /** After each use of the seat: tells of gaps, and goes back to the fast path where nothing speaks against it. */
  #afterSeat(seat: Seat<T>): void {
    if (seat.unreported > 0) this.#reportMissed(seat);
    if (this.waiter === null && seat.plain) {
      this.node = seat.node;
      this.seat = null;
      this.channel.seated.delete(seat);
      dropped.unregister(seat);
    }
  }

  #reportMissed(seat: Seat<T>): void {
    const missed = seat.unreported;
    seat.unreported = 0;
    const onMissed = missedCallbacks.get(this);
    if (onMissed === undefined) return;
    const from = seat.gapStart;
    queueMicrotask(() => {
      try {
        onMissed(missed, from);
      } catch (cause) {
        this.#troubled(seat, new CallbackError('onMissed', THREW, { cause }));
      }
    });
  }

  /** A callback threw: one read rejects with it, and the stream goes on. */
  #troubled(seat: Seat<T>, error: CallbackError): void {
    if (seat.ending !== null) return;
    if (this.waiter === null) {
      seat.trouble ??= error;
      return;
    }
    if (seat.queue === null) this.channel.unpark(this);
    this.shiftWaiter()(rejection(error));
  }

  #takeTrouble(seat: Seat<T>): CallbackError {
    const error = seat.trouble as CallbackError;
    seat.trouble = null;
    return error;
  }
}

const THREW = 'threw. The read that follows says so; the stream stays attached and loses nothing by it.';

// Settling a parked read with a promise looks `then` up on it, and Promise.prototype may be patched.
const { then } = Promise.prototype;

/** What a parked read is settled with to reject it. */
function rejection(reason: unknown): Promise<never> {
  return Object.defineProperty(Promise.reject(reason), 'then', { value: then });
}

/** The result of a read after the end. A rejection takes as long as that of a parked read, so that it stays behind it. */
function ended(ending: Ending): Promise<IteratorReturnResult<undefined>> {
  if (ending.kind !== 'failed') return Promise.resolve(DONE_RESULT);
  return new Promise((resolve) => resolve(rejection(ending.reason)));
}

function endedNow(ending: Ending): null {
  if (ending.kind === 'failed') throw ending.reason;
  return null;
}
