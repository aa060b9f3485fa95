/**
 * The protocols of the iterable streams API (`node:stream/iter`, WinterTC's iter-streams), by their symbols alone: that
 * module is never imported, so this runs everywhere, and its functions take our writers and streams as they are.
 *
 * | symbol | on | gives |
 * | --- | --- | --- |
 * | `Stream.drainableProtocol` | every writer | a promise of room, for `ondrain(writer)` |
 * | `Stream.broadcastProtocol`, `Stream.shareProtocol` | `ByteWriter` | its streams, for `Broadcast.from(writer)`, `Share.from(writer)` |
 * | `Stream.toAsyncStreamable` | `ByteStream` | its batches, for `pull(stream)`, `text(stream)`, `pipeTo(stream, …)` |
 *
 * A stream carries neither of the two in the middle: `share(stream)` and `Broadcast.from(stream)` read it through its
 * batches, and what they ask for in buffers and policies is then theirs.
 *
 * @module
 */

import type { Channel } from '../core/channel.ts';
import { checkAmount } from '../core/check.ts';
import type { Cursor } from '../core/cursor.ts';
import { openCursor } from '../core/open-cursor.ts';
import type { OverflowPolicy } from '../core/policies.ts';
import { DONE, type Ending, type Seat } from '../core/seat.ts';
import { InvalidArgumentError } from '../errors.ts';
import { cutOff } from './cut-off.ts';
import { type BatchSource, splitTransforms, TransformedBatches } from './iter-transforms.ts';

const DRAINABLE = Symbol.for('Stream.drainableProtocol');
const BROADCAST = Symbol.for('Stream.broadcastProtocol');
const SHARE = Symbol.for('Stream.shareProtocol');
const TO_ASYNC_STREAMABLE = Symbol.for('Stream.toAsyncStreamable');

/** Lets `ondrain` wait for room in writers of this prototype. */
export function implementDrainable<W extends object>(prototype: W, channelOf: (writer: W) => Channel<unknown>): void {
  define(prototype, DRAINABLE, (writer) => drained(channelOf(writer)));
}

/** Lets `Broadcast.from` and `Share.from` open streams of writers of this prototype. */
export function implementFanOut<W extends object>(prototype: W, channelOf: (writer: W) => Channel<Uint8Array>): void {
  for (const symbol of [BROADCAST, SHARE]) {
    define(prototype, symbol, (writer, options) => new FanOut(channelOf(writer), options as FanOutOptions | undefined));
  }
}

/** Lets whatever takes a source read streams of this prototype, in batches. */
export function implementStreamable<S extends object>(prototype: S, take: (stream: S) => Cursor<Uint8Array>): void {
  define(prototype, TO_ASYNC_STREAMABLE, (stream) => new CursorBatches(take(stream)));
}

function define<O extends object>(prototype: O, symbol: symbol, method: (self: O, options: unknown) => unknown): void {
  Object.defineProperty(prototype, symbol, {
    value(this: O, options: unknown): unknown {
      return method(this, options);
    },
    configurable: true,
    writable: true,
  });
}

/** Null on a writer that has ended; else true when there is room, false if it is closed before; rejects if it fails. */
function drained(channel: Channel<unknown>): Promise<boolean> | null {
  if (channel.state !== 'open') return null;
  if (!channel.isBlocked) return Promise.resolve(true);
  const promise = new Promise<boolean>((resolve, reject) => {
    const ended = (): void => {
      if (channel.state === 'closed') resolve(false);
      else reject(channel.reason);
    };
    channel.endWatchers.add(ended);
    void channel.room.wait(undefined).then(() => {
      if (channel.endWatchers.delete(ended)) resolve(true);
    });
  });
  // Who asked may have lost interest; the writer's failure is not theirs to handle.
  promise.catch(() => {});
  return promise;
}

/**
 * A stream's batches, in arrays of their own: those that our readers share must not be changed, which nobody there knows.
 * A cancelled stream rejects, since its end would close what `pipeTo` writes to.
 */
class CursorBatches implements BatchSource {
  readonly #cursor: Cursor<Uint8Array>;

  constructor(cursor: Cursor<Uint8Array>) {
    this.#cursor = cursor;
  }

  async next(): Promise<IteratorResult<Uint8Array[], undefined>> {
    const { value, done } = await this.#cursor.nextBatch();
    if (!done) return { value: value.slice(), done: false };
    const cut = cutOff(this.#cursor);
    if (cut !== null) throw cut.reason;
    return { value: undefined, done: true };
  }

  leave(reason: unknown): void {
    this.#cursor.cancel(reason);
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    return this.#cursor.return();
  }

  throw(reason: unknown): Promise<never> {
    return this.#cursor.throw(reason);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** What `Broadcast.from` and `Share.from` hand on. */
interface FanOutOptions {
  /** Bytes of lag that a consumer is allowed: the mark of its stream. Default 64 KiB. */
  readonly budget?: number | undefined;
  /** What happens beyond. `'strict'`, the default, and `'unbounded'` make the writer wait, as they do there. */
  readonly backpressure?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_BUDGET = 64 * 1024;

const POLICIES: ReadonlyMap<string, OverflowPolicy> = new Map([
  ['strict', 'block'],
  ['unbounded', 'block'],
  ['drop-oldest', 'drop-oldest'],
  ['drop-newest', 'drop-newest'],
]);

/**
 * Consumers of one writer: the Broadcast (`push`) and the Share (`pull`) of that API, which differ in that word alone
 * where the buffer is the writer's. Each consumer is a stream that starts at what the writer replays.
 */
class FanOut {
  readonly #channel: Channel<Uint8Array>;
  readonly #mark: number;
  readonly #overflow: OverflowPolicy;
  readonly #signal: AbortSignal | undefined;
  /** A seat does not hold its consumer, so one that is dropped can still be collected. */
  #seats: Set<Seat<Uint8Array>> = new Set();
  #sweepAt = 16;
  #ending: Ending | null = null;

  constructor(channel: Channel<Uint8Array>, options: FanOutOptions = {}) {
    const { budget = DEFAULT_BUDGET, backpressure = 'strict', signal } = options;
    checkAmount('budget', budget);
    const overflow = POLICIES.get(backpressure);
    if (overflow === undefined) {
      throw new InvalidArgumentError('backpressure', backpressure, `one of ${[...POLICIES.keys()].join(', ')}`);
    }
    this.#channel = channel;
    this.#mark = budget;
    this.#overflow = overflow;
    this.#signal = signal;
  }

  get consumerCount(): number {
    this.#sweep();
    return this.#seats.size;
  }

  push(...args: unknown[]): AsyncIterableIterator<Uint8Array[], undefined> {
    const { transforms, options } = splitTransforms(args);
    const signals = [this.#signal, options.signal].filter((signal) => signal !== undefined);
    const cursor = openCursor(
      this.#channel,
      {
        from: 'start',
        highWaterMark: this.#mark,
        overflow: this.#overflow,
        signal: signals.length > 1 ? AbortSignal.any(signals) : signals[0],
      },
      false,
    );
    const seat = cursor.seat as Seat<Uint8Array>;
    if (this.#ending !== null) this.#channel.detach(seat, this.#ending);
    if (this.#seats.size >= this.#sweepAt) this.#sweep();
    this.#seats.add(seat);
    const batches = new CursorBatches(cursor);
    return transforms.length === 0 ? batches : new TransformedBatches(batches, transforms);
  }

  pull(...args: unknown[]): AsyncIterableIterator<Uint8Array[], undefined> {
    return this.push(...args);
  }

  /** Detaches all consumers, those to come too: with a reason they reject, without they are done. The writer goes on. */
  cancel(...args: [reason?: unknown]): void {
    if (this.#ending !== null) return;
    this.#ending = args.length > 0 ? { kind: 'failed', reason: args[0] } : DONE;
    for (const seat of this.#seats) {
      const { parked } = seat;
      this.#channel.detach(seat, this.#ending);
      parked?.settleEnded();
    }
    this.#seats.clear();
  }

  /** Forgets the consumers that are gone. Done when their number has doubled, it costs each of them O(1). */
  #sweep(): void {
    for (const seat of this.#seats) if (seat.ending !== null) this.#seats.delete(seat);
    this.#sweepAt = Math.max(16, 2 * this.#seats.size);
  }
}

if (Symbol.dispose !== undefined) {
  Object.defineProperty(FanOut.prototype, Symbol.dispose, {
    value(this: FanOut): void {
      this.cancel();
    },
    configurable: true,
    writable: true,
  });
}
