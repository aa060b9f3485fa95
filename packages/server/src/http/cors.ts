import type { HttpRequest } from './http-request.ts';

/** Which pages of other origins may use the server from a browser. */
export interface CorsOptions {
  /** `'*'`: all of them, without credentials. Otherwise those listed, exactly as browsers name them (`https://example.com`). */
  readonly origins: '*' | readonly string[];
  /** Cookies and other credentials of the browser are let through. Not with `'*'`. Default false. */
  readonly credentials?: boolean;
  /** Seconds for which browsers may remember a preflight. Default 600. */
  readonly maxAge?: number;
}

const METHODS = 'GET, HEAD, PUT, POST, DELETE, OPTIONS';

/** What clients send. */
const REQUEST_HEADERS = [
  'authorization',
  'content-type',
  'if-none-match',
  'if-range',
  'last-event-id',
  'range',
  'producer-epoch',
  'producer-id',
  'producer-seq',
  'stream-closed',
  'stream-error',
  'stream-expires-at',
  'stream-fork-offset',
  'stream-fork-sub-offset',
  'stream-forked-from',
  'stream-seq',
  'stream-ttl',
].join(', ');

/** What pages may read of a reply. */
const REPLY_HEADERS = [
  'accept-ranges',
  'content-range',
  'etag',
  'location',
  'producer-epoch',
  'producer-expected-seq',
  'producer-received-seq',
  'producer-seq',
  'retry-after',
  'stream-closed',
  'stream-cursor',
  'stream-error',
  'stream-expires-at',
  'stream-next-offset',
  'stream-oldest-offset',
  'stream-sse-data-encoding',
  'stream-ttl',
  'stream-up-to-date',
].join(', ');

/** Checks the options. Throws a TypeError. */
export function checkCors(options: CorsOptions): void {
  const { origins, credentials = false, maxAge = 600 } = options;
  if (origins !== '*' && !(Array.isArray(origins) && origins.every((origin) => typeof origin === 'string'))) {
    throw new TypeError("cors.origins must be '*' or a list of origins such as https://example.com");
  }
  if (origins === '*' && credentials) throw new TypeError("cors.credentials cannot be allowed to all origins, '*'");
  if (!Number.isInteger(maxAge) || maxAge < 0) throw new TypeError('cors.maxAge must be a number of seconds');
}

/** Whether pages of that origin may use the server. */
export function allowsOrigin(options: CorsOptions | undefined, origin: string): boolean {
  return options !== undefined && (options.origins === '*' || options.origins.includes(origin));
}

/** Headers that let a page of another origin see the reply, if its origin may: name, value, … */
export function corsHeaders(request: Pick<HttpRequest, 'header'>, options: CorsOptions | undefined): string[] {
  if (options === undefined) return [];
  if (options.origins === '*')
    return ['access-control-allow-origin', '*', 'access-control-expose-headers', REPLY_HEADERS];
  const origin = request.header('origin');
  // A cache must not give one origin the reply for another.
  const headers = ['vary', 'Origin'];
  if (origin === undefined || !allowsOrigin(options, origin)) return headers;
  headers.push('access-control-allow-origin', origin, 'access-control-expose-headers', REPLY_HEADERS);
  if (options.credentials === true) headers.push('access-control-allow-credentials', 'true');
  return headers;
}

/**
 * Headers of the reply to a preflight. They name what the server understands; who may use it from another origin is said by
 * `access-control-allow-origin` alone, which without options nobody gets.
 */
export function preflightHeaders(options: CorsOptions | undefined): string[] {
  return [
    'allow',
    METHODS,
    'access-control-allow-methods',
    METHODS,
    'access-control-allow-headers',
    REQUEST_HEADERS,
    ...(options === undefined ? [] : ['access-control-max-age', String(options.maxAge ?? 600)]),
  ];
}

/** The methods of a stream, for `Allow`. */
export const ALLOWED_METHODS: string = METHODS;
