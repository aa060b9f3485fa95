import type { LiveStream } from '../hub/index.ts';
import { eventEncoding, isJson } from './content-type.ts';
import type { HttpContext } from './http-options.ts';
import type { HttpRequest } from './http-request.ts';
import { nextCursor, parseCursor } from './live-cursor.ts';
import type { LiveReplies } from './live-replies.ts';
import { refuseFailed } from './long-poll.ts';
import type { ReadQuery } from './query.ts';
import { startOf } from './read-stream.ts';
import { badRequest } from './refusal.ts';
import type { Reply } from './reply.ts';
import { RETRY_LATER } from './sse-event.ts';
import { endHeaders } from './stream-state.ts';

/** So that no proxy waits for more before it passes on what came: neither to fill a buffer, nor to compress it. */
const UNBUFFERED = ['x-accel-buffering', 'no'];
const NO_TRANSFORM = 'no-transform';
/** A cache must not give one reader the events that are for another one's place. */
const VARY = ['vary', 'last-event-id'];

/** GET with `live=sse`: events, from an offset on. */
export async function eventStream(
  context: HttpContext,
  request: HttpRequest,
  stream: LiveStream,
  query: ReadQuery,
  replies: LiveReplies,
): Promise<Reply> {
  // A browser that connects again by itself asks for the same URL, and says here how far it has come.
  const lastId = request.header('last-event-id');
  const offset = lastId === undefined || lastId === '' ? query.offset : lastId;
  if (offset === undefined) throw badRequest('live=sse needs an offset');
  const client = parseCursor(query.cursor);
  const state = await stream.state();
  const from = await startOf(stream, state, offset);
  if (from === state.tail) {
    refuseFailed(state);
    // Only 204 keeps a browser from connecting for ever to a stream that has ended.
    if (offset === lastId && state.end !== undefined)
      return {
        status: 204,
        headers: [...endHeaders(state.end), 'cache-control', 'no-store', ...VARY],
        body: undefined,
      };
  }
  const encoding = eventEncoding(state.config.contentType);
  const headers = [
    'content-type',
    'text/event-stream',
    'cache-control',
    `no-cache, ${NO_TRANSFORM}`,
    ...UNBUFFERED,
    ...VARY,
  ];
  if (encoding === 'base64') headers.push('stream-sse-data-encoding', 'base64');
  const cursor = nextCursor(context.now(), client, context.random);
  // A browser that was told to come again soon should not go on like that when something is wrong.
  const opening = lastId === undefined ? undefined : RETRY_LATER;
  return { status: 200, headers, body: replies.open(stream, state, encoding, from, cursor, opening) };
}

/** GET with `live=raw`: the bytes as they are, from an offset on, until the stream ends. Messages of JSON are lines. */
export async function rawStream(stream: LiveStream, query: ReadQuery, replies: LiveReplies): Promise<Reply> {
  const state = await stream.state();
  const from = await startOf(stream, state, query.offset);
  const { contentType } = state.config;
  const headers = [
    'content-type',
    isJson(contentType) ? 'application/x-ndjson' : contentType,
    'cache-control',
    `no-store, ${NO_TRANSFORM}`,
    'accept-ranges',
    'none',
    ...UNBUFFERED,
  ];
  return { status: 200, headers, body: replies.open(stream, state, 'raw', from, 0) };
}
