import type { Clock } from '../monitor/index.ts';
import { parseHttpDate } from './http-date.ts';
import type { ResolvedRetryOptions } from './options.ts';

/** An attempt failed, and another one may be made. */
export class RetryableFailure {
  readonly cause: unknown;
  /** What the server asked to wait, in milliseconds. */
  readonly retryAfter: number;

  constructor(cause: unknown, retryAfter = 0) {
    this.cause = cause;
    this.retryAfter = retryAfter;
  }
}

/**
 * When to try again: full jitter over a delay that doubles, so that readers that failed together do not come back together. A cap
 * on attempts in a row and on the time that they take; a new byte starts both afresh.
 */
export class Backoff {
  readonly #options: ResolvedRetryOptions | false;
  readonly #clock: Clock;
  readonly #random: () => number;
  /** Failures in a row. */
  failures = 0;
  #since = 0;

  constructor(options: ResolvedRetryOptions | false, clock: Clock, random: () => number) {
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
  }

  /** A byte came. */
  succeeded(): void {
    this.failures = 0;
  }

  /** How long to wait before the next attempt, in milliseconds; null if there is to be none. */
  failed(retryAfter: number): number | null {
    const now = this.#clock.now();
    if (this.failures++ === 0) this.#since = now;
    if (this.#options === false) return null;
    const { attempts, baseDelay, maxDelay, timeLimit } = this.#options;
    if (this.failures >= attempts) return null;
    // Doubled without end it would be infinite, and no number at all times 0.
    const doubled = baseDelay * 2 ** Math.min(this.failures - 1, 64);
    const jitter = this.#random() * Math.min(maxDelay, doubled);
    const delay = Math.max(jitter, Math.min(retryAfter, maxDelay));
    // A delay that would end behind the limit is not waited for: it would only tell the same later.
    return now + delay - this.#since > timeLimit ? null : delay;
  }
}

/** Statuses after which the same request may succeed (RFC 9110, 15.5 and 15.6; RFC 8470 for 425; RFC 6585 for 429). */
export function isRetryable(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status === 500 || (status >= 502 && status <= 504);
}

/** `Retry-After` in milliseconds (RFC 9110, 10.2.3): seconds, or a date, told by the server's own clock where it says its time. */
export function retryAfterOf(headers: Headers): number {
  const text = headers.get('retry-after')?.trim() ?? '';
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const date = parseHttpDate(text);
  if (date === undefined) return 0;
  return Math.max(0, date - (parseHttpDate(headers.get('date')) ?? Date.now()));
}
