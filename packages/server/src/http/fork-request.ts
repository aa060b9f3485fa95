import type { StreamState } from '../backends/backend.ts';
import { ForkSourceError, StreamExistsError, StreamNotFoundError, StreamSoftDeletedError } from '../errors.ts';
import type { Hub, LiveStream } from '../hub/index.ts';
import { isJson } from './content-type.ts';
import type { HttpRequest } from './http-request.ts';
import { skipLines } from './json-messages.ts';
import { parseOffset, resolveOffset } from './offset-token.ts';
import { badRequest, Refusal } from './refusal.ts';
import { streamName } from './stream-name.ts';
import { requireMessageStart } from './stream-state.ts';

/** Where a fork is asked to leave its source. */
export interface ForkRequest {
  readonly source: string;
  /** Token of an offset; left out, the tail. */
  readonly offset: string | undefined;
  /** Bytes, or messages of JSON, beyond the offset. */
  readonly beyond: number;
}

/** Where that is in bytes. */
export interface ForkPlace {
  readonly source: string;
  readonly offset: number | undefined;
  readonly contentType: string;
}

const COUNT = /^(?:0|[1-9]\d*)$/;

/** Reads `Stream-Forked-From`, `Stream-Fork-Offset` and `Stream-Fork-Sub-Offset`. Throws 400, or 404 for a source elsewhere. */
export function parseFork(request: Pick<HttpRequest, 'header'>, prefix: string): ForkRequest | undefined {
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
  if (offset === undefined && Number(beyond) > 0) {
    throw badRequest('Stream-Fork-Sub-Offset needs Stream-Fork-Offset: nothing lies beyond the tail');
  }
  return { source, offset, beyond: Number(beyond ?? 0) };
}

/**
 * Where the fork called `name` is to begin. Asked again for a fork that there is, it is looked up in that, since its source may be gone.
 *
 * Throws `ForkSourceError`, `StreamExistsError`, a `Refusal` (400, 410).
 */
export async function placeFork(hub: Hub, name: string, request: ForkRequest): Promise<ForkPlace> {
  const { source, offset } = request;
  const existing = await openIfThere(hub, name);
  const isAgain = existing?.config.fork?.source === source;
  const stream = isAgain ? (existing as LiveStream) : await openSource(hub, source);
  const { contentType, fork } = stream.config;
  if (offset === undefined) return { source, offset: isAgain ? fork?.offset : undefined, contentType };
  const state = await stream.state();
  try {
    return { source, offset: await inBytes(stream, state, offset, request.beyond), contentType };
  } catch (error) {
    // What the fork does not have is not where it begins.
    if (isAgain && error instanceof Refusal) throw new StreamExistsError(name, 'another fork offset');
    throw error;
  }
}

async function inBytes(stream: LiveStream, state: StreamState, offset: string, beyond: number): Promise<number> {
  const token = parseOffset(offset);
  if (token === undefined) throw badRequest('Stream-Fork-Offset is not an offset that this server gave');
  const anchor = resolveOffset(token, state);
  if (isJson(state.config.contentType)) {
    await requireMessageStart(stream, state, anchor);
    return skipMessages(stream, state, anchor, beyond);
  }
  if (anchor + beyond > state.tail) throw badRequest('Stream-Fork-Sub-Offset leads beyond the end of the source');
  return anchor + beyond;
}

async function openIfThere(hub: Hub, name: string): Promise<LiveStream | undefined> {
  try {
    return await hub.open(name);
  } catch (error) {
    if (error instanceof StreamNotFoundError || error instanceof StreamSoftDeletedError) return undefined;
    throw error;
  }
}

async function openSource(hub: Hub, source: string): Promise<LiveStream> {
  try {
    return await hub.open(source);
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
