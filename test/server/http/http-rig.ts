/** The protocol without a socket: requests and replies as the core sees them, and clients that take as much as a test wants. */
import { onTestFinished } from 'vitest';
import { memoryBackend } from '../../../packages/server/src/backends/index.ts';
import type { Frame } from '../../../packages/server/src/http/frame.ts';
import type { HttpRequest } from '../../../packages/server/src/http/http-request.ts';
import type { Reply, ReplySink, StreamedBody } from '../../../packages/server/src/http/reply.ts';
import { StreamServer, type StreamServerOptions } from '../../../packages/server/src/stream-server.ts';

export const PREFIX = '/v1/stream/';
const decoder = new TextDecoder();

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
/** The token of an offset of a stream that is no fork. */
export const tokenAt = (generation: number, offset: number): string =>
  `${String(offset === 0 ? 0 : generation).padStart(16, '0')}_${String(offset).padStart(16, '0')}`;

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Text and bytes have a length; what is iterated has none. */
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array> | undefined;
  /** Declared instead of what the body has. */
  readonly bodyLength?: number | undefined;
}

/** One request. */
export class Call implements HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly origin: string = 'http://test';
  readonly remoteAddress: undefined;
  readonly bodyLength: number | undefined;
  /** How often the body was asked for. */
  bodies = 0;
  readonly #headers: Map<string, string>;
  readonly #body: CallOptions['body'];
  readonly #callbacks: (() => void)[] = [];

  /** `line` is a method and a target: `GET a?offset=-1` is below the prefix, `GET /x` is not. */
  constructor(line: string, { headers = {}, body, bodyLength }: CallOptions = {}) {
    const space = line.indexOf(' ');
    const target = line.slice(space + 1);
    const [path, ...query] = (target.startsWith('/') ? target : PREFIX + target).split('?') as [string, ...string[]];
    this.method = line.slice(0, space);
    this.path = path;
    this.query = query.join('?');
    this.#headers = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    this.#body = typeof body === 'string' ? bytesOf(body) : body;
    this.bodyLength =
      bodyLength ?? (this.#body === undefined ? 0 : this.#body instanceof Uint8Array ? this.#body.length : undefined);
  }

  header(name: string): string | undefined {
    return this.#headers.get(name);
  }

  async *body(): AsyncIterable<Uint8Array> {
    this.bodies++;
    if (this.#body instanceof Uint8Array) yield this.#body;
    else if (this.#body !== undefined) yield* this.#body as AsyncIterable<Uint8Array>;
  }

  onGone(callback: () => void): void {
    this.#callbacks.push(callback);
  }

  /** The client goes. */
  gone(): void {
    for (const callback of this.#callbacks.splice(0)) callback();
  }
}

/** A client of a reply. */
export class Client implements ReplySink {
  onDrain: (() => void) | undefined;
  readonly frames: Frame[] = [];
  /** It takes so many frames more before it is full. */
  room = Number.POSITIVE_INFINITY;
  state: 'open' | 'ended' | 'aborted' = 'open';
  reason: unknown;
  #checks: (() => void)[] = [];
  #isFull = false;

  write(frame: Frame): boolean {
    if (this.state !== 'open') throw new Error('written after the end');
    if (this.#isFull) throw new Error('written although the client is full');
    this.frames.push(frame);
    this.#isFull = --this.room <= 0;
    this.#check();
    return !this.#isFull;
  }

  end(): void {
    this.state = 'ended';
    this.#check();
  }

  abort(reason: unknown): void {
    this.state = 'aborted';
    this.reason = reason;
    this.#check();
  }

  /** Takes what waits, and so many frames more. */
  drain(room: number = Number.POSITIVE_INFINITY): void {
    this.room = room;
    this.#isFull = room <= 0;
    if (!this.#isFull) this.onDrain?.();
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  get bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.frames.map((frame) => frame.bytes)));
  }

  get text(): string {
    return decoder.decode(this.bytes);
  }

  get events(): ServerEvent[] {
    return parseEvents(this.text);
  }

  /** What the data events had, joined. */
  get data(): string {
    return this.events.map(({ type, data }) => (type === 'data' ? data : '')).join('');
  }

  /** Resolves when that is so. */
  until(condition: (client: this) => boolean): Promise<this> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (condition(this)) resolve(this);
        else this.#checks.push(check);
      };
      check();
    });
  }

  done(): Promise<this> {
    return this.until(() => this.state !== 'open');
  }

  #check(): void {
    for (const check of this.#checks.splice(0)) check();
  }
}

export interface ServerEvent {
  readonly type: string;
  readonly data: string;
  readonly id: string | undefined;
}

/** Reads events as the standard says. */
function parseEvents(text: string): ServerEvent[] {
  const events: ServerEvent[] = [];
  for (const block of text.split('\n\n')) {
    let type = 'message';
    let id: string | undefined;
    const data: string[] = [];
    for (const line of block.split('\n')) {
      const mark = line.indexOf(':');
      const field = line.slice(0, mark);
      const value = line.slice(line[mark + 1] === ' ' ? mark + 2 : mark + 1);
      if (field === 'event') type = value;
      else if (field === 'id') id = value;
      else if (field === 'data') data.push(value);
    }
    if (data.length > 0) events.push({ type, data: data.join('\n'), id });
  }
  return events;
}

/** What a control event says. */
export function controlOf(event: ServerEvent | undefined): Record<string, unknown> {
  return JSON.parse(event?.data ?? 'null') as Record<string, unknown>;
}

/** A reply whose parts are easy to look at. */
export class Answer {
  readonly reply: Reply;

  constructor(reply: Reply) {
    this.reply = reply;
  }

  get status(): number {
    return this.reply.status;
  }

  header(name: string): string | undefined {
    const { headers } = this.reply;
    for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1];
    return undefined;
  }

  get next(): string {
    return this.header('stream-next-offset') as string;
  }

  /** Begins a body that comes with time, with a client. */
  open(client: Client = new Client()): Client {
    (this.reply.body as StreamedBody).start(client);
    onTestFinished(() => this.stop());
    return client;
  }

  /** The client goes. */
  stop(): void {
    (this.reply.body as StreamedBody).stop();
  }

  /** The whole body. */
  async bytes(): Promise<Uint8Array> {
    const { body } = this.reply;
    if (body === undefined) return new Uint8Array(0);
    if (body instanceof Uint8Array) return body;
    const client = await this.open().done();
    if (client.state === 'aborted') throw client.reason;
    if (body.length !== undefined && client.bytes.length !== body.length)
      throw new Error('not of the length that was declared');
    return client.bytes;
  }

  async text(): Promise<string> {
    return decoder.decode(await this.bytes());
  }
}

/** A server, and calls to it. */
export class HttpRig {
  readonly server: StreamServer;
  readonly faults: unknown[] = [];

  constructor(options: StreamServerOptions = {}) {
    const backend = memoryBackend({ firstGeneration: 1 });
    this.server = new StreamServer({ backend, onError: (error) => this.faults.push(error), ...options });
    onTestFinished(() => this.server.close());
  }

  async call(line: string | Call, options?: CallOptions): Promise<Answer> {
    return new Answer(await this.server.handle(typeof line === 'string' ? new Call(line, options) : line));
  }

  /** Creates a stream. */
  async create(
    name: string,
    type = 'text/plain',
    body?: string,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const answer = await this.call(`PUT ${name}`, { headers: { 'content-type': type, ...headers }, body });
    if (answer.status !== 201) throw new Error(`PUT ${name}: ${answer.status} ${await answer.text()}`);
    return answer;
  }

  async append(
    name: string,
    body: CallOptions['body'],
    type = 'text/plain',
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    return this.call(`POST ${name}`, { headers: { 'content-type': type, ...headers }, body });
  }

  /** Opens a live reply with a client. */
  async follow(target: string, options?: CallOptions, client?: Client): Promise<Client> {
    const answer = await this.call(`GET ${target}`, options);
    if (answer.status !== 200) throw new Error(`GET ${target}: ${answer.status} ${await answer.text()}`);
    return answer.open(client);
  }
}
