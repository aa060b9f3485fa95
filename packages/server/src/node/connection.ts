import type { Socket } from 'node:net';
import type { ProgressWatch, Watched } from './progress-watch.ts';

/** What a connection tells those that use it. */
export interface ConnectionUser {
  /** The socket takes more. Only the one that has the socket. */
  onDrain(): void;
  /** The connection is gone. */
  onClose(): void;
  /** Whether it waits for bytes of the client. */
  readonly isReceiving: boolean;
}

const CONNECTION = Symbol('fanpipe.connection');

interface OwnedSocket extends Socket {
  [CONNECTION]?: Connection;
  /** Of libuv; node:net looks at it too, to tell a slow client from one that stands still. */
  readonly _handle?: { readonly bytesWritten?: number; readonly writeQueueSize?: number } | null;
}

/** More requests than this that wait for their turn, and no more are read from the socket. */
const MOST_WAITING = 64;

/** One connection of HTTP/1.1: its listeners are set once, not once per request. */
export class Connection implements Watched {
  readonly #socket: OwnedSocket;
  readonly #users: ConnectionUser[] = [];
  #isPaused = false;

  /** The connection of a socket. Watches it from its first request to its end. */
  static of(socket: Socket, watch: ProgressWatch): Connection {
    return ((socket as OwnedSocket)[CONNECTION] ??= new Connection(socket, watch));
  }

  private constructor(socket: Socket, watch: ProgressWatch) {
    this.#socket = socket;
    watch.add(this);
    socket.on('drain', () => this.#users[0]?.onDrain());
    socket.once('close', () => {
      watch.delete(this);
      for (const user of this.#users.splice(0)) user.onClose();
    });
  }

  /** Requests whose replies are not complete, in the order in which they came. */
  get users(): readonly ConnectionUser[] {
    return this.#users;
  }

  enter(user: ConnectionUser): void {
    this.#users.push(user);
    if (this.#users.length <= MOST_WAITING || this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  leave(user: ConnectionUser): void {
    const place = this.#users.indexOf(user);
    if (place === 0) this.#users.shift();
    else if (place > 0) this.#users.splice(place, 1);
    if (!this.#isPaused || this.#users.length > MOST_WAITING / 2) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  get waiting(): number {
    return this.#socket.writableLength;
  }

  get sent(): number {
    const handle = this.#socket._handle;
    // Without a queue to look at, progress is what the socket reports: a whole write that went through.
    if (handle?.bytesWritten === undefined) return this.#socket.bytesWritten - this.#socket.writableLength;
    return handle.bytesWritten - (handle.writeQueueSize ?? 0);
  }

  get isReceiving(): boolean {
    return this.#users.some((user) => user.isReceiving);
  }

  get received(): number {
    return this.#socket.bytesRead;
  }

  cut(): void {
    this.#socket.destroy();
  }
}
