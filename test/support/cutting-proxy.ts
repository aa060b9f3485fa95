import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';

/** A TCP proxy that closes a connection after so many bytes from the server. */
export class CuttingProxy {
  /** How many bytes of answers the next connections pass on, one after the other; then without limit. */
  readonly cuts: number[] = [];
  /** Connections that were cut. */
  cut = 0;
  /** Bytes of answers that were passed on. */
  passed = 0;
  readonly #target: NetConnectOpts;
  readonly #server: Server;
  readonly #sockets: Set<Socket> = new Set();

  private constructor(target: NetConnectOpts) {
    this.#target = target;
    this.#server = createServer((client) => this.#connected(client));
  }

  static async start(target: NetConnectOpts): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Closes all connections that are open now. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cutAll();
    await closed;
  }

  #connected(client: Socket): void {
    const upstream = connect(this.#target);
    let left = this.cuts.shift() ?? Number.POSITIVE_INFINITY;
    client.pipe(upstream);
    upstream.on('data', (data) => {
      const part = data.subarray(0, Math.min(data.length, left));
      left -= part.length;
      this.passed += part.length;
      if (left === 0) {
        this.cut++;
        upstream.pause();
        client.write(part, () => client.destroy());
      } else if (!client.write(part)) {
        upstream.pause();
        client.once('drain', () => upstream.resume());
      }
    });
    upstream.on('end', () => client.end());
    for (const [socket, peer] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => peer.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        peer.destroy();
      });
    }
  }
}
