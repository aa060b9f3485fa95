import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Frame } from '../http/index.ts';
import type { Http1Exchange } from './http1-exchange.ts';
import { SocketSink } from './socket-sink.ts';

/**
 * Whether the host has put something of its own before a response, such as what compresses replies. It then has a `write` of its own,
 * which must see the body: the head may say already what it is going to do with it.
 */
export function isWrapped(response: ServerResponse): boolean {
  return Object.hasOwn(response, 'write');
}

/** Writes frames through a wrapped response. */
export class ResponseSink extends SocketSink {
  readonly #response: ServerResponse;

  constructor(exchange: Http1Exchange, socket: Socket, length: number | undefined) {
    const { response } = exchange;
    super(exchange, socket, response.chunkedEncoding, length);
    this.#response = response;
    response.on('drain', () => super.drained());
  }

  protected override send(frame: Frame): boolean {
    return this.#response.write(frame.bytes);
  }

  /** That the socket has room says nothing: what stands before it may hold bytes. */
  override drained(): void {}
}
