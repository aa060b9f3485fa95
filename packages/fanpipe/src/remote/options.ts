/**
 * What a remote stream can be told, and the checks of that.
 *
 * @module
 */

import { checkAmount, checkCallback, checkOptions, checkSignal } from '../core/check.ts';
import { InvalidArgumentError } from '../errors.ts';
import { type Clock, checkClock, systemClock } from '../monitor/index.ts';

/** What fetches. It must do as `fetch` does; it is called with `redirect: 'manual'` and a signal of its own. */
export type Fetcher = (url: string, init: RequestInit) => Promise<Response>;

/** What `onRetry` is told. */
export interface RetryEvent {
  /** What went wrong. */
  readonly error: unknown;
  /** How many failures there were in a row without a new byte, this one included: from 1. */
  readonly attempt: number;
  /** Milliseconds until the request is made again. */
  readonly delay: number;
  /** Offset of the first byte that is still missing. */
  readonly offset: number;
}

/** When a request that failed is made again. */
export interface RetryOptions {
  /** How many failures in a row without a new byte end it, the first included. Default 5. */
  readonly attempts?: number | undefined;
  /** Upper limit of the first random delay in milliseconds; it doubles with each failure. Default 100. */
  readonly baseDelay?: number | undefined;
  /** Most milliseconds between two attempts, whatever the server asks for. Default 5,000. */
  readonly maxDelay?: number | undefined;
  /** For how many milliseconds, counted from the first failure in a row, it is tried again. Default 60,000. */
  readonly timeLimit?: number | undefined;
}

/** Options of a remote stream. Sizes are bytes, times are milliseconds. */
export interface RemoteOptions {
  /** Size of the resource where it is known. Each response is checked against it. Default: learnt from the first response. */
  readonly size?: number | undefined;
  /**
   * Begins to fetch the first window at once, without waiting for a read. What goes wrong is told at the first read. Default
   * false.
   */
  readonly autostart?: boolean | undefined;
  /**
   * Whether ranges are asked for. With false there is one plain GET, read in order: what lies ahead is read through to, what
   * is neither cached nor ahead is a `NotSeekableError`. Default true.
   */
  readonly seekable?: boolean | undefined;
  /** Ends everything when it fires: requests are aborted, reads reject with its reason, the cache is freed. */
  readonly signal?: AbortSignal | undefined;
  /** What fetches. Default: the `fetch` of the runtime. */
  readonly fetcher?: Fetcher | undefined;
  /**
   * Sent with each request to the origin of the URL, and to no other. `range`, `if-range`, `accept-encoding` and `host` are
   * refused, since the stream sets them itself.
   */
  readonly headers?: HeadersInit | undefined;
  /**
   * Most memory that fetched ranges keep, a fixed amount for each counted in. Until the first seek back or `readAt` no more than
   * `readAhead` and 2 MiB of it are used. Default 16 MiB.
   */
  readonly cacheSize?: number | undefined;
  /** The largest window that is fetched ahead of the position; never more than half the cache. Default 4 MiB. */
  readonly readAhead?: number | undefined;
  /** `readAt` calls that leave a gap of at most so many bytes share a request. Default 16 KiB. */
  readonly mergeGap?: number | undefined;
  /**
   * How many bytes are read and not used at most: by a seek forward, rather than making a new request, and from the start, where
   * a server answers a range with the whole. Default 1 MiB.
   */
  readonly skipLimit?: number | undefined;
  /** Most requests at a time. Default 6. */
  readonly maxConnections?: number | undefined;
  /** How long a transfer that has read far enough ahead is kept open for the reader to come. Default 5,000. */
  readonly idleTimeout?: number | undefined;
  /** How long a server may send nothing, neither headers nor a byte, before the request is cut and made again. Default 10,000. */
  readonly timeout?: number | undefined;
  /** Bytes per second below which a transfer is cut and made again, once it was so slow for long. Default 0: none. */
  readonly minThroughput?: number | undefined;
  /** When a request that failed is made again; false: never. */
  readonly retry?: RetryOptions | false | undefined;
  /** How many redirects in a row are followed. Default 5. */
  readonly maxRedirects?: number | undefined;
  /** Asked before each request, for the URL and each target of a redirect; all but true refuses it. Default: all are allowed. */
  readonly allowUrl?: ((url: URL) => boolean | Promise<boolean>) | undefined;
  /**
   * Puts together ranges of a resource that has neither a strong `ETag` nor a strong `Last-Modified`. Only its size can be
   * compared then, so a change of the resource may go unnoticed. Default false: a second request is an
   * `UnverifiableResourceError`.
   */
  readonly unverified?: boolean | undefined;
  /** Told before a request is made again. If it throws, the reads that wait reject with a `CallbackError`. */
  readonly onRetry?: ((event: RetryEvent) => void) | undefined;
  /** Where times are measured. Default: the timers of the runtime. */
  readonly clock?: Clock | undefined;
  /** Chance, for the delays: at least 0, below 1. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** {@link RetryOptions}, checked and complete. */
export interface ResolvedRetryOptions {
  readonly attempts: number;
  readonly baseDelay: number;
  readonly maxDelay: number;
  readonly timeLimit: number;
}

/** {@link RemoteOptions}, checked and complete. */
export interface ResolvedRemoteOptions {
  readonly size: number | undefined;
  readonly autostart: boolean;
  readonly seekable: boolean;
  readonly signal: AbortSignal | undefined;
  readonly fetcher: Fetcher;
  /** A copy of the caller's; none of ours is in it. */
  readonly headers: Headers;
  readonly cacheSize: number;
  /** At most half of {@link cacheSize}. */
  readonly readAhead: number;
  readonly mergeGap: number;
  readonly skipLimit: number;
  readonly maxConnections: number;
  readonly idleTimeout: number;
  readonly timeout: number;
  /** 0: not measured. */
  readonly minThroughput: number;
  /** False: the first failure is the last. */
  readonly retry: ResolvedRetryOptions | false;
  readonly maxRedirects: number;
  readonly allowUrl: ((url: URL) => boolean | Promise<boolean>) | undefined;
  readonly unverified: boolean;
  readonly onRetry: ((event: RetryEvent) => void) | undefined;
  readonly clock: Clock;
  readonly random: () => number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
/** Headers that decide what a response means. */
const OURS = ['range', 'if-range', 'accept-encoding', 'host'];

/**
 * Makes a URL of what was given, and refuses what nothing can be fetched from.
 *
 * @throws InvalidArgumentError
 */
export function resolveUrl(given: string | URL): URL {
  const expected = 'an absolute http: or https: URL';
  let url: URL;
  try {
    if (typeof given !== 'string' && !(given instanceof URL)) throw new TypeError(expected);
    url = new URL(given);
  } catch {
    throw new InvalidArgumentError('url', withoutSecrets(given), expected);
  }
  if (url.username !== '' || url.password !== '') {
    // A message may end up in a log, and a password must not.
    url.username = url.password = '';
    throw new InvalidArgumentError('url', url, 'without user and password: give them as headers.authorization');
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new InvalidArgumentError('url', withoutSecrets(given), expected);
  return url;
}

/** What is no URL may still hold a password or a query, and messages end up in logs. */
function withoutSecrets(given: unknown): unknown {
  return typeof given === 'string' ? given.replace(/^.*@/s, '…@').replace(/\?.*$/s, '?…') : given;
}

/**
 * Checks the options, and fills in what is missing. Each is read once.
 *
 * @throws InvalidArgumentError
 */
export function resolveRemoteOptions(options: RemoteOptions): ResolvedRemoteOptions {
  checkOptions(options);
  const { size, autostart = false, seekable = true, signal, headers, unverified = false } = options;
  const { fetcher = defaultFetcher, allowUrl, onRetry, clock = systemClock, random = Math.random } = options;
  const { cacheSize = 16 * MIB, readAhead = 4 * MIB, mergeGap = 16 * KIB, skipLimit = MIB } = options;
  const { maxConnections = 6, maxRedirects = 5, retry = {} } = options;
  const { idleTimeout = 5_000, timeout = 10_000, minThroughput = 0 } = options;

  if (size !== undefined) checkAmount('size', size);
  for (const [name, value] of Object.entries({ cacheSize, readAhead, mergeGap, skipLimit, maxRedirects })) {
    checkAmount(name, value);
  }
  checkCount('maxConnections', maxConnections);
  for (const [name, value] of Object.entries({ autostart, seekable, unverified })) {
    if (typeof value !== 'boolean') throw new InvalidArgumentError(name, value, 'true or false');
  }
  for (const [name, value] of Object.entries({ fetcher, allowUrl, onRetry, random })) checkCallback(name, value);
  checkTime('idleTimeout', idleTimeout);
  checkTime('timeout', timeout);
  if (timeout === 0) throw new InvalidArgumentError('timeout', timeout, 'a number of milliseconds above 0');
  if (typeof minThroughput !== 'number' || !(minThroughput >= 0 && minThroughput < Number.POSITIVE_INFINITY)) {
    throw new InvalidArgumentError(
      'minThroughput',
      minThroughput,
      'a finite number of bytes per second, or 0 for none',
    );
  }
  checkSignal(signal);
  checkClock(clock);

  return {
    size,
    autostart,
    seekable,
    signal,
    fetcher,
    headers: resolveHeaders(headers),
    cacheSize,
    readAhead: Math.min(readAhead, Math.floor(cacheSize / 2)),
    mergeGap,
    skipLimit,
    maxConnections,
    idleTimeout,
    timeout,
    minThroughput,
    retry: resolveRetry(retry),
    maxRedirects,
    allowUrl,
    unverified,
    onRetry,
    clock,
    random,
  };
}

/** Looked up at each call, so that a `fetch` that is replaced later is used. */
const defaultFetcher: Fetcher = (url, init) => globalThis.fetch(url, init);

function resolveRetry(retry: unknown): ResolvedRetryOptions | false {
  if (retry === false) return false;
  if (typeof retry !== 'object' || retry === null) {
    throw new InvalidArgumentError('retry', retry, 'an object, or false');
  }
  const { attempts = 5, baseDelay = 100, maxDelay = 5_000, timeLimit = 60_000 } = retry as RetryOptions;
  checkCount('retry.attempts', attempts);
  checkTime('retry.baseDelay', baseDelay);
  checkTime('retry.maxDelay', maxDelay);
  checkTime('retry.timeLimit', timeLimit);
  return { attempts, baseDelay, maxDelay, timeLimit };
}

function resolveHeaders(given: HeadersInit | undefined): Headers {
  let headers: Headers;
  try {
    headers = new Headers(given);
  } catch {
    throw new InvalidArgumentError('headers', given, 'what new Headers() takes, with valid names and values');
  }
  for (const name of OURS) {
    if (headers.has(name)) {
      throw new InvalidArgumentError('headers', given, `without ${name}, which the stream sets itself`);
    }
  }
  return headers;
}

function checkCount(argument: string, value: unknown): void {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return;
  throw new InvalidArgumentError(argument, value, 'a whole number from 1');
}

function checkTime(argument: string, value: unknown): void {
  if (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER) return;
  throw new InvalidArgumentError(argument, value, 'a finite number of milliseconds from 0');
}
