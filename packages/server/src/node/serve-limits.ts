import { InvalidArgumentError } from '../errors.ts';
import { waitTime } from '../http/index.ts';
import type { ServeOptions } from './serve.ts';

/** Limits of a server as `node:http` takes them, and as they are set on a server of `node:http2`. */
export interface ServeLimits {
  readonly headersTimeout: number;
  readonly requestTimeout: number;
  readonly keepAliveTimeout: number;
  readonly maxHeaderSize: number;
  readonly joinDuplicateHeaders: boolean;
  readonly requireHostHeader: boolean;
  readonly connectionsCheckingInterval: number;
}

/** @throws InvalidArgumentError, TypeError: what node:http would take for something else, or look at only when a client comes */
export function serveLimits(options: ServeOptions): ServeLimits {
  const headersTimeout = milliseconds('headersTimeout', options.headersTimeout ?? 30_000);
  return {
    headersTimeout,
    // An upload may take as long as it makes progress, so there is no timeout for a whole request.
    requestTimeout: 0,
    keepAliveTimeout: milliseconds('keepAliveTimeout', options.keepAliveTimeout ?? 65_000),
    maxHeaderSize: wholeNumber('maxHeaderSize', options.maxHeaderSize ?? 16_384, 1, 2 ** 31 - 1),
    joinDuplicateHeaders: true,
    requireHostHeader: false,
    connectionsCheckingInterval: Math.max(50, Math.min(headersTimeout / 4, 5_000)),
  };
}

/** Whole ones: node:http takes no others. */
function milliseconds(name: string, value: number): number {
  return Math.ceil(waitTime(name, value, 0));
}

/** @throws InvalidArgumentError */
export function wholeNumber(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new InvalidArgumentError(`${name} must be an integer from ${least} to ${most}, got ${String(value)}`);
}
