/** A resource behind HTTP: what a server would answer, as a function, so that the cases that need none have none. */
import type { Fetcher } from 'fanpipe/remote';
import { noise } from './bytes.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What a server with ranges answers to a GET. */
function answerRange(bytes: Uint8Array<ArrayBuffer>, etag: string, range: string | null): Answer {
  const headers: Record<string, string> = { etag, 'accept-ranges': 'bytes', 'cache-control': 'no-store' };
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  const { byteLength } = bytes;
  if (from === undefined) return { status: 200, headers, bytes };
  const start = Number(from);
  const end = Math.min(to ? Number(to) + 1 : byteLength, byteLength);
  if (start >= end) {
    return { status: 416, headers: { ...headers, 'content-range': `bytes */${byteLength}` }, bytes: new Uint8Array(0) };
  }
  const part = { ...headers, 'content-range': `bytes ${start}-${end - 1}/${byteLength}` };
  return { status: 206, headers: part, bytes: bytes.slice(start, end) };
}

/** What the servers of the runtimes have at `/resource`, for the cases with a real `fetch`. */
export const SERVED: Uint8Array<ArrayBuffer> = noise(300_000, 11);

/** The answer of these servers. */
export function answerServed(range: string | null): Answer {
  return answerRange(SERVED, '"served"', range);
}

/** One request that a {@link Resource} has met. */
export interface Asked {
  readonly url: string;
  readonly headers: Headers;
  readonly range: string | null;
  readonly signal: AbortSignal | null | undefined;
}

/** A resource in memory, with a fetcher that answers as `answerRange` does, unless `alter` makes something else of it. */
export class Resource {
  readonly bytes: Uint8Array<ArrayBuffer>;
  etag = '"one"';
  /** All requests so far. */
  readonly asked: Asked[] = [];
  /** Called with each answer and its number, from 1. */
  alter: (answer: Answer, count: number, asked: Asked) => Response | Promise<Response> = (answer) => toResponse(answer);

  constructor(size: number) {
    this.bytes = noise(size, 5);
  }

  readonly fetcher: Fetcher = async (url, init) => {
    init.signal?.throwIfAborted();
    const headers = new Headers(init.headers);
    const asked = { url: String(url), headers, range: headers.get('range'), signal: init.signal };
    this.asked.push(asked);
    return this.alter(answerRange(this.bytes, this.etag, asked.range), this.asked.length, asked);
  };

  /** The ranges that were asked for. */
  get ranges(): (string | null)[] {
    return this.asked.map(({ range }) => range);
  }

  slice(from: number, to: number): Uint8Array {
    return this.bytes.subarray(from, to);
  }
}

const CHUNK = 10_000;

/** A response with this body in chunks; with `breakAt`, the body fails after so many bytes. */
export function toResponse({ status, headers, bytes }: Answer, breakAt?: number): Response {
  let position = 0;
  const isBroken = typeof breakAt === 'number' && status < 300;
  const stop = isBroken ? Math.min(breakAt, bytes.byteLength) : bytes.byteLength;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (position < stop) {
          const end = Math.min(position + CHUNK, stop);
          controller.enqueue(bytes.slice(position, end));
          position = end;
        } else if (isBroken) controller.error(new TypeError('the connection was reset'));
        else controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { status, headers });
}
