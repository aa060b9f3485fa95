import type { CursorResult, StreamState } from '../backends/backend.ts';
import { ServerClosedError } from '../errors.ts';
import type { LiveStream } from '../hub/index.ts';
import { sectionBody, wholeBody } from './catch-up.ts';
import { isJson } from './content-type.ts';
import { formatTag, isNoneMatch } from './etag.ts';
import type { HttpContext } from './http-options.ts';
import type { HttpRequest } from './http-request.ts';
import { nextCursor, parseCursor } from './live-cursor.ts';
import { formatOffset } from './offset-token.ts';
import type { ReadQuery } from './query.ts';
import { cacheControl, placeHeaders, startOf } from './read-stream.ts';
import { badRequest, Refusal } from './refusal.ts';
import type { Reply } from './reply.ts';
import { endHeaders } from './stream-state.ts';

/** Those who wait, so that a server that closes can send them away. */
export class Waiting {
  readonly #stops = new Set<() => void>();
  #isOver = false;

  get size(): number {
    return this.#stops.size;
  }

  /** Throws `ServerClosedError` once nobody may wait any more. */
  check(): void {
    if (this.#isOver) throw new ServerClosedError();
  }

  /** After `check`, in the same turn. */
  add(stop: () => void): void {
    this.#stops.add(stop);
  }

  delete(stop: () => void): void {
    this.#stops.delete(stop);
  }

  /** Sends them all away, and lets nobody wait from now on. */
  drain(): void {
    this.#isOver = true;
    for (const stop of [...this.#stops]) stop();
  }
}

/** GET with `live=long-poll`: what there is from an offset on, or what comes first; 204 if nothing comes in time. */
export async function longPoll(
  context: HttpContext,
  request: HttpRequest,
  stream: LiveStream,
  query: ReadQuery,
  waiting: Waiting,
): Promise<Reply> {
  if (query.offset === undefined) throw badRequest('live=long-poll needs an offset');
  waiting.check();
  const client = parseCursor(query.cursor);
  let state = await stream.state();
  const from = await startOf(stream, state, query.offset);
  let news: CursorResult | undefined;
  if (from === state.tail && state.end === undefined) {
    // The server may have begun to close since.
    waiting.check();
    news = await untilNews(context, request, stream, from, waiting);
    state = await stream.state();
  }
  const cursor =
    state.end?.kind === 'closed' ? [] : ['stream-cursor', String(nextCursor(context.now(), client, context.random))];
  if (from === state.tail) {
    refuseFailed(state);
    return {
      status: 204,
      headers: [...placeHeaders(state, from), ...cursor, 'cache-control', 'no-store'],
      body: undefined,
    };
  }
  const tag = formatTag(state, from, state.tail, state.end);
  const headers = ['etag', tag, 'cache-control', cacheControl(context, state, from), ...cursor];
  if (isNoneMatch(request.header('if-none-match'), tag)) return { status: 304, headers, body: undefined };
  const { contentType } = state.config;
  const isArray = isJson(contentType);
  const { tail } = state;
  // Mostly what came is all that there is.
  const body =
    news?.end === undefined && news?.next === tail
      ? wholeBody(news.chunks, isArray)
      : await sectionBody({ stream, state, from, to: tail, isArray, onError: context.onError });
  return { status: 200, headers: ['content-type', contentType, ...placeHeaders(state, tail), ...headers], body };
}

/**
 * At the end of a stream that failed, whoever waits for more is refused: 409 with the reason. A client that knows the protocol alone
 * takes that for the error that it is. A 204 would make it ask again at once, for ever.
 */
export function refuseFailed(state: StreamState): void {
  const { end, tail } = state;
  if (end?.kind !== 'failed') return;
  throw new Refusal(409, 'STREAM_FAILED', `The writer of the stream failed: ${end.reason}`, [
    ...endHeaders(end),
    'stream-next-offset',
    formatOffset(state, tail),
    'stream-up-to-date',
    'true',
  ]);
}

/** What comes at the offset, or the end; undefined: the time is over, the client has gone, or the server closes. */
function untilNews(
  { clock, longPollTimeout }: HttpContext,
  request: HttpRequest,
  stream: LiveStream,
  from: number,
  waiting: Waiting,
): Promise<CursorResult | undefined> {
  const reader = stream.read(from);
  return new Promise((resolve, reject) => {
    const stop = (): void => settle(undefined);
    const settle = (news: CursorResult | undefined): void => {
      waiting.delete(stop);
      clock.clearTimeout(timer);
      // If it still waits, it never settles.
      reader.close();
      resolve(news);
    };
    const timer = clock.setTimeout(stop, longPollTimeout);
    (timer as { unref?(): void } | undefined)?.unref?.();
    waiting.add(stop);
    request.onGone(stop);
    reader.next().then(settle, (error: unknown) => {
      if (!(error instanceof ServerClosedError)) reject(error);
      settle(undefined);
    });
  });
}
