import { OffsetGoneError, StreamNotFoundError } from '../errors.ts';
import type { Hub, LiveStream } from '../hub/index.ts';
import { appendToStream } from './append-stream.ts';
import { type Action, requireAllowed } from './authorize.ts';
import { ALLOWED_METHODS, corsHeaders, preflightHeaders } from './cors.ts';
import { createStream } from './create-stream.ts';
import { refuseForeignWrite } from './cross-origin.ts';
import { errorReply, isFault } from './error-reply.ts';
import { type HttpContext, type HttpOptions, httpContext } from './http-options.ts';
import type { HttpRequest } from './http-request.ts';
import { LiveReplies } from './live-replies.ts';
import { eventStream, rawStream } from './live-stream-reply.ts';
import { longPoll, Waiting } from './long-poll.ts';
import { offsetGone } from './offset-token.ts';
import { parseQuery, type ReadQuery } from './query.ts';
import { describeStream, readStream } from './read-stream.ts';
import { Refusal } from './refusal.ts';
import type { Reply } from './reply.ts';
import { streamName } from './stream-name.ts';

const ACTIONS: ReadonlyMap<string, Action> = new Map([
  ['GET', 'read'],
  ['HEAD', 'read'],
  ['PUT', 'create'],
  ['POST', 'append'],
  ['DELETE', 'delete'],
] as const);

/** What a stream holds came from anybody: opened in a browser, it must not act for this server. */
const SANDBOX = ['content-security-policy', "default-src 'none'; sandbox"];

/** The protocol: answers requests about the streams of a hub. Knows no runtime. */
export class HttpHandler {
  readonly #context: HttpContext;
  readonly #live: LiveReplies;
  readonly #waiting = new Waiting();
  /** In every reply. */
  readonly #common: readonly string[];

  /** Throws a TypeError for options that make no sense. */
  constructor(hub: Hub, options: HttpOptions = {}) {
    this.#context = httpContext(hub, options);
    this.#live = new LiveReplies(this.#context);
    this.#common = [
      'x-content-type-options',
      'nosniff',
      'cross-origin-resource-policy',
      this.#context.cors === undefined ? 'same-origin' : 'cross-origin',
    ];
  }

  /** Live replies that are open. */
  get live(): number {
    return this.#live.size;
  }

  /** What they share: one for each stream and encoding that is followed. */
  get feeds(): number {
    return this.#live.feeds;
  }

  /** Long-polls that wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Answers. Never rejects: what goes wrong is a reply too. */
  async handle(request: HttpRequest): Promise<Reply> {
    let reply: Reply;
    try {
      reply = await this.#route(request);
    } catch (error) {
      if (isFault(error)) this.#context.onError(error);
      reply = errorReply(error);
    }
    const { status, body } = reply;
    const headers = [...reply.headers, ...this.#common];
    if (body !== undefined || request.method === 'HEAD') headers.push(...SANDBOX);
    if (this.#context.cors !== undefined) headers.push(...corsHeaders(request, this.#context.cors));
    return { status, headers, body };
  }

  /** The server closes: who waits is sent away, long-polls are answered, event streams end; nobody may wait any more (503). */
  drain(): void {
    this.#waiting.drain();
    this.#live.drain();
  }

  async #route(request: HttpRequest): Promise<Reply> {
    const context = this.#context;
    const { method } = request;
    const name = streamName(request.path, context.prefix);
    if (name === undefined)
      throw new Refusal(404, 'NOT_FOUND', `There is nothing here: streams are below ${context.prefix}`);
    if (method === 'OPTIONS') return { status: 204, headers: preflightHeaders(context.cors), body: undefined };
    const action = ACTIONS.get(method);
    if (action === undefined) {
      throw new Refusal(405, 'METHOD_NOT_ALLOWED', 'Streams have no such method', ['allow', ALLOWED_METHODS]);
    }
    if (action !== 'read') refuseForeignWrite(request, context.cors);
    if (context.rules.length > 0) await requireAllowed(context.rules, request, action, name);
    switch (method) {
      case 'GET':
        return this.#read(request, name);
      case 'POST':
        return appendToStream(context, request, name);
      case 'PUT':
        return createStream(context, request, name);
      case 'HEAD':
        return describeStream(await context.hub.open(name));
      default:
        return this.#delete(name);
    }
  }

  async #read(request: HttpRequest, name: string): Promise<Reply> {
    const context = this.#context;
    const query = parseQuery(request.query);
    const stream = await context.hub.open(name);
    stream.touch();
    try {
      return await this.#readFrom(request, stream, query);
    } catch (error) {
      // Let go between two looks at the stream; where to go on is said in its terms.
      if (error instanceof OffsetGoneError) throw offsetGone(await stream.state(), 'is no longer retained');
      throw error;
    }
  }

  #readFrom(request: HttpRequest, stream: LiveStream, query: ReadQuery): Promise<Reply> {
    const context = this.#context;
    switch (query.live) {
      case 'long-poll':
        return longPoll(context, request, stream, query, this.#waiting);
      case 'sse':
        return eventStream(context, request, stream, query, this.#live);
      case 'raw':
        return rawStream(stream, query, this.#live);
      default:
        return readStream(context, request, stream, query);
    }
  }

  async #delete(name: string): Promise<Reply> {
    if (await this.#context.hub.delete(name)) return { status: 204, headers: [], body: undefined };
    throw new StreamNotFoundError(name);
  }
}
