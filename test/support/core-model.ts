/**
 * What the core promises, written down as naively as it can be: everything ever written, and for each stream a cursor and
 * a policy that acts at once. No list of chunks, no heap, no window: the model computes what the core must have computed.
 *
 * It says what every counter is at every moment and how every read settles. It leaves one thing open: a `batches()`
 * reader without a policy, that waits, may be served by the write or by the end of the burst (see `follow`).
 */

import type { OverflowPolicy } from '../../packages/fanpipe/src/core/policies.ts';
import {
  CallbackError,
  CancelledError,
  DisconnectedError,
  LimitExceededError,
  WriterFailedError,
} from '../../packages/fanpipe/src/errors.ts';
import type { Log } from './core-log.ts';

/** Whether an error is the one that is expected. */
export type Failure = (error: unknown) => boolean;

/** How a read settles. */
export type Outcome =
  | { readonly kind: 'chunk'; readonly from: number; readonly to: number }
  | { readonly kind: 'batch'; readonly from: number; readonly to: number }
  | { readonly kind: 'end' }
  | { readonly kind: 'failed'; readonly is: Failure };

/** How a synchronous read returns; `nothing` is: not now. */
export type NowOutcome = Outcome | { readonly kind: 'nothing' };

/** A promise of nothing that the model follows; undefined while it must be pending. */
export interface ModelWait {
  outcome: 'resolved' | Failure | undefined;
}

export interface Gap {
  readonly from: number;
  missed: number;
}

interface Waiter {
  readonly all: boolean;
  settle(outcome: Outcome): void;
}

type ModelEnding =
  | { readonly kind: 'done' }
  | { readonly kind: 'cancelled'; readonly reason: unknown }
  | { readonly kind: 'failed'; readonly is: Failure };

/** Says whether an error is this very value. */
export function exactly(reason: unknown): Failure {
  return (error) => Object.is(error, reason);
}

export interface ModelStreamOptions {
  readonly policy?: OverflowPolicy | undefined;
  readonly mark?: number | undefined;
  /** `onMissed` throws. */
  readonly throws?: boolean | undefined;
}

/** One stream: a cursor, a policy, and who waits. */
export class ModelStream<W> {
  readonly channel: ModelChannel<W>;
  readonly policy: OverflowPolicy | undefined;
  readonly mark: number;
  readonly throws: boolean;
  readonly start: number;
  position: number;
  delivered = 0;
  ending: ModelEnding | null = null;
  readonly waiters: Waiter[] = [];
  /** Gaps that were crossed and of which `onMissed` is to be told. */
  crossed: Gap[] = [];
  /** The next read fails because `onMissed` threw. */
  trouble = false;
  /** Under `drop-newest`, once full: how far what is kept goes. */
  #keptTo: number | null = null;
  #missed = 0;
  #gap: Gap | null = null;
  #frozen: { readonly lag: number; readonly missed: number; readonly tail: number } | null = null;

  constructor(channel: ModelChannel<W>, start: number, options: ModelStreamOptions) {
    this.channel = channel;
    this.start = start;
    this.position = start;
    this.policy = options.policy;
    this.mark = options.mark ?? Number.POSITIVE_INFINITY;
    this.throws = options.throws ?? false;
  }

  get attached(): boolean {
    return this.ending === null;
  }

  get lag(): number {
    return this.#frozen?.lag ?? this.#readable - this.position;
  }

  get missed(): number {
    if (this.#frozen !== null) return this.#frozen.missed;
    return this.#missed + (this.#keptTo === null ? 0 : this.channel.log.tail - this.#keptTo);
  }

  /** The tail that the counters of this stream add up to. */
  get tail(): number {
    return this.#frozen?.tail ?? this.channel.log.tail;
  }

  /** Whether the core may put off serving this reader to the end of the burst. */
  get sleeps(): boolean {
    return this.policy === undefined && this.waiters[0]?.all === true;
  }

  get #readable(): number {
    return this.#keptTo ?? this.channel.log.tail;
  }

  next(all: boolean, settle: (outcome: Outcome) => void): void {
    if (all) this.serve();
    const outcome = this.waiters.length > 0 ? 'nothing' : this.#readNow(all);
    if (outcome === 'nothing') this.waiters.push({ all, settle });
    else settle(outcome);
  }

  read(): NowOutcome {
    this.serve();
    const outcome = this.waiters.length > 0 ? 'nothing' : this.#readNow(false);
    return outcome === 'nothing' ? { kind: 'nothing' } : outcome;
  }

  /** Reads up to `size` bytes: how they lie, and how the call returns. */
  fill(size: number): { readonly from: number; readonly filled: number; readonly outcome: NowOutcome } {
    if (this.ending !== null || this.trouble) return { from: 0, filled: 0, outcome: this.read() };
    const from = this.position;
    const filled = Math.min(size, this.#readable - from);
    this.#advance(from + filled);
    this.#crossGap();
    const ended = filled === 0 && size > 0 && this.channel.state !== 'open';
    return { from, filled, outcome: ended ? this.#leaveAtEnd() : { kind: 'nothing' } };
  }

  #readNow(all: boolean): Outcome | 'nothing' {
    if (this.ending !== null) return this.#ended();
    if (this.trouble) {
      this.trouble = false;
      return { kind: 'failed', is: isCallbackError };
    }
    const taken = this.#take(all);
    if (taken !== null) return taken;
    return this.channel.state === 'open' ? 'nothing' : this.#leaveAtEnd();
  }

  #take(all: boolean): Outcome | null {
    const from = this.position;
    const readable = this.#readable;
    const to = all || from === readable ? readable : Math.min(this.channel.log.endOfWrite(from), readable);
    this.#advance(to);
    this.#crossGap();
    return from === to ? null : { kind: all ? 'batch' : 'chunk', from, to };
  }

  #advance(to: number): void {
    this.delivered += to - this.position;
    this.position = to;
    if (to === this.#keptTo) this.#goOnAtTail();
  }

  #goOnAtTail(): void {
    const { tail } = this.channel.log;
    const keptTo = this.#keptTo as number;
    this.#keptTo = null;
    this.#miss(keptTo, tail - keptTo);
    this.position = tail;
  }

  #miss(from: number, missed: number): void {
    this.#missed += missed;
    if (missed === 0) return;
    if (this.#gap === null) this.#gap = { from, missed };
    else this.#gap.missed += missed;
  }

  #crossGap(): void {
    if (this.#gap !== null) this.crossed.push(this.#gap);
    this.#gap = null;
  }

  /** Serves who waits with what is there. */
  serve(): void {
    for (;;) {
      const waiter = this.waiters[0];
      const outcome = waiter === undefined ? null : this.#take(waiter.all);
      if (outcome === null) return;
      this.waiters.shift()?.settle(outcome);
    }
  }

  /** The core is at `position`: the read that was put off has been served, if that is what it means. */
  follow(position: number): void {
    if (this.sleeps && this.attached && position === this.channel.log.tail) this.serve();
  }

  /** A write has taken place and who waits is served: the policy acts. */
  act(): void {
    const { tail } = this.channel.log;
    const lag = tail - this.position;
    if (this.#keptTo !== null || lag <= this.mark) return;
    if (this.policy === 'drop-oldest') {
      const from = this.position;
      this.position = this.channel.log.placeFrom(tail - this.mark);
      this.#miss(from, this.position - from);
    } else if (this.policy === 'drop-newest') {
      this.#keptTo = Math.max(this.position, this.channel.log.placeUpTo(this.position + this.mark));
      if (this.#keptTo === this.position) this.#goOnAtTail();
    } else if (this.policy === 'disconnect') {
      const { position, mark } = this;
      this.#missed += lag;
      this.position = tail;
      this.detach({
        kind: 'failed',
        is: (error) =>
          error instanceof DisconnectedError &&
          error.missed === lag &&
          error.highWaterMark === mark &&
          error.position === position,
      });
    }
  }

  /** `onMissed` is told, and throws if it is of that kind. */
  report(): Gap[] {
    const told = this.crossed;
    this.crossed = [];
    if (this.throws) for (const _ of told) this.#troubled();
    return told;
  }

  #troubled(): void {
    if (!this.attached) return;
    const waiter = this.waiters.shift();
    if (waiter === undefined) this.trouble = true;
    else waiter.settle({ kind: 'failed', is: isCallbackError });
  }

  /** The writer has ended: who still waits is told. */
  writerEnded(): void {
    this.serve();
    if (this.waiters.length > 0) this.#leaveAtEnd();
  }

  #leaveAtEnd(): Outcome {
    const { state, failure } = this.channel;
    this.detach(state === 'failed' ? { kind: 'failed', is: failure } : { kind: 'done' });
    return this.#ended();
  }

  detach(ending: ModelEnding): void {
    if (this.ending !== null) return;
    this.#frozen = { lag: this.lag, missed: this.missed, tail: this.tail };
    this.ending = ending;
    for (const waiter of this.waiters.splice(0)) waiter.settle(this.#ended());
  }

  /** Leaves as an iterator does: what comes after is the end, also where it was a failure. */
  return(): void {
    this.detach({ kind: 'done' });
    this.ending = { kind: 'done' };
  }

  #ended(): Outcome {
    return this.ending?.kind === 'failed' ? { kind: 'failed', is: this.ending.is } : { kind: 'end' };
  }
}

function isCallbackError(error: unknown): boolean {
  return error instanceof CallbackError && error.callback === 'onMissed';
}

/** A collector: a reader that asks for all there is, again and again. */
export class ModelCollector<W> {
  readonly parts: { readonly from: number; readonly to: number }[] = [];
  /** Undefined while it must be pending. */
  outcome: 'collected' | Failure | undefined = undefined;
  readonly #stream: ModelStream<W>;
  readonly #limit: number;
  #count = 0;
  #inbox: Outcome | undefined = undefined;

  constructor(stream: ModelStream<W>, limit: number) {
    this.#stream = stream;
    this.#limit = limit;
    this.#ask();
  }

  /** Goes on as far as it can without anything else happening; false if it could not. */
  step(): boolean {
    const outcome = this.#inbox;
    if (outcome === undefined || this.outcome !== undefined) return false;
    this.#inbox = undefined;
    switch (outcome.kind) {
      case 'chunk':
      case 'batch':
        this.#add(outcome.from, outcome.to);
        break;
      case 'end': {
        const { ending } = this.#stream;
        this.outcome = ending?.kind === 'cancelled' ? isCancelledBy(ending.reason) : 'collected';
        break;
      }
      case 'failed':
        this.outcome = outcome.is;
        this.#stream.detach({ kind: 'cancelled', reason: undefined });
    }
    return true;
  }

  #add(from: number, to: number): void {
    this.parts.push({ from, to });
    this.#count += this.#stream.channel.log.count(from, to);
    if (this.#count <= this.#limit) {
      this.#ask();
      return;
    }
    const limit = this.#limit;
    this.outcome = (error) => error instanceof LimitExceededError && error.limit === limit;
    this.#stream.detach({ kind: 'cancelled', reason: undefined });
  }

  #ask(): void {
    this.#stream.next(true, (outcome) => {
      this.#inbox = outcome;
    });
  }
}

function isCancelledBy(reason: unknown): Failure {
  return (error) => error instanceof CancelledError && error.cause === reason;
}

interface ModelFlush<W> {
  readonly target: number;
  readonly streams: Set<ModelStream<W>>;
  readonly wait: ModelWait;
}

/** The writer's side. */
export class ModelChannel<W> {
  readonly log: Log<W>;
  readonly replay: number;
  state: 'open' | 'closed' | 'failed' = 'open';
  /** What readers get after the writer failed. */
  failure: Failure = () => false;
  readonly streams: ModelStream<W>[] = [];
  #rooms: ModelWait[] = [];
  #flushes: ModelFlush<W>[] = [];

  constructor(log: Log<W>, replay: number) {
    this.log = log;
    this.replay = replay;
  }

  get attached(): ModelStream<W>[] {
    return this.streams.filter((stream) => stream.attached);
  }

  get head(): number {
    if (this.replay === 0) return this.log.tail;
    return this.log.placeFrom(Math.max(this.log.origin, this.log.tail - this.replay));
  }

  get blocked(): boolean {
    return this.streams.some((s) => s.attached && s.policy === 'block' && s.lag > s.mark);
  }

  get desiredSize(): number | null {
    if (this.state !== 'open') return null;
    let size = Number.POSITIVE_INFINITY;
    for (const s of this.streams) {
      if (s.attached && s.policy === 'block') size = Math.min(size, Math.max(0, s.mark - s.lag));
    }
    return size;
  }

  open(start: number, options: ModelStreamOptions): ModelStream<W> {
    const stream = new ModelStream(this, start, options);
    this.streams.push(stream);
    return stream;
  }

  /** Writes chunks as one write; nothing happens where all are empty. */
  write(chunks: readonly W[]): void {
    const { tail } = this.log;
    for (const chunk of chunks) this.log.append(chunk);
    if (this.log.tail === tail) return;
    for (const stream of this.attached) if (!stream.sleeps) stream.serve();
    for (const stream of this.attached) stream.act();
  }

  /** What `write` returns, which comes after it. */
  room(): ModelWait {
    const wait: ModelWait = { outcome: undefined };
    this.#rooms.push(wait);
    return wait;
  }

  end(state: 'closed' | 'failed', reason: unknown): void {
    if (this.state !== 'open') return;
    this.state = state;
    this.failure = reason === undefined ? (error) => error instanceof WriterFailedError : exactly(reason);
    for (const stream of this.attached) stream.writerEnded();
  }

  flush(): ModelWait {
    const wait: ModelWait = { outcome: undefined };
    const target = this.log.tail;
    const streams = new Set(this.attached.filter((stream) => stream.position < target));
    this.#flushes.push({ target, streams, wait });
    return wait;
  }

  /** To be called after every step: settles what waits for room and what waits for streams. */
  settleWaits(): void {
    if (!this.blocked) {
      for (const wait of this.#rooms) wait.outcome ??= 'resolved';
      this.#rooms = [];
    }
    for (const flush of this.#flushes) {
      for (const stream of flush.streams) {
        if (!stream.attached || stream.position >= flush.target) flush.streams.delete(stream);
      }
      if (flush.streams.size === 0) flush.wait.outcome ??= 'resolved';
    }
    this.#flushes = this.#flushes.filter((flush) => flush.wait.outcome === undefined);
  }
}
