import type { StreamConfig } from '../backends/backend.ts';
import type { HttpRequest } from './http-request.ts';
import { badRequest } from './refusal.ts';

const SECONDS = /^(?:0|[1-9]\d*)$/;
const MOST_SECONDS = Math.floor(Number.MAX_SAFE_INTEGER / 1000);
const RFC_3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

const EARLIEST = Date.parse('0000-01-01T00:00:00Z');
const LATEST = Date.parse('9999-12-31T23:59:59.999Z');

/** When a stream is deleted by itself. */
export type Expiry = Pick<StreamConfig, 'ttl' | 'expiresAt'>;

/** Reads `Stream-TTL` and `Stream-Expires-At`, of which there may be one. Throws 400. */
export function parseExpiry(request: Pick<HttpRequest, 'header'>): Expiry {
  const ttl = request.header('stream-ttl');
  const expiresAt = request.header('stream-expires-at');
  if (ttl !== undefined && expiresAt !== undefined) {
    throw badRequest('Stream-TTL and Stream-Expires-At exclude each other');
  }
  if (ttl !== undefined) return { ttl: parseTtl(ttl) };
  return expiresAt === undefined ? {} : { expiresAt: parseTime(expiresAt) };
}

/** Headers that say when a stream is deleted: name, value, … */
export function expiryHeaders({ ttl, expiresAt }: Expiry): string[] {
  const headers: string[] = [];
  if (ttl !== undefined) headers.push('stream-ttl', String(Math.floor(ttl / 1000)));
  if (expiresAt !== undefined) headers.push('stream-expires-at', new Date(expiresAt).toISOString());
  return headers;
}

function parseTtl(text: string): number {
  const seconds = SECONDS.test(text) ? Number(text) : Number.NaN;
  if (!(seconds <= MOST_SECONDS)) {
    throw badRequest(`Stream-TTL is a number of seconds from 0 to ${MOST_SECONDS}, in plain decimal digits`);
  }
  return seconds * 1000;
}

/** Milliseconds since 1970 of a timestamp of RFC 3339, to which a leap second belongs too. */
function parseTime(text: string): number {
  const match = RFC_3339.exec(text.trim());
  const time = match === null ? Number.NaN : toTime(match);
  if (Number.isNaN(time)) throw badRequest('Stream-Expires-At is a time of RFC 3339, such as 2030-01-31T12:00:00Z');
  return time;
}

function toTime([, year, month, day, hour, minute, second, fraction, sign, hours, minutes]: RegExpExecArray): number {
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return Number.NaN;
  if (Number(hours ?? 0) > 23 || Number(minutes ?? 0) > 59) return Number.NaN;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  if (date.getUTCMonth() !== Number(month) - 1 || date.getUTCDate() !== Number(day)) return Number.NaN;
  const offset = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * (sign === '-' ? -1 : 1);
  const seconds = (Number(hour) * 60 + Number(minute) - offset) * 60 + Number(second);
  const time = date.getTime() + seconds * 1000 + Math.floor(Number(fraction ?? 0) * 1000);
  // An offset or a leap second may lead where years have more digits, or a sign, which RFC 3339 has no place for.
  return time >= EARLIEST && time <= LATEST ? time : Number.NaN;
}
