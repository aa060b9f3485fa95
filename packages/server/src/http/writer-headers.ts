import type { StreamEnd } from '../backends/backend.ts';
import type { HttpRequest } from './http-request.ts';
import { badRequest } from './refusal.ts';

type Headers = Pick<HttpRequest, 'header'>;

/** Who appends, in which of its lives, and the number of the append. */
export interface ProducerHeaders {
  readonly id: string;
  readonly epoch: number;
  readonly seq: number;
}

const INTEGER = /^\d+$/;
/** Longer ones are refused: they are kept with the stream. */
const LONGEST = 1024;
/** Longest reason for a failure, in characters as it is sent, either way: many clients refuse a head of more than 16 KiB. */
const LONGEST_REASON = 4096;
const ELLIPSIS = encodeURIComponent('…');
const SURROGATE = /\p{Surrogate}/gu;

/** Reads `Producer-Id`, `Producer-Epoch` and `Producer-Seq`: all of them or none. Throws 400. */
export function parseProducer(request: Headers): ProducerHeaders | undefined {
  const id = request.header('producer-id');
  const epoch = request.header('producer-epoch');
  const seq = request.header('producer-seq');
  if (id === undefined && epoch === undefined && seq === undefined) return undefined;
  if (id === undefined || epoch === undefined || seq === undefined) {
    throw badRequest('Producer-Id, Producer-Epoch and Producer-Seq come together');
  }
  if (id === '' || id.length > LONGEST) throw badRequest(`Producer-Id has 1 to ${LONGEST} characters`);
  return { id, epoch: parseInteger('Producer-Epoch', epoch), seq: parseInteger('Producer-Seq', seq) };
}

function parseInteger(name: string, text: string): number {
  const value = INTEGER.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw badRequest(`${name} is an integer from 0 to 2^53 - 1, in decimal digits`);
  return value;
}

/** Reads `Stream-Seq`. It is one per stream, whoever appends. Throws 400. */
export function parseStreamSeq(request: Headers): string | undefined {
  const seq = request.header('stream-seq');
  if (seq !== undefined && (seq === '' || seq.length > LONGEST)) {
    throw badRequest(`Stream-Seq has 1 to ${LONGEST} characters`);
  }
  return seq;
}

/** Whether `Stream-Closed` is `true`, in any case. Anything else is as if it was not there. */
export function isClosing(request: Headers): boolean {
  return request.header('stream-closed')?.trim().toLowerCase() === 'true';
}

/** Reads `Stream-Closed` and, ours, `Stream-Error`: the reason for which the stream ends badly, percent-encoded. Throws 400. */
export function parseEnd(request: Headers): StreamEnd | undefined {
  const isClosed = isClosing(request);
  const error = request.header('stream-error');
  if (error === undefined) return isClosed ? { kind: 'closed' } : undefined;
  if (isClosed) throw badRequest('Stream-Closed and Stream-Error exclude each other: a stream ends well or badly');
  const reason = error.length > LONGEST_REASON ? undefined : decodeReason(error);
  if (reason === undefined || reason === '') {
    throw badRequest(`Stream-Error is a reason of 1 to ${LONGEST_REASON} characters, percent-encoded`);
  }
  return { kind: 'failed', reason };
}

/** A reason as a value of a header. One that is too long for that is cut, and ends with an ellipsis. */
export function encodeReason(reason: string): string {
  // A header without a value is lost on some ways, and taken for none at their end.
  if (reason === '') return 'unknown';
  // A lone surrogate has no encoding.
  const whole = reason.length > LONGEST_REASON ? undefined : encodeURIComponent(reason.replace(SURROGATE, '\ufffd'));
  if (whole !== undefined && whole.length <= LONGEST_REASON) return whole;
  let encoded = '';
  for (const character of reason) {
    const next = encoded + encodeURIComponent(character.replace(SURROGATE, '\ufffd'));
    if (next.length + ELLIPSIS.length > LONGEST_REASON) break;
    encoded = next;
  }
  return encoded + ELLIPSIS;
}

function decodeReason(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
