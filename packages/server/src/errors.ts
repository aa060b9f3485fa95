/** All errors of the package. Each has a stable `code`; the message says what was there and what was expected. */

export type ServerErrorCode =
  | 'ERR_FANPIPE_STREAM_NOT_FOUND'
  | 'ERR_FANPIPE_STREAM_EXISTS'
  | 'ERR_FANPIPE_STREAM_DELETED'
  | 'ERR_FANPIPE_STREAM_SOFT_DELETED'
  | 'ERR_FANPIPE_STREAM_ENDED'
  | 'ERR_FANPIPE_STREAM_FAILED'
  | 'ERR_FANPIPE_FORK_SOURCE'
  | 'ERR_FANPIPE_OFFSET_GONE'
  | 'ERR_FANPIPE_OFFSET_NOT_WRITTEN'
  | 'ERR_FANPIPE_OFFSET_OVERFLOW'
  | 'ERR_FANPIPE_FENCED'
  | 'ERR_FANPIPE_INVALID_NAME'
  | 'ERR_FANPIPE_INVALID_ARGUMENT'
  | 'ERR_FANPIPE_LIMIT_EXCEEDED'
  | 'ERR_FANPIPE_STORAGE'
  | 'ERR_FANPIPE_STORE_IN_USE'
  | 'ERR_FANPIPE_BACKEND_CLOSED'
  | 'ERR_FANPIPE_SERVER_CLOSED'
  | 'ERR_FANPIPE_REQUEST_BROKEN'
  | 'ERR_FANPIPE_BODY_ALREADY_READ';

/** What all errors of the package are. */
export class ServerError extends Error {
  override readonly name: string = 'ServerError';
  readonly code: ServerErrorCode;

  constructor(code: ServerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** There is no stream of that name. */
export class StreamNotFoundError extends ServerError {
  override readonly name = 'StreamNotFoundError';
  readonly stream: string;

  constructor(stream: string) {
    super('ERR_FANPIPE_STREAM_NOT_FOUND', `There is no stream ${JSON.stringify(stream)}: create it first`);
    this.stream = stream;
  }
}

/** There is a stream of that name with another configuration. Nothing has changed. */
export class StreamExistsError extends ServerError {
  override readonly name = 'StreamExistsError';
  readonly stream: string;

  constructor(stream: string, difference: string) {
    super('ERR_FANPIPE_STREAM_EXISTS', `Stream ${JSON.stringify(stream)} exists already, with ${difference}`);
    this.stream = stream;
  }
}

/** The stream was deleted, or has expired, while it was in use. */
export class StreamDeletedError extends ServerError {
  override readonly name = 'StreamDeletedError';
  readonly stream: string;

  constructor(stream: string) {
    super('ERR_FANPIPE_STREAM_DELETED', `Stream ${JSON.stringify(stream)} was deleted or has expired`);
    this.stream = stream;
  }
}

/** The stream was deleted; forks of it keep its bytes and its name until they are deleted too. */
export class StreamSoftDeletedError extends ServerError {
  override readonly name = 'StreamSoftDeletedError';
  readonly stream: string;

  constructor(stream: string) {
    super(
      'ERR_FANPIPE_STREAM_SOFT_DELETED',
      `Stream ${JSON.stringify(stream)} was deleted; its name is free again when its forks are deleted`,
    );
    this.stream = stream;
  }
}

/** The stream has ended: nothing can be appended. Nothing was taken. */
export class StreamEndedError extends ServerError {
  override readonly name = 'StreamEndedError';
  readonly stream: string;
  /** Offset at which it ended. */
  readonly tail: number;

  constructor(stream: string, tail: number) {
    super(
      'ERR_FANPIPE_STREAM_ENDED',
      `Stream ${JSON.stringify(stream)} has ended at offset ${tail}: nothing can be appended`,
    );
    this.stream = stream;
    this.tail = tail;
  }
}

/** What readers of a failed stream get after its last byte. */
export class StreamFailedError extends ServerError {
  override readonly name = 'StreamFailedError';
  readonly stream: string;
  /** What the writer gave as reason. */
  readonly reason: string;

  constructor(stream: string, reason: string) {
    super('ERR_FANPIPE_STREAM_FAILED', `The writer of stream ${JSON.stringify(stream)} failed: ${reason}`);
    this.stream = stream;
    this.reason = reason;
  }
}

/** Why a stream cannot be forked. */
export type ForkProblem = 'not-found' | 'soft-deleted' | 'offset' | 'content-type';

/** The stream cannot be forked there. Nothing was created. */
export class ForkSourceError extends ServerError {
  override readonly name = 'ForkSourceError';
  readonly source: string;
  readonly problem: ForkProblem;

  constructor(source: string, problem: ForkProblem, message: string) {
    super('ERR_FANPIPE_FORK_SOURCE', `Stream ${JSON.stringify(source)} cannot be forked: ${message}`);
    this.source = source;
    this.problem = problem;
  }
}

/** The offset is below the oldest retained one. The reader can begin anew at `head`, and misses what lies between. */
export class OffsetGoneError extends ServerError {
  override readonly name = 'OffsetGoneError';
  readonly offset: number;
  /** Oldest retained offset at that moment. */
  readonly head: number;

  constructor(offset: number, head: number) {
    super('ERR_FANPIPE_OFFSET_GONE', `Offset ${offset} is no longer kept: the oldest is ${head}`);
    this.offset = offset;
    this.head = head;
  }
}

/** The offset lies beyond the tail. */
export class OffsetNotWrittenError extends ServerError {
  override readonly name = 'OffsetNotWrittenError';
  readonly offset: number;
  readonly tail: number;

  constructor(offset: number, tail: number) {
    super('ERR_FANPIPE_OFFSET_NOT_WRITTEN', `Offset ${offset} is not written yet: the stream ends at ${tail}`);
    this.offset = offset;
    this.tail = tail;
  }
}

/** The stream would pass 2^53 bytes. Nothing was taken. */
export class OffsetOverflowError extends ServerError {
  override readonly name = 'OffsetOverflowError';

  constructor(tail: number, length: number) {
    super(
      'ERR_FANPIPE_OFFSET_OVERFLOW',
      `${length} bytes from offset ${tail} on would pass the last safe offset, 2^53 - 1`,
    );
  }
}

/** Somebody else has taken the stream over. Nothing was taken of this append. */
export class FencedError extends ServerError {
  override readonly name = 'FencedError';
  /** Of the writer that was refused. */
  readonly epoch: number;

  constructor(stream: string, epoch: number) {
    super('ERR_FANPIPE_FENCED', `Writer ${epoch} of stream ${JSON.stringify(stream)} was replaced by another`);
    this.epoch = epoch;
  }
}

/** That cannot be the name of a stream. */
export class InvalidNameError extends ServerError {
  override readonly name = 'InvalidNameError';

  constructor(message: string) {
    super('ERR_FANPIPE_INVALID_NAME', message);
  }
}

/** An argument or option is not what it must be. Nothing has changed. */
export class InvalidArgumentError extends ServerError {
  override readonly name = 'InvalidArgumentError';

  constructor(message: string) {
    super('ERR_FANPIPE_INVALID_ARGUMENT', message);
  }
}

/** What can be limited. */
export type LimitKind = 'streams' | 'stream-bytes' | 'total-bytes' | 'readers' | 'body';

/** A limit of the server is reached. Nothing was taken. */
export class LimitExceededError extends ServerError {
  override readonly name = 'LimitExceededError';
  readonly kind: LimitKind;
  readonly limit: number;

  constructor(kind: LimitKind, limit: number, message: string) {
    super('ERR_FANPIPE_LIMIT_EXCEEDED', message);
    this.kind = kind;
    this.limit = limit;
  }
}

/** The store could not do it: it is full, or broken. `cause` is what it said. Nothing was taken; it can be tried again. */
export class StorageError extends ServerError {
  override readonly name = 'StorageError';
  /** There is no room, in memory, on disk, or in what the store may take. */
  readonly isFull: boolean;

  constructor(message: string, options: { readonly cause?: unknown; readonly isFull?: boolean } = {}) {
    super('ERR_FANPIPE_STORAGE', message, { cause: options.cause });
    this.isFull = options.isFull ?? false;
  }
}

/** Another process has the store open. */
export class StoreInUseError extends ServerError {
  override readonly name = 'StoreInUseError';
  readonly path: string;

  constructor(path: string, owner: string) {
    super(
      'ERR_FANPIPE_STORE_IN_USE',
      `The store ${path} is in use by ${owner}: stop that first, or take another folder`,
    );
    this.path = path;
  }
}

/** The backend was closed. */
export class BackendClosedError extends ServerError {
  override readonly name = 'BackendClosedError';

  constructor() {
    super('ERR_FANPIPE_BACKEND_CLOSED', 'The backend is closed');
  }
}

/** The server was closed, or shuts down. */
export class ServerClosedError extends ServerError {
  override readonly name = 'ServerClosedError';

  constructor() {
    super('ERR_FANPIPE_SERVER_CLOSED', 'The server is closed');
  }
}

/** The body of a request cannot be read to its end: the client has gone. */
export class RequestBrokenError extends ServerError {
  override readonly name = 'RequestBrokenError';

  /** `detail` goes on after "The body of the request". */
  constructor(detail: string) {
    super('ERR_FANPIPE_REQUEST_BROKEN', `The body of the request ${detail}`);
  }
}

/** Somebody else has read the body of a request: a mistake of the host that the server is mounted in, not of the client. */
export class BodyAlreadyReadError extends ServerError {
  override readonly name = 'BodyAlreadyReadError';

  constructor(options?: ErrorOptions) {
    super(
      'ERR_FANPIPE_BODY_ALREADY_READ',
      'The body of the request was read before it came here: mount the server before any body parser',
      options,
    );
  }
}
