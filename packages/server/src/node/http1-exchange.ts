import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Reply, StreamedBody } from '../http/index.ts';
import type { Connection, ConnectionUser } from './connection.ts';
import { Exchange, type ExchangeContext } from './exchange.ts';
import { refusal } from './refusal.ts';
import { isRepeated } from './request-target.ts';
import { isWrapped, ResponseSink } from './response-sink.ts';
import { SocketSink } from './socket-sink.ts';

/** Left to read after the reply, so that the client comes to read it: at most so many bytes, for so long. */
const LINGER_BYTES = 16 * 1024 * 1024;
const LINGER_MS = 5_000;
/** A body that is not longer goes out in one piece with its head. */
const ONE_PIECE = 8_192;

/** A request over HTTP/1.0 or 1.1. */
export class Http1Exchange extends Exchange implements ConnectionUser {
  readonly #connection: Connection;
  #sink: SocketSink | undefined;
  #isLast = false;

  constructor(message: IncomingMessage, response: ServerResponse, context: ExchangeContext, connection: Connection) {
    super(message, response, context);
    this.#connection = connection;
    connection.enter(this);
  }

  protected get mayHaveBody(): boolean {
    return this.message.headers['transfer-encoding'] !== undefined;
  }

  /** A request that is refused ends its connection: what stands behind it may be a part of it. */
  override refusal(): number | undefined {
    const status = this.#problem() ?? super.refusal();
    // Nor is what stands behind this one a request for node:http, whether anybody upgrades or not.
    if (status !== undefined || this.message.headers.upgrade !== undefined) this.#isLast = true;
    return status;
  }

  #problem(): number | undefined {
    const { headers, httpVersionMajor: major, httpVersionMinor: minor, rawHeaders } = this.message;
    const coding = headers['transfer-encoding'];
    if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
      // node:http has let it pass, and does not know either where such a body ends.
      this.isUnframed = true;
      return 400;
    }
    if (major !== 1 || minor > 1) return 400;
    // Who speaks HTTP/1.0 may have passed it on without a look at it.
    if (minor === 0 && coding !== undefined) return 400;
    if ((minor === 1 && headers.host === undefined) || isRepeated(rawHeaders, 'host')) return 400;
    return undefined;
  }

  takeBody(): Uint8Array | undefined {
    const { message, bodyLength } = this;
    if (bodyLength === undefined || message.readableLength !== bodyLength) return undefined;
    if (message.readableDidRead || this.isOver) return undefined;
    const body = message.read(bodyLength) as Uint8Array;
    // Its end is still to be read, or node:http holds the message until the next one comes.
    message.resume();
    return body;
  }

  protected override endWith(body: Uint8Array): void {
    const { response } = this;
    // What the host has put there may know bytes alone.
    if (body.length > ONE_PIECE || isWrapped(response) || Object.hasOwn(response, 'end')) super.endWith(body);
    // node:http puts text into one piece with the head, so that there is one write and no list of two.
    else response.end(Buffer.from(body.buffer, body.byteOffset, body.length).toString('latin1'), 'latin1');
  }

  onDrain(): void {
    this.#sink?.drained();
  }

  onClose(): void {
    this.gone();
  }

  refuse(status: number): boolean {
    const { response } = this;
    if (this.isOver || response.headersSent || response.socket === null) return false;
    this.gone();
    const reply = refusal(status);
    this.writeHead(reply, 0, true);
    response.end();
    return true;
  }

  override finish(): void {
    super.finish();
    this.#connection.leave(this);
  }

  protected writeHead(reply: Reply, length: number | undefined, isLast = false): void {
    let headers = reply.headers as string[];
    if (length !== undefined) headers = [...headers, 'content-length', String(length)];
    if (isLast || this.#isLast || this.context.isClosing) {
      headers = [...headers, 'connection', 'close'];
      this.#connection.isLast = true;
    }
    this.response.writeHead(reply.status, headers as unknown as Record<string, string>);
  }

  /** Were the connection closed at once, the client could lose the reply with it, so what still comes is let go for a while. */
  protected endUnread(body: Uint8Array | undefined): void {
    const { message, response } = this;
    if (body === undefined) response.flushHeaders();
    else response.write(body);
    let left = LINGER_BYTES;
    const done = (): void => {
      clearTimeout(timer);
      message.off('data', count).off('end', done).off('close', done);
      if (this.isOver) return;
      this.finish();
      response.end();
    };
    const count = (chunk: Uint8Array): void => {
      left -= chunk.length;
      if (left < 0) done();
    };
    const timer = setTimeout(done, LINGER_MS);
    message.on('data', count).on('end', done).on('close', done).resume();
  }

  protected sendStreamed(reply: Reply, body: StreamedBody): void {
    const { response } = this;
    // Behind the reply to an earlier request of this connection: it holds nothing until it has the socket.
    const { complete } = this.message;
    this.writeHead(reply, body.length, !complete);
    // What is left unread would hide that the client has gone.
    if (!complete) this.message.resume();
    if (response.socket === null) response.once('socket', () => this.#start(body));
    else this.#start(body);
  }

  #start(body: StreamedBody): void {
    const { response } = this;
    const { socket } = response;
    if (this.isOver || socket === null) return;
    // The head and what there is at once go in one piece.
    socket.cork();
    response.flushHeaders();
    this.#sink = isWrapped(response)
      ? new ResponseSink(this, socket, body.length)
      : new SocketSink(this, socket, response.chunkedEncoding, body.length);
    body.start(this.#sink);
    socket.uncork();
  }

  /** Ends the reply whose body has been written. */
  end(): void {
    const { response } = this;
    this.finish();
    // Its head was written before anybody knew that it is the last one here.
    if (this.context.isClosing) this.#connection.closeWhenIdle();
    response.end();
  }
}
