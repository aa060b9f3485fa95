import { type OutgoingHttpHeaders, OutgoingMessage, validateHeaderName, validateHeaderValue } from 'node:http';
import type { Writable } from 'node:stream';
import { takeCursor } from '../core/base-stream.ts';
import { ByteStream } from '../core/byte-stream.ts';
import { checkSignal } from '../core/check.ts';
import type { Cursor } from '../core/cursor.ts';
import { InvalidArgumentError, PrematureCloseError } from '../errors.ts';
import { type AbortMember, joinSignal, leaveSignal } from '../signals.ts';
import { cutOff } from './cut-off.ts';
import { asError, destroyResponse } from './node-streams-destroy.ts';

/** Options of {@link pipeToResponse}. */
export interface PipeToResponseOptions {
  /** Breaks off: the stream is detached, the response destroyed. */
  readonly signal?: AbortSignal | undefined;
  /** Set on the response before anything is written. Only for HTTP. */
  readonly headers?: OutgoingHttpHeaders | undefined;
}

/** How much is taken from the stream at once, in bytes. What is beyond stays in the channel, where the policy acts. */
const MOST_AT_ONCE = 64 * 1024;

/**
 * Writes a stream to an HTTP response, or to any Writable, ends it, and resolves with the number of bytes.
 *
 * It writes no faster than the other side reads, so `res.writableLength` is bounded by its mark and one chunk. Headers go
 * out at once if there is nothing to send with them yet.
 *
 * Rejects, with the stream detached and the response destroyed, so that the client does not see a clean end:
 *
 * - with the writer's reason, after all bytes before it were sent;
 * - with the error of the Writable, or a `PrematureCloseError` if it closed before its end: the client went away;
 * - with the reason of `signal`; with what detached the stream, a `DisconnectedError` or a `CancelledError`. These do not
 *   wait for a client that does not read.
 *
 * A caller who does not look at the promise hears of none of this: clients go away all the time. No listener stays behind.
 *
 * Rejects with an `InvalidArgumentError`, an `IteratorTakenError` or what Node says to a bad header, with nothing changed.
 */
export function pipeToResponse(
  stream: ByteStream,
  res: Writable,
  options: PipeToResponseOptions = {},
): Promise<number> {
  const piped = start(stream, res, options);
  piped.catch(() => {});
  return piped;
}

async function start(stream: ByteStream, res: Writable, options: PipeToResponseOptions): Promise<number> {
  if (!(stream instanceof ByteStream)) throw new InvalidArgumentError('stream', stream, 'a ByteStream');
  if (typeof res?.write !== 'function' || typeof res.on !== 'function') {
    throw new InvalidArgumentError('res', res, 'a ServerResponse or another Writable');
  }
  checkSignal(options.signal);
  const { headers = {}, signal } = options;
  const http = res as Writable & Partial<OutgoingMessage>;
  const fields = Object.entries(headers).filter(([, value]) => value !== undefined);
  if (fields.length > 0 && http.setHeader === undefined) {
    throw new InvalidArgumentError('headers', headers, 'absent: this is not HTTP');
  }
  // All are checked before one is set, so that a refusal leaves the response as it was.
  for (const [name, value] of fields) {
    validateHeaderName(name);
    for (const each of Array.isArray(value) ? value : [value]) validateHeaderValue(name, String(each));
  }
  const cursor = takeCursor(stream, 'pipeToResponse()');
  for (const [name, value] of fields) http.setHeader?.(name, value as number | string | readonly string[]);
  return new ResponsePump(cursor, res).run(signal);
}

class ResponsePump implements AbortMember {
  readonly #cursor: Cursor<Uint8Array>;
  readonly #res: Writable;
  #written = 0;
  /** Batches of which the last chunk is not sent yet. */
  #unsent = 0;
  #needsDrain = false;
  #isFinished = false;
  /** Why nothing more can be written, in a box. */
  #broken: { readonly reason: unknown } | null = null;
  #wake: (() => void) | null = null;

  constructor(cursor: Cursor<Uint8Array>, res: Writable) {
    this.#cursor = cursor;
    this.#res = res;
  }

  async run(signal: AbortSignal | undefined): Promise<number> {
    const res = this.#res;
    res.on('drain', this.#onDrain).on('finish', this.#onFinish).on('error', this.#onError).on('close', this.#onClose);
    if (signal?.aborted) this.aborted(signal.reason);
    else if (signal !== undefined) joinSignal(signal, this);
    if (res.destroyed || res.writableEnded) this.#onClose();
    try {
      for (let batch = await this.#take(); batch !== null; batch = await this.#take()) await this.#write(batch);
      res.end();
      await this.#until(() => this.#isFinished);
      return this.#written;
    } catch (reason) {
      await this.#breakOff(reason);
      throw reason;
    } finally {
      if (signal !== undefined) leaveSignal(signal, this);
      this.#cursor.unwatch();
      res.off('drain', this.#onDrain).off('finish', this.#onFinish).off('error', this.#onError);
      res.off('close', this.#onClose);
    }
  }

  // ---- what happens to the response

  readonly #onDrain = (): void => {
    this.#needsDrain = false;
    this.#wake?.();
  };

  readonly #onFinish = (): void => {
    this.#isFinished = true;
    this.#wake?.();
  };

  readonly #onSent = (): void => {
    this.#unsent--;
    this.#wake?.();
  };

  readonly #onError = (reason: unknown): void => {
    this.#break(reason);
  };

  readonly #onClose = (): void => {
    this.#break(new PrematureCloseError(CLOSED, this.#written));
  };

  aborted(reason: unknown): void {
    this.#break(reason);
  }

  #break(reason: unknown): void {
    this.#broken ??= { reason };
    // Also settles a read that waits.
    this.#cursor.cancel(reason);
    this.#wake?.();
  }

  #check(): void {
    if (this.#broken !== null) throw this.#broken.reason;
  }

  // ---- the way of the bytes

  /** What is there, at most so much; or what comes next. Null at the end. */
  async #take(): Promise<readonly Uint8Array[] | null> {
    const cursor = this.#cursor;
    this.#check();
    if (cursor.lag > MOST_AT_ONCE) {
      const chunks: Uint8Array[] = [];
      for (let size = 0; size < MOST_AT_ONCE; ) {
        const result = cursor.read();
        if (result == null) break;
        chunks.push(result.value);
        size += result.value.byteLength;
      }
      if (chunks.length > 0) return chunks;
    }
    if (cursor.lag === 0 && this.#written === 0 && cursor.channel.state === 'open') this.#sendHeaders();
    const { value, done } = await cursor.nextBatch();
    this.#check();
    if (!done) return value;
    const cut = cutOff(cursor);
    if (cut !== null) throw cut.reason;
    return null;
  }

  #sendHeaders(): void {
    const res = this.#res as Writable & Partial<OutgoingMessage>;
    if (res.headersSent === false && !res.destroyed) res.flushHeaders?.();
  }

  async #write(batch: readonly Uint8Array[]): Promise<void> {
    const res = this.#res;
    // HTTP corks the connection itself. Corking a response as well has cost it its 'drain' in some versions of Node.
    const isHttp = res instanceof OutgoingMessage;
    const chunks = isHttp ? joinSmall(batch) : batch;
    let isCorked = false;
    for (const [index, chunk] of chunks.entries()) {
      const isLast = index === chunks.length - 1;
      if (!isHttp && !isCorked && !isLast) {
        isCorked = true;
        res.cork();
      }
      this.#written += chunk.byteLength;
      if (isLast) this.#unsent++;
      const hasRoom = isLast ? res.write(chunk, this.#onSent) : res.write(chunk);
      if (hasRoom && !isLast) continue;
      this.#needsDrain = !hasRoom;
      if (isCorked) res.uncork();
      isCorked = false;
      if (this.#needsDrain) await this.#until(() => !this.#needsDrain);
    }
  }

  /** Waits until `condition` holds; rejects if that cannot happen any more, or if the stream is detached meanwhile. */
  async #until(condition: () => boolean): Promise<void> {
    const held = new WeakRef<ResponsePump>(this);
    this.#cursor.watch(() => held.deref()?.detached());
    this.detached();
    while (!condition()) {
      this.#check();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
    this.#cursor.unwatch();
  }

  /** From outside, while the other side does not read: it may never do so. */
  detached(): void {
    const cut = cutOff(this.#cursor);
    if (cut !== null) this.#break(cut.reason);
  }

  async #breakOff(reason: unknown): Promise<void> {
    const res = this.#res;
    const cursor = this.#cursor;
    cursor.unwatch();
    // A failure of the writer comes after all that was written before it, so that is sent first.
    const hasFailed = this.#broken === null && cursor.channel.state === 'failed' && cursor.channel.reason === reason;
    if (hasFailed) await this.#until(() => this.#unsent === 0).catch(() => {});
    cursor.cancel(reason);
    if (!res.destroyed) destroyResponse(res, asError(reason));
  }
}

/** Chunks smaller than this many bytes are joined: each would become a chunk of HTTP, with a head and a tail of its own. */
const SMALL = 4 * 1024;

/** Joins what is small with its small neighbours, by copying. */
function joinSmall(batch: readonly Uint8Array[]): readonly Uint8Array[] {
  if (batch.length === 1) return batch;
  const joined: Uint8Array[] = [];
  for (let from = 0; from < batch.length; ) {
    let to = from;
    for (let size = 0; to < batch.length && size < MOST_AT_ONCE; to++) {
      const { byteLength } = batch[to] as Uint8Array;
      if (byteLength >= SMALL) break;
      size += byteLength;
    }
    if (to - from > 1) joined.push(Buffer.concat(batch.slice(from, to)));
    else joined.push(batch[from] as Uint8Array);
    from = Math.max(to, from + 1);
  }
  return joined;
}

const CLOSED = 'The response closed before its end: the other side went away. The stream is detached.';
