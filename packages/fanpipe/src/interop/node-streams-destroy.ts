import { OutgoingMessage } from 'node:http';
import type { Writable } from 'node:stream';
import { WriterFailedError } from '../errors.ts';

/** A reason in the form in which `destroy` takes it for one. */
export function asError(reason: unknown): Error {
  if (reason) return reason as Error;
  return Object.defineProperty(new WriterFailedError(), 'cause', { value: reason, configurable: true, writable: true });
}

/** HTTP/2's code for a stream that somebody breaks off. */
const HTTP2_CANCEL = 8;

/** Breaks a response off in the way in which its other side does not take that for the end. */
export function destroyResponse(res: Writable, reason: Error): void {
  // An error given to an HTTP response would go to the server's 'clientError', though it is not the client's.
  if (res instanceof OutgoingMessage) {
    const { socket } = res;
    // Without a length or chunks, closing the connection is the end of the body. A reset is not.
    const endsWithConnection = !res.chunkedEncoding && !res.hasHeader('content-length');
    if (endsWithConnection && res.headersSent && typeof socket?.resetAndDestroy === 'function')
      socket.resetAndDestroy();
    res.destroy();
    return;
  }
  const { stream } = res as { stream?: { close?: (code: number) => void } };
  if (typeof stream?.close === 'function') {
    stream.close(HTTP2_CANCEL);
    return;
  }
  // It will say this error once more, and nobody else may listen.
  res.once('error', () => {});
  res.destroy(reason);
}
