/**
 * Every error class of remote streams. The same rules as in `errors.ts` of the package: a stable `code`, and a message that says
 * what was wrong, what was expected, what to do, and in what state things are afterwards.
 *
 * @module
 */

import { FanpipeError, named } from '../errors.ts';

/** A URL in a message: where it leads, without credentials and without a query, which may hold a secret. */
function describeUrl(url: string): string {
  try {
    const { origin, pathname, search } = new URL(url);
    return `${origin}${pathname}${search === '' ? '' : '?…'}`;
  } catch {
    return 'the given URL';
  }
}

/** The server answered with a status that is neither bytes nor worth another attempt. */
export class HttpStatusError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_HTTP_STATUS' as const;
  /** The status that came. */
  readonly status: number;

  constructor(url: string, status: number) {
    super(
      `${describeUrl(url)} answered with status ${status}; expected 200 or 206. No byte of it was taken; the next read asks again.`,
    );
    this.status = status;
  }
}

/** A 206 does not hold the range that was asked for. No byte of it was taken. */
export class WrongRangeError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_WRONG_RANGE' as const;
  /** First offset that was asked for. */
  readonly offset: number;

  constructor(url: string, offset: number, detail: string) {
    super(
      `${describeUrl(url)} did not answer with the range from offset ${offset}: ${detail}. No byte of it was taken. The server, or a cache before it, is at fault.`,
    );
    this.offset = offset;
  }
}

/** The resource is no longer the one of which the first bytes came. What was read before is right; nothing more can be read. */
export class ResourceChangedError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_RESOURCE_CHANGED' as const;

  constructor(url: string, detail: string) {
    super(
      `${describeUrl(url)} has changed while it was read: ${detail}. What was read before is of the old one; every further read fails. Open it anew.`,
    );
  }
}

/** A byte was asked for that can only be had with ranges, and there are none. The position is as it was. */
export class NotSeekableError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_NOT_SEEKABLE' as const;
  /** The byte that was asked for. */
  readonly offset: number;

  constructor(url: string, offset: number, why: string) {
    super(`Offset ${offset} of ${describeUrl(url)} cannot be read: ${why}. The position is unchanged.`);
    this.offset = offset;
  }
}

/** The body ended before the bytes that it had promised. */
export class BodyTooShortError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_BODY_TOO_SHORT' as const;
  /** Offset at which it ended. */
  readonly offset: number;
  /** Offset at which it should have ended. */
  readonly expected: number;

  constructor(url: string, offset: number, expected: number) {
    super(
      `The body of ${describeUrl(url)} ended at offset ${offset}; expected it to go on to ${expected}. All bytes before are right.`,
    );
    this.offset = offset;
    this.expected = expected;
  }
}

/** The body went on beyond the bytes that it had promised. The surplus was not taken. */
export class BodyTooLongError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_BODY_TOO_LONG' as const;
  /** Offset at which it should have ended. */
  readonly expected: number;

  constructor(url: string, expected: number) {
    super(
      `The body of ${describeUrl(url)} goes on beyond offset ${expected}, where it should end. What came after was not taken. The server is at fault.`,
    );
    this.expected = expected;
  }
}

/** The body is encoded (compressed), so its bytes are not those of the resource. Nothing of it was taken. */
export class EncodedBodyError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_ENCODED_BODY' as const;
  /** What `Content-Encoding` said. */
  readonly encoding: string;

  constructor(url: string, encoding: string) {
    super(
      `${describeUrl(url)} sent its body with the encoding ${JSON.stringify(encoding.slice(0, 40))}; expected identity, since offsets count raw bytes. Nothing was taken. Turn compression off for this resource.`,
    );
    this.encoding = encoding;
  }
}

/**
 * Bytes of two responses would have to be joined, and nothing proves that they are of the same version. What was read before is
 * right; `cause` is what broke the first response off, if it was that.
 */
export class UnverifiableResourceError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_UNVERIFIABLE_RESOURCE' as const;
  /** First offset that was not taken. */
  readonly offset: number;

  constructor(url: string, offset: number, options?: { cause: unknown }) {
    super(
      `Nothing proves that a second response of ${describeUrl(url)} holds the same version: expected a strong ETag, or a Last-Modified at least a second before Date, and the same in both. What lies from offset ${offset} on was not taken; what was read before is right. Have the server send a validator, read it all in one go (seekable: false), or accept the risk with unverified: true.`,
      options,
    );
    this.offset = offset;
  }
}

/** A redirect was not followed. */
export class RedirectError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_REDIRECT' as const;

  constructor(url: string, detail: string) {
    super(`${describeUrl(url)} redirects, and this was not followed: ${detail}.`);
  }
}

/** Every attempt failed. `cause` is what the last one failed with. The next read tries again. */
export class RetriesExhaustedError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_RETRIES_EXHAUSTED' as const;
  /** Failed requests in a row. */
  readonly attempts: number;
  /** Offset of the byte that did not come. */
  readonly offset: number;

  constructor(url: string, attempts: number, offset: number, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(
      `${describeUrl(url)} failed ${attempts === 1 ? 'once' : `${attempts} times in a row`} at offset ${offset}, the last time with: ${why} All bytes before are right; the next read tries again.`,
      { cause },
    );
    this.attempts = attempts;
    this.offset = offset;
  }
}

/** The stream was closed with `close()`. */
export class RemoteClosedError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_REMOTE_CLOSED' as const;

  constructor() {
    super('The remote stream is closed: its cache is freed and its requests are aborted. Open a new one to read on.');
  }
}

for (const [name, errorClass] of Object.entries({
  HttpStatusError,
  WrongRangeError,
  ResourceChangedError,
  NotSeekableError,
  BodyTooShortError,
  BodyTooLongError,
  EncodedBodyError,
  UnverifiableResourceError,
  RedirectError,
  RetriesExhaustedError,
  RemoteClosedError,
})) {
  named(errorClass, name);
}
