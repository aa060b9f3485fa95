import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Frame, Reply, ReplySink, StreamedBody } from '../http/index.ts';
import { Exchange, type ExchangeContext } from './exchange.ts';
import type { ProgressWatch, Watched } from './progress-watch.ts';
import { isWrapped } from './response-sink.ts';

/** RFC 9113, section 7. */
const NO_ERROR = 0;
const INTERNAL_ERROR = 2;
const CANCEL = 8;

const OPEN = Symbol('fanpipe.open');

interface CountedSession extends ServerHttp2Session {
  [OPEN]?: number;
}

/** Whether something is asked on a session of HTTP/2. */
export function isInUse(session: ServerHttp2Session): boolean {
  return ((session as CountedSession)[OPEN] ?? 0) > 0;
}

/** A request over HTTP/2: one stream of its session, whose body goes through the flow control of HTTP/2. */
export class Http2Exchange extends Exchange implements Watched, ReplySink {
  readonly #stream: ServerHttp2Stream;
  #written = 0;
  #left: number | undefined;
  #isWrapped = false;
  onDrain: (() => void) | undefined;

  constructor(
    message: IncomingMessage,
    response: ServerResponse,
    stream: ServerHttp2Stream,
    context: ExchangeContext,
    watch: ProgressWatch,
  ) {
    super(message, response, context);
    this.#stream = stream;
    watch.add(this);
    const session = stream.session as CountedSession | undefined;
    if (session !== undefined) session[OPEN] = (session[OPEN] ?? 0) + 1;
    stream.once('close', () => {
      if (session?.[OPEN] !== undefined) session[OPEN]--;
      watch.delete(this);
      this.gone();
    });
  }

  protected get mayHaveBody(): boolean {
    return !this.#stream.endAfterHeaders;
  }

  get waiting(): number {
    return this.#stream.bufferSize;
  }

  get sent(): number {
    return this.#written - this.#stream.bufferSize;
  }

  cut(): void {
    this.#stream.close(CANCEL);
  }

  protected writeHead(reply: Reply, length: number | undefined): void {
    const { response } = this;
    const headers: OutgoingHttpHeaders = {};
    for (let i = 0; i < reply.headers.length; i += 2) {
      const name = reply.headers[i] as string;
      const value = reply.headers[i + 1] as string;
      const before = headers[name];
      headers[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [String(before)]), value];
    }
    if (length !== undefined) headers['content-length'] = String(length);
    response.writeHead(reply.status, headers);
  }

  /** RFC 9113, section 8.1: the reply is complete, and the client should send no more. If nothing was read, node:http2 says so itself. */
  protected endUnread(body: Uint8Array | undefined): void {
    const { message, response } = this;
    if (message.readableDidRead) response.once('finish', () => this.#stream.close(NO_ERROR));
    this.finish();
    if (body === undefined) response.end();
    else response.end(body);
  }

  protected sendStreamed(reply: Reply, body: StreamedBody): void {
    this.writeHead(reply, body.length);
    this.#left = body.length;
    this.#isWrapped = isWrapped(this.response);
    (this.#isWrapped ? this.response : this.#stream).on('drain', () => this.onDrain?.());
    this.response.flushHeaders();
    body.start(this);
  }

  write(frame: Frame): boolean {
    const stream = this.#stream;
    if (this.isOver || !stream.writable) return false;
    const { bytes } = frame;
    if (this.#left !== undefined && (this.#left -= bytes.length) < 0) {
      this.abort(new RangeError('The body is longer than its content-length'));
      return false;
    }
    if (bytes.length === 0) return true;
    this.#written += bytes.length;
    return this.#isWrapped ? this.response.write(bytes) : stream.write(bytes);
  }

  end(): void {
    if (this.isOver) return;
    if (this.#left !== undefined && this.#left > 0) {
      this.abort(new RangeError('The body is shorter than its content-length'));
      return;
    }
    this.onDrain = undefined;
    this.finish();
    this.response.end();
  }

  abort(_reason: unknown): void {
    if (this.isOver) return;
    this.onDrain = undefined;
    this.finish();
    const stream = this.#stream;
    // What was written before goes out still.
    if (stream.writableLength === 0) stream.close(INTERNAL_ERROR);
    else stream.write('', () => stream.close(INTERNAL_ERROR));
  }
}
