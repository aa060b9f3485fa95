import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';

/** What a client got. */
export interface Answer {
  readonly status: number | undefined;
  readonly bytes: number;
  readonly digest: string;
  /** The connection was broken before the end. */
  readonly isBroken: boolean;
}

/** One client, with a connection of its own. */
export class Client {
  received = 0;
  /** The head has come. */
  readonly answered: Promise<IncomingMessage>;
  /** It has `stopAt` bytes, and takes no more until told so. */
  readonly stopped: Promise<void>;
  readonly answer: Promise<Answer>;

  constructor(url: string, options: { stopAt?: number; headers?: Record<string, string> } = {}) {
    const { stopAt = Number.POSITIVE_INFINITY, headers = {} } = options;
    const call = request(url, { agent: false, headers }).end();
    this.answered = once(call, 'response').then(([message]) => message);
    let stopped = (): void => {};
    this.stopped = new Promise((resolve) => {
      stopped = resolve;
    });
    const isDue = (): boolean => this.received >= stopAt;
    this.answer = this.answered.then((message) => this.#read(message, isDue, stopped));
  }

  #read(message: IncomingMessage, isDue: () => boolean, stopped: () => void): Promise<Answer> {
    const hash = createHash('sha256');
    message.on('data', (chunk: Uint8Array) => {
      const wasDue = isDue();
      this.received += chunk.byteLength;
      hash.update(chunk);
      if (wasDue || !isDue()) return;
      message.pause();
      stopped();
    });
    return new Promise((resolve) => {
      const settle = (isBroken: boolean): void =>
        resolve({ status: message.statusCode, bytes: this.received, digest: hash.digest('hex'), isBroken });
      message.once('end', () => settle(false)).once('error', () => settle(true));
    });
  }

  async readOn(): Promise<void> {
    (await this.answered).resume();
  }

  async leave(): Promise<void> {
    (await this.answered).destroy();
  }
}
