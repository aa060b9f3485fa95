import type { Clock } from 'fanpipe';
import { BodyAlreadyReadError, RequestBrokenError } from '../errors.ts';
import type { Frame } from './frame.ts';
import type { HttpRequest } from './http-request.ts';
import type { Reply, ReplySink, StreamedBody } from './reply.ts';

/** What may wait in a body before its reader counts as slow, in bytes. */
const HIGH_WATER_MARK = 65_536;
const NO_BODY = new Set([101, 103, 204, 205, 304]);

export interface FetchOptions {
  /** Milliseconds for which bytes may wait for a client that takes none, before its reply is broken off. 0: for ever. */
  readonly stallTimeout: number;
  readonly clock: Clock;
}

/** Answers a request of the web with what handles requests. Such a runtime has normalised the URL already. */
export async function answer(
  handle: (request: HttpRequest) => Promise<Reply>,
  request: Request,
  options: FetchOptions,
): Promise<Response> {
  const incoming = new WebRequest(request);
  const { status, headers, body } = await handle(incoming);
  incoming.answered();
  const given = new Headers();
  for (let i = 0; i < headers.length; i += 2) given.append(headers[i] as string, headers[i + 1] as string);
  if (body === undefined || body instanceof Uint8Array) {
    if (body === undefined || NO_BODY.has(status)) return new Response(null, { status, headers: given });
    given.set('content-length', String(body.length));
    return new Response(request.method === 'HEAD' ? null : (body as Uint8Array<ArrayBuffer>), {
      status,
      headers: given,
    });
  }
  if (body.length !== undefined) given.set('content-length', String(body.length));
  if (request.method === 'HEAD' || request.signal.aborted) {
    body.stop();
    return new Response(null, { status, headers: given });
  }
  return new Response(new WebSink(body, request.signal, options).readable, { status, headers: given });
}

class WebRequest implements HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly origin: string;
  readonly remoteAddress: undefined;
  readonly #request: Request;
  readonly #callbacks: (() => void)[] = [];

  constructor(request: Request) {
    const { pathname, search, origin } = new URL(request.url);
    this.method = request.method;
    this.path = pathname;
    this.query = search.slice(1);
    this.origin = origin;
    this.#request = request;
  }

  get raw(): Request {
    return this.#request;
  }

  header(name: string): string | undefined {
    return this.#request.headers.get(name) ?? undefined;
  }

  get bodyLength(): number | undefined {
    if (this.#request.body === null) return 0;
    const length = this.header('content-length');
    return length !== undefined && /^\d+$/.test(length) ? Number(length) : undefined;
  }

  async *body(): AsyncIterable<Uint8Array> {
    const { body } = this.#request;
    if (body === null) return;
    let reader: ReadableStreamDefaultReader<Uint8Array>;
    try {
      reader = body.getReader();
    } catch (cause) {
      throw new BodyAlreadyReadError({ cause });
    }
    let isWhole = false;
    try {
      for (;;) {
        const result = await reader.read().catch((cause: unknown) => {
          throw Object.assign(new RequestBrokenError('broke off'), { cause });
        });
        if (result.done) break;
        // A stream that the host made may hold anything; what is no bytes must not come to be counted as if it was.
        if (!(result.value instanceof Uint8Array))
          throw new TypeError('The body of a request has more than Uint8Arrays');
        yield result.value;
      }
      isWhole = true;
    } finally {
      // Nobody wants the rest. A body that has failed cannot be cancelled, which is all the same.
      if (!isWhole) reader.cancel().catch(() => {});
    }
  }

  onGone(callback: () => void): void {
    const { signal } = this.#request;
    this.#callbacks.push(callback);
    if (signal.aborted) this.#gone();
    else if (this.#callbacks.length === 1) signal.addEventListener('abort', this.#gone);
  }

  /** Nobody waits any more. */
  answered(): void {
    this.#callbacks.length = 0;
    this.#request.signal.removeEventListener('abort', this.#gone);
  }

  readonly #gone = (): void => {
    for (const callback of this.#callbacks.splice(0)) callback();
  };
}

/** A body of the web that is fed by a streamed body. */
class WebSink implements ReplySink {
  onDrain: (() => void) | undefined;
  readonly readable: ReadableStream<Uint8Array>;
  readonly #body: StreamedBody;
  readonly #signal: AbortSignal;
  readonly #options: FetchOptions;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #timer: unknown;
  #isFull = false;
  #isOver = false;

  constructor(body: StreamedBody, signal: AbortSignal, options: FetchOptions) {
    this.#body = body;
    this.#signal = signal;
    this.#options = options;
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pull(),
        cancel: () => this.#gone(),
      },
      // Not a byte stream: that would take the memory of frames that others share.
      { highWaterMark: HIGH_WATER_MARK, size: (chunk) => chunk?.length ?? 0 },
    );
    signal.addEventListener('abort', this.#gone);
    body.start(this);
  }

  write(frame: Frame): boolean {
    if (this.#isOver) return false;
    if (frame.bytes.length === 0) return !this.#isFull;
    this.#controller.enqueue(frame.bytes);
    if ((this.#controller.desiredSize ?? 0) > 0) return true;
    this.#isFull = true;
    this.#watch();
    return false;
  }

  end(): void {
    if (this.#isOver) return;
    this.#close();
    this.#controller.close();
  }

  abort(reason: unknown): void {
    if (this.#isOver) return;
    this.#close();
    this.#controller.error(reason);
  }

  #pull(): void {
    if (!this.#isFull) return;
    this.#isFull = false;
    this.#unwatch();
    this.onDrain?.();
  }

  /** The client has gone. */
  readonly #gone = (): void => {
    if (this.#isOver) return;
    this.#close();
    this.#body.stop();
    // Whoever still reads must not take it for the whole. A runtime that cancels in the same turn has heard of it, and shall not take it
    // for an error of ours.
    const { aborted, reason } = this.#signal;
    if (aborted) queueMicrotask(() => this.#controller.error(reason));
  };

  #watch(): void {
    const { stallTimeout, clock } = this.#options;
    if (stallTimeout === 0) return;
    const timer = clock.setTimeout(() => {
      this.#body.stop();
      this.abort(new RequestBrokenError(`had a reply of which nothing was taken for ${stallTimeout} ms`));
    }, stallTimeout);
    (timer as { unref?(): void } | undefined)?.unref?.();
    this.#timer = timer;
  }

  #close(): void {
    this.#isOver = true;
    this.onDrain = undefined;
    this.#signal.removeEventListener('abort', this.#gone);
    this.#unwatch();
  }

  #unwatch(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
