import type { IncomingMessage, ServerResponse } from 'node:http';
import { RequestBrokenError } from '../errors.ts';
import type { HttpRequest, Reply, StreamedBody } from '../http/index.ts';
import { RequestBody } from './request-body.ts';
import { parseTarget, type RequestTarget } from './request-target.ts';

/** What exchanges of one listener share. */
export interface ExchangeContext {
  /** Scheme and host of the server, where they are fixed. */
  readonly origin: string | undefined;
  /** Replies say `connection: close`: the server shuts down. */
  readonly isClosing: boolean;
}

/** More than any client sends; node:http would let those beyond a number go without a word. */
const MOST_HEADERS = 500;
/** A rest of a body that is read so that the connection can go on. */
const WORTH_READING = 65_536;

/**
 * One request and its reply, on any HTTP. As a request it is lazy: what nobody asks for is not made, and there is one object for
 * all of it.
 */
export abstract class Exchange implements HttpRequest {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly context: ExchangeContext;
  #target: RequestTarget | undefined;
  #body: RequestBody | undefined;
  #onGone: (() => void) | undefined;
  #isOver = false;
  #isGone = false;
  #expectsContinue = false;
  /** What is being sent, or waits to be. */
  protected streamed: StreamedBody | undefined;

  constructor(message: IncomingMessage, response: ServerResponse, context: ExchangeContext) {
    this.message = message;
    this.response = response;
    this.context = context;
  }

  /**
   * The status with which the request is refused before the handler sees it, or undefined. To be called first. Refused is what two
   * hops could take for two requests.
   */
  refusal(): number | undefined {
    const { message } = this;
    if (message.rawHeaders.length > 2 * MOST_HEADERS) return 431;
    const authority = message.headers[':authority'] as string | undefined;
    const { host = authority } = message.headers;
    if (authority !== undefined && authority !== host) return 400;
    // A host framework that strips its prefix from `url` keeps the whole.
    const { originalUrl } = message as { originalUrl?: string };
    this.#target = parseTarget(originalUrl ?? message.url ?? '', host);
    return this.#target === undefined ? 400 : undefined;
  }

  get method(): string {
    return this.message.method ?? '';
  }

  get path(): string {
    return this.#target?.path ?? '';
  }

  get query(): string {
    return this.#target?.query ?? '';
  }

  get origin(): string {
    if (this.context.origin !== undefined) return this.context.origin;
    const host = this.#target?.host;
    if (host === undefined) return '';
    return `${'encrypted' in this.message.socket ? 'https' : 'http'}://${host}`;
  }

  get remoteAddress(): string | undefined {
    return this.message.socket.remoteAddress;
  }

  get raw(): IncomingMessage {
    return this.message;
  }

  header(name: string): string | undefined {
    const value = this.message.headers[name];
    return typeof value === 'object' ? value.join(', ') : value;
  }

  get bodyLength(): number | undefined {
    const { headers } = this.message;
    const length = headers['content-length'];
    if (length !== undefined) return Number(length);
    return this.mayHaveBody ? undefined : 0;
  }

  /** Nobody knows where the request ends, so the connection ends with it. */
  protected isUnframed = false;

  /** Whether a body without a length may come. */
  protected abstract readonly mayHaveBody: boolean;

  body(): AsyncIterable<Uint8Array> {
    const failure = this.#isOver ? new RequestBrokenError('broke off: the client has gone') : undefined;
    this.#body = new RequestBody(this.message, failure);
    if (failure === undefined) this.continue();
    return this.#body;
  }

  /** The client waits to be told that its body is welcome. */
  protected continue(): void {
    if (!this.#expectsContinue) return;
    this.#expectsContinue = false;
    this.response.writeContinue();
  }

  /** The client sends its body when it is told so, which is when somebody asks for it. */
  expectContinue(): void {
    this.#expectsContinue = true;
  }

  onGone(callback: () => void): void {
    // While the handler was about something else, such as whether the client may.
    if (this.#isGone) {
      callback();
      return;
    }
    const before = this.#onGone;
    this.#onGone =
      before === undefined
        ? callback
        : () => {
            before();
            callback();
          };
  }

  get isReceiving(): boolean {
    return this.#body?.isWaiting ?? false;
  }

  /** Bytes of the body that came since somebody reads it. */
  get received(): number {
    return this.#body?.received ?? 0;
  }

  /** True once the reply is complete, or the client gone. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Sends the reply. If the client has gone meanwhile, frees it. */
  send(reply: Reply): void {
    const { body } = reply;
    if (this.#isOver) {
      if (body !== undefined && !(body instanceof Uint8Array)) body.stop();
      return;
    }
    if (body === undefined || body instanceof Uint8Array) this.#sendWhole(reply, body);
    else if (this.message.method === 'HEAD') {
      body.stop();
      this.writeHead(reply, body.length);
      this.finish();
      this.response.end();
    } else {
      this.streamed = body;
      this.sendStreamed(reply, body);
    }
  }

  #sendWhole(reply: Reply, body: Uint8Array | undefined): void {
    const { response, message } = this;
    const { status } = reply;
    const isEmpty = status === 204 || status === 304 || (body === undefined && message.method === 'HEAD');
    const isUnread = !message.complete && this.#isLongRest();
    this.writeHead(reply, isEmpty ? undefined : (body?.length ?? 0), isUnread);
    if (isUnread && !this.#expectsContinue && !this.isUnframed) {
      this.endUnread(message.method === 'HEAD' ? undefined : body);
      return;
    }
    this.finish();
    if (body === undefined || isEmpty || message.method === 'HEAD') response.end();
    else this.endWith(body);
  }

  /** Whether so much of the request is unread that the connection is not worth reading it. */
  #isLongRest(): boolean {
    if (this.#expectsContinue || this.isUnframed) return true;
    const length = this.bodyLength;
    return length === undefined || length > WORTH_READING;
  }

  /** Ends a reply whose head is written, to a client that still sends what nobody wants. */
  protected abstract endUnread(body: Uint8Array | undefined): void;

  /** Writes status and headers, with a `content-length` unless that is undefined. */
  protected abstract writeHead(reply: Reply, length: number | undefined, isLast?: boolean): void;

  /** Ends a reply whose head is written with all of its body. */
  protected endWith(body: Uint8Array): void {
    this.response.end(body);
  }

  /** Writes the head and starts the body. */
  protected abstract sendStreamed(reply: Reply, body: StreamedBody): void;

  /** The reply is complete: nobody needs to be told of the client any more. */
  finish(): void {
    this.#isOver = true;
    this.#onGone = undefined;
    this.streamed = undefined;
  }

  /** The client has gone. */
  gone(): void {
    if (this.#isOver) return;
    this.#isGone = true;
    const callback = this.#onGone;
    const body = this.streamed;
    this.finish();
    this.#body?.fail(new RequestBrokenError('broke off: the client has gone'));
    body?.stop();
    callback?.();
  }
}
