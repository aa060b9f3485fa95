import type { StreamState } from '../backends/backend.ts';
import type { LiveStream } from '../hub/index.ts';
import { sectionBody } from './catch-up.ts';
import { isJson } from './content-type.ts';
import { continues, formatTag, isNoneMatch } from './etag.ts';
import type { HttpContext } from './http-options.ts';
import type { HttpRequest } from './http-request.ts';
import { formatOffset, offsetGone, parseOffset, resolveOffset } from './offset-token.ts';
import type { ReadQuery } from './query.ts';
import { type ByteRange, parseRange } from './range.ts';
import { badRequest, Refusal } from './refusal.ts';
import type { Reply } from './reply.ts';
import { endHeaders, requireMessageStart, stateHeaders } from './stream-state.ts';

/** Seconds for which what was read may be kept, and for which it may still be shown while it is asked for again. */
const FRESH = 60;
const STALE = 300;

/** GET: all from an offset up to the tail as it is now. */
export async function readStream(
  context: HttpContext,
  request: HttpRequest,
  stream: LiveStream,
  query: ReadQuery,
): Promise<Reply> {
  const state = await stream.state();
  const { head, tail, end } = state;
  if (query.offset === 'now') return nothingNew(state);
  const from = await startOf(stream, state, query.offset);
  const tag = formatTag(state, from, tail, end);
  if (isNoneMatch(request.header('if-none-match'), tag)) {
    return {
      status: 304,
      headers: ['etag', tag, 'cache-control', cacheControl(context, state, from)],
      body: undefined,
    };
  }
  const isArray = isJson(state.config.contentType);
  const isWhole = query.offset === undefined || query.offset === '-1';
  const range = isWhole && !isArray ? rangeOf(request, state) : undefined;
  if (range !== undefined) return partOf(context, stream, state, range);
  const headers = [
    'content-type',
    state.config.contentType,
    ...placeHeaders(state, tail),
    'etag',
    tag,
    'cache-control',
    cacheControl(context, state, from),
  ];
  // The bytes of a part count from the start of the stream: where that is gone, they are not those of this body.
  if (isWhole) headers.push('accept-ranges', isArray || head > 0 ? 'none' : 'bytes');
  if (isWhole && head > 0) headers.push('stream-oldest-offset', formatOffset(state, head));
  return {
    status: 200,
    headers,
    body: await sectionBody({ stream, state, from, to: tail, isArray, onError: context.onError }),
  };
}

/** HEAD: what a stream is. */
export async function describeStream(stream: LiveStream): Promise<Reply> {
  const state = await stream.state();
  const headers = [...stateHeaders(state), 'cache-control', 'no-store'];
  if (state.head > 0) headers.push('stream-oldest-offset', formatOffset(state, state.head));
  return { status: 200, headers, body: undefined };
}

/** The offset that a parameter means; left out, the start. Throws 400 or 410. */
export async function startOf(stream: LiveStream, state: StreamState, parameter: string | undefined): Promise<number> {
  if (parameter === undefined) return state.head;
  const token = parseOffset(parameter);
  if (token === undefined) throw badRequest('offset is -1, now, or one that this server gave');
  const offset = resolveOffset(token, state);
  if (isJson(state.config.contentType)) await requireMessageStart(stream, state, offset);
  return offset;
}

/** Where a reader is that has read up to an offset. */
export function placeHeaders(state: StreamState, to: number): string[] {
  const headers = ['stream-next-offset', formatOffset(state, to)];
  if (to === state.tail) headers.push('stream-up-to-date', 'true', ...endHeaders(state.end));
  return headers;
}

/** For which time a reply may be kept that begins at an offset and reaches the tail. */
export function cacheControl({ cache, now }: HttpContext, state: StreamState, from: number): string {
  // Nothing came yet; what is kept would hide what comes.
  if (from === state.tail && state.end === undefined) return `${cache}, no-cache`;
  const { ttl, expiresAt } = state.config;
  const left = Math.min(
    ttl ?? Number.POSITIVE_INFINITY,
    expiresAt === undefined ? Number.POSITIVE_INFINITY : expiresAt - now(),
  );
  const fresh = Math.max(0, Math.min(FRESH, Math.floor(left / 1000)));
  return fresh < FRESH ? `${cache}, max-age=${fresh}` : `${cache}, max-age=${fresh}, stale-while-revalidate=${STALE}`;
}

function nothingNew(state: StreamState): Reply {
  const isArray = isJson(state.config.contentType);
  return {
    status: 200,
    headers: [
      'content-type',
      state.config.contentType,
      ...placeHeaders(state, state.tail),
      'cache-control',
      'no-store',
    ],
    body: isArray ? new Uint8Array([91, 93]) : undefined,
  };
}

/**
 * The range that a request asks for, in bytes of the stream. Undefined: all. Throws 416.
 *
 * Where the oldest bytes are gone, only those who know that positions count from the start of the stream can ask for a part: their
 * tag begins there. Others count from the first byte that they got.
 */
function rangeOf(request: HttpRequest, state: StreamState): ByteRange | undefined {
  const header = request.header('range');
  if (header === undefined) return undefined;
  const validator = request.header('if-range');
  if (validator === undefined ? state.head > 0 : !continues(validator, state)) return undefined;
  const range = parseRange(header, state.tail);
  if (range !== 'unsatisfiable') return range;
  throw new Refusal(416, 'RANGE_NOT_SATISFIABLE', 'The stream has no such bytes', [
    'content-range',
    `bytes */${state.tail}`,
    ...placeHeaders(state, state.tail),
  ]);
}

async function partOf(
  context: HttpContext,
  stream: LiveStream,
  state: StreamState,
  { from, to }: ByteRange,
): Promise<Reply> {
  const { head, tail, end } = state;
  if (from < head) throw offsetGone(state, 'is no longer retained');
  const headers = [
    'content-type',
    state.config.contentType,
    // While it is open, nobody knows how long it becomes.
    'content-range',
    `bytes ${from}-${to - 1}/${end === undefined ? '*' : tail}`,
    'accept-ranges',
    'bytes',
    ...placeHeaders(state, to),
    'etag',
    formatTag(state, 0, tail, end),
    'cache-control',
    cacheControl(context, state, from),
  ];
  return {
    status: 206,
    headers,
    body: await sectionBody({ stream, state, from, to, isArray: false, onError: context.onError }),
  };
}
