import { type ByteStream, type ByteWriter, type Clock, systemClock } from 'fanpipe';
import { type Backend, memoryBackend } from './backends/index.ts';
import {
  answer,
  HttpHandler,
  type HttpOptions,
  type HttpRequest,
  Latency,
  type Metrics,
  type Reply,
  waitTime,
} from './http/index.ts';
import { Hub, type HubOptions, type HubStats, type HubStreamOptions, type HubWriterOptions } from './hub/index.ts';

/** How long `close` waits for appends that the store does not answer, in milliseconds. The backend has a time of its own. */
const CLOSE_TIMEOUT = 10_000;

/** What a server is made with. */
export interface StreamServerOptions extends Omit<HttpOptions, 'maxBodyBytes'> {
  /** Where streams are kept. Default in memory. Closed with the server. */
  readonly backend?: Backend | undefined;
  readonly limits?: StreamServerLimits | undefined;
  /** Newest bytes of each followed stream that are held in memory. Default 256 KiB. */
  readonly window?: number | undefined;
  /** With `fetch`: milliseconds for which a client may take nothing before its reply is broken off. Default 60,000; 0: for ever. */
  readonly stallTimeout?: number | undefined;
}

/** What is refused beyond. */
export interface StreamServerLimits
  extends Pick<HttpOptions, 'maxBodyBytes'>,
    Pick<HubOptions, 'maxStreams' | 'maxStreamBytes' | 'maxTotalBytes' | 'maxReaders' | 'maxProducers'> {}

/**
 * A server of streams: a backend that keeps them, a hub for this process, the protocol for all others.
 *
 * `fetch` answers requests of the web, in any runtime and framework that has them; on `node:http` `serve()` and `nodeListener()` of
 * `@fanpipe/server/node` are faster. In process there are `writer` and `stream`.
 */
export class StreamServer {
  /** The streams, as this process reads and writes them. */
  readonly hub: Hub;
  /** Answers a request of the web. Can be passed on without its object. Never rejects. */
  readonly fetch: (request: Request) => Promise<Response>;
  /** Answers a request of whatever runtime. Can be passed on without its object. Never rejects. */
  readonly handle: (request: HttpRequest) => Promise<Reply>;
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #handler: HttpHandler;
  readonly #appends = new Latency('backend_append_seconds', 'From an append to its acknowledgement by the backend.');
  #closing: Promise<void> | undefined;

  /** @throws TypeError, InvalidArgumentError: options that make no sense */
  constructor(options: StreamServerOptions = {}) {
    const { backend = memoryBackend(), limits = {}, clock = systemClock, stallTimeout = 60_000 } = options;
    this.#backend = backend;
    this.#clock = clock;
    const onAppend = (ms: number): void => this.#appends.add(ms);
    this.hub = new Hub(backend, { ...limits, window: options.window, clock, onAppend });
    this.#handler = new HttpHandler(this.hub, { ...options, maxBodyBytes: limits.maxBodyBytes });
    this.handle = (request) => this.#handler.handle(request);
    const stall = { stallTimeout: waitTime('stallTimeout', stallTimeout, 0), clock };
    this.fetch = (request) => answer(this.handle, request, stall);
  }

  /** A writer of a stream, which it creates unless it is there. See `Hub.writer`. */
  writer(name: string, options?: HubWriterOptions): ByteWriter {
    return this.hub.writer(name, options);
  }

  /** Past and present of a stream. See `Hub.stream`. */
  stream(name: string, options?: HubStreamOptions): ByteStream {
    return this.hub.stream(name, options);
  }

  /**
   * Shutdown begins: long-polls are answered, events end after saying where to go on, plain bytes are broken off, so that they do not look
   * complete. Appends and other reads go on.
   */
  drain(): void {
    this.#handler.drain();
  }

  /**
   * Ends the server: what waits is sent away, appends under way come to their end, readers in process get a `ServerClosedError`, the backend
   * is closed. Waits no longer than 10 s for a store that does not answer, and as long again as the backend does. May be called again.
   */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.drain();
    const late = new AbortController();
    const timer = this.#clock.setTimeout(() => late.abort(), CLOSE_TIMEOUT);
    try {
      await this.hub.close({ signal: late.signal });
    } finally {
      this.#clock.clearTimeout(timer);
      await this.#backend.close();
    }
  }

  /** Rejects if the server cannot work. */
  async check(): Promise<void> {
    await this.hub.stats();
  }

  /** Adds the numbers of the server to `/metrics`. */
  measure(metrics: Metrics): void {
    const handler = this.#handler;
    let stats: Partial<HubStats> = {};
    metrics.before(async () => {
      stats = await this.hub.stats();
    });
    metrics.gauge('streams', 'Streams that are kept.', () => stats.streams ?? 0);
    metrics.gauge('stored_bytes', 'Bytes that are kept.', () => stats.bytes ?? 0);
    metrics.gauge('followed_streams', 'Streams whose newest bytes are in memory.', () => stats.live ?? 0);
    metrics.gauge('readers', 'Readers of all kinds.', () => stats.readers ?? 0);
    metrics.counter('appends_total', 'Appends that were acknowledged.', () => stats.appends ?? 0);
    metrics.counter('appended_bytes_total', 'Bytes of those.', () => stats.appendedBytes ?? 0);
    metrics.add(this.#appends);
    metrics.gauge('live_replies', 'Replies that go on: event streams and plain bytes.', () => handler.live);
    metrics.gauge('feeds', 'Streams and encodings that live replies follow together.', () => handler.feeds);
    metrics.gauge('waiting_requests', 'Long-polls that wait.', () => handler.waiting);
  }
}
