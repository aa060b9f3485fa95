import type { Socket } from 'node:net';
import { Connection } from './connection.ts';

/** The open sockets of a server, and what went over those that are closed. */
export class SocketSet {
  readonly #sockets = new Set<Socket>();
  #opened = 0;
  #received = 0;
  #sent = 0;
  #onEmpty: (() => void) | undefined;
  /** One for all sockets. */
  readonly #onClose: (this: Socket) => void;

  constructor() {
    const forget = (socket: Socket): void => this.#delete(socket);
    this.#onClose = function (this: Socket): void {
      forget(this);
    };
  }

  /** How many are open. */
  get size(): number {
    return this.#sockets.size;
  }

  /** How many were ever opened. */
  get opened(): number {
    return this.#opened;
  }

  /** Bytes that came. */
  get received(): number {
    let sum = this.#received;
    for (const socket of this.#sockets) sum += socket.bytesRead;
    return sum;
  }

  /** Bytes that went. */
  get sent(): number {
    let sum = this.#sent;
    for (const socket of this.#sockets) sum += socket.bytesWritten;
    return sum;
  }

  add(socket: Socket): void {
    this.#opened++;
    this.#sockets.add(socket);
    socket.on('close', this.#onClose);
  }

  #delete(socket: Socket): void {
    this.#sockets.delete(socket);
    this.#received += socket.bytesRead;
    this.#sent += socket.bytesWritten;
    if (this.#sockets.size === 0) this.#onEmpty?.();
  }

  /** Closes each as soon as nothing is asked on it. */
  closeIdle(): void {
    for (const socket of this.#sockets) {
      const connection = Connection.find(socket);
      if (connection === undefined) socket.destroySoon();
      else connection.closeWhenIdle();
    }
  }

  /** Resolves when all are closed, or after so many milliseconds. */
  async empty(ms: number): Promise<void> {
    if (this.#sockets.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#onEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Cuts off all that are open. Resolves when they are closed, and all that used them has been told. */
  async destroy(): Promise<void> {
    if (this.#sockets.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      for (const socket of this.#sockets) socket.destroy();
    });
  }
}
