import type { Socket } from 'node:net';
import type { Frame, ReplySink } from '../http/index.ts';
import type { Http1Exchange } from './http1-exchange.ts';

/** What may wait in a socket before its reader counts as slow, in bytes. */
const HIGH_WATER_MARK = 65_536;

/** Ends a connection so that its end is none of what the client reads, as far as its kind can say that. */
function reset(socket: Socket): void {
  // TLS lies on a connection that can be reset, a socket of Unix knows no reset.
  const under = (socket as { _parent?: Socket | null })._parent ?? socket;
  try {
    under.resetAndDestroy();
  } catch {
    socket.destroy();
  }
}

/**
 * Writes frames straight to the socket of a reply: one system call per frame and reader, and no bytes of its own. node:http knows of
 * the head and of the end; what goes between has the form that the head announced.
 */
export class SocketSink implements ReplySink {
  onDrain: (() => void) | undefined;
  readonly #exchange: Http1Exchange;
  readonly #socket: Socket;
  readonly #isChunked: boolean;
  /** Bytes that must still come; undefined: any number. */
  #left: number | undefined;
  #isFull = false;

  constructor(exchange: Http1Exchange, socket: Socket, isChunked: boolean, length: number | undefined) {
    this.#exchange = exchange;
    this.#socket = socket;
    this.#isChunked = isChunked;
    this.#left = length;
  }

  write(frame: Frame): boolean {
    const socket = this.#socket;
    // Once it is over the socket belongs to the next reply, and one that the client has half closed takes nothing.
    if (this.#exchange.isOver || !socket.writable) return false;
    if (this.#left !== undefined && (this.#left -= frame.bytes.length) < 0) {
      this.abort(new RangeError('The body is longer than its content-length'));
      return false;
    }
    if (this.send(frame)) return true;
    this.#isFull = true;
    return false;
  }

  /** Whether more is taken. */
  protected send(frame: Frame): boolean {
    const socket = this.#socket;
    const takesMore = socket.write(this.#isChunked ? frame.chunk : frame.bytes);
    // A frame that is larger than the mark of the socket went through all the same if nothing of it waits.
    return takesMore || socket.writableLength < HIGH_WATER_MARK;
  }

  drained(): void {
    if (!this.#isFull) return;
    this.#isFull = false;
    this.onDrain?.();
  }

  end(): void {
    const exchange = this.#exchange;
    if (exchange.isOver) return;
    if (this.#left !== undefined && this.#left > 0) {
      this.abort(new RangeError('The body is shorter than its content-length'));
      return;
    }
    this.onDrain = undefined;
    exchange.end();
  }

  abort(_reason: unknown): void {
    const exchange = this.#exchange;
    if (exchange.isOver) return;
    this.onDrain = undefined;
    exchange.finish();
    const socket = this.#socket;
    // What was written before goes out still; then the connection ends in mid-body. Where the end of the connection would be the
    // end of the body, only a reset tells.
    if (this.#isChunked || this.#left !== undefined) socket.destroySoon();
    else socket.write('', () => reset(socket));
  }
}
