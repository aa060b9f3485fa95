import type { StreamState } from '../backends/backend.ts';
import {
  ForkSourceError,
  OffsetGoneError,
  StreamExistsError,
  StreamNotFoundError,
  StreamSoftDeletedError,
} from '../errors.ts';
import type { Hub, LiveStream } from '../hub/index.ts';
import { isJson } from './content-type.ts';
import type { HttpRequest } from './http-request.ts';
import { skipLines } from './json-messages.ts';
import { type OffsetToken, offsetGone, parseOffset, resolveOffset } from './offset-token.ts';
import { badRequest, Refusal } from './refusal.ts';
import { streamName } from './stream-name.ts';
import { requireMessageStart } from './stream-state.ts';

/** Where a fork is asked to leave its source. */
export interface ForkRequest {
  readonly source: string;
  /** Left out, the tail. */
  readonly offset: OffsetToken | undefined;
  /** Bytes, or messages of JSON, beyond the offset. */
  readonly beyond: number;
}

/** Where that is in bytes. */
export interface ForkPlace {
  readonly source: string;
  /** Of the stream that the offset is of; undefined for a fork that is there. */
  readonly generation: number | undefined;
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
  const token = offset === undefined ? undefined : parseOffset(offset);
  if (offset !== undefined && token === undefined) {
    throw badRequest('Stream-Fork-Offset is not an offset that this server gave');
  }
  return { source, offset: token, beyond: Number(beyond ?? 0) };
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
  // Between here and the making of the fork another stream may come to have the name.
  const generation = isAgain ? undefined : stream.generation;
  if (offset === undefined) return { source, generation, offset: isAgain ? fork?.offset : undefined, contentType };
  const state = await stream.state();
  const begins = isAgain ? fork?.offset : undefined;
  try {
    return { source, generation, offset: await inBytes(stream, state, offset, request.beyond, begins), contentType };
  } catch (error) {
    // What the fork does not have is not where it begins.
    if (isAgain && (error instanceof Refusal || error instanceof OffsetGoneError)) {
      throw new StreamExistsError(name, 'another fork offset');
    }
    throw error;
  }
}

/** `begins`: where a fork that is there does, so that it is found again though retention has let go of what was there. */
async function inBytes(
  stream: LiveStream,
  state: StreamState,
  token: OffsetToken,
  beyond: number,
  begins: number | undefined,
): Promise<number> {
  const anchor = resolveOffset(token, begins === undefined || token.kind !== 'at' ? state : { ...state, head: 0 });
  if (anchor === begins && beyond === 0) return anchor;
  if (isJson(state.config.contentType)) {
    // Messages that are gone cannot be counted.
    if (anchor < state.head) throw offsetGone(state, 'is no longer retained');
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
