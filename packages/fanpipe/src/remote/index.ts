/**
 * A resource behind HTTP, read like a file: seekable, cached within a budget, resumed where a connection breaks, and never with
 * other bytes than those of the one resource.
 *
 * @module
 */

export {
  BodyTooLongError,
  BodyTooShortError,
  EncodedBodyError,
  HttpStatusError,
  NotSeekableError,
  RedirectError,
  RemoteClosedError,
  ResourceChangedError,
  RetriesExhaustedError,
  UnverifiableResourceError,
  WrongRangeError,
} from './errors.ts';
export type { Fetcher, RemoteOptions, RetryEvent, RetryOptions } from './options.ts';
export {
  type ReadAtOptions,
  RemoteByteStream,
  type RemoteByteStreamStats,
  type SeekFrom,
  type ShareOptions,
} from './remote-byte-stream.ts';
