/**
 * What the tests of the node side share: a server around a handler of the test's own, clients that speak byte by byte over real
 * sockets, and live bodies that the test moves.
 */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, expect } from 'vitest';
import { Frame } from '../../../packages/server/src/http/frame.ts';
import type { HttpRequest } from '../../../packages/server/src/http/http-request.ts';
import type { Reply, ReplySink, StreamedBody } from '../../../packages/server/src/http/reply.ts';
import { type ServeOptions, type Serving, serve } from '../../../packages/server/src/node/index.ts';

const cleanups: (() => unknown)[] = [];

/** Runs after the test, the last first. */
export function cleanUp(cleanup: () => unknown): void {
  cleanups.push(cleanup);
}

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const encoder = new TextEncoder();
export const bytesOf = (text: string): Uint8Array => encoder.encode(text);
export const frameOf = (text: string): Frame => new Frame(bytesOf(text));

/** A reply with all of its body. */
export function whole(status: number, body?: string | Uint8Array, headers: string[] = []): Reply {
  return { status, headers, body: typeof body === 'string' ? bytesOf(body) : body };
}

/** A body that the test moves. */
export class LiveBody implements StreamedBody {
  readonly length: number | undefined;
  sink!: ReplySink;
  stops = 0;
  readonly started: Promise<ReplySink>;
  readonly stopped: Promise<void>;
  #start!: (sink: ReplySink) => void;
  #stop!: () => void;

  constructor(length?: number) {
    this.length = length;
    this.started = new Promise((resolve) => (this.#start = resolve));
    this.stopped = new Promise((resolve) => (this.#stop = resolve));
  }

  start(sink: ReplySink): void {
    this.sink = sink;
    this.#start(sink);
  }

  stop(): void {
    this.stops++;
    this.#stop();
  }

  reply(headers: string[] = ['content-type', 'text/event-stream']): Reply {
    return { status: 200, headers, body: this };
  }
}

/** A body that is there from the start: all is written inside of `start`. */
export function atOnce(run: (sink: ReplySink) => void, length?: number): Reply {
  return { status: 200, headers: [], body: { length, start: run, stop() {} } };
}

/** Reads a body to its end. */
export async function readAll(request: HttpRequest): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request.body()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export type TestHandler = (request: HttpRequest) => Promise<Reply> | Reply;
export type TestOptions = Omit<ServeOptions, 'server' | 'port'>;

/** A server of the test, closed after it. Whatever the handler throws fails the test, unless it says otherwise. */
export async function serveTest(handler: TestHandler, options: TestOptions = {}): Promise<Serving> {
  const errors: unknown[] = [];
  const serving = await serve({
    server: { handle: async (request) => handler(request) },
    port: 0,
    onError: (error) => errors.push(error),
    ...options,
  });
  cleanUp(async () => {
    await serving.close({ grace: 0 });
    expect(errors).toEqual([]);
  });
  return serving;
}

/** Resolves when it holds; looks at each turn of the event loop. */
export async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await turn();
}

/** Resolves a turn of the event loop later. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** So many turns without a change, and there is none to come. */
const QUIET_TURNS = 200;

/**
 * Resolves when a number has settled. Client and server share this event loop and what one sends is there for the other at once, so
 * each turn moves whatever can move.
 */
export async function untilQuiet(read: () => number): Promise<void> {
  let last = read();
  for (let turns = 0; turns < QUIET_TURNS; turns++) {
    await turn();
    const value = read();
    if (value !== last) turns = 0;
    last = value;
  }
}

/** Resolves when the metrics of a server have that line. */
export async function untilMetric(serving: Serving, name: string, value: number): Promise<void> {
  while (!(await serving.metrics.text()).includes(`\n${name} ${value}\n`)) await turn();
}

/** Bytes in buffers that somebody holds. The collector sweeps on a thread of its own, and is done with it when it begins anew. */
export async function bufferBytes(): Promise<number> {
  for (let round = 0; round < 5; round++) {
    (globalThis.gc as () => void)();
    await untilQuiet(() => process.memoryUsage().arrayBuffers);
  }
  return process.memoryUsage().arrayBuffers;
}

/** A client that says what it is told and keeps all that it hears. */
export class RawClient {
  readonly socket: Socket;
  /** All that came, one character per byte. */
  text = '';
  /** Bytes that were sent. */
  sent = 0;
  /** Bytes that came, also those that are not kept. */
  received = 0;
  isClosed = false;
  /** Resolves when the connection is gone; true: it was reset. */
  readonly closed: Promise<boolean>;
  #keeps = true;
  #error: NodeJS.ErrnoException | undefined;

  static async open(port: number, isReading = true): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new RawClient(socket, isReading);
  }

  private constructor(socket: Socket, isReading: boolean) {
    this.socket = socket;
    cleanUp(() => socket.destroy());
    this.closed = new Promise((resolve) => {
      socket.on('error', (error) => (this.#error = error));
      socket.on('close', () => {
        this.isClosed = true;
        resolve(this.#error !== undefined);
      });
    });
    if (isReading) this.read();
  }

  /** Reads from now on. */
  read(): void {
    this.socket.on('data', (chunk) => {
      this.received += chunk.length;
      if (this.#keeps) this.text += chunk.toString('latin1');
    });
  }

  /** Counts what comes and keeps no more of it. */
  forget(): void {
    this.#keeps = false;
    this.text = '';
  }

  send(text: string | Uint8Array): void {
    const bytes = typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
    this.sent += bytes.length;
    this.socket.write(bytes);
  }

  get(path: string, ...headers: string[]): void {
    this.send(`GET ${path} HTTP/1.1\r\nhost: a\r\n${headers.map((line) => `${line}\r\n`).join('')}\r\n`);
  }

  /** Resolves once that has come. Rejects with what came instead when the connection closes before. */
  async until(what: string | RegExp | (() => boolean)): Promise<void> {
    const isThere = (): boolean =>
      typeof what === 'function' ? what() : typeof what === 'string' ? this.text.includes(what) : what.test(this.text);
    while (!isThere()) {
      if (this.isClosed) throw new Error(`closed before ${String(what)} came; what came: ${this.text.slice(-2000)}`);
      await Promise.race([once(this.socket, 'data').catch(() => {}), this.closed]);
    }
  }
}

/** One reply, taken from the bytes of a connection. */
export interface RawReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Whether the body came to its end, as the head says where that is. */
  readonly isComplete: boolean;
}

/** Takes all replies out of what came. `methods` of the requests, where they are not all GET. */
export function repliesIn(text: string, methods: readonly string[] = []): RawReply[] {
  const replies: RawReply[] = [];
  let rest = text;
  while (rest !== '') {
    const reply = takeReply(rest, methods[replies.length] ?? 'GET');
    rest = reply.rest;
    if (reply.status !== 100) replies.push(reply);
  }
  return replies;
}

function takeReply(text: string, method: string): RawReply & { rest: string } {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) throw new Error(`no head: ${JSON.stringify(text.slice(0, 200))}`);
  const [line, ...lines] = text.slice(0, end).split('\r\n') as [string, ...string[]];
  const status = /^HTTP\/1\.1 (\d{3}) [\w .'-]+$/.exec(line)?.[1];
  if (status === undefined) throw new Error(`no status line: ${JSON.stringify(line)}`);
  const headers: Record<string, string> = {};
  for (const header of lines) {
    const at = header.indexOf(': ');
    const name = header.slice(0, at).toLowerCase();
    if (at < 1 || name in headers) throw new Error(`no header, or one that comes twice: ${JSON.stringify(header)}`);
    headers[name] = header.slice(at + 2);
  }
  const rest = text.slice(end + 4);
  const head = { status: Number(status), headers };
  const length = headers['content-length'];
  if (head.status === 204 || head.status === 304 || head.status === 100 || method === 'HEAD') {
    return { ...head, body: '', isComplete: true, rest };
  }
  if (headers['transfer-encoding'] === 'chunked') return { ...head, ...takeChunks(rest) };
  if (length === undefined) return { ...head, body: rest, isComplete: false, rest: '' };
  const size = Number(length);
  return { ...head, body: rest.slice(0, size), isComplete: rest.length >= size, rest: rest.slice(size) };
}

function takeChunks(text: string): { body: string; isComplete: boolean; rest: string } {
  let body = '';
  for (let at = 0; ; ) {
    const end = text.indexOf('\r\n', at);
    const line = text.slice(at, end);
    if (end < 0) return { body, isComplete: false, rest: '' };
    if (!/^[\da-f]+$/.test(line)) throw new Error(`no chunk size: ${JSON.stringify(line)}`);
    const size = Number.parseInt(line, 16);
    const chunk = text.slice(end + 2, end + 2 + size);
    body += chunk;
    if (chunk.length < size) return { body, isComplete: false, rest: '' };
    at = end + 2 + size;
    const close = text.slice(at, at + 2);
    if (close.length < 2) return { body, isComplete: false, rest: '' };
    if (close !== '\r\n') throw new Error(`no end of a chunk: ${JSON.stringify(close)}`);
    at += 2;
    if (size === 0) return { body, isComplete: true, rest: text.slice(at) };
  }
}
