/** A small HTTP client: whole replies, and bodies while they arrive. A reply that breaks off is an error, never a short one. */

import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';

/** A reply that is all there. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface CallOptions {
  readonly headers?: Record<string, string> | undefined;
  /** Pieces are sent one by one, in chunks. */
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The path of a stream. */
export const pathOf = (name: string): string => `/v1/stream/${encodeURI(name)}`;

/** The position that a token of the server names, in bytes. */
export function positionOf(token: unknown): number {
  const match = /^\d{16}_(\d{16})$/.exec(String(token));
  if (match === null) throw new Error(`no token of an offset: ${String(token)}`);
  return Number(match[1]);
}

/** The token of another position of a stream, made from one that is not of its start. */
export function tokenAt(token: string, position: number): string {
  const generation = position === 0 ? '0'.repeat(16) : token.slice(0, 16);
  return `${generation}_${String(position).padStart(16, '0')}`;
}

const ignore = (): void => {};

/** See the head of the module. */
export class HttpClient {
  readonly port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

  constructor(port: number) {
    this.port = port;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Rejects when the connection breaks before the reply is complete. */
  async call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const reply = await this.open(method, path, options);
    const parts: Buffer[] = [];
    for await (const part of reply) parts.push(part);
    return { status: reply.statusCode as number, headers: reply.headers, body: Buffer.concat(parts) };
  }

  /** Resolves when the head of the reply is there. Iterating it throws when it breaks off. */
  open(method: string, path: string, { headers, body, signal }: CallOptions = {}): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const { port } = this;
      const sent = request({ host: '127.0.0.1', port, method, path, headers, agent: this.#agent, signal });
      // Between two requests a connection belongs to nobody, and may break or be aborted just then.
      sent.on('socket', (socket) => {
        if (!socket.listeners('error').includes(ignore)) socket.on('error', ignore);
      });
      sent.on('error', reject).on('response', (reply) => {
        // Who reads it hears of it; after its end nobody does.
        reply.on('error', ignore);
        resolve(reply);
      });
      if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) {
        sent.end(body);
        return;
      }
      void (async () => {
        sent.flushHeaders();
        for await (const piece of body) {
          if (sent.destroyed) return;
          if (!sent.write(piece)) {
            await new Promise<void>((go) => {
              sent.once('drain', go).once('close', go);
            });
          }
        }
        sent.end();
      })().catch((error) => sent.destroy(error));
    });
  }

  /** A number of `/metrics`, without labels and the name in front. */
  async metric(name: string): Promise<number> {
    const text = (await this.call('GET', '/metrics')).body.toString();
    const value = new RegExp(`^fanpipe_${name} (\\S+)$`, 'm').exec(text)?.[1];
    if (value === undefined) throw new Error(`there is no fanpipe_${name}`);
    return Number(value);
  }

  /** Asks until the number is as it should be; gives up after 30 seconds. */
  async untilMetric(name: string, holds: (value: number) => boolean): Promise<void> {
    const end = performance.now() + 30_000;
    for (let value = await this.metric(name); !holds(value); value = await this.metric(name)) {
      if (performance.now() > end) throw new Error(`fanpipe_${name} stays at ${value}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  close(): void {
    this.#agent.destroy();
  }
}
