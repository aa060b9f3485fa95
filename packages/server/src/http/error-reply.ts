import {
  type ForkProblem,
  ForkSourceError,
  LimitExceededError,
  type LimitKind,
  ServerError,
  type ServerErrorCode,
  StorageError,
  StreamFailedError,
} from '../errors.ts';
import { Refusal } from './refusal.ts';
import type { Reply } from './reply.ts';
import { encodeReason } from './writer-headers.ts';

const encoder = new TextEncoder();

/** Seconds after which a client may try again what the server could not do. */
const RETRY_AFTER = '1';

/** Statuses of errors that say all by their code. 500 is what should not happen. */
const STATUS: Partial<Record<ServerErrorCode, number>> = {
  ERR_FANPIPE_STREAM_NOT_FOUND: 404,
  ERR_FANPIPE_STREAM_EXISTS: 409,
  ERR_FANPIPE_STREAM_DELETED: 404,
  ERR_FANPIPE_STREAM_SOFT_DELETED: 410,
  ERR_FANPIPE_STREAM_ENDED: 409,
  ERR_FANPIPE_STREAM_FAILED: 409,
  ERR_FANPIPE_OFFSET_GONE: 410,
  ERR_FANPIPE_OFFSET_NOT_WRITTEN: 400,
  ERR_FANPIPE_OFFSET_OVERFLOW: 413,
  ERR_FANPIPE_FENCED: 503,
  ERR_FANPIPE_INVALID_NAME: 400,
  ERR_FANPIPE_INVALID_ARGUMENT: 400,
  ERR_FANPIPE_BACKEND_CLOSED: 503,
  ERR_FANPIPE_SERVER_CLOSED: 503,
  ERR_FANPIPE_REQUEST_BROKEN: 400,
  ERR_FANPIPE_BODY_ALREADY_READ: 500,
};

const FORK_STATUS: Record<ForkProblem, number> = {
  'not-found': 404,
  'soft-deleted': 409,
  offset: 400,
  'content-type': 409,
};

/** 429: others may make room. 413: this stream, or this request, has had what it gets. 507: there is no room at all. */
const LIMIT_STATUS: Record<LimitKind, number> = {
  body: 413,
  'stream-bytes': 413,
  'total-bytes': 507,
  streams: 429,
  readers: 429,
};

/**
 * The one place where an error becomes a reply. Its body is `{"error":{"code","message"}}`. Of errors that nobody foresaw only that they
 * happened is told: what they say may be nobody's business.
 */
export function errorReply(error: unknown): Reply {
  if (error instanceof Refusal) return toReply(error.status, error.code, error.message, error.headers);
  if (!(error instanceof ServerError)) return toReply(500, 'INTERNAL', 'The server failed', []);
  const status = statusOf(error);
  const isInternal = (status === 500 && STATUS[error.code] === undefined) || error instanceof StorageError;
  return toReply(
    status,
    error.code,
    isInternal ? 'The store could not do it' : error.message,
    headersOf(error, status),
  );
}

/** Whether an error is the server's own fault, so that somebody should hear of it. */
export function isFault(error: unknown): boolean {
  if (error instanceof Refusal) return false;
  return !(error instanceof ServerError) || error instanceof StorageError || statusOf(error) === 500;
}

function statusOf(error: ServerError): number {
  if (error instanceof ForkSourceError) return FORK_STATUS[error.problem];
  if (error instanceof LimitExceededError) return LIMIT_STATUS[error.kind];
  if (error instanceof StorageError) return error.isFull ? 507 : 503;
  return STATUS[error.code] ?? 500;
}

function headersOf(error: ServerError, status: number): string[] {
  const headers: string[] = [];
  if (status === 503 || status === 429) headers.push('retry-after', RETRY_AFTER);
  if (error instanceof StreamFailedError) headers.push('stream-error', encodeReason(error.reason));
  return headers;
}

function toReply(status: number, code: string, message: string, headers: readonly string[]): Reply {
  return {
    status,
    headers: [...headers, 'content-type', 'application/json', 'cache-control', 'no-store'],
    body: encoder.encode(`${JSON.stringify({ error: { code, message } })}\n`),
  };
}
