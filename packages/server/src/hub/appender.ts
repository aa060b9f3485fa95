import type { AppendOptions, BackendStream, BackendWriter, StreamEnd } from '../backends/backend.ts';
import { FencedError, LimitExceededError, OffsetOverflowError, StreamEndedError } from '../errors.ts';
import type { AppendOutcome, HubAppendOptions, NotAppended } from './append-outcome.ts';
import { AppendRules } from './append-rules.ts';
import type { HubLimits } from './hub-options.ts';
import type { Quota } from './quota.ts';
import { readWriterFacts } from './writer-facts.ts';

/** What an appender tells of its appends. */
export interface AppendListener {
  /** Milliseconds of a clock that only goes on. */
  now(): number;
  /** An append that `began` then was acknowledged. */
  acknowledged(tail: number, size: number, began: number): void;
}

/** One append, from the call to its outcome. */
class Append {
  readonly chunks: readonly Uint8Array[];
  readonly size: number;
  readonly options: HubAppendOptions;
  /** Number of the call. */
  readonly number: number;
  /** It was refused once because another writer had taken over. */
  wasFenced = false;
  /** With what it was refused now, as if by another writer's taking over. */
  refusal: { readonly reason: unknown } | undefined;
  /** What was decided on it, while that waits for appends under way. */
  verdict: NotAppended | undefined;
  /** Appends whose verdict holds if this one is acknowledged. */
  followers: Append[] | undefined;
  readonly outcome: Promise<AppendOutcome>;
  resolve!: (outcome: AppendOutcome) => void;
  #reject!: (reason: unknown) => void;

  constructor(chunks: readonly Uint8Array[], size: number, options: HubAppendOptions, number: number) {
    this.chunks = chunks;
    this.size = size;
    this.options = options;
    this.number = number;
    this.outcome = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.#reject = reject;
    });
  }

  reject(reason: unknown): void {
    const { chain } = this.options;
    if (chain !== undefined) chain.failure ??= { reason };
    this.#reject(reason);
  }
}

/**
 * Appends to one stream in the order of the calls, each sent to the backend at once, without waiting for those before it.
 *
 * ```text
 *            first append             the rules are there
 *    idle ─────────────────▶ acquiring ────────────────▶ ready ◀──▶ asking (a limit seems reached)
 *     ▲                                                    │ an append fails
 *     └────── all under way have come to their end ◀──── broken
 * ```
 *
 * In every state but `ready` appends wait in a queue. What a refusal or a duplicate was judged by may still be under way: its outcome is
 * told when that is acknowledged, and it is judged again when that fails. After a failure the writer is acquired anew, so the rules
 * begin at what the backend has. Appends that another writer's taking over refused are tried again, once; those that one of ours which
 * had failed left behind no place for, as often as that happens.
 */
export class Appender {
  readonly #stream: BackendStream;
  readonly #limits: HubLimits;
  readonly #quota: Quota;
  readonly #listener: AppendListener;
  /** The stream retains no more than this, or its newest append. */
  readonly #retainBytes: number;
  #state: 'idle' | 'acquiring' | 'ready' | 'asking' | 'broken' = 'idle';
  #writer: BackendWriter | undefined;
  #rules: AppendRules | undefined;
  /** Oldest retained offset, as far as is known. */
  #head = 0;
  #waiting: Append[] = [];
  /** To be judged again once nothing is under way. */
  #again: Append[] = [];
  #underWay = 0;
  #isAsking = false;
  /** Since the writer was acquired an append has failed for another reason than that somebody took over. */
  #hasFailed = false;
  /** The newest append that is under way. */
  #newest: Append | undefined;
  #calls = 0;
  #idleWatchers: (() => void)[] = [];

  constructor(
    stream: BackendStream,
    limits: HubLimits,
    quota: Quota,
    listener: AppendListener,
    retainBytes: number = Number.POSITIVE_INFINITY,
  ) {
    this.#stream = stream;
    this.#retainBytes = retainBytes;
    this.#limits = limits;
    this.#quota = quota;
    this.#listener = listener;
  }

  /** Whether appends wait or are under way. */
  get isBusy(): boolean {
    return this.#underWay > 0 || this.#isAsking || this.#state === 'acquiring';
  }

  append(chunks: readonly Uint8Array[], size: number, options: HubAppendOptions): Promise<AppendOutcome> {
    const append = new Append(chunks, size, options, this.#calls++);
    if (this.#state === 'ready') {
      this.#begin(append);
    } else {
      this.#waiting.push(append);
      if (this.#state === 'idle') void this.#acquire();
    }
    return append.outcome;
  }

  /** Resolves when no append waits or is under way. */
  idle(): Promise<void> {
    return this.isBusy ? new Promise((resolve) => this.#idleWatchers.push(resolve)) : Promise.resolve();
  }

  async #acquire(): Promise<void> {
    this.#state = 'acquiring';
    try {
      const { writer, state, facts } = await this.#stream.acquire();
      this.#rules = new AppendRules(state.tail, state.end, readWriterFacts(facts), this.#limits.maxProducers);
      this.#writer = writer;
      this.#head = state.head;
    } catch (error) {
      this.#state = 'idle';
      for (const append of this.#waiting.splice(0)) append.reject(error);
      this.#tellIdle();
      return;
    }
    this.#goOn();
  }

  /** Begins what waits, in its order, until something has to be asked. */
  #goOn(): void {
    this.#state = 'ready';
    const waiting = this.#waiting;
    this.#waiting = [];
    let next = 0;
    while (next < waiting.length && this.#isReady) this.#begin(waiting[next++] as Append);
    if (next < waiting.length) this.#waiting = waiting.slice(next);
    this.#tellIdle();
  }

  get #isReady(): boolean {
    return this.#state === 'ready';
  }

  #begin(append: Append): void {
    const { size, options } = append;
    const rules = this.#rules as AppendRules;
    const failure = options.chain?.failure;
    const verdict = rules.judge(size, options);
    if (failure !== undefined) {
      append.reject(failure.reason);
    } else if (verdict !== undefined) {
      this.#decide(append, verdict);
    } else if (size > Number.MAX_SAFE_INTEGER - rules.tail) {
      append.reject(new OffsetOverflowError(rules.tail, size));
    } else if (this.#isWithin(size) && this.#quota.fits(this.#growth(size))) {
      this.#send(append, rules);
    } else {
      void this.#ask(append, rules);
    }
  }

  /** Tells an outcome that changes nothing, once that which it was judged by is acknowledged. */
  #decide(append: Append, verdict: NotAppended): void {
    if (this.#newest === undefined) {
      append.resolve(verdict);
      return;
    }
    append.verdict = verdict;
    (this.#newest.followers ??= []).push(append);
  }

  /** An end alone takes nothing, whatever the stream has; and what goes for it by retention needs no room. */
  #isWithin(size: number): boolean {
    const retained = Math.min((this.#rules as AppendRules).tail + size - this.#head, Math.max(size, this.#retainBytes));
    return size === 0 || retained <= this.#limits.maxStreamBytes;
  }

  /** How much more the stream has with it, when retention has let go of what goes for it. */
  #growth(size: number): number {
    const has = (this.#rules as AppendRules).tail - this.#head;
    const before = Math.min(has, this.#retainBytes);
    return Math.max(0, Math.min(has + size, Math.max(size, this.#retainBytes)) - before);
  }

  /** A limit seems reached: asks the backend how much it retains. Whatever comes meanwhile waits, so the order stays. */
  async #ask(append: Append, rules: AppendRules): Promise<void> {
    this.#state = 'asking';
    this.#isAsking = true;
    let refusal: unknown;
    try {
      if (!this.#isWithin(append.size)) {
        this.#head = (await this.#stream.state()).head;
        if (!this.#isWithin(append.size)) throw this.#streamIsFull(append.size);
      }
      // Between the answer and now another stream may have taken what was free.
      do await this.#quota.check(this.#growth(append.size));
      while (!this.#quota.fits(this.#growth(append.size)));
    } catch (error) {
      refusal = error;
    }
    this.#isAsking = false;
    // An append under way may have failed meanwhile.
    const isReady = this.#state === 'asking';
    if (refusal !== undefined) append.reject(refusal);
    else if (isReady) this.#send(append, rules);
    else this.#again.push(append);
    if (isReady) this.#goOn();
    else this.#recover();
  }

  #streamIsFull(size: number): LimitExceededError {
    const { maxStreamBytes } = this.#limits;
    const has = (this.#rules as AppendRules).tail - this.#head;
    return new LimitExceededError(
      'stream-bytes',
      maxStreamBytes,
      `${size} bytes more would exceed the limit of ${maxStreamBytes} bytes per stream: ${JSON.stringify(this.#stream.name)} has ${has}`,
    );
  }

  #send(append: Append, rules: AppendRules): void {
    const { size, chunks } = append;
    const offset = rules.tail;
    const facts = rules.accept(size, append.options);
    this.#underWay++;
    this.#newest = append;
    this.#quota.began(size);
    const began = this.#listener.now();
    (this.#writer as BackendWriter).append(chunks, optionsOf(offset, facts, append.options.end)).then(
      ({ tail, level }) => {
        const { end, producer } = append.options;
        this.#quota.settled(size, true);
        this.#listener.acknowledged(tail, size, began);
        append.resolve({ kind: 'appended', offset, tail, isEnded: end !== undefined, level, producer });
        this.#underWay--;
        this.#settled(append, true);
      },
      (error: unknown) => {
        this.#quota.settled(size, false);
        this.#failed(append, error);
        this.#underWay--;
        this.#settled(append, false);
      },
    );
  }

  #failed(append: Append, error: unknown): void {
    this.#state = 'broken';
    // That it has ended without our knowing is the work of another writer too.
    if (error instanceof FencedError || error instanceof StreamEndedError) {
      append.refusal = { reason: error };
      this.#again.push(append);
    } else {
      this.#hasFailed = true;
      append.reject(error);
    }
  }

  /** Takes out what was refused again, though no append before it had failed: somebody else writes. */
  #rejectFenced(appends: readonly Append[]): Append[] {
    const isOurs = this.#hasFailed;
    this.#hasFailed = false;
    return appends.filter((append) => {
      const { refusal, wasFenced } = append;
      append.refusal = undefined;
      // Sent before we heard of a failure, it did not fit behind what is there, whoever else writes.
      if (refusal === undefined || isOurs) return true;
      append.wasFenced = true;
      if (wasFenced) append.reject(refusal.reason);
      return !wasFenced;
    });
  }

  #settled(append: Append, isAcknowledged: boolean): void {
    if (this.#newest === append) this.#newest = undefined;
    const { followers } = append;
    append.followers = undefined;
    if (followers !== undefined) {
      if (isAcknowledged && this.#state !== 'broken') {
        for (const follower of followers) follower.resolve(follower.verdict as NotAppended);
      } else {
        for (const follower of followers) this.#again.push(follower);
      }
    }
    if (this.#state === 'broken') this.#recover();
    else if (this.#underWay === 0) this.#tellIdle();
  }

  /** After a failure: begins anew when all that was under way has come to its end. */
  #recover(): void {
    if (this.#underWay > 0 || this.#isAsking) return;
    this.#writer = undefined;
    this.#rules = undefined;
    this.#newest = undefined;
    const again = this.#rejectFenced(this.#again.splice(0));
    this.#waiting = [...again, ...this.#waiting].sort((a, b) => a.number - b.number);
    this.#state = 'idle';
    if (this.#waiting.length > 0) void this.#acquire();
    else this.#tellIdle();
  }

  #tellIdle(): void {
    if (this.#idleWatchers.length === 0 || this.isBusy) return;
    for (const watcher of this.#idleWatchers.splice(0)) watcher();
  }
}

/** With the offset: between the moment at which an append fails and that at which we hear of it, none may take its place. */
function optionsOf(offset: number, facts: AppendOptions['facts'], end: StreamEnd | undefined): AppendOptions {
  if (facts === undefined) return end === undefined ? { offset } : { offset, end };
  return end === undefined ? { offset, facts } : { offset, facts, end };
}
