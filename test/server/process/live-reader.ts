import type { IncomingMessage } from 'node:http';
import type { Gate } from './gate.ts';
import { type HttpClient, pathOf, positionOf, tokenAt } from './http-client.ts';

/** How a reader follows a stream. `events-by-id` goes on as an `EventSource` of a browser does. */
export type ReaderKind = 'events' | 'events-by-id' | 'long-poll' | 'raw';

/** How the bytes of a stream are shown. */
export type Encoding = 'text' | 'bytes' | 'json';

export interface LiveReaderOptions {
  readonly name: string;
  readonly kind: ReaderKind;
  readonly encoding: Encoding;
  /** A token of the stream that is not of its start. */
  readonly token: string;
  /** The position at which it begins; for messages, the start of one. */
  readonly from: number;
  /** The server, while there is one. */
  readonly gate: Gate<HttpClient>;
  /** Told of each piece that came; takes no more until this resolves. */
  readonly onPiece?: ((reader: LiveReader) => Promise<void> | void) | undefined;
  /** That the stream was deleted ends it, and is no mistake. */
  readonly mayVanish?: boolean;
  /** Ends it, in the middle of whatever it does. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Follows a stream to its end and goes on where it broke off, each time it can. It checks itself that each event says the position that its
 * bytes lead to, and keeps the bytes until somebody compares them.
 */
export class LiveReader {
  readonly name: string;
  readonly kind: ReaderKind;
  readonly encoding: Encoding;
  /** How often it has connected, for long-polls too. */
  connections = 0;
  /** It met a clean end. */
  hasEnded = false;
  /** The stream was deleted. */
  hasVanished = false;
  /** Resolves at the end of the stream, or when there is no server any more. Rejects with what must not be. */
  readonly done: Promise<void>;
  readonly #gate: Gate<HttpClient>;
  readonly #signal: AbortSignal | undefined;
  readonly #onPiece: LiveReaderOptions['onPiece'];
  readonly #mayVanish: boolean;
  #chunks: Buffer[] = [];
  #watchers: (() => void)[] = [];
  /** Where the oldest byte that is kept stands, and where it goes on. */
  #compared: number;
  #position: number;
  /** A token of the stream that is not of its start. */
  readonly #sample: string;
  readonly #from: string;
  /** Where it goes on. */
  #token: string;

  constructor(options: LiveReaderOptions) {
    const { name, kind, encoding, token, from, gate, signal, onPiece, mayVanish = false } = options;
    this.name = name;
    this.kind = kind;
    this.encoding = encoding;
    this.#sample = token;
    this.#token = this.#from = tokenAt(token, from);
    this.#position = this.#compared = from;
    this.#gate = gate;
    this.#signal = signal;
    this.#onPiece = onPiece;
    this.#mayVanish = mayVanish;
    this.done = this.#run();
    // Whoever waits for it hears of it.
    this.done.catch(() => {});
  }

  get position(): number {
    return this.#position;
  }

  /** Resolves when it has come so far. */
  async reached(position: number): Promise<void> {
    while (this.#position < position && !this.hasEnded) {
      await Promise.race([new Promise<void>((resolve) => this.#watchers.push(resolve)), this.done]);
    }
  }

  toString(): string {
    return `${this.kind} reader of ${this.name} at ${this.#position}`;
  }

  /** Throws unless all that came since it was last called is what the stream holds there. */
  compare(content: Buffer): void {
    const got = Buffer.concat(this.#chunks);
    this.#chunks = [];
    const at = this.#compared;
    this.#compared += got.length;
    if (got.equals(content.subarray(at, at + got.length))) return;
    let same = 0;
    while (got[same] === content[at + same]) same++;
    const shown = (bytes: Buffer, from: number): string => JSON.stringify(bytes.toString('latin1', from, from + 60));
    const places: number[] = [];
    const piece = got.subarray(same, same + 24);
    for (let i = content.indexOf(piece); i >= 0; i = content.indexOf(piece, i + 1)) places.push(i);
    throw new Error(
      `${this} got something else at byte ${at + same} of ${content.length}, after ${same} bytes that were right: ` +
        `${shown(got, same)} for ${shown(content, at + same)}. What it got stands at ${places.join(', ') || 'no place'}`,
    );
  }

  async #run(): Promise<void> {
    for (;;) {
      const client = await this.#gate.wait();
      if (client === undefined || this.#signal?.aborted) return;
      try {
        this.connections++;
        await this.#connect(client);
      } catch (error) {
        if (this.#signal?.aborted) return;
        if (!isBroken(error)) throw error;
      }
      if (this.hasEnded || this.hasVanished) return;
    }
  }

  async #connect(client: HttpClient): Promise<void> {
    const live = this.kind === 'long-poll' || this.kind === 'raw' ? this.kind : 'sse';
    const isById = this.kind === 'events-by-id' && this.connections > 1;
    const offset = isById ? this.#from : this.#token;
    const headers = isById ? { 'last-event-id': this.#token } : undefined;
    const path = `${pathOf(this.name)}?offset=${offset}&live=${live}`;
    const reply = await client.open('GET', path, { headers, signal: this.#signal });
    if (reply.statusCode === 204 && live !== 'raw') {
      this.hasEnded = reply.headers['stream-closed'] === 'true';
      await drain(reply);
      return;
    }
    if (reply.statusCode === 404 && this.#mayVanish) {
      this.hasVanished = true;
      await drain(reply);
      return;
    }
    if (reply.statusCode !== 200) {
      throw new Error(`${this} was answered ${reply.statusCode}: ${(await drain(reply)).toString()}`);
    }
    if (live === 'sse') await this.#readEvents(reply);
    else if (live === 'raw') await this.#readRaw(reply);
    else await this.#readPoll(reply);
  }

  async #readRaw(reply: IncomingMessage): Promise<void> {
    const rest: Buffer[] = [];
    for await (const chunk of reply) {
      rest.push(chunk);
      // One goes on at the start of a message, so that half of one counts for nothing.
      if (this.encoding === 'json' && !chunk.includes(10)) continue;
      const bytes = Buffer.concat(rest.splice(0));
      const whole = this.encoding === 'json' ? bytes.lastIndexOf(10) + 1 : bytes.length;
      this.#take(bytes.subarray(0, whole));
      if (whole < bytes.length) rest.push(bytes.subarray(whole));
      this.#token = tokenAt(this.#sample, this.#position);
      await this.#onPiece?.(this);
    }
    if (rest.length > 0) throw new Error(`${this} came to an end inside of a message`);
    this.hasEnded = true;
  }

  async #readPoll(reply: IncomingMessage): Promise<void> {
    const body = await drain(reply);
    this.#take(this.encoding === 'json' ? linesOf(body.toString()) : body);
    this.#goOnAt(reply.headers['stream-next-offset']);
    await this.#onPiece?.(this);
    this.hasEnded = reply.headers['stream-closed'] === 'true';
  }

  async #readEvents(reply: IncomingMessage): Promise<void> {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    const rest: string[] = [];
    for await (const chunk of reply) {
      const text = decoder.decode(chunk, { stream: true });
      const isInside = !`${rest.at(-1)?.at(-1) ?? ''}${text}`.includes('\n\n');
      if (text !== '') rest.push(text);
      // Of a large event only the end is looked at.
      if (isInside) continue;
      const events = rest.splice(0).join('').split('\n\n');
      const last = events.pop() as string;
      if (last !== '') rest.push(last);
      for (const event of events) this.#takeEvent(event);
      await this.#onPiece?.(this);
    }
  }

  #takeEvent(event: string): void {
    // Says to a browser when to come again; no event.
    if (event === 'retry:100') return;
    const lines = event.split('\n');
    const field = (name: string): string[] =>
      lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).replace(/^ /, ''));
    const data = field('data').join('\n');
    const [id] = field('id');
    if (field('event')[0] === 'control') {
      const { streamNextOffset, streamClosed } = JSON.parse(data);
      this.#goOnAt(streamNextOffset);
      this.hasEnded = streamClosed === true;
      return;
    }
    if (this.encoding === 'json') this.#take(linesOf(data));
    else this.#take(Buffer.from(data, this.encoding === 'bytes' ? 'base64' : 'utf8'));
    this.#goOnAt(id);
  }

  #take(bytes: Buffer): void {
    this.#chunks.push(bytes);
    this.#position += bytes.length;
    for (const tell of this.#watchers.splice(0)) tell();
  }

  #goOnAt(token: unknown): void {
    if (positionOf(token) !== this.#position) throw new Error(`${this} is told to go on at ${String(token)}`);
    this.#token = String(token);
  }
}

/** JSON as the server keeps it. */
function linesOf(array: string): Buffer {
  const messages = JSON.parse(array) as unknown[];
  return Buffer.from(messages.map((message) => `${JSON.stringify(message)}\n`).join(''));
}

async function drain(reply: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of reply) parts.push(part);
  return Buffer.concat(parts);
}

/** Whether a connection broke, which is nobody's mistake here. */
export function isBroken(error: unknown): boolean {
  return ['ECONNRESET', 'ECONNREFUSED', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '');
}
