import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const SIZE: number = 16 * 1024 * 1024;

/** A promise, and what resolves it. */
class Gate {
  open!: () => void;
  readonly opened: Promise<void> = new Promise((resolve) => {
    this.open = resolve;
  });
}

/**
 * The server behind the proxy. It sends a file up to its middle and stops there until it is told to go on.
 *
 * `/large.bin` then sends the rest. `/cut.bin` breaks the connection off instead, the first time, and never says how long it is.
 */
export class Upstream {
  readonly server: Server;
  readonly digest: string;
  /** How often each path was asked for. */
  readonly requests: Map<string, number> = new Map();
  readonly #gates: Map<string, Gate> = new Map(['/large.bin', '/cut.bin'].map((path) => [path, new Gate()]));
  readonly #bytes = new Uint8Array(SIZE);

  constructor() {
    const numbers = new Uint32Array(this.#bytes.buffer);
    for (let i = 0, n = 1; i < numbers.length; i++) numbers[i] = n = Math.imul(n, 1664525) + 1013904223;
    this.digest = createHash('sha256').update(this.#bytes).digest('hex');
    this.server = createServer((request, response) => void this.#answer(request.url ?? '/', response));
  }

  /** Listens on a free port, and returns the address. */
  async listen(): Promise<string> {
    await once(this.server.listen(0, '127.0.0.1'), 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Lets what waits in the middle of `path` go on. */
  goOn(path: string): void {
    this.#gates.get(path)?.open();
  }

  async #answer(path: string, response: ServerResponse): Promise<void> {
    const count = (this.requests.get(path) ?? 0) + 1;
    this.requests.set(path, count);
    const gate = this.#gates.get(path);
    if (gate === undefined) return void response.writeHead(404).end();
    const isCut = path === '/cut.bin';
    response.writeHead(200, {
      'content-type': 'application/octet-stream',
      ...(isCut ? {} : { 'content-length': SIZE }),
    });
    response.write(this.#bytes.subarray(0, SIZE / 2));
    await gate.opened;
    if (isCut && count === 1) response.destroy();
    else response.end(this.#bytes.subarray(SIZE / 2));
  }
}
