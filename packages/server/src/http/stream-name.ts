import { LONGEST_NAME } from '../backends/backend.ts';
import { badRequest, Refusal } from './refusal.ts';

const encoder = new TextEncoder();
/** The first segment of the protocol's control paths. */
const RESERVED = '__ds';
/** What RFC 3986 lets stand in a path, and what browsers send unencoded. */
const PATH = /^[!$-;=@-~]*$/;
const isControl = (code: number): boolean => code < 32 || code === 127;

/** A prefix of paths: begins and ends with `/`. Throws a TypeError for what cannot be made one. */
export function checkPrefix(prefix: string): string {
  const whole = `${prefix.startsWith('/') ? '' : '/'}${prefix}${prefix.endsWith('/') ? '' : '/'}`;
  if (!PATH.test(whole) || whole.includes('//') || whole.includes('?')) {
    throw new TypeError(`prefix must be a path such as /v1/stream/, got ${JSON.stringify(prefix)}`);
  }
  return whole;
}

/**
 * The name of the stream that a path means: what comes after the prefix, decoded. Undefined: the path does not begin with the prefix.
 *
 * Names are keys, never paths of files. All the same `.` and `..`, empty segments and control characters are refused (400): on the way
 * here somebody may take them for something else than we do. `__ds` is the protocol's (404).
 */
export function streamName(path: string, prefix: string): string | undefined {
  if (!path.startsWith(prefix)) return undefined;
  const rest = path.slice(prefix.length);
  if (rest === '') throw badRequest('The path names no stream');
  if (!PATH.test(rest)) throw badRequest('The path has characters that must be percent-encoded');
  const name = decode(rest);
  const segments = name.split('/');
  if (segments[0] === RESERVED)
    throw new Refusal(404, 'NOT_FOUND', `${RESERVED} is reserved, and nothing is offered there`);
  for (const segment of segments) {
    if (segment === '') throw badRequest('The name of a stream has no empty segments');
    if (segment === '.' || segment === '..') throw badRequest('The name of a stream has no segments . and ..');
  }
  for (let i = 0; i < name.length; i++) {
    if (isControl(name.charCodeAt(i))) throw badRequest('The name of a stream has no control characters');
  }
  // No character of UTF-16 takes less than one byte or more than three.
  if (name.length * 3 > LONGEST_NAME && encoder.encode(name).length > LONGEST_NAME) {
    throw badRequest(`The name of a stream has at most ${LONGEST_NAME} bytes`);
  }
  return name;
}

function decode(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    throw badRequest('The path is not well percent-encoded UTF-8');
  }
}
