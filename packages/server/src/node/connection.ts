import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ProgressWatch, Watched } from './progress-watch.ts';

/** What a connection tells a request that came on it. */
export interface ConnectionUser {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  /** Whether it waits for bytes of the client. */
  readonly isReceiving: boolean;
  /** The socket takes more. */
  onDrain(): void;
  /** The connection is gone. */
  onClose(): void;
  /** What comes cannot be taken for a request: says so, if nothing was said yet. False: it cannot. */
  refuse(status: number): boolean;
}

const CONNECTION = Symbol('fanpipe.connection');

interface OwnedSocket extends Socket {
  [CONNECTION]?: Connection;
  /** Of libuv; node:net looks at it too, to tell a slow client from one that stands still. */
  readonly _handle?: { readonly bytesWritten?: number; readonly writeQueueSize?: number } | null;
}

/** More requests than this that wait for their turn, and no more are read from the socket. */
const MOST_WAITING = 64;

/** The same for all connections: an idle one costs no closures. */
function onDrain(this: OwnedSocket): void {
  this[CONNECTION]?.drained();
}

function onClose(this: OwnedSocket): void {
  this[CONNECTION]?.closed();
}

/** One connection of HTTP/1: its listeners are set once, not once per request. */
export class Connection implements Watched {
  readonly #socket: OwnedSocket;
  readonly #watch: ProgressWatch;
  /** Whose reply is due. */
  #first: ConnectionUser | undefined;
  /** Those behind it, where there are any. */
  #waiting: ConnectionUser[] | undefined;
  #last: ConnectionUser | undefined;
  /** A reply has said that it is the last one: what comes behind it is not begun. */
  isLast = false;
  #isPaused = false;
  #isRefused = false;

  /** The connection of a socket. Watches it from its first request to its end. */
  static of(socket: Socket, watch: ProgressWatch): Connection {
    return ((socket as OwnedSocket)[CONNECTION] ??= new Connection(socket, watch));
  }

  /** The connection of a socket on which a request has come. */
  static find(socket: Socket): Connection | undefined {
    return (socket as OwnedSocket)[CONNECTION];
  }

  private constructor(socket: Socket, watch: ProgressWatch) {
    this.#socket = socket;
    this.#watch = watch;
    watch.add(this);
    socket.on('drain', onDrain);
    socket.on('close', onClose);
  }

  /** The socket takes more. */
  drained(): void {
    this.#first?.onDrain();
  }

  /** The socket is gone. */
  closed(): void {
    this.#watch.delete(this);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#first?.onClose();
    if (waiting !== undefined) for (const user of waiting) user.onClose();
  }

  /** Nothing is asked, and nothing of a reply waits in this process. */
  get isIdle(): boolean {
    const last = this.#last;
    return last === undefined || (last.message.complete && last.response.writableFinished);
  }

  /** Closes when nothing is asked any more: now, or behind the last reply that is due. */
  closeWhenIdle(): void {
    const socket = this.#socket;
    const last = this.#last;
    if (last === undefined || this.isIdle) socket.destroySoon();
    // Of a request that comes meanwhile the reply says itself that it is the last one.
    else last.response.once('finish', () => last === this.#last && socket.destroySoon());
  }

  /** A request has come. */
  enter(user: ConnectionUser): void {
    this.#last = user;
    if (this.#first === undefined) {
      this.#first = user;
      return;
    }
    const waiting = (this.#waiting ??= []);
    waiting.push(user);
    if (waiting.length < MOST_WAITING) return;
    this.#isPaused = true;
    // node:http reads on whenever a request is complete or its body is read, so this comes after all that were in the same piece, and
    // each time.
    process.nextTick(() => {
      if (this.#isPaused) this.#socket.pause();
    });
  }

  /** Its reply is complete. */
  leave(user: ConnectionUser): void {
    const waiting = this.#waiting;
    if (this.#first === user) this.#first = waiting?.shift();
    else if (waiting?.includes(user)) waiting.splice(waiting.indexOf(user), 1);
    if (!this.#isPaused || (waiting?.length ?? 0) > MOST_WAITING / 2) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  /**
   * What the client sends is no HTTP. Replies to what it asked before go out first, then `farewell`, a whole reply, unless the
   * request in whose body it happened can say so itself.
   */
  refuse(status: number, farewell: string): void {
    const last = this.#last;
    if (this.#socket.readableEnded && last?.message.complete && !this.isIdle) {
      // The client has closed its half in the middle of a head: it wants no reply any more.
      this.#socket.destroySoon();
      return;
    }
    if (this.#isRefused) return;
    this.#isRefused = true;
    if (last !== undefined && this.isLast) {
      // All has been said; what comes is only let go.
      if (!last.message.complete) this.#socket.destroySoon();
      return;
    }
    if (last === undefined || this.isIdle) {
      this.#bidFarewell(farewell);
      return;
    }
    if (!last.message.complete) {
      // It is the body of this one that is broken.
      if (last !== this.#first || !last.refuse(status)) this.#socket.destroy();
      return;
    }
    last.response.once('finish', () => this.#bidFarewell(farewell));
  }

  #bidFarewell(farewell: string): void {
    if (this.#socket.writable) this.#socket.write(farewell);
    this.#socket.destroySoon();
  }

  get waiting(): number {
    const socket = this.#socket;
    const first = this.#first;
    // So much is asked behind a reply that goes on that nothing more is read. Nobody hears then that the client has gone, and what
    // waits for it is counted as a byte at least.
    const isDeaf = first !== undefined && first !== this.#last && socket.isPaused();
    return isDeaf ? Math.max(1, socket.writableLength) : socket.writableLength;
  }

  get sent(): number {
    const handle = this.#socket._handle;
    // Without a queue to look at, progress is what the socket reports: a whole write that went through.
    if (handle?.bytesWritten === undefined) return this.#socket.bytesWritten - this.#socket.writableLength;
    return handle.bytesWritten - (handle.writeQueueSize ?? 0);
  }

  get isReceiving(): boolean {
    return this.#last?.isReceiving ?? false;
  }

  get received(): number {
    return this.#socket.bytesRead;
  }

  cut(why: 'sending' | 'receiving'): void {
    const first = this.#first;
    if (why === 'receiving' && first !== undefined && first === this.#last && first.refuse(408)) return;
    this.#socket.destroy();
  }
}
