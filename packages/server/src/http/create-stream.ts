import { StreamSoftDeletedError } from '../errors.ts';
import type { Created } from '../hub/index.ts';
import { requireAllowed } from './authorize.ts';
import { isJson, parseContentType } from './content-type.ts';
import { parseExpiry } from './expiry.ts';
import { parseFork, placeFork } from './fork-request.ts';
import type { HttpContext } from './http-options.ts';
import type { HttpRequest } from './http-request.ts';
import { toJsonLines } from './json-messages.ts';
import { Refusal } from './refusal.ts';
import type { Reply } from './reply.ts';
import { collectBody } from './request-body.ts';
import { stateHeaders } from './stream-state.ts';
import { isClosing } from './writer-headers.ts';

/** PUT: creates a stream, or a fork of one, unless there is one like it. */
export async function createStream(context: HttpContext, request: HttpRequest, name: string): Promise<Reply> {
  const { isNew, state } = await create(context, request, name);
  const headers = stateHeaders(state);
  if (isNew) headers.push('location', request.origin + request.path);
  return { status: isNew ? 201 : 200, headers, body: undefined };
}

async function create(context: HttpContext, request: HttpRequest, name: string): Promise<Created> {
  const { hub } = context;
  const type = request.header('content-type');
  const given = type === undefined ? undefined : parseContentType(type);
  const expiry = parseExpiry(request);
  const wanted = parseFork(request, context.prefix);
  if (wanted !== undefined) await requireAllowed(context.rules, request, 'read', wanted.source);
  const body = await collectBody(request, context.maxBodyBytes);
  const fork = wanted === undefined ? undefined : await placeFork(hub, name, wanted);
  const contentType = given ?? fork?.contentType;
  const bytes = body.length > 0 && contentType !== undefined && isJson(contentType) ? toJsonLines(body) : body;
  const end = isClosing(request) ? ({ kind: 'closed' } as const) : undefined;
  try {
    const config = { ...context.retention(name), ...expiry, contentType };
    return await hub.create(name, config, { chunks: bytes.length === 0 ? [] : [bytes], end, fork });
  } catch (error) {
    // Gone for all else, it is in the way of this.
    if (error instanceof StreamSoftDeletedError) throw new Refusal(409, 'CONFLICT', error.message);
    throw error;
  }
}
