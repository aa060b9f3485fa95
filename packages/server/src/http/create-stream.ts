import type { StreamState } from '../backends/backend.ts';
import { ForkSourceError, StreamNotFoundError, StreamSoftDeletedError } from '../errors.ts';
import type { LiveStream } from '../hub/index.ts';
import { requireAllowed } from './authorize.ts';
import { isJson, parseContentType } from './content-type.ts';
import { expiryHeaders, parseExpiry } from './expiry.ts';
import type { HttpContext } from './http-options.ts';
import type { HttpRequest } from './http-request.ts';
import { skipLines, toJsonLines } from './json-messages.ts';
import { formatOffset, parseOffset, resolveOffset } from './offset-token.ts';
import { badRequest } from './refusal.ts';
import type { Reply } from './reply.ts';
import { collectBody } from './request-body.ts';
import { streamName } from './stream-name.ts';
import { endHeaders, requireMessageStart } from './stream-state.ts';
import { isClosing } from './writer-headers.ts';

/** Where a fork is asked to leave its source. */
interface ForkRequest {
  readonly source: string;
  readonly offset: string | undefined;
  /** Bytes, or messages of JSON, beyond the offset. */
  readonly beyond: number;
}

const COUNT = /^(?:0|[1-9]\d*)$/;

/** PUT: creates a stream, or a fork of one, unless there is one like it. */
export async function createStream(context: HttpContext, request: HttpRequest, name: string): Promise<Reply> {
  const { hub } = context;
  const type = request.header('content-type');
  const given = type === undefined ? undefined : parseContentType(type).text;
  const expiry = parseExpiry(request);
  const fork = parseFork(request, context.prefix);
  if (fork !== undefined) await requireAllowed(context.rules, request, 'read', fork.source);
  const body = await collectBody(request, context.maxBodyBytes);
  const at = fork === undefined ? undefined : await resolveFork(context, name, fork);
  const contentType = given ?? at?.contentType;
  const bytes = body.length > 0 && contentType !== undefined && isJson(contentType) ? toJsonLines(body) : body;
  const { isNew, state } = await hub.create(
    name,
    { contentType, ...expiry },
    {
      chunks: bytes.length === 0 ? [] : [bytes],
      end: isClosing(request) ? { kind: 'closed' } : undefined,
      fork: at === undefined ? undefined : { source: at.source, offset: at.offset },
    },
  );
  const headers = [
    'content-type',
    state.config.contentType,
    'stream-next-offset',
    formatOffset(state, state.tail),
    ...endHeaders(state.end),
    ...expiryHeaders(state.config),
  ];
  if (isNew) headers.push('location', request.origin + request.path);
  return { status: isNew ? 201 : 200, headers, body: undefined };
}

function parseFork(request: HttpRequest, prefix: string): ForkRequest | undefined {
  const from = request.header('stream-forked-from');
  const offset = request.header('stream-fork-offset');
  const beyond = request.header('stream-fork-sub-offset');
  if (from === undefined) {
    if (offset !== undefined) throw badRequest('Stream-Fork-Offset needs Stream-Forked-From');
    if (beyond !== undefined) throw badRequest('Stream-Fork-Sub-Offset needs Stream-Forked-From');
    return undefined;
  }
  const source = streamName(from, prefix);
  if (source === undefined) throw new ForkSourceError(from, 'not-found', 'it is no stream of this server');
  if (beyond !== undefined && !(COUNT.test(beyond) && Number.isSafeInteger(Number(beyond)))) {
    throw badRequest('Stream-Fork-Sub-Offset is a number from 0 on, in plain decimal digits');
  }
  return { source, offset, beyond: Number(beyond ?? 0) };
}

/** Where the fork is in bytes, and of what type its source is. */
async function resolveFork(
  { hub }: HttpContext,
  name: string,
  { source, offset, beyond }: ForkRequest,
): Promise<{ readonly source: string; readonly offset: number | undefined; readonly contentType: string }> {
  // Asked again for a fork that there is, it can say itself where that was, also when its source has gone since.
  const existing = await openFork(() => hub.open(name));
  const isAgain = existing?.config.fork?.source === source;
  const stream = isAgain ? (existing as LiveStream) : await openSource(() => hub.open(source), source);
  const state = await stream.state();
  const { contentType } = state.config;
  const isMessages = isJson(contentType);
  if (offset === undefined) {
    if (beyond > 0) throw badRequest('Stream-Fork-Sub-Offset needs Stream-Fork-Offset: nothing lies beyond the tail');
    return { source, offset: isAgain ? stream.config.fork?.offset : undefined, contentType };
  }
  const token = parseOffset(offset);
  if (token === undefined) throw badRequest('Stream-Fork-Offset is not an offset that this server gave');
  const anchor = resolveOffset(token, state);
  if (isMessages) await requireMessageStart(stream, state, anchor);
  const at = isMessages ? await skipMessages(stream, state, anchor, beyond) : anchor + beyond;
  if (at > state.tail) throw badRequest('Stream-Fork-Sub-Offset leads beyond the end of the source');
  return { source, offset: at, contentType };
}

async function openFork(open: () => Promise<LiveStream>): Promise<LiveStream | undefined> {
  try {
    return await open();
  } catch (error) {
    if (error instanceof StreamNotFoundError || error instanceof StreamSoftDeletedError) return undefined;
    throw error;
  }
}

async function openSource(open: () => Promise<LiveStream>, source: string): Promise<LiveStream> {
  try {
    return await open();
  } catch (error) {
    if (error instanceof StreamNotFoundError) throw new ForkSourceError(source, 'not-found', 'there is none');
    if (error instanceof StreamSoftDeletedError) throw new ForkSourceError(source, 'soft-deleted', 'it was deleted');
    throw error;
  }
}

/** The offset behind so many messages. Throws 400 where there are fewer. */
async function skipMessages(stream: LiveStream, state: StreamState, from: number, count: number): Promise<number> {
  const reader = stream.read(from);
  try {
    let missing = count;
    let at = from;
    while (missing > 0 && at < state.tail) {
      const result = await reader.next();
      if (result.end !== undefined) break;
      for (const chunk of result.chunks) {
        const skipped = skipLines(chunk, missing);
        missing = skipped.missing;
        if (missing === 0) return at + skipped.length;
        at += chunk.length;
      }
    }
    if (missing > 0) throw badRequest('Stream-Fork-Sub-Offset leads beyond the last message of the source');
    return at;
  } finally {
    reader.close();
  }
}
