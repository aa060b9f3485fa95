import { STATUS_CODES } from 'node:http';
import type { Reply } from '../http/index.ts';

/** What stands on every reply of the protocol. */
const HEADERS: readonly string[] = ['x-content-type-options', 'nosniff', 'cross-origin-resource-policy', 'same-origin'];

/** The reply to what never comes to the handler. */
export function refusal(status: number): Reply {
  return { status, headers: HEADERS, body: undefined };
}

/** The same as it goes over a socket of HTTP/1.1, which it closes. */
export function rawRefusal(status: number): string {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`;
  for (let i = 0; i < HEADERS.length; i += 2) head += `${HEADERS[i]}: ${HEADERS[i + 1]}\r\n`;
  return `${head}content-length: 0\r\nconnection: close\r\n\r\n`;
}

/** The status for what the parser of node:http says of a client. */
export function statusOf(code: string | undefined): number {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return 431;
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return 413;
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return 408;
    default:
      return 400;
  }
}
