import type { StreamConfig, StreamEnd, StreamState } from '../backends/backend.ts';
import { ForkSourceError, InvalidArgumentError } from '../errors.ts';
import { isSameType } from './content-type.ts';
import type { NewStreamConfig, NewStreamOptions } from './hub-options.ts';

const DEFAULT_TYPE = 'application/octet-stream';

/** The configuration of a stream that is no fork. */
export function plainConfig(config: NewStreamConfig): StreamConfig {
  return { ...config, contentType: config.contentType ?? DEFAULT_TYPE };
}

/**
 * The configuration of a fork. It takes over type, time to live and expiry of its source where it has none of its own.
 *
 * @throws ForkSourceError
 */
export function forkConfig(config: NewStreamConfig, source: StreamState, offset: number = source.tail): StreamConfig {
  const { name, generation, head, tail } = source;
  if (offset > tail)
    throw new ForkSourceError(name, 'offset', `offset ${offset} is not written yet, it ends at ${tail}`);
  if (offset < head)
    throw new ForkSourceError(name, 'offset', `offset ${offset} is no longer kept, the oldest is ${head}`);
  const { contentType = source.config.contentType } = config;
  if (!isSameType(contentType, source.config.contentType)) {
    throw new ForkSourceError(name, 'content-type', `it is ${source.config.contentType}, not ${contentType}`);
  }
  const fork = { source: name, generation, offset };
  if (hasExpiry(config)) return { ...config, contentType, fork };
  const { ttl, expiresAt } = source.config;
  return {
    ...config,
    contentType,
    ...(ttl === undefined ? {} : { ttl }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    fork,
  };
}

/** What a header can hold. */
const TYPE = /^[\t\x20-\x7e\x80-\xff]+$/;
/** The latest time that has a date, in milliseconds since 1970. */
const LATEST = 8.64e15;

/** @throws InvalidArgumentError */
export function checkConfig(config: NewStreamConfig, forkOffset?: number): void {
  const { contentType, ttl, expiresAt, retainBytes, retainFor } = config;
  if (ttl !== undefined && expiresAt !== undefined) {
    throw new InvalidArgumentError('A stream has a time to live or a time of expiry, not both');
  }
  if (contentType !== undefined && (typeof contentType !== 'string' || !TYPE.test(contentType))) {
    throw new InvalidArgumentError('contentType must be text that a header can hold');
  }
  if (expiresAt !== undefined && !(Number.isFinite(expiresAt) && Math.abs(expiresAt) <= LATEST)) {
    throw new InvalidArgumentError('expiresAt must be a time in milliseconds since 1970');
  }
  checkAmount('ttl', ttl);
  checkAmount('retainFor', retainFor);
  checkWhole('retainBytes', retainBytes);
  checkWhole('fork.offset', forkOffset);
}

function checkAmount(name: string, ms: number | undefined): void {
  if (ms === undefined || (Number.isFinite(ms) && ms >= 0 && ms <= Number.MAX_SAFE_INTEGER)) return;
  throw new InvalidArgumentError(`${name} must be a number of milliseconds from 0`);
}

function checkWhole(name: string, value: number | undefined): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return;
  throw new InvalidArgumentError(`${name} must be a whole number from 0`);
}

/**
 * In what the stream that is there differs from one that is asked for; undefined if in nothing. Retention is not compared: it is the
 * server's affair. A fork that names no type, expiry or offset takes what it finds.
 */
export function difference(
  { config: there, end: endThere }: StreamState,
  config: NewStreamConfig,
  { end, fork }: NewStreamOptions,
): string | undefined {
  const contentType = config.contentType ?? (fork === undefined ? DEFAULT_TYPE : there.contentType);
  if (!isSameType(contentType, there.contentType)) return `the content type ${there.contentType}`;
  if (fork === undefined || hasExpiry(config)) {
    if (config.ttl !== there.ttl) return `the time to live ${milliseconds(there.ttl)}`;
    if (config.expiresAt !== there.expiresAt) return `the expiry ${date(there.expiresAt)}`;
  }
  if (fork?.source !== there.fork?.source) return there.fork === undefined ? 'no source' : 'another source';
  if (fork?.offset !== undefined && fork.offset !== there.fork?.offset) return `the fork offset ${there.fork?.offset}`;
  if (!isSameEnd(end, endThere)) return endThere === undefined ? 'no end yet' : `an end (${endThere.kind})`;
  return undefined;
}

function hasExpiry({ ttl, expiresAt }: NewStreamConfig): boolean {
  return ttl !== undefined || expiresAt !== undefined;
}

function isSameEnd(one: StreamEnd | undefined, other: StreamEnd | undefined): boolean {
  return one?.kind === other?.kind;
}

function milliseconds(ttl: number | undefined): string {
  return ttl === undefined ? 'unlimited' : `${ttl} ms`;
}

function date(time: number | undefined): string {
  return time === undefined ? 'never' : new Date(time).toISOString();
}
