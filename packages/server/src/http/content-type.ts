import { badRequest } from './refusal.ts';

/** What a stream has that says nothing of it. */
export const DEFAULT_CONTENT_TYPE = 'application/octet-stream';
/** Longer ones are refused: every reply carries it. */
const LONGEST = 256;

const TOKEN = "[!#$%&'*+.^_`|~\\w-]+";
const PARAMETER = `\\s*;\\s*(?:(${TOKEN})=(${TOKEN}|"(?:[^"\\\\\\x00-\\x1f\\x7f-\\uffff]|\\\\[\\x20-\\x7e])*"))?`;
const TYPE = new RegExp(`^(${TOKEN}/${TOKEN})((?:${PARAMETER})*)\\s*$`);
const PARAMETERS = new RegExp(PARAMETER, 'g');

/** A media type (RFC 9110, section 8.3.1) taken apart. */
export interface ContentType {
  /** As it was given, without white space around it. */
  readonly text: string;
  /** Type and subtype in small letters. */
  readonly essence: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** How the bytes of a stream are shown in events. */
export type EventEncoding = 'text' | 'json' | 'base64';

/** Reads a header. Throws 400 for what is no media type. */
export function parseContentType(header: string): ContentType {
  const text = header.trim();
  const match = text.length > LONGEST ? null : TYPE.exec(text);
  if (match === null) throw badRequest('Content-Type is not a media type such as text/plain');
  const parameters = new Map<string, string>();
  for (const [, name, value] of (match[2] as string).matchAll(PARAMETERS)) {
    if (name === undefined || value === undefined) continue;
    const key = name.toLowerCase();
    if (parameters.has(key)) throw badRequest(`Content-Type has more than one ${key}`);
    parameters.set(key, unquote(value));
  }
  return { text, essence: (match[1] as string).toLowerCase(), parameters };
}

function unquote(value: string): string {
  return value.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value;
}

/** Type and subtype of a type that was checked, in small letters. */
export function essenceOf(contentType: string): string {
  const mark = contentType.indexOf(';');
  return (mark < 0 ? contentType : contentType.slice(0, mark)).trim().toLowerCase();
}

/** Whether a stream of that type keeps messages. */
export function isJson(contentType: string): boolean {
  return essenceOf(contentType) === 'application/json';
}

export function eventEncoding(contentType: string): EventEncoding {
  const essence = essenceOf(contentType);
  if (essence === 'application/json') return 'json';
  return essence.startsWith('text/') ? 'text' : 'base64';
}

/**
 * Whether bytes of one type may be appended to a stream of another: type and subtype are the same, and so is every parameter that both
 * have. One that only one of them has says nothing against it: many clients add a `charset` of their own.
 */
export function mayAppend(given: ContentType, streamType: string): boolean {
  if (given.text === streamType) return true;
  const own = parseContentType(streamType);
  if (given.essence !== own.essence) return false;
  for (const [name, value] of given.parameters) {
    const other = own.parameters.get(name);
    if (other !== undefined && other.toLowerCase() !== value.toLowerCase()) return false;
  }
  return true;
}
