import { badRequest, type Refusal } from './refusal.ts';

/** What a stream has that says nothing of it. */
export const DEFAULT_CONTENT_TYPE = 'application/octet-stream';
/** Longer ones are refused: every reply carries it. */
const LONGEST = 256;

const TOKEN = "[!#$%&'*+.^_`|~\\w-]+";
const ESSENCE = new RegExp(`${TOKEN}/${TOKEN}`, 'y');
/**
 * One parameter, or none between two marks. They are read one by one: white space that belongs to the one or to the next would let one
 * expression for all of them try every way there is.
 */
const PARAMETER = new RegExp(
  `[ \\t]*;[ \\t]*(?:(${TOKEN})=(${TOKEN}|"(?:[^"\\\\\\x00-\\x1f\\x7f-\\uffff]|\\\\[\\x20-\\x7e])*"))?`,
  'y',
);

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
  if (text.length > LONGEST) throw noType();
  ESSENCE.lastIndex = 0;
  const essence = ESSENCE.exec(text)?.[0];
  if (essence === undefined) throw noType();
  const parameters = new Map<string, string>();
  for (let at = essence.length; at < text.length; at = PARAMETER.lastIndex) {
    PARAMETER.lastIndex = at;
    const match = PARAMETER.exec(text);
    if (match === null) throw noType();
    const [, name, value] = match;
    if (name === undefined || value === undefined) continue;
    const key = name.toLowerCase();
    if (parameters.has(key)) throw badRequest(`Content-Type has more than one ${key}`);
    parameters.set(key, unquote(value));
  }
  return { text, essence: essence.toLowerCase(), parameters };
}

function noType(): Refusal {
  return badRequest('Content-Type is not a media type such as text/plain');
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
