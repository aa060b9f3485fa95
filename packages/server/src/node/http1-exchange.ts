import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Reply, StreamedBody } from '../http/reply.ts';
import type { Connection, ConnectionUser } from './connection.ts';
import { Exchange, type ExchangeContext } from './exchange.ts';
import { SocketSink } from './socket-sink.ts';

/** A request over HTTP/1.0 or 1.1. */
export class Http1Exchange extends Exchange implements ConnectionUser {
  readonly #connection: Connection;
  #sink: SocketSink | undefined;

  constructor(message: IncomingMessage, response: ServerResponse, context: ExchangeContext, connection: Connection) {
    super(message, response, context);
    this.#connection = connection;
    connection.enter(this);
  }

  protected get mayHaveBody(): boolean {
    return this.message.headers['transfer-encoding'] !== undefined;
  }

  onDrain(): void {
    this.#sink?.drained();
  }

  onClose(): void {
    this.gone();
  }

  override finish(): void {
    super.finish();
    this.#connection.leave(this);
  }

  protected writeHead(reply: Reply, length: number | undefined, isLast = false): void {
    let headers = reply.headers as string[];
    if (length !== undefined) headers = [...headers, 'content-length', String(length)];
    if (isLast || this.context.isClosing) headers = [...headers, 'connection', 'close'];
    this.response.writeHead(reply.status, headers as unknown as Record<string, string>);
  }

  protected sendStreamed(reply: Reply, body: StreamedBody): void {
    const { response } = this;
    // Behind the reply to an earlier request of this connection: it holds nothing until it has the socket.
    if (response.socket === null) response.once('socket', () => this.#start(reply, body));
    else this.#start(reply, body);
  }

  #start(reply: Reply, body: StreamedBody): void {
    if (this.isOver) return;
    const { response } = this;
    const { socket } = response;
    if (socket === null) return;
    this.writeHead(reply, body.length, !this.message.complete);
    // The head and what there is at once go in one piece.
    socket.cork();
    response.flushHeaders();
    this.#sink = new SocketSink(this, socket, response.chunkedEncoding, body.length);
    body.start(this.#sink);
    socket.uncork();
  }
}
