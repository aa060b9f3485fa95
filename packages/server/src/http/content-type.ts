import { essenceOf } from '../hub/index.ts';
import { badRequest, type Refusal } from './refusal.ts';

/** Longer ones are refused: every reply carries it. */
const LONGEST = 256;

const TOKEN = "[!#$%&'*+.^_`|~\\w-]+";
const ESSENCE = new RegExp(`${TOKEN}/${TOKEN}`, 'y');
/**
 * One parameter, or none between two marks. They are read one by one: white space that belongs to the one or to the next would let one
 * expression for all of them try every way there is.
 */
const PARAMETER = new RegExp(
  `[ \\t]*;[ \\t]*(?:(${TOKEN})=(?:${TOKEN}|"(?:[^"\\\\\\x00-\\x1f\\x7f-\\uffff]|\\\\[\\x20-\\x7e])*"))?`,
  'y',
);

/** How the bytes of a stream are shown in events. */
export type EventEncoding = 'text' | 'json' | 'base64';

/** Checks a header, and takes the white space around it away. Throws 400 for what is no media type (RFC 9110, section 8.3.1). */
export function parseContentType(header: string): string {
  const text = header.trim();
  if (text.length > LONGEST) throw noType();
  ESSENCE.lastIndex = 0;
  if (!ESSENCE.test(text)) throw noType();
  const names = new Set<string>();
  for (let at = ESSENCE.lastIndex; at < text.length; at = PARAMETER.lastIndex) {
    PARAMETER.lastIndex = at;
    const match = PARAMETER.exec(text);
    if (match === null) throw noType();
    const name = match[1]?.toLowerCase();
    if (name === undefined) continue;
    if (names.has(name)) throw badRequest(`Content-Type has more than one ${name}`);
    names.add(name);
  }
  return text;
}

function noType(): Refusal {
  return badRequest('Content-Type is not a media type such as text/plain');
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
