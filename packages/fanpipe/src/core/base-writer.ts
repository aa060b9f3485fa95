import { WriterEndedError, WriterFailedError } from '../errors.ts';
import { implementDrainable } from '../interop/iter-streams.ts';
import { type AbortMember, joinSignal, leaveSignal } from '../signals.ts';
import { Channel, type WriterState } from './channel.ts';
import { checkAmount, checkOptions, checkSignal } from './check.ts';
import { implementDispose } from './dispose.ts';

/** Options that both kinds of writer have. Amounts are bytes; typed: items, or what `size` counts. */
export interface WriterOptions {
  /** How much of what was written is kept for streams that open later. Default 0. */
  readonly replay?: number | 'all' | undefined;
  /** Offset at which this writer begins. Default 0. */
  readonly offset?: number | undefined;
  /** Fails the writer with the signal's reason when it fires. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of a call that may wait. */
export interface WaitOptions {
  /** Ends the wait, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The channel of a writer, for the other files of the package. */
export let channelOf: <T>(writer: BaseWriter<T>) => Channel<T>;

const RESOLVED: Promise<void> = Promise.resolve();

// A signal may outlive its writers: it must not hold those that were dropped without an end.
const droppedChannels: FinalizationRegistry<{ signal: AbortSignal; member: AbortMember }> = new FinalizationRegistry(
  ({ signal, member }) => leaveSignal(signal, member),
);

function failOnAbort<T>(channel: Channel<T>, signal: AbortSignal): AbortMember {
  const reference = new WeakRef(channel);
  const member: AbortMember = {
    aborted: (reason) => {
      reference.deref()?.end('failed', reason);
    },
  };
  joinSignal(signal, member);
  droppedChannels.register(channel, { signal, member }, member);
  return member;
}

/** What a writer of bytes and one of values have in common: the handle that appends. */
export abstract class BaseWriter<T> {
  readonly #channel: Channel<T>;
  readonly #signal: AbortSignal | undefined;
  #onAbort: AbortMember | undefined;

  /** Fails the writer unless it has ended, at the end of a `using` block. */
  declare [Symbol.dispose]: () => void;
  declare [Symbol.asyncDispose]: () => Promise<void>;

  static {
    channelOf = (writer) => writer.#channel;
  }

  /** @internal */
  constructor(options: WriterOptions, wholeRecords: boolean) {
    checkOptions(options);
    const { replay = 0, offset = 0, signal } = options;
    if (replay !== 'all') checkAmount('replay', replay);
    checkAmount('offset', offset);
    checkSignal(signal);
    this.#channel = new Channel<T>(offset, replay === 'all' ? Number.POSITIVE_INFINITY : replay, wholeRecords);
    this.#signal = signal;
    if (signal?.aborted) this.fail(signal.reason);
    else if (signal !== undefined) this.#onAbort = failOnAbort(this.#channel, signal);
  }

  /** `'open'`, `'closed'` (finished well) or `'failed'`. */
  get state(): WriterState {
    return this.#channel.state;
  }

  /** How many streams are attached. One that was dropped without cancel, policy or signal may still be counted. */
  get streamCount(): number {
    return this.#channel.streamCount;
  }

  /**
   * How much may be written before a blocking stream is over its mark: 0 if one is, Infinity without a blocking stream,
   * null once the writer has ended.
   */
  get desiredSize(): number | null {
    return this.state === 'open' ? this.#channel.desiredSize : null;
  }

  /** Whether a synchronous write is taken now: false while a blocking stream is over its mark, null after the end. */
  get canWrite(): boolean | null {
    return this.state === 'open' ? !this.#channel.isBlocked : null;
  }

  /**
   * Resolves when all streams that are attached now have read, or missed, what was written so far, or are detached.
   * Rejects with the signal's reason if that fires before; nothing else changes then.
   */
  flush(options?: WaitOptions): Promise<void> {
    const signal = options?.signal;
    try {
      checkSignal(signal);
      signal?.throwIfAborted();
    } catch (error) {
      return Promise.reject(error);
    }
    return new Promise<void>((resolve, reject) => {
      let giveUp = (): void => {};
      const member: AbortMember = {
        aborted: (reason) => {
          giveUp();
          reject(reason);
        },
      };
      let isDone = false;
      giveUp = this.#channel.flush(() => {
        isDone = true;
        if (signal !== undefined) leaveSignal(signal, member);
        resolve();
      });
      if (signal !== undefined && !isDone) joinSignal(signal, member);
    });
  }

  /** Finishes well: streams read what is there, then complete. Nothing happens on a writer that has ended. */
  close(): void {
    this.#end('closed', undefined);
  }

  /**
   * Finishes badly: streams read what is there, then get `reason` unchanged, or a `WriterFailedError` without one.
   * Nothing happens on a writer that has ended.
   */
  fail(reason?: unknown): void {
    this.#end('failed', reason === undefined ? new WriterFailedError() : reason);
  }

  /** @internal `bytesWritten` or `valuesWritten`. */
  protected abstract get amountWritten(): number;

  /**
   * Closes the writer and resolves with `bytesWritten` (typed: `valuesWritten`). Rejects with a `WriterEndedError` if it had
   * failed.
   */
  async end(): Promise<number> {
    this.close();
    if (this.state === 'failed') throw this.refusal();
    return this.amountWritten;
  }

  /** Closes the writer and returns `bytesWritten` (typed: `valuesWritten`), or -1 if it had failed. */
  endSync(): number {
    this.close();
    return this.state === 'failed' ? -1 : this.amountWritten;
  }

  #end(state: 'closed' | 'failed', reason: unknown): void {
    if (!this.#channel.end(state, reason) || this.#onAbort === undefined) return;
    leaveSignal(this.#signal as AbortSignal, this.#onAbort);
    droppedChannels.unregister(this.#onAbort);
  }

  /** @internal Whether a synchronous write is taken now. */
  protected get isWritable(): boolean {
    return this.#channel.state === 'open' && !this.#channel.isBlocked;
  }

  /** @internal Refuses a write to a writer that has ended, or under a signal that has fired. */
  protected checkOpen(signal: AbortSignal | undefined): void {
    if (this.#channel.state !== 'open') throw this.refusal();
    if (signal === undefined) return;
    checkSignal(signal);
    signal.throwIfAborted();
  }

  /** @internal The state in which a write is refused, as an error. */
  protected refusal(): WriterEndedError | null {
    const { state, reason } = this.#channel;
    return state === 'open' ? null : new WriterEndedError(state, reason);
  }

  /** @internal What a write returns: it has taken effect, and this is about room. */
  protected room(signal: AbortSignal | undefined): Promise<void> {
    return this.#channel.isBlocked ? this.#channel.room.wait(signal) : RESOLVED;
  }
}

// Leaving a block without `close()` was not planned: an end that nobody declared must not look like a good one.
implementDispose<BaseWriter<unknown>>(BaseWriter.prototype, (writer) => writer.fail());

implementDrainable<BaseWriter<unknown>>(BaseWriter.prototype, (writer) => channelOf(writer));
