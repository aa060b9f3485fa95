import type { IncomingMessage } from 'node:http';
import { BodyAlreadyReadError } from '../errors.ts';

/** What may wait to be read before the client is told to stop, in bytes. */
const MOST_WAITING = 65_536;

type Step = IteratorResult<Uint8Array, undefined>;

const DONE: Step = { value: undefined, done: true };

/** What a body parser of the host has kept: all bytes as they came (`rawBody`), or, where it parses no further, as `body`. */
function keptBytes(message: IncomingMessage): Uint8Array | undefined {
  const { rawBody, body } = message as { rawBody?: unknown; body?: unknown };
  if (rawBody instanceof Uint8Array) return rawBody;
  return body instanceof Uint8Array ? body : undefined;
}

/**
 * The body of one request as it comes, one chunk per step. Reads on only while little waits, so that an upload is as fast as
 * its reader.
 *
 * One object is iterable and iterator: most bodies are small and come in one piece, so what is made per request counts.
 */
export class RequestBody implements AsyncIterableIterator<Uint8Array> {
  readonly #message: IncomingMessage;
  #chunks: Uint8Array[] | undefined;
  #waiting = 0;
  #received = 0;
  #isEnded = false;
  #isPaused = false;
  #failure: Error | undefined;
  #resolve: ((step: Step) => void) | undefined;
  #reject: ((reason: Error) => void) | undefined;

  /** Nobody must have read from the message without keeping its bytes. With `failure`, that is all there is. */
  constructor(message: IncomingMessage, failure?: Error) {
    this.#message = message;
    this.#failure = failure;
    if (failure !== undefined) return;
    if (message.readableEnded || message.readableDidRead) {
      const kept = keptBytes(message);
      this.#isEnded = kept !== undefined;
      if (kept === undefined) this.#failure = new BodyAlreadyReadError();
      else if (kept.length > 0) {
        this.#chunks = [kept];
        this.#waiting = kept.length;
      }
      return;
    }
    message.on('data', (chunk: Uint8Array) => this.#take(chunk));
    message.on('end', () => this.#end());
  }

  /** True while the reader waits for the client. */
  get isWaiting(): boolean {
    return this.#resolve !== undefined;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Step> {
    const chunk = this.#chunks?.shift();
    if (chunk !== undefined) {
      this.#waiting -= chunk.length;
      if (this.#isPaused && this.#waiting < MOST_WAITING) {
        this.#isPaused = false;
        this.#message.resume();
      }
      return Promise.resolve({ value: chunk, done: false });
    }
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#isEnded) return Promise.resolve(DONE);
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Leaves the rest unread. */
  return(): Promise<Step> {
    this.#isEnded = true;
    this.#chunks = undefined;
    if (!this.#message.complete) {
      this.#isPaused = true;
      this.#message.pause();
    }
    this.#settle();
    return Promise.resolve(DONE);
  }

  /** The client has gone. What came before can be read still, then the reader is told. */
  fail(reason: Error): void {
    if (this.#isEnded || this.#failure !== undefined) return;
    this.#failure = reason;
    const reject = this.#reject;
    this.#resolve = this.#reject = undefined;
    reject?.(reason);
  }

  /** Bytes that came so far. */
  get received(): number {
    return this.#received;
  }

  #take(chunk: Uint8Array): void {
    this.#received += chunk.length;
    // Left by its reader: what still comes is let go.
    if (this.#isEnded || this.#failure !== undefined) return;
    const resolve = this.#resolve;
    if (resolve !== undefined) {
      this.#resolve = this.#reject = undefined;
      resolve({ value: chunk, done: false });
      return;
    }
    (this.#chunks ??= []).push(chunk);
    this.#waiting += chunk.length;
    if (this.#waiting >= MOST_WAITING && !this.#isPaused) {
      this.#isPaused = true;
      this.#message.pause();
    }
  }

  #end(): void {
    this.#isEnded = true;
    this.#settle();
  }

  #settle(): void {
    const resolve = this.#resolve;
    this.#resolve = this.#reject = undefined;
    resolve?.(DONE);
  }
}
