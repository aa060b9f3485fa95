/**
 * Wrong answers, each made out of a right one. What they are wrong about is said to the client with a straight face: a
 * shifted range brings the bytes of that other place, a changed resource brings other bytes, so that a client which
 * believes them has wrong bytes and not only a wrong header.
 */

import { gzipSync } from 'node:zlib';
import { type Answer, type Framing, honest, type Resource, type Seen } from './fault-server.ts';

const NOTHING = new Uint8Array(0);

/** Sends `at` bytes of the body, and then closes (or resets) the connection, or says nothing any more. */
export function stopAt(
  answer: Answer,
  at: number,
  how: 'cut' | 'reset' | 'stall' = 'cut',
  after?: () => Promise<void>,
): Answer {
  return { ...answer, stop: after === undefined ? { at, how } : { at, how, after } };
}

/** The head comes after `ms`; without a number never. */
export function lateHead(answer: Answer, ms: number = Number.POSITIVE_INFINITY): Answer {
  return { ...answer, headAfter: ms };
}

/** The body comes in pieces, each after a pause of `every` milliseconds. */
export function trickled(answer: Answer, bytes: number, every: number): Answer {
  return { ...answer, trickle: { bytes, every } };
}

/** `Content-Length` promises `more` bytes than come before the connection closes. */
export function promisesMore(answer: Answer, more: number): Answer {
  return { ...answer, declaredLength: answer.body.length + more };
}

/** A whole response by its own frame, but `less` bytes short of what `Content-Range` says. */
export function bringsLess(answer: Answer, less: number, framing: Framing = 'length'): Answer {
  return { ...answer, body: answer.body.subarray(0, Math.max(0, answer.body.length - less)), framing };
}

/** `more` bytes too many, correctly framed. */
export function bringsMore(answer: Answer, more: number, framing: Framing = 'length'): Answer {
  const body = new Uint8Array(answer.body.length + more).fill(0xee);
  body.set(answer.body);
  return { ...answer, body, framing };
}

/** `more` bytes behind the end that `Content-Length` names. */
export function spillsOver(answer: Answer, more: number): Answer {
  return { ...bringsMore(answer, more), declaredLength: answer.body.length };
}

/** The same body in another frame, without a length. */
export function framed(answer: Answer, framing: Framing): Answer {
  return { ...answer, framing };
}

/** The whole resource, whatever was asked for. */
export function whole(resource: Resource, request: Seen): Answer {
  return honest(resource, { ...request, range: undefined });
}

/** `Content-Range` as given, over the bytes from `from` to `to`. */
export function ranged(resource: Resource, request: Seen, from: number, to: number, contentRange?: string): Answer {
  const { headers } = honest(resource, { ...request, range: undefined });
  const range = contentRange ?? `bytes ${from}-${to - 1}/${resource.body.length}`;
  return { status: 206, headers: { ...headers, 'content-range': range }, body: resource.body.subarray(from, to) };
}

/** The right bytes, with something else in `Content-Range`; null: without it. */
export function mislabelled(answer: Answer, contentRange: string | null): Answer {
  const { 'content-range': _, ...headers } = answer.headers;
  return { ...answer, headers: contentRange === null ? headers : { ...headers, 'content-range': contentRange } };
}

/** One part in a body of parts: what a server may send for several ranges, and never for one. */
export function multipart(answer: Answer): Answer {
  const { 'content-range': range = '', ...headers } = answer.headers;
  const head = `\r\n--BORDER\r\ncontent-type: application/octet-stream\r\ncontent-range: ${range}\r\n\r\n`;
  const body = Buffer.concat([Buffer.from(head), answer.body, Buffer.from('\r\n--BORDER--\r\n')]);
  return { ...answer, headers: { ...headers, 'content-type': 'multipart/byteranges; boundary=BORDER' }, body };
}

/** The same of the beginning of the body, with a `Content-Range` as if all of it were bytes of a range from 0. */
export function labelledParts(answer: Answer): Answer {
  const { headers, ...parts } = multipart({ ...answer, body: answer.body.subarray(0, 1000) });
  const size = /\d+$/.exec(answer.headers['content-range'] ?? '')?.[0];
  return { ...parts, headers: { ...headers, 'content-range': `bytes 0-${parts.body.length - 1}/${size}` } };
}

/** Other bytes and their validators, from now on. With `ignoreIfRange` as a 206, though the client asked for what was. */
export function changed(other: Resource, request: Seen, ignoreIfRange: boolean): Answer {
  return ignoreIfRange
    ? honest(other, { ...request, headers: { ...request.headers, 'if-range': undefined } })
    : honest(other, request);
}

/** An answer without the resource: a status, `Retry-After` if given, and a few words. */
export function refused(status: number, retryAfter?: string | number): Answer {
  const headers: Record<string, string> = { 'content-type': 'text/plain' };
  if (retryAfter !== undefined) headers['retry-after'] = String(retryAfter);
  return { status, headers, body: new TextEncoder().encode(`status ${status}\n`) };
}

/** The body in gzip, and the headers of the plain one. */
export function gzipped(answer: Answer): Answer {
  return { ...answer, headers: { ...answer.headers, 'content-encoding': 'gzip' }, body: gzipSync(answer.body) };
}

/** The answer without some of its headers. */
export function without(answer: Answer, ...names: string[]): Answer {
  const headers = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !names.includes(name)));
  return { ...answer, headers };
}

export function redirect(location: string, status = 302): Answer {
  return { status, headers: { location }, body: new TextEncoder().encode('elsewhere\n') };
}

/** No HTTP, and the end of the connection. */
export function garbage(): Answer {
  return { status: 0, headers: {}, body: NOTHING, raw: 'HTP/9.9 two-hundred\r\n\r\n' };
}

/** The connection closes before any answer. */
export function hungUp(): Answer {
  return { status: 0, headers: {}, body: NOTHING, raw: '' };
}

/** 416 for a range that exists. */
export function unsatisfied(resource: Resource, total = resource.body.length): Answer {
  return { status: 416, headers: { 'content-range': `bytes */${total}` }, body: NOTHING };
}
