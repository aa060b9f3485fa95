/**
 * A resource in memory behind a fetcher, which keeps record of what was asked and how far each body was read: what a reader fetches
 * can be told to the byte.
 */

import type { Fetcher } from '../../packages/fanpipe/src/remote/index.ts';

/** One request, and what became of its body. */
export interface OriginRequest {
  readonly range: string | null;
  /** First offset of the body. */
  readonly from: number;
  /** Offset after its last byte. */
  readonly to: number;
  readonly headers: Headers;
  /** Offset up to which the body was read. */
  read: number;
  state: 'open' | 'ended' | 'cancelled';
}

/** How the origin answers; may be changed at any time. */
export interface OriginOptions {
  /** Bytes of the next chunk. Default 16 KiB. */
  chunk?: () => number;
  /** False: the whole for every request. */
  ranges?: boolean;
  etag?: string | undefined;
  /** False: neither a length nor a total. */
  tellsSize?: boolean;
  /** Whether each chunk comes in a turn of its own, and not at once. */
  isLate?: boolean;
}

export class MemoryOrigin {
  readonly body: Uint8Array;
  readonly requests: OriginRequest[] = [];
  readonly options: OriginOptions;
  /** Called before each answer with its number, from 1; what it returns is the answer, and what it throws is the failure. */
  before: (count: number, request: OriginRequest) => Response | undefined | Promise<Response | undefined> = () =>
    undefined;
  /** Most bodies that were open at a time. */
  most = 0;

  constructor(body: Uint8Array, options: OriginOptions = {}) {
    this.body = body;
    this.options = { etag: '"v1"', ...options };
  }

  /** Ranges asked for so far. */
  get ranges(): (string | null)[] {
    return this.requests.map(({ range }) => range);
  }

  /** Bytes of bodies that were read. */
  get bytesRead(): number {
    return this.requests.reduce((sum, { from, read }) => sum + read - from, 0);
  }

  readonly fetcher: Fetcher = async (_url, init) => {
    const { ranges = true, etag, tellsSize = true } = this.options;
    const headers = new Headers(init.headers);
    const range = headers.get('range');
    const size = this.body.length;
    const [, first = '0', last = ''] = (ranges && /^bytes=(\d+)-(\d*)$/.exec(range ?? '')) || [];
    const isPart = ranges && range !== null;
    const from = Number(first);
    const to = last === '' ? size : Math.min(size, Number(last) + 1);
    const request: OriginRequest = { range, from, to, headers, read: from, state: 'open' };
    const count = this.requests.push(request);
    this.most = Math.max(this.most, this.requests.filter(({ state }) => state === 'open').length);
    const own = await this.before(count, request);
    const close = (): void => {
      if (request.state === 'open') request.state = 'cancelled';
    };
    if (own !== undefined || init.signal?.aborted) {
      close();
      init.signal?.throwIfAborted();
      return own as Response;
    }
    const common: Record<string, string> = etag === undefined ? {} : { etag };
    if (isPart && from >= size) {
      request.state = 'ended';
      return new Response(null, { status: 416, headers: { ...common, 'content-range': `bytes */${size}` } });
    }
    init.signal?.addEventListener('abort', close, { once: true });
    const total = tellsSize ? size : '*';
    const told: Record<string, string> = isPart
      ? { 'content-range': `bytes ${from}-${to - 1}/${total}` }
      : tellsSize
        ? { 'content-length': String(size) }
        : {};
    return new Response(this.#bodyOf(request, close), { status: isPart ? 206 : 200, headers: { ...common, ...told } });
  };

  #bodyOf(request: OriginRequest, close: () => void): ReadableStream<Uint8Array> {
    const { chunk = () => 16 * 1024, isLate = false } = this.options;
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          if (isLate) await new Promise((resolve) => setImmediate(resolve));
          if (request.read < request.to) {
            const end = Math.min(request.to, request.read + Math.max(1, chunk()));
            controller.enqueue(this.body.slice(request.read, end));
            request.read = end;
          } else {
            request.state = 'ended';
            controller.close();
          }
        },
        cancel: close,
      },
      { highWaterMark: 0 },
    );
  }
}
