/**
 * Every error class of the package, in one place. This file imports nothing, so that every folder may use it.
 *
 * Each class has a `code` that never changes between releases: compare `error.code`, not the message. Each message
 * says what was wrong, what was expected, and in what state the handle is afterwards.
 *
 * @module
 */

/** The stable codes of all errors that this package creates. */
export type FanpipeErrorCode =
  | 'ERR_FANPIPE_INVALID_ARGUMENT'
  | 'ERR_FANPIPE_INVALID_CHUNK'
  | 'ERR_FANPIPE_DETACHED_BUFFER'
  | 'ERR_FANPIPE_OFFSET_EVICTED'
  | 'ERR_FANPIPE_OFFSET_NOT_WRITTEN'
  | 'ERR_FANPIPE_OFFSET_OVERFLOW'
  | 'ERR_FANPIPE_WRITER_ENDED'
  | 'ERR_FANPIPE_WRITER_FAILED'
  | 'ERR_FANPIPE_ITERATOR_TAKEN'
  | 'ERR_FANPIPE_DISCONNECTED'
  | 'ERR_FANPIPE_CANCELLED'
  | 'ERR_FANPIPE_LIMIT_EXCEEDED'
  | 'ERR_FANPIPE_CALLBACK'
  | 'ERR_FANPIPE_PREMATURE_CLOSE'
  | 'ERR_FANPIPE_UNSUPPORTED_VALUE'
  | 'ERR_FANPIPE_STALLED'
  // fanpipe/remote
  | 'ERR_FANPIPE_HTTP_STATUS'
  | 'ERR_FANPIPE_WRONG_RANGE'
  | 'ERR_FANPIPE_RESOURCE_CHANGED'
  | 'ERR_FANPIPE_NOT_SEEKABLE'
  | 'ERR_FANPIPE_BODY_TOO_SHORT'
  | 'ERR_FANPIPE_BODY_TOO_LONG'
  | 'ERR_FANPIPE_ENCODED_BODY'
  | 'ERR_FANPIPE_UNVERIFIABLE_RESOURCE'
  | 'ERR_FANPIPE_REDIRECT'
  | 'ERR_FANPIPE_RETRIES_EXHAUSTED'
  | 'ERR_FANPIPE_REMOTE_CLOSED'
  // fanpipe/pool
  | 'ERR_FANPIPE_POOL_ABANDONED'
  | 'ERR_FANPIPE_POOL_BUDGET'
  | 'ERR_FANPIPE_POOL_CLOSED'
  | 'ERR_FANPIPE_POOL_SOURCE';

/** What all errors of this package have in common: `instanceof FanpipeError` and a stable `code`. */
export abstract class FanpipeError extends Error {
  /** Stable identifier of the kind of error. */
  abstract readonly code: FanpipeErrorCode;
}

/** Names a class of errors. On the prototype: an own property would print with every stack trace. */
export function named(errorClass: { prototype: Error }, name: string): void {
  Object.defineProperty(errorClass.prototype, 'name', { value: name, configurable: true, writable: true });
}

/** How a refused value is shown in a message: short, and never the content of a buffer. */
export function describeValue(value: unknown): string {
  if (value === null) return 'null';
  switch (typeof value) {
    case 'string':
      return value.length > 40
        ? `${JSON.stringify(value.slice(0, 40))}… (${value.length} characters)`
        : JSON.stringify(value);
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'bigint':
      return `${value}n`;
    case 'function':
      return `function ${value.name || '(anonymous)'}`;
    case 'object': {
      // A proxy or a getter of the caller may throw here; the message is not worth that.
      try {
        return `an instance of ${value.constructor?.name || 'Object'}`;
      } catch {
        return 'an object';
      }
    }
    default:
      return String(value);
  }
}

/** An option or argument has the wrong type or lies outside its range. Nothing was changed by the call. */
export class InvalidArgumentError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_INVALID_ARGUMENT' as const;
  /** Name of the argument or option. */
  readonly argument: string;
  /** The value that was refused. */
  readonly value: unknown;

  constructor(argument: string, value: unknown, expected: string) {
    super(`${argument} must be ${expected}, got ${describeValue(value)}. Nothing was changed.`);
    this.argument = argument;
    this.value = value;
  }
}

/** What was written is no chunk of bytes. Nothing was taken; the writer stays as it was. */
export class InvalidChunkError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_INVALID_CHUNK' as const;
  /** The value that was refused. */
  readonly value: unknown;

  constructor(value: unknown) {
    super(
      `A chunk must be a Uint8Array, another ArrayBuffer view, an ArrayBuffer, a SharedArrayBuffer or a string, got ${describeValue(value)}. Nothing was written.`,
    );
    this.value = value;
  }
}

/** The memory of the chunk was transferred away (`structuredClone`, `postMessage`, a BYOB read). Nothing was taken. */
export class DetachedBufferError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_DETACHED_BUFFER' as const;

  constructor(value: unknown) {
    super(
      `The chunk (${describeValue(value)}) has a detached buffer: its memory was transferred away before the write. Expected memory that is still here. Nothing was written.`,
    );
  }
}

/** The start that was asked for is older than what is retained. No stream was opened. */
export class OffsetEvictedError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_OFFSET_EVICTED' as const;
  /** The offset that was asked for. */
  readonly offset: number;
  /** The oldest offset that can still be read. */
  readonly head: number;

  constructor(offset: number, head: number) {
    super(
      `Offset ${offset} is no longer retained; the oldest that can be read is ${head}. Start there, or give the writer a larger \`replay\`. No stream was opened.`,
    );
    this.offset = offset;
    this.head = head;
  }
}

/** The start that was asked for lies beyond what was written. No stream was opened. */
export class OffsetNotWrittenError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_OFFSET_NOT_WRITTEN' as const;
  /** The offset that was asked for. */
  readonly offset: number;
  /** The offset just after the last byte written. */
  readonly tail: number;

  constructor(offset: number, tail: number) {
    super(
      `Offset ${offset} is not written yet; the tail is ${tail}. Expected an offset up to the tail. No stream was opened.`,
    );
    this.offset = offset;
    this.tail = tail;
  }
}

/** The write would pass the largest safe integer. Nothing was taken; the writer stays open and can still be closed. */
export class OffsetOverflowError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_OFFSET_OVERFLOW' as const;
  /** The offset at which the write would have begun. */
  readonly offset: number;
  /** Size of the refused write. */
  readonly size: number;

  constructor(offset: number, size: number) {
    super(
      `Writing ${size} at offset ${offset} would pass ${Number.MAX_SAFE_INTEGER}, the largest offset. Nothing was written; close this writer and begin another.`,
    );
    this.offset = offset;
    this.size = size;
  }
}

/** A write, or an end, after the writer was closed or failed. Nothing was taken. */
export class WriterEndedError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_WRITER_ENDED' as const;
  /** How the writer ended. */
  readonly state: 'closed' | 'failed';

  /** `reason` is what the writer failed with; it becomes the `cause`. */
  constructor(state: 'closed' | 'failed', reason?: unknown) {
    super(
      `The writer has ${state}: expected an open one. Nothing was written.`,
      reason === undefined ? undefined : { cause: reason },
    );
    this.state = state;
  }
}

/** What readers get after `fail()` without a reason. */
export class WriterFailedError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_WRITER_FAILED' as const;

  constructor() {
    super('The writer failed without a reason. What was written before has been delivered; the rest will not come.');
  }
}

/** A stream has one iterator, and it is taken. The stream and its first iterator go on undisturbed. */
export class IteratorTakenError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_ITERATOR_TAKEN' as const;

  constructor(asked: string) {
    super(
      `${asked} needs the stream's iterator, which is taken already: expected the first of for await, batches(), a collector, readable() or a monitor. Open another stream from the writer. This one goes on undisturbed.`,
    );
  }
}

/** The `disconnect` policy cut this stream off because its lag exceeded its mark. It is detached. */
export class DisconnectedError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_DISCONNECTED' as const;
  /** How much was waiting to be read and is now missed, in bytes (typed streams: items, or what `size` counts). */
  readonly missed: number;
  /** The mark that was exceeded. */
  readonly highWaterMark: number;
  /** Offset up to which this stream had read: open another one there if the writer still retains it. */
  readonly position: number;

  constructor(missed: number, highWaterMark: number, position: number) {
    super(
      `The stream was disconnected: its lag of ${missed} exceeded the highWaterMark of ${highWaterMark}. It had read up to offset ${position}, is detached and holds nothing.`,
    );
    this.missed = missed;
    this.highWaterMark = highWaterMark;
    this.position = position;
  }
}

/**
 * A collector (`bytes()`, `text()`, …) or an adapter (`readable()`, …) whose stream was cancelled: what it had so far is not
 * the whole.
 */
export class CancelledError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_CANCELLED' as const;

  /** `reason` is what `cancel` was given; it becomes the `cause`. */
  constructor(reason: unknown) {
    super(
      'The stream was cancelled before its end, so what was read of it is not the whole. It is detached.',
      reason === undefined ? undefined : { cause: reason },
    );
  }
}

/** A collector met more than its `limit`. The stream is detached and what was collected is dropped. */
export class LimitExceededError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_LIMIT_EXCEEDED' as const;
  /** The limit that was given. */
  readonly limit: number;

  constructor(limit: number) {
    super(`The stream holds more than the limit of ${limit}. It is detached; nothing of it was returned.`);
    this.limit = limit;
  }
}

/** A callback given by the caller threw, or returned what it must not. The thrown value is the `cause`. */
export class CallbackError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_CALLBACK' as const;
  /** Name of the option that holds the callback. */
  readonly callback: string;

  constructor(callback: string, detail: string, options?: { cause: unknown }) {
    super(`The callback \`${callback}\` ${detail}`, options);
    this.callback = callback;
  }
}

/** The other side of a transfer went away before the end: what has passed is not the whole. */
export class PrematureCloseError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_PREMATURE_CLOSE' as const;
  /** How many bytes (typed: values) had passed. */
  readonly transferred: number;

  /** `detail` says who closed, and in what state the handle is now. */
  constructor(detail: string, transferred: number) {
    super(`${detail} So far ${transferred} had passed.`);
    this.transferred = transferred;
  }
}

/** A value that the other side cannot carry. What came before it has been delivered. */
export class UnsupportedValueError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_UNSUPPORTED_VALUE' as const;
  /** The value that was refused. */
  readonly value: unknown;

  constructor(value: unknown, detail: string) {
    super(`The value ${describeValue(value)} cannot be passed on: ${detail}`);
    this.value = value;
  }
}

/** Why a monitor says that its source stalls. */
export type StallKind = 'timeout' | 'throughput';

/**
 * A source was silent for longer than allowed, or slower than allowed, while a reader waited for it. Only that
 * `next()` rejects; the monitor stays usable, and an item that was on its way is delivered by a later `next()`.
 */
export class StalledReadError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_STALLED' as const;
  /** Which of the two rules was broken. */
  readonly kind: StallKind;
  /** How long a reader had been waiting for the source, in milliseconds. */
  readonly waitedMs: number;

  constructor(kind: StallKind, waitedMs: number, detail: string) {
    super(`The source stalled: ${detail} The monitor stays usable.`);
    this.kind = kind;
    this.waitedMs = waitedMs;
  }
}

for (const [name, errorClass] of Object.entries({
  InvalidArgumentError,
  InvalidChunkError,
  DetachedBufferError,
  OffsetEvictedError,
  OffsetNotWrittenError,
  OffsetOverflowError,
  WriterEndedError,
  WriterFailedError,
  IteratorTakenError,
  DisconnectedError,
  CancelledError,
  LimitExceededError,
  CallbackError,
  PrematureCloseError,
  UnsupportedValueError,
  StalledReadError,
})) {
  named(errorClass, name);
}
