/** What both versions of the example have in common: a file, and clients of which one stops reading. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const FILE_SIZE: number = 32 * 1024 * 1024;
export const CLIENTS = 8;

/** Writes a file of `FILE_SIZE` bytes, which is removed when the process ends. */
export function makeFile(): { path: string; digest: string } {
  const folder = mkdtempSync(join(tmpdir(), 'fanpipe-example-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  // A signal ends a process without its 'exit'.
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)
    process.on(signal, () => process.exit(code));
  const bytes = new Uint8Array(FILE_SIZE);
  const numbers = new Uint32Array(bytes.buffer);
  for (let i = 0, n = 1; i < numbers.length; i++) numbers[i] = n = Math.imul(n, 1664525) + 1013904223;
  const path = join(folder, 'file.bin');
  writeFileSync(path, bytes);
  return { path, digest: createHash('sha256').update(bytes).digest('hex') };
}

/** A server, and the responses in the order of the clients, once all `CLIENTS` have asked. */
export async function serve(): Promise<{ server: Server; responses: Promise<ServerResponse[]> }> {
  const server = createServer();
  const responses = new Promise<ServerResponse[]>((resolve) => {
    const asked: ServerResponse[] = [];
    server.on('request', (message, response) => {
      response.setHeader('content-type', 'application/octet-stream');
      asked[Number(message.url?.slice(1)) - 1] = response;
      if (Object.keys(asked).length === CLIENTS) resolve(asked);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, responses };
}

/** One client. */
export class Client {
  readonly number: number;
  received = 0;
  #message: IncomingMessage | undefined;
  readonly #reads: boolean;
  readonly #hash = createHash('sha256');
  /** Resolves with the SHA-256 of what came, or with undefined if the connection was cut. */
  readonly digest: Promise<string | undefined>;

  /** A client that does not read takes the first bytes and then no more. */
  constructor(number: number, server: Server, reads: boolean) {
    this.number = number;
    this.#reads = reads;
    this.digest = this.#run((server.address() as AddressInfo).port);
  }

  async #run(port: number): Promise<string | undefined> {
    const call = request({ host: '127.0.0.1', port, path: `/${this.number}`, agent: false }).end();
    const [message] = (await once(call, 'response')) as [IncomingMessage];
    this.#message = message;
    if (!this.#reads) message.once('data', () => message.pause());
    message.on('data', (chunk: Uint8Array) => {
      this.received += chunk.byteLength;
      this.#hash.update(chunk);
    });
    return new Promise((resolve) => {
      message.on('end', () => resolve(this.#hash.digest('hex')));
      message.on('error', () => resolve(undefined));
    });
  }

  readOn(): void {
    this.#message?.resume();
  }
}

/** `CLIENTS` clients, the last of which stops reading. */
export function connect(server: Server): Client[] {
  return Array.from({ length: CLIENTS }, (_, index) => new Client(index + 1, server, index + 1 < CLIENTS));
}
