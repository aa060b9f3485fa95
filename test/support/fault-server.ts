/**
 * A real HTTP/1.1 origin on 127.0.0.1 that can do everything wrong, over real sockets.
 *
 * Each path has a *script*: a function from a request, and how many came before it, to an {@link Answer}. `honest` makes the
 * right answer, as RFC 9110 has it; the functions of `faults.ts` make wrong ones out of it. An answer says what the head
 * is, what the body is, how it is framed, and how it goes over the wire: whole, slowly, up to a byte and then nothing, up
 * to a byte and then a closed or reset connection.
 *
 * Delays are told by a clock, the same that the client under test uses, so that no test waits for real.
 */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Clock } from '../../packages/fanpipe/src/monitor/clock.ts';

/** A request as it came. */
export interface Seen {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** How many requests for this path came before. */
  readonly index: number;
  /** What `Range` asks for: the first byte, and the one after the last (undefined: to the end). */
  readonly range: { readonly from: number; readonly to: number | undefined } | undefined;
  /** When it came, by the clock of the script. */
  readonly at: number;
  /** Set when the connection closed before the answer was out: the client left, or the answer said so. */
  aborted: boolean;
  /** Bytes of the body that the kernel has taken. */
  sent: number;
}

/** How the client can know where the body ends. */
export type Framing = 'length' | 'chunked' | 'close';

/** One answer. What is not named is as it should be. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** Default `'length'`. */
  readonly framing?: Framing;
  /** What `Content-Length` says, if not the length of the body. The connection closes after fewer bytes than that. */
  readonly declaredLength?: number;
  /** Milliseconds of the clock before the head is sent; `Infinity`: it never is. */
  readonly headAfter?: number;
  /** Sends the body in pieces of so many bytes, with so many milliseconds of the clock before each. */
  readonly trickle?: { readonly bytes: number; readonly every: number };
  /** Only so many bytes of the body are sent, and then this happens. */
  readonly stop?: {
    readonly at: number;
    /** `'cut'`: the connection is closed. `'reset'`: it is reset. `'stall'`: nothing, for ever. */
    readonly how: 'cut' | 'reset' | 'stall';
    /** Waited for before that happens: for the bytes to be where they should be. */
    readonly after?: () => Promise<void>;
  };
  /** Instead of all that: these bytes, and the end of the connection. No HTTP at all, if need be. */
  readonly raw?: string;
}

export type Script = (request: Seen) => Answer;

export interface PathOptions {
  /** The clock of all delays. Needed by scripts with delays only. */
  readonly clock?: (Clock & { touch?(): void }) | undefined;
}

interface Path {
  readonly script: Script;
  readonly clock: PathOptions['clock'];
  readonly seen: Seen[];
}

/** See the head of the module. */
export class FaultServer {
  /** `http://127.0.0.1:PORT`: another server is another origin. */
  readonly origin: string;
  /** All requests, in the order they came. */
  readonly requests: Seen[] = [];
  /** Connections that were opened. */
  connections = 0;
  readonly #server: Server;
  readonly #paths: Map<string, Path> = new Map();
  /** What went wrong in a script: told by `close`. */
  readonly #problems: unknown[] = [];

  private constructor(server: Server) {
    this.#server = server;
    this.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('connection', () => this.connections++);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response).catch((error) => {
        this.#problems.push(error);
        response.destroy();
      });
    });
    // A client that breaks off in mid-request, or sends no HTTP.
    server.on('clientError', (_, socket) => socket.destroy());
  }

  static async start(): Promise<FaultServer> {
    const server = createServer({ keepAliveTimeout: 60_000 });
    server.listen(0, '127.0.0.1', 10_000);
    await once(server, 'listening');
    const started = new FaultServer(server);
    // The first fetch of a process takes its time, which no clock of a test is to count.
    await (await fetch(`${started.origin}/warm-up`)).text();
    started.requests.length = 0;
    started.connections = 0;
    return started;
  }

  /** Has `script` answer all requests for `path`, from now on and counted anew. Returns the URL. */
  on(path: string, script: Script, { clock }: PathOptions = {}): string {
    this.#paths.set(path, { script, clock, seen: [] });
    return this.origin + path;
  }

  /** Forgets a path and its requests; for tests with thousands of them. */
  forget(path: string): void {
    this.#paths.delete(path);
    const kept = this.requests.filter((request) => request.path !== path);
    this.requests.splice(0, this.requests.length, ...kept);
  }

  /** The requests for one path. */
  seen(path: string): readonly Seen[] {
    return this.#paths.get(path)?.seen ?? [];
  }

  /** Closes all connections. Throws what went wrong in a script. */
  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
    if (this.#problems.length > 0) throw new AggregateError(this.#problems, `scripts failed: ${this.#problems}`);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = request.url ?? '/';
    const path = this.#paths.get(url);
    const clock = path?.clock;
    const seen: Seen = {
      method: request.method ?? '',
      path: url,
      headers: request.headers as Record<string, string>,
      index: path?.seen.length ?? 0,
      range: parseRange(request.headers.range),
      at: clock?.now() ?? 0,
      aborted: false,
      sent: 0,
    };
    this.requests.push(seen);
    path?.seen.push(seen);
    clock?.touch?.();
    const answer = path === undefined ? missing : path.script(seen);
    const left = new AbortController();
    response.on('close', () => {
      seen.aborted = !response.writableFinished;
      clock?.touch?.();
      left.abort();
    });
    const delivery = new Delivery(seen, answer, response, request.socket, clock, left.signal);
    await delivery.run();
  }
}

const missing: Answer = { status: 404, headers: {}, body: new TextEncoder().encode('no such path') };
const PIECE = 64 * 1024;

/** One answer on its way out. */
class Delivery {
  readonly #seen: Seen;
  readonly #answer: Answer;
  readonly #response: ServerResponse;
  readonly #socket: Socket;
  readonly #clock: PathOptions['clock'];
  readonly #left: AbortSignal;

  constructor(
    seen: Seen,
    answer: Answer,
    response: ServerResponse,
    socket: Socket,
    clock: PathOptions['clock'],
    left: AbortSignal,
  ) {
    this.#seen = seen;
    this.#answer = answer;
    this.#response = response;
    this.#socket = socket;
    this.#clock = clock;
    this.#left = left;
  }

  async run(): Promise<void> {
    const { raw, headAfter = 0, body, stop } = this.#answer;
    if (headAfter > 0) await this.#delay(headAfter);
    if (this.#left.aborted) return;
    if (raw !== undefined) {
      this.#socket.end(raw, 'latin1');
      return;
    }
    this.#sendHead();
    const end = Math.min(stop?.at ?? body.length, body.length);
    const { bytes: piece, every } = this.#answer.trickle ?? { bytes: PIECE, every: 0 };
    if (end === 0) this.#response.flushHeaders();
    for (let at = 0; at < end && !this.#left.aborted; at += piece) {
      if (every > 0) {
        if (at === 0) this.#response.flushHeaders();
        await this.#delay(every);
      }
      await this.#write(body.subarray(at, Math.min(end, at + piece)));
    }
    if (this.#left.aborted) return;
    if (stop !== undefined) await this.#stop(stop);
    else this.#end();
  }

  #sendHead(): void {
    const { status, headers, framing = 'length', body, declaredLength } = this.#answer;
    const response = this.#response;
    response.sendDate = headers.date === undefined;
    const fields = { ...headers };
    if (framing === 'length') fields['content-length'] = String(declaredLength ?? body.length);
    if (framing === 'close') {
      // Node chooses chunks where it knows no length, unless it was told that nobody wants them.
      response.removeHeader('transfer-encoding');
      fields.connection = 'close';
    }
    response.writeHead(status, fields);
  }

  #end(): void {
    const { declaredLength, body, framing = 'length' } = this.#answer;
    if (framing === 'length' && declaredLength !== undefined && declaredLength > body.length)
      this.#socket.destroySoon();
    else this.#response.end();
  }

  /** Resolves when the kernel has taken the bytes, or the connection is gone. */
  #write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      const gone = (): void => resolve();
      this.#left.addEventListener('abort', gone, { once: true });
      this.#response.write(bytes, (error) => {
        this.#left.removeEventListener('abort', gone);
        if (!error) this.#seen.sent += bytes.length;
        this.#clock?.touch?.();
        resolve();
      });
    });
  }

  async #stop({ how, after }: NonNullable<Answer['stop']>): Promise<void> {
    await after?.();
    if (how === 'cut') this.#socket.destroy();
    else if (how === 'reset') this.#socket.resetAndDestroy();
    else await this.#delay(Number.POSITIVE_INFINITY);
  }

  /** Ends early if the client leaves. */
  #delay(ms: number): Promise<void> {
    const clock = this.#clock;
    const forEver = ms === Number.POSITIVE_INFINITY;
    if (clock === undefined && !forEver) throw new Error('a script with delays needs a clock');
    return new Promise((resolve) => {
      if (this.#left.aborted) return resolve();
      let timer: unknown;
      const done = (): void => {
        this.#left.removeEventListener('abort', done);
        if (timer !== undefined) clock?.clearTimeout(timer);
        resolve();
      };
      this.#left.addEventListener('abort', done);
      if (!forEver) timer = clock?.setTimeout(done, ms);
    });
  }
}

function parseRange(header: string | undefined): Seen['range'] {
  const match = /^bytes=(\d+)-(\d*)$/.exec(header ?? '');
  if (match === null) return undefined;
  return { from: Number(match[1]), to: match[2] === '' ? undefined : Number(match[2]) + 1 };
}

/** What is served, and how it is known again. */
export interface Resource {
  readonly body: Uint8Array;
  readonly etag?: string | undefined;
  readonly lastModified?: string | undefined;
  /** Sent as it is; default: the time of now. */
  readonly date?: string | undefined;
}

/** The answer of a server without fault: 200, 206 or 416, with `If-Range` honoured. */
export function honest({ body, etag, lastModified, date }: Resource, request: Seen): Answer {
  const headers: Record<string, string> = { 'accept-ranges': 'bytes', 'content-type': 'application/octet-stream' };
  if (etag !== undefined) headers.etag = etag;
  if (lastModified !== undefined) headers['last-modified'] = lastModified;
  if (date !== undefined) headers.date = date;
  const { range } = request;
  const condition = request.headers['if-range'];
  // A weak one never matches.
  const holds =
    condition === undefined || (condition === etag && !condition.startsWith('W/')) || condition === lastModified;
  if (range === undefined || !holds) return { status: 200, headers, body };
  if (range.from >= body.length) {
    return { status: 416, headers: { ...headers, 'content-range': `bytes */${body.length}` }, body: new Uint8Array(0) };
  }
  const to = Math.min(range.to ?? body.length, body.length);
  return {
    status: 206,
    headers: { ...headers, 'content-range': `bytes ${range.from}-${to - 1}/${body.length}` },
    body: body.subarray(range.from, to),
  };
}
