import {
  type ByteStream,
  ByteWriter,
  type Chunk,
  type WaitOptions,
  type WriteOptions,
  type WriterOptions,
} from 'fanpipe';
import type { StreamEnd } from '../backends/backend.ts';
import { StreamEndedError } from '../errors.ts';
import type { AppendChain } from './append-outcome.ts';
import type { NewStreamConfig } from './hub-options.ts';
import type { LiveStream } from './live-stream.ts';

const MARK = 1024 * 1024;
/** Appends that are under way at a time. What is written meanwhile goes together as the next. */
const UNDER_WAY = 4;

export interface HubWriterOptions extends WriterOptions {
  /** Creates the stream if there is none; with these, it must be like that if there is one. False: it must be there. Default true. */
  readonly create?: boolean | NewStreamConfig | undefined;
  /** `await write()` waits while more bytes than this are not acknowledged. Default 1 MiB. */
  readonly highWaterMark?: number | undefined;
  /** As of a `ByteWriter`. */
  readonly copy?: boolean | undefined;
}

/**
 * A writer whose bytes are stored: `write` takes them at once, and they are appended in the background.
 *
 * ```text
 *   write ──▶ [ acknowledged ][ under way ][ not sent yet ]
 *                            ▲             ▲
 *          marker: its lag is not          batches: the next append
 *          acknowledged, it blocks
 * ```
 *
 * - `await write()` waits while more than the mark is not acknowledged.
 * - `flush()` and `end()` resolve when all is acknowledged, and reject with what the store failed with.
 * - `close()` ends the stored stream after all bytes, `fail(reason)` fails it, with the reason as text.
 * - What the store refuses for good (the stream was deleted, ended or taken over by others, the disk is full) fails this writer.
 * - Its own `stream()` reads what this writer writes, at once, before it is acknowledged; offsets there count from where the writer began.
 */
export class HubWriter extends ByteWriter {
  readonly #marker: ByteStream;
  readonly #batches: AsyncIterableIterator<readonly Uint8Array[], undefined>;
  /** Of the two streams above, how many are attached. */
  #ownStreams = 2;
  #failure: { readonly reason: unknown } | undefined;
  readonly #failureWatchers: Set<() => void> = new Set();
  readonly #chain: AppendChain = { failure: undefined };
  #underWay = 0;
  /** Bytes that are acknowledged. */
  #passed = 0;
  /** All is acknowledged, the end too. */
  #isStored = false;
  /** What waits for an append to come to its end. */
  #wake: (() => void) | undefined;
  #settleWatchers: { readonly size: number; readonly done: () => void }[] = [];
  /** Resolves when all is stored, the end too, or the writer is lost. */
  readonly #done: Promise<void>;
  #isOver!: () => void;

  /** @internal Writers are made with `hub.writer()`. */
  constructor(open: () => Promise<LiveStream>, options: HubWriterOptions, onDone: () => void) {
    const { create: _, highWaterMark = MARK, ...others } = options;
    super(others);
    this.#marker = super.stream({ from: 'start', overflow: 'block', highWaterMark });
    this.#batches = super.stream({ from: 'start' }).batches();
    this.#done = new Promise((resolve) => {
      this.#isOver = () => {
        onDone();
        resolve();
      };
    });
    void this.#store(open);
  }

  override get streamCount(): number {
    // One of them leaves just before we hear that it has read all.
    return Math.max(0, super.streamCount - this.#ownStreams);
  }

  override write(chunk: Chunk, options?: WriteOptions): Promise<void> {
    return this.#taken(super.write(chunk, options));
  }

  override writev(chunks: Iterable<Chunk>, options?: WriteOptions): Promise<void> {
    return this.#taken(super.writev(chunks, options));
  }

  #taken(room: Promise<void>): Promise<void> {
    if (this.canWrite !== false) return room;
    const waiting = this.#roomOrFailure(room);
    // The bytes are taken. Who does not wait for room hears of the failure at the next write, and at the end.
    waiting.catch(() => {});
    return waiting;
  }

  async #roomOrFailure(room: Promise<void>): Promise<void> {
    await room;
    if (this.#failure !== undefined) throw this.#failure.reason;
  }

  /**
   * Resolves when all that was written so far is acknowledged, and all streams of this writer have read it. Rejects with what the
   * store failed with, or the signal's reason.
   */
  override flush(options?: WaitOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      const watcher = (): void => reject(this.#failure?.reason);
      if (this.#failure !== undefined) {
        watcher();
        return;
      }
      this.#failureWatchers.add(watcher);
      super
        .flush(options)
        .then(() => (this.#failure === undefined ? resolve() : watcher()), reject)
        .finally(() => this.#failureWatchers.delete(watcher));
    });
  }

  /** Closes the writer and resolves with `bytesWritten`, when bytes and end are acknowledged. Rejects with what the store failed with. */
  override async end(): Promise<number> {
    this.close();
    await this.#done;
    if (this.#failure !== undefined) throw this.#failure.reason;
    return super.end();
  }

  async #store(open: () => Promise<LiveStream>): Promise<void> {
    try {
      const stream = await open();
      const end = await this.#storeBytes(stream);
      if (end === undefined) return;
      await this.#send(stream, [], this.bytesWritten, end);
      if (this.#failure !== undefined) return;
      this.#isStored = true;
      this.#leave();
      this.#isOver();
    } catch (error) {
      this.lose(error);
    }
  }

  /** Sends all that is written; resolves with the end that comes then. Undefined: the writer was lost. */
  async #storeBytes(stream: LiveStream): Promise<StreamEnd | undefined> {
    let sent = 0;
    let end: StreamEnd = { kind: 'closed' };
    for (;;) {
      let step: IteratorResult<readonly Uint8Array[], undefined>;
      try {
        step = await this.#batches.next();
      } catch (reason) {
        end = { kind: 'failed', reason: textOf(reason) };
        break;
      }
      if (this.#failure !== undefined) return undefined;
      if (step.done) break;
      for (const chunk of step.value) sent += chunk.byteLength;
      void this.#send(stream, step.value, sent, undefined);
      while (this.#underWay >= UNDER_WAY) await this.#oneSettled();
      if (this.#failure !== undefined) return undefined;
    }
    if (this.#failure !== undefined) return undefined;
    // One that has read all has left.
    this.#ownStreams = 1;
    return end;
  }

  #oneSettled(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** One append, up to `to` of this writer's bytes. Never rejects. */
  async #send(
    stream: LiveStream,
    chunks: readonly Uint8Array[],
    to: number,
    end: StreamEnd | undefined,
  ): Promise<void> {
    this.#underWay++;
    try {
      const outcome = await stream.append(chunks, { end, chain: this.#chain });
      if (outcome.kind === 'appended' || outcome.kind === 'already-ended') this.#acknowledged(to);
      else this.lose(new StreamEndedError(stream.name, (outcome as { tail: number }).tail));
    } catch (error) {
      this.lose(error);
    }
    this.#underWay--;
    this.#wake?.();
    this.#wake = undefined;
  }

  /** The marker passes what is acknowledged, and so lets writes go on. */
  #acknowledged(to: number): void {
    while (this.#passed < to && this.#failure === undefined) this.#passed += this.#marker.read()?.byteLength ?? 0;
    const watchers = this.#settleWatchers;
    while (watchers[0] !== undefined && watchers[0].size <= this.#passed) watchers.shift()?.done();
  }

  /** Resolves when what was written so far is acknowledged, and the end if there is one by then; or lost. Never rejects. */
  async settle(): Promise<void> {
    if (this.#failure === undefined && this.#passed < this.bytesWritten) {
      await new Promise<void>((done) => this.#settleWatchers.push({ size: this.bytesWritten, done }));
    }
    if (this.#failure === undefined && this.state !== 'open') await this.#done;
  }

  /** Gives up, unless all is stored: the writer fails, and what is stored stays as it is. */
  lose(reason: unknown): void {
    if (this.#failure !== undefined || this.#isStored) return;
    this.#failure = { reason };
    super.fail(reason);
    this.#leave();
    for (const watcher of this.#failureWatchers) watcher();
    for (const { done } of this.#settleWatchers.splice(0)) done();
    this.#isOver();
  }

  #leave(): void {
    this.#ownStreams = 0;
    this.#marker.cancel();
    void this.#batches.return?.();
  }
}

/** The reason of a failure, as those get it who read it from the store. */
function textOf(reason: unknown): string {
  if (reason instanceof Error) return reason.message || reason.name;
  try {
    return String(reason) || 'unknown';
  } catch {
    return 'unknown';
  }
}
