import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ByteStream, OffsetNotWrittenError } from 'fanpipe';
import { pipeToResponse } from 'fanpipe/node';
import { type PoolContext, StreamPool } from 'fanpipe/pool';

/** What an answer from upstream begins with. */
interface Head {
  readonly isOk: boolean;
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  /** In bytes; undefined where upstream does not say. */
  readonly size: number | undefined;
}

interface Range {
  readonly start: number;
  readonly end?: number;
}

const PASSED_ON = ['content-type', 'etag', 'last-modified'];

/**
 * An HTTP proxy that asks upstream once for what many want, and keeps what came in memory, up to a budget.
 *
 * Only GET; nothing expires before its `ttl`, whatever upstream says about caching.
 */
export class CachingProxy {
  readonly pool: StreamPool;
  readonly server: Server;
  readonly #upstream: string;
  readonly #heads = new Map<string, Promise<Head>>();
  readonly #onEnd: (path: string, error: unknown) => void;

  /** `onEnd` is told of every response: without an error if all of it was sent. */
  constructor(upstream: string, budget: number, onEnd: (path: string, error: unknown) => void) {
    this.#upstream = upstream;
    this.#onEnd = onEnd;
    this.pool = new StreamPool({ budget, ttl: 60_000 });
    this.server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        this.#onEnd(request.url ?? '/', error);
        // Upstream could not be asked, so nothing was sent yet. What fails later, pipeToResponse breaks off.
        if (response.headersSent) response.destroy();
        else response.writeHead(502).end();
      });
    });
  }

  /** Listens on a free port, and returns the address. */
  async listen(): Promise<string> {
    await once(this.server.listen(0, '127.0.0.1'), 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.pool.close();
    this.server.closeAllConnections();
    this.server.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET') return void response.writeHead(405, { allow: 'GET' }).end();
    const path = request.url ?? '/';
    let range = rangeOf(request);
    let stream: ByteStream;
    try {
      stream = this.#open(path, range);
    } catch (error) {
      if (error instanceof OffsetNotWrittenError) return notSatisfiable(response, error.tail);
      throw error;
    }
    // Of a client that leaves before the head has come, nobody else would hear.
    const onClose = (): void => stream.cancel();
    response.once('close', onClose);
    // The opener of a new entry has been called one microtask later: from then on the head is that of this entry.
    await undefined;
    let head: Head;
    try {
      head = (await this.#heads.get(path)) as Head;
    } catch (error) {
      stream.cancel();
      throw error;
    }
    if (!head.isOk) {
      stream.cancel();
      return void response.writeHead(head.status).end();
    }
    const { size } = head;
    if (range !== undefined && size === undefined) {
      // A part can only be sent where the whole is known. The second stream joins before the first one leaves.
      const part = stream;
      stream = this.#open(path);
      part.cancel();
      range = undefined;
    }
    if (range !== undefined && range.start >= (size as number)) {
      stream.cancel();
      return notSatisfiable(response, size as number);
    }
    const headers: OutgoingHttpHeaders = { ...head.headers };
    if (size !== undefined) {
      const { start, end } = { start: 0, ...range };
      const stop = Math.min(end ?? size, size);
      headers['content-length'] = stop - start;
      headers['accept-ranges'] = 'bytes';
      if (range !== undefined) headers['content-range'] = `bytes ${start}-${stop - 1}/${size}`;
    }
    response.off('close', onClose);
    response.statusCode = range === undefined ? 200 : 206;
    // If the entry fails in the middle, the connection is broken off: the client does not take the half for the whole.
    pipeToResponse(stream, response, { headers }).then(
      () => this.#onEnd(path, undefined),
      (error: unknown) => this.#onEnd(path, error),
    );
  }

  /** Upstream is asked only if nobody else is asking for the same, and nothing of it is kept. */
  #open(path: string, range: Range = { start: 0 }): ByteStream {
    return this.pool.open(path, (context) => this.#fetch(context), range);
  }

  #fetch({ key, signal }: PoolContext): Promise<Response> {
    // Encoded bodies would be decoded on the way, and then have another length than their head says.
    const asked = fetch(this.#upstream + key, { signal, headers: { 'accept-encoding': 'identity' } });
    const kept = new Set(this.pool.stats().entries.map((entry) => entry.key));
    for (const path of this.#heads.keys()) if (!kept.has(path)) this.#heads.delete(path);
    const head = asked.then(headOf);
    // Each client that waits for it handles this for itself.
    head.catch(() => {});
    this.#heads.set(key, head);
    return asked;
  }
}

function headOf(response: Response): Head {
  const headers: OutgoingHttpHeaders = {};
  for (const name of PASSED_ON) {
    const value = response.headers.get(name);
    if (value !== null) headers[name] = value;
  }
  const length = response.headers.get('content-length');
  return { isOk: response.ok, status: response.status, headers, size: length === null ? undefined : Number(length) };
}

/** The one range that is asked for; undefined for the whole, and for what a proxy need not understand. */
function rangeOf({ headers }: IncomingMessage): Range | undefined {
  const [, from, to] = /^bytes=(\d{1,15})-(\d{1,15})?$/.exec(headers.range ?? '') ?? [];
  if (from === undefined || headers['if-range'] !== undefined) return undefined;
  if (to === undefined) return { start: Number(from) };
  return Number(to) < Number(from) ? undefined : { start: Number(from), end: Number(to) + 1 };
}

function notSatisfiable(response: ServerResponse, size: number): void {
  response.writeHead(416, { 'content-range': `bytes */${size}` }).end();
}
