import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Stream } from 'node:http2';
import { errorTeller, type HttpRequest, type Reply, waitTime } from '../http/index.ts';
import { Connection } from './connection.ts';
import type { Exchange } from './exchange.ts';
import { Http1Exchange } from './http1-exchange.ts';
import { Http2Exchange } from './http2-exchange.ts';
import { ProgressWatch } from './progress-watch.ts';
import { refusal } from './refusal.ts';

/** What answers requests: the core of a server. */
export type Handler = (request: HttpRequest) => Promise<Reply>;

export interface NodeListenerOptions {
  /** Scheme and host of the server as clients see it, without a slash at the end. Default: what the request asks for. */
  readonly origin?: string;
  /** Milliseconds for which bytes may wait for a client that takes none, before it is cut off. Default 60,000; 0: for ever. */
  readonly stallTimeout?: number;
  /** Milliseconds for which an upload may bring nothing, before it is cut off. Default 60,000; 0: for ever. */
  readonly uploadTimeout?: number;
  /** Told of every reply that is about to be sent. */
  readonly onReply?: (request: HttpRequest, reply: Reply) => void;
  /**
   * Told what fails between the handler and the socket, and what a handler throws, whose client gets a 500. Default: printed by `console.error`.
   * A `StreamServer` tells its own errors to its own `onError`.
   */
  readonly onError?: (error: unknown, request?: HttpRequest) => void;
}

/** What `node:http` and `node:http2` call for each request. */
export interface NodeListener {
  (request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void;
  /** For `checkContinue`: a client that asks first is told to send its body when somebody reads it. */
  readonly onContinue: (
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
  ) => void;
  /** From now on every connection closes behind its reply. */
  shutDown(): void;
}

const ORIGIN = /^https?:\/\/[\w.~[\]:-]+$/i;

/**
 * Puts a handler on `node:http` or `node:http2`, with nothing between it and the socket: requests are looked at where they lie,
 * replies go out in one write, frames of a live reply straight to the socket.
 *
 * Nothing of the request may have been read before; a prefix that a host framework has taken off its `url` is seen again.
 *
 * @throws TypeError: options that make no sense
 */
export function nodeListener(handler: Handler, options: NodeListenerOptions = {}): NodeListener {
  const { origin, onReply } = options;
  if (origin !== undefined && !ORIGIN.test(origin)) {
    throw new TypeError(`origin must be a scheme and a host, such as https://example.org, got ${String(origin)}`);
  }
  const onError = errorTeller(options.onError);
  const watch = new ProgressWatch({
    stallTimeout: waitTime('stallTimeout', options.stallTimeout ?? 60_000, 0),
    uploadTimeout: waitTime('uploadTimeout', options.uploadTimeout ?? 60_000, 0),
  });
  const context: { origin: string | undefined; isClosing: boolean } = { origin, isClosing: false };

  // The classes of HTTP/2 have the shape of those of HTTP/1.1 in all that is used here.
  function open(message: unknown, reply: unknown): Exchange | undefined {
    const request = message as IncomingMessage;
    const response = reply as ServerResponse;
    const stream = (request as { stream?: ServerHttp2Stream }).stream;
    // A host that was busy with something else brings it when its client has gone, which nobody tells any more.
    if ((stream ?? request.socket).destroyed) return undefined;
    if (stream !== undefined) return new Http2Exchange(request, response, stream, context, watch);
    const connection = Connection.of(request.socket, watch);
    return connection.isLast ? undefined : new Http1Exchange(request, response, context, connection);
  }

  function send(exchange: Exchange, reply: Reply): void {
    try {
      onReply?.(exchange, reply);
      exchange.send(reply);
    } catch (error) {
      const { body } = reply;
      if (body !== undefined && !(body instanceof Uint8Array)) body.stop();
      fail(exchange, error);
    }
  }

  function fail(exchange: Exchange, error: unknown): void {
    // Its client has gone, which is no error of anybody here.
    if (exchange.isOver) return;
    onError(error, exchange);
    const { response } = exchange;
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const reply = refusal(500);
    try {
      onReply?.(exchange, reply);
    } catch {
      // Of whoever throws each time, one error has been told.
    }
    exchange.send(reply);
  }

  function run(exchange: Exchange): void {
    const status = exchange.refusal();
    if (status !== undefined) {
      send(exchange, refusal(status));
      return;
    }
    let reply: Promise<Reply>;
    try {
      reply = handler(exchange);
    } catch (error) {
      fail(exchange, error);
      return;
    }
    // Whoever waits for what is appended is answered before who appended it: the next tick comes when nothing is left to be done.
    const isAppend = exchange.method === 'POST';
    reply.then(
      (value) => (isAppend ? process.nextTick(send, exchange, value) : send(exchange, value)),
      (error: unknown) => fail(exchange, error),
    );
  }

  const listener = (request: unknown, response: unknown): void => {
    const exchange = open(request, response);
    if (exchange !== undefined) run(exchange);
  };
  return Object.assign(listener, {
    onContinue: (request: unknown, response: unknown): void => {
      const exchange = open(request, response);
      exchange?.expectContinue();
      if (exchange !== undefined) run(exchange);
    },
    shutDown(): void {
      context.isClosing = true;
    },
  });
}
