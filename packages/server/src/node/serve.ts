import { createServer as createHttpServer, type Server } from 'node:http';
import {
  createSecureServer,
  type Http2SecureServer,
  type SecureServerOptions,
  type ServerHttp2Session,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { ServerClosedError } from '../errors.ts';
import {
  errorTeller,
  type HttpRequest,
  isOperation,
  Metrics,
  operations,
  type Reply,
  waitTime,
} from '../http/index.ts';
import { Connection } from './connection.ts';
import { isInUse } from './http2-exchange.ts';
import { type NodeListener, type NodeListenerOptions, nodeListener } from './node-listener.ts';
import { rawRefusal, statusOf } from './refusal.ts';
import { serveLimits, wholeNumber } from './serve-limits.ts';
import { SocketSet } from './socket-set.ts';

/** What can be served: a `StreamServer`, or anything that answers requests. */
export interface Servable {
  handle(request: HttpRequest): Promise<Reply>;
  /** Shutdown begins: requests that wait are answered at once, events end after saying where to go on, plain bytes are broken off. */
  drain?(): void;
  /** Shutdown ends: all that it holds is freed. Appends under way come to their end first. */
  close?(): Promise<void>;
  /** Rejects if it cannot work. */
  check?(): Promise<unknown>;
  /** Adds its numbers to `/metrics`. */
  measure?(metrics: Metrics): void;
}

export interface ServeOptions extends NodeListenerOptions {
  readonly server: Servable;
  /** Default 4437; 0: any that is free. */
  readonly port?: number;
  /** Address to listen at. Default `127.0.0.1`: this machine alone. */
  readonly host?: string;
  /** Milliseconds in which the head of a request must have come. Default 30,000. */
  readonly headersTimeout?: number;
  /** Milliseconds that an idle connection is kept. Default 65,000: longer than proxies keep theirs. */
  readonly keepAliveTimeout?: number;
  /** Bytes that the head of a request may have, beyond which it is a 431. Default 16 KiB. */
  readonly maxHeaderSize?: number;
  /** Connections at a time; more are closed at once. Default 0: as many as the system allows. */
  readonly maxConnections?: number;
  /** Whether there are `/health` and `/metrics`. Default true. */
  readonly operations?: boolean;
  /** Key and certificate: HTTP/2 and HTTP/1.1 over TLS. */
  readonly tls?: SecureServerOptions;
}

export interface CloseOptions {
  /** Milliseconds that replies under way have to come to their end. Default 10,000; Infinity: as long as they take, up to weeks. */
  readonly grace?: number;
}

/** A server that listens. */
export interface Serving {
  /** Where, without a slash at the end. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Open connections. */
  readonly connections: number;
  readonly metrics: Metrics;
  /**
   * Shuts down: takes no more connections, closes idle ones, lets replies under way finish (events end and say where to go on, live
   * plain bytes are broken off), and after the grace time cuts off what is left. Resolves when all is closed. May be called again; the first grace time counts.
   */
  close(options?: CloseOptions): Promise<void>;
}

const BACKLOG = 4096;
/** A reader whose machine is gone, without a word, is not missed while there is nothing to send: the system asks after it. */
const PROBES = { keepAlive: true, keepAliveInitialDelay: 60_000 };

/** Listens and answers. Rejects if it cannot listen there, and with `InvalidArgumentError` or TypeError for options that make no sense. */
export async function serve(options: ServeOptions): Promise<Serving> {
  const serving = new NodeServing(options);
  await serving.listen();
  return serving;
}

class NodeServing implements Serving {
  readonly metrics: Metrics = new Metrics();
  readonly host: string;
  readonly #server: Server | Http2SecureServer;
  readonly #servable: Servable;
  readonly #listener: NodeListener;
  readonly #sockets = new SocketSet();
  /** Those that speak HTTP/1: all, or behind TLS those that chose it. */
  readonly #http1: SocketSet;
  /** Those whose TLS is not agreed on yet. */
  readonly #greeting = new Set<Socket>();
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #onError: (error: unknown) => void;
  readonly #scheme: string;
  #port: number;
  #refused = 0;
  #isClosing = false;
  #closed: Promise<void> | undefined;

  constructor(options: ServeOptions) {
    const { server: servable, port = 4437, host = '127.0.0.1', tls, maxConnections = 0 } = options;
    if (typeof (servable as Partial<Servable> | undefined)?.handle !== 'function') {
      throw new TypeError('server must be a StreamServer, or have its handle(request)');
    }
    const limits = serveLimits(options);
    this.host = host;
    this.#port = wholeNumber('port', port, 0, 65_535);
    const most = wholeNumber('maxConnections', maxConnections, 0, Number.MAX_SAFE_INTEGER);
    this.#servable = servable;
    const hasOperations = options.operations ?? true;
    this.#listener = nodeListener(this.#handler(hasOperations), {
      ...options,
      onReply: (request, reply) => {
        if (!hasOperations || !isOperation(request)) this.metrics.count(request, reply);
        options.onReply?.(request, reply);
      },
    });
    this.#onError = errorTeller(options.onError);
    this.#http1 = tls === undefined ? this.#sockets : new SocketSet();
    this.#scheme = tls === undefined ? 'http' : 'https';
    this.#server =
      tls === undefined
        ? createHttpServer({ ...limits, ...PROBES })
        : // node:http2 takes none of them as options, and its own differ: all of a request in 5 minutes, for one.
          Object.assign(createSecureServer({ allowHTTP1: true, ...PROBES, ...tls }), limits);
    // node:http, when it closes, cuts off replies that are not on their way yet. Here they are waited for.
    (this.#server as Server).closeIdleConnections = () => {};
    if (most > 0) this.#server.maxConnections = most;
    this.#attach(this.#server, limits.keepAliveTimeout);
    this.#measure();
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    const host = this.host.includes(':') ? `[${this.host}]` : this.host;
    return `${this.#scheme}://${host}:${this.#port}`;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  listen(): Promise<void> {
    const server = this.#server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port: this.#port, host: this.host, backlog: BACKLOG }, () => {
        server.off('error', reject);
        // No more sockets to be had, for one: those that are here go on.
        server.on('error', this.#onError);
        this.#port = (server.address() as AddressInfo).port;
        resolve();
      });
    });
  }

  async close(options: CloseOptions = {}): Promise<void> {
    const grace = waitTime('grace', options.grace ?? 10_000, 0);
    await (this.#closed ??= this.#close(grace));
  }

  #handler(hasOperations: boolean): (request: HttpRequest) => Promise<Reply> {
    const servable = this.#servable;
    if (!hasOperations) return (request) => servable.handle(request);
    const operate = operations({
      metrics: this.metrics,
      check: async () => {
        if (this.#isClosing) throw new ServerClosedError();
        await servable.check?.();
      },
    });
    return (request) => operate(request) ?? servable.handle(request);
  }

  #attach(server: Server | Http2SecureServer, keepAliveTimeout: number): void {
    server.on('request', this.#listener);
    server.on('checkContinue', this.#listener.onContinue);
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => this.#refuse(error, socket));
    const isSecure = this.#scheme === 'https';
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      if (!isSecure) return;
      this.#greeting.add(socket);
      socket.once('close', () => this.#greeting.delete(socket));
    });
    // Node 20 has the event and no type for it on servers of HTTP/2.
    (server as Server).on('drop', () => this.#refused++);
    server.on('secureConnection', (socket: TLSSocket) => {
      this.#greeting.delete((socket as unknown as { _parent: Socket })._parent);
      if (socket.alpnProtocol !== 'h2') this.#http1.add(socket);
    });
    server.on('session', (session: ServerHttp2Session) => {
      this.#sessions.add(session);
      session.once('close', () => this.#sessions.delete(session));
      session.setTimeout(keepAliveTimeout);
      session.on('timeout', () => {
        if (isInUse(session)) session.setTimeout(keepAliveTimeout);
        else session.close();
      });
    });
  }

  /** What came is no HTTP, or did not come in time. */
  #refuse(error: NodeJS.ErrnoException, socket: Socket): void {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const status = statusOf(error.code);
    const connection = Connection.find(socket);
    if (connection !== undefined) connection.refuse(status, rawRefusal(status));
    else {
      socket.write(rawRefusal(status));
      socket.destroySoon();
    }
  }

  async #close(grace: number): Promise<void> {
    this.#isClosing = true;
    this.#listener.shutDown();
    const server = this.#server;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    this.#servable.drain?.();
    this.#http1.closeIdle();
    for (const session of this.#sessions) session.close();
    for (const socket of this.#greeting) socket.destroy();
    await this.#sockets.empty(grace);
    await this.#sockets.destroy();
    await Promise.all([closed, this.#servable.close?.()]);
  }

  #measure(): void {
    const { metrics } = this;
    const sockets = this.#sockets;
    metrics.gauge('connections', 'Open connections.', () => sockets.size);
    metrics.counter('connections_total', 'Connections that were ever opened.', () => sockets.opened);
    metrics.counter('connections_refused_total', 'Connections beyond the limit.', () => this.#refused);
    metrics.counter('received_bytes_total', 'Bytes that came over connections.', () => sockets.received);
    metrics.counter('sent_bytes_total', 'Bytes that went over connections.', () => sockets.sent);
    metrics.gauge('process_resident_memory_bytes', 'Memory of the process.', () => process.memoryUsage.rss());
    metrics.gauge('process_heap_used_bytes', 'JavaScript heap in use.', () => process.memoryUsage().heapUsed);
    metrics.gauge(
      'process_external_memory_bytes',
      'Buffers outside of the heap.',
      () => process.memoryUsage().external,
    );
    metrics.counter('process_cpu_seconds_total', 'Processor time of the process.', () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
    metrics.gauge('process_uptime_seconds', 'How long the process runs.', () => process.uptime());
    this.#servable.measure?.(metrics);
  }
}
