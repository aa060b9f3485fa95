import { parseContentRange, parseLength } from './content-range.ts';
import { BodyTooLongError, EncodedBodyError, HttpStatusError, WrongRangeError } from './errors.ts';
import type { Answer } from './redirects.ts';
import { isRetryable, RetryableFailure, retryAfterOf } from './retry.ts';

/** Which bytes an answer holds, as its headers say. */
export interface AnswerRange {
  /** Offset of its first byte. */
  readonly from: number;
  /** Offset of the byte after its last; undefined where they do not say. */
  readonly to: number | undefined;
  /** Size of the whole resource; undefined where they do not say. */
  readonly size: number | undefined;
}

/**
 * Refuses every answer that holds no raw bytes of the resource. What is left is 200, 206 or 416.
 *
 * @throws RetryableFailure, HttpStatusError or EncodedBodyError
 */
export function checkStatus({ response: { status, headers }, url }: Answer): void {
  if (isRetryable(status)) throw new RetryableFailure(new HttpStatusError(url, status), retryAfterOf(headers));
  if (status === 416) return;
  if (status !== 200 && status !== 206) throw new HttpStatusError(url, status);
  // Runtimes decode what they can, and take a body that breaks off in mid-code for a whole one.
  const encoding = headers.get('content-encoding') ?? '';
  if (!/^[\s,]*(identity[\s,]*)*$/i.test(encoding)) throw new EncodedBodyError(url, encoding);
}

/**
 * What a 206 holds (RFC 9110, 15.3.7). It must begin at `from`, and may end before `to` but not behind.
 *
 * @throws WrongRangeError or BodyTooLongError
 */
export function partialRange(
  { response: { headers }, url }: Answer,
  from: number,
  to: number | undefined,
): AnswerRange {
  if (/^\s*multipart\/byteranges/i.test(headers.get('content-type') ?? '')) {
    throw new WrongRangeError(url, from, 'it sent several parts for one range');
  }
  const text = headers.get('content-range');
  const range = parseContentRange(text);
  if (range?.from === undefined || range.to === undefined) throw new WrongRangeError(url, from, said(text));
  if (range.from !== from) throw new WrongRangeError(url, from, `it begins at ${range.from}`);
  if (to !== undefined && range.to > to) throw new WrongRangeError(url, from, `it goes to ${range.to}, not ${to}`);
  // One that is shorter is seen when the body ends.
  const length = parseLength(headers.get('content-length'));
  if (length !== undefined && length > range.to - from) throw new BodyTooLongError(url, range.to);
  return { from, to: range.to, size: range.size };
}

/** What a 200 holds: all there is, whatever was asked for. */
export function wholeRange({ response: { headers } }: Answer): AnswerRange {
  const size = parseLength(headers.get('content-length'));
  return { from: 0, to: size, size };
}

/**
 * The size that a 416 tells (RFC 9110, 15.5.17).
 *
 * @throws WrongRangeError if it tells none, or one by which there are bytes at `from`
 */
export function sizeOfUnsatisfied({ response: { headers }, url }: Answer, from: number): number {
  const text = headers.get('content-range');
  const range = parseContentRange(text);
  if (range === null || range.from !== undefined || range.size === undefined) {
    throw new WrongRangeError(url, from, `it says that there is none, and ${said(text)}`);
  }
  const { size } = range;
  if (size > from) throw new WrongRangeError(url, from, `it says that there is none, and that its size is ${size}`);
  return size;
}

function said(contentRange: string | null): string {
  if (contentRange !== null) return `its Content-Range is ${JSON.stringify(contentRange.slice(0, 80))}`;
  return 'it has no Content-Range, or (in a browser) does not expose it to other origins with Access-Control-Expose-Headers';
}
