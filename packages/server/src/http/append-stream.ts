import type { StreamEnd } from '../backends/backend.ts';
import {
  type AppendChain,
  type AppendOutcome,
  type HubAppendOptions,
  isSameType,
  type LiveStream,
} from '../hub/index.ts';
import { isJson, parseContentType } from './content-type.ts';
import type { HttpContext } from './http-options.ts';
import type { HttpRequest } from './http-request.ts';
import { toJsonLines } from './json-messages.ts';
import { formatOffset } from './offset-token.ts';
import { badRequest, Refusal } from './refusal.ts';
import type { Reply } from './reply.ts';
import { collectBody } from './request-body.ts';
import { endHeaders } from './stream-state.ts';
import { parseEnd, parseProducer, parseStreamSeq } from './writer-headers.ts';

/** Bytes of one body that are on their way to the backend at a time. */
const IN_FLIGHT = 1024 * 1024;
/** What a piece costs beside its bytes while it is, about: otherwise a store that stands still would let very small ones pile up. */
const PIECE_COST = 512;

/** POST: appends, closes, fails. */
export async function appendToStream(context: HttpContext, request: HttpRequest, name: string): Promise<Reply> {
  const stream = await context.hub.open(name);
  const options: HubAppendOptions = {
    producer: parseProducer(request),
    seq: parseStreamSeq(request),
    end: parseEnd(request),
  };
  const isMessages = isJson(stream.config.contentType);
  if (request.bodyLength === undefined && !isMessages && options.producer === undefined && options.seq === undefined) {
    return appendPieces(stream, request, options);
  }
  const body = await collectBody(request, context.maxBodyBytes);
  if (body.length === 0) {
    if (options.end === undefined)
      throw badRequest('The body is empty: nothing to append, and Stream-Closed is not true');
    return toReply(stream, await stream.append([], options), options);
  }
  const refused = requireType(stream, request);
  if (refused !== undefined) await refused;
  refuseFailWithBytes(options);
  const bytes = isMessages ? toJsonLines(body) : body;
  if (bytes.length === 0) throw badRequest('The array is empty: there is no message to append');
  return toReply(stream, await stream.append([bytes], options), options);
}

/** Appends what comes as it comes, so that readers see it at once. What came before the client broke off, or the store did, stays. */
async function appendPieces(stream: LiveStream, request: HttpRequest, options: HubAppendOptions): Promise<Reply> {
  // Each piece is let go when it is told of: a body may be of very many very small ones.
  let underWay = 0;
  let inFlight = 0;
  let last: AppendOutcome | undefined;
  let refused: AppendOutcome | undefined;
  let failure: { readonly reason: unknown } | undefined;
  let wake: (() => void) | undefined;
  const settled = (cost: number): void => {
    underWay--;
    inFlight -= cost;
    wake?.();
  };
  const change = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
    });
  let isEmpty = true;
  // A piece that fails must leave no hole: none after it is taken.
  const chain: AppendChain = { failure: undefined };
  for await (const chunk of request.body()) {
    if (chunk.length === 0) continue;
    const cost = chunk.length + PIECE_COST;
    if (isEmpty) {
      isEmpty = false;
      await requireType(stream, request);
      refuseFailWithBytes(options);
    }
    // While there was nothing to read an earlier piece may have been refused.
    if (failure !== undefined || refused !== undefined) break;
    underWay++;
    inFlight += cost;
    stream.append([chunk], { chain }).then(
      (outcome) => {
        if (outcome.kind === 'appended') last = outcome;
        else refused ??= outcome;
        settled(cost);
      },
      (reason: unknown) => {
        failure ??= { reason };
        settled(cost);
      },
    );
    while (inFlight > IN_FLIGHT) await change();
    if (failure !== undefined || refused !== undefined) break;
  }
  while (underWay > 0) await change();
  if (failure !== undefined) throw failure.reason;
  if (refused !== undefined) return toReply(stream, refused, options);
  if (options.end !== undefined) last = await stream.append([], options);
  if (last === undefined) throw badRequest('The body is empty: nothing to append, and Stream-Closed is not true');
  return toReply(stream, last, options);
}

function refuseFailWithBytes({ end }: HubAppendOptions): void {
  if (end?.kind === 'failed') throw badRequest('Stream-Error comes with an empty body');
}

/** Throws 400 without a type, 409 where it is another one. That the stream has ended comes first. */
function requireType(stream: LiveStream, request: HttpRequest): Promise<void> | undefined {
  const header = request.header('content-type');
  if (header === undefined) throw badRequest('Content-Type is missing');
  const { contentType } = stream.config;
  if (header === contentType || isSameType(parseContentType(header), contentType)) return undefined;
  return refuseType(stream);
}

async function refuseType(stream: LiveStream): Promise<never> {
  const { end, tail } = await stream.state();
  if (end !== undefined) {
    throw new Refusal(409, 'CONFLICT', 'The stream has ended', [
      ...endHeaders(end),
      'stream-next-offset',
      formatOffset(stream, tail),
    ]);
  }
  throw new Refusal(409, 'CONTENT_TYPE_MISMATCH', `The stream is of the type ${stream.config.contentType}`);
}

function accepted(
  stream: LiveStream,
  outcome: Extract<AppendOutcome, { producer?: unknown }>,
  end: StreamEnd | undefined,
): Reply {
  const { producer, tail } = outcome;
  const headers = ['stream-next-offset', formatOffset(stream, tail), ...endHeaders(end)];
  if (producer !== undefined)
    headers.push('producer-epoch', String(producer.epoch), 'producer-seq', String(producer.seq));
  // The protocol wants new bytes of a producer told from those that came before.
  const isNews = outcome.kind === 'appended' && producer !== undefined && tail > outcome.offset;
  return { status: isNews ? 200 : 204, headers, body: undefined };
}

function toReply(stream: LiveStream, outcome: AppendOutcome, options: HubAppendOptions): Reply | Promise<Reply> {
  switch (outcome.kind) {
    case 'appended':
    case 'duplicate':
      if (!outcome.isEnded) return accepted(stream, outcome, undefined);
      if (options.end !== undefined) return accepted(stream, outcome, options.end);
      return stream.state().then(({ end }) => accepted(stream, outcome, end));
    case 'already-ended':
      return {
        status: 204,
        headers: ['stream-next-offset', formatOffset(stream, outcome.tail), ...endHeaders(outcome.end)],
        body: undefined,
      };
    case 'ended':
      throw new Refusal(409, 'CONFLICT', 'The stream has ended', [
        ...endHeaders(outcome.end),
        'stream-next-offset',
        formatOffset(stream, outcome.tail),
      ]);
    case 'stale-epoch':
      throw new Refusal(403, 'FORBIDDEN', `The producer is replaced by one of epoch ${outcome.epoch}`, [
        'producer-epoch',
        String(outcome.epoch),
      ]);
    case 'epoch-must-start':
      throw badRequest('A new epoch begins with Producer-Seq 0');
    case 'sequence-gap':
      throw new Refusal(409, 'CONFLICT', `Producer-Seq ${outcome.expected} is next`, [
        'producer-expected-seq',
        String(outcome.expected),
        'producer-received-seq',
        String(outcome.received),
      ]);
    case 'sequence-regression':
      throw new Refusal(409, 'CONFLICT', 'Stream-Seq is not higher than the last one');
  }
}
