import { type Clock, systemClock } from 'fanpipe';
import { checkConfig, type Hub } from '../hub/index.ts';
import { type Authorize, type BearerToken, bearerTokens } from './authorize.ts';
import { type CorsOptions, checkCors } from './cors.ts';
import { errorTeller } from './error-teller.ts';
import { hostFault } from './refusal.ts';
import { checkPrefix } from './stream-name.ts';

/** Limits beyond which the oldest appends of a stream go. */
export interface Retention {
  /** As many bytes as the newest appends have, up to this. */
  readonly retainBytes?: number;
  /** Milliseconds for which an append stays. */
  readonly retainFor?: number;
}

/** How the protocol is served. */
export interface HttpOptions {
  /** Path before the names of streams. Default `/v1/stream/`. */
  readonly prefix?: string | undefined;
  /** Asked before anything is looked up. Default: everybody may do everything. */
  readonly authorize?: Authorize | undefined;
  /** Secrets that let in whoever sends them; without one of them nobody is. With `authorize` both must allow. */
  readonly tokens?: readonly BearerToken[] | undefined;
  /** Default: no page of another origin sees anything. */
  readonly cors?: CorsOptions | undefined;
  /** Largest body that is collected before it is appended, in bytes. Default 16 MiB. Bodies that are appended piece by piece have none. */
  readonly maxBodyBytes?: number | undefined;
  /** Milliseconds that a long-poll waits. Default 30,000. */
  readonly longPollTimeout?: number | undefined;
  /** Milliseconds after which an event stream ends, so that its reader connects again; about. Default 60,000. */
  readonly sseLifetime?: number | undefined;
  /** What streams that are created over HTTP retain. Default all. If the function throws, or gives what makes no sense, the request is a 500. */
  readonly retention?: Retention | ((stream: string) => Retention) | undefined;
  /** Whether shared caches may keep what was read. Default `'public'`, with `authorize` or `tokens` `'private'`. */
  readonly cache?: 'public' | 'private' | undefined;
  /** Told of errors that no client has caused: a store that fails, an `authorize` that throws. Default: printed by `console.error`. */
  readonly onError?: ((error: unknown) => void) | undefined;
  /** Timers. Default those of the runtime. */
  readonly clock?: Clock | undefined;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
  /** Numbers from 0 up to 1. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** The options with their defaults, and the hub they are about. */
export interface HttpContext {
  readonly hub: Hub;
  readonly prefix: string;
  readonly rules: readonly Authorize[];
  readonly cors: CorsOptions | undefined;
  readonly maxBodyBytes: number;
  readonly longPollTimeout: number;
  readonly sseLifetime: number;
  readonly retention: (stream: string) => Retention;
  readonly cache: 'public' | 'private';
  readonly onError: (error: unknown) => void;
  readonly clock: Clock;
  readonly now: () => number;
  readonly random: () => number;
}

const DEFAULT_BODY = 16 * 1024 * 1024;

/** Checks the options. Throws a TypeError. */
export function httpContext(hub: Hub, options: HttpOptions): HttpContext {
  const { authorize, tokens, cors, onError, retention = {}, now = Date.now, random = Math.random } = options;
  for (const [name, value] of Object.entries({ authorize, onError, now, random })) {
    if (value !== undefined && typeof value !== 'function') throw new TypeError(`${name} must be a function`);
  }
  if (cors !== undefined) checkCors(cors);
  const rules = [
    ...(tokens === undefined ? [] : [bearerTokens(tokens)]),
    ...(authorize === undefined ? [] : [authorize]),
  ];
  const cache = options.cache ?? (rules.length > 0 ? 'private' : 'public');
  if (cache !== 'public' && cache !== 'private') throw new TypeError("cache must be 'public' or 'private'");
  return {
    hub,
    prefix: checkPrefix(options.prefix ?? '/v1/stream/'),
    rules,
    cors,
    maxBodyBytes: atLeast('maxBodyBytes', options.maxBodyBytes ?? DEFAULT_BODY, 1),
    longPollTimeout: waitTime('longPollTimeout', options.longPollTimeout ?? 30_000, 0),
    sseLifetime: waitTime('sseLifetime', options.sseLifetime ?? 60_000, 1),
    retention: retentionOf(retention),
    cache,
    onError: errorTeller(onError),
    clock: options.clock ?? systemClock,
    now,
    random,
  };
}

/** Wrong values are the host's, whether they are there now or come by a function later: a client must not be told that they are its own. */
function retentionOf(retention: NonNullable<HttpOptions['retention']>): (stream: string) => Retention {
  if (typeof retention !== 'function') {
    const checked = checkRetention(retention);
    return () => checked;
  }
  return (stream) => {
    try {
      return checkRetention(retention(stream));
    } catch (cause) {
      throw hostFault('retention', cause);
    }
  };
}

function checkRetention(retention: Retention): Retention {
  if (typeof retention !== 'object' || retention === null || 'then' in retention) {
    // Of a promise all that is asked for would be missing, and everything be kept.
    throw new TypeError('retention must be an object such as { retainBytes: 1_000_000 }, at once');
  }
  const { retainBytes, retainFor } = retention;
  const checked = {
    ...(retainBytes === undefined ? {} : { retainBytes }),
    ...(retainFor === undefined ? {} : { retainFor }),
  };
  try {
    checkConfig(checked);
  } catch (cause) {
    throw new TypeError(`retention: ${(cause as Error).message}`, { cause });
  }
  return checked;
}

/**
 * Milliseconds to wait, or Infinity: no longer than timers of every runtime can count, since beyond that they ring at once, and a
 * tenth less, since times are spread.
 *
 * @throws TypeError
 */
export function waitTime(name: string, ms: number, least: number): number {
  return Math.min(atLeast(name, ms, least), LONGEST_WAIT);
}

const LONGEST_WAIT = Math.floor((2 ** 31 - 1) / 1.1);

function atLeast(name: string, value: number, least: number): number {
  if (typeof value === 'number' && value >= least) return value;
  throw new TypeError(`${name} must be a number from ${least} on, got ${String(value)}`);
}
