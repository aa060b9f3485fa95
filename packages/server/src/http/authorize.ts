import type { HttpRequest } from './http-request.ts';
import { hostFault, Refusal } from './refusal.ts';

/** What a request does: `read` is GET and HEAD, `append` also closes and fails. */
export type Action = 'read' | 'create' | 'append' | 'delete';

/** Allowed; refused (403); or refused until the client says who it is (401). */
export type Decision = boolean | 'unauthenticated';

/** Decides who may do what with which stream. A fork asks for `read` of its source too. If it throws, the request is refused with 500. */
export type Authorize = (request: HttpRequest, action: Action, stream: string) => Decision | Promise<Decision>;

/** A secret that whoever has it may send as `Authorization: Bearer …`. */
export interface BearerToken {
  readonly token: string;
  /** What it may read: `a/b` is the stream of that name and all below it, `a/b/` those below it alone, `''` all. Default none. */
  readonly read?: readonly string[];
  /** What it may create, append to and delete, in the same way. Default none. */
  readonly write?: readonly string[];
}

/** Shorter ones can be guessed. */
const SHORTEST = 16;
const BEARER = /^Bearer +([\w.~+/-]+=*) *$/i;
const VALUE = /^[\w.~+/-]+=*$/;

/** An `Authorize` by tokens. Throws a TypeError for tokens that cannot be sent or can be guessed. */
export function bearerTokens(tokens: readonly BearerToken[]): Authorize {
  const seen = new Set<string>();
  const known = tokens.map(({ token, read = [], write = [] }) => {
    // The message must not show it.
    if (typeof token !== 'string' || token.length < SHORTEST || !VALUE.test(token)) {
      throw new TypeError(`A token has at least ${SHORTEST} letters, digits and -._~+/, and may end in =`);
    }
    if (seen.has(token)) throw new TypeError('A token is listed once, with all that it may read and write');
    seen.add(token);
    for (const names of [read, write]) {
      if (Array.isArray(names) && names.every((name) => typeof name === 'string')) continue;
      throw new TypeError('read and write of a token are lists of names of streams');
    }
    return { token, read, write };
  });
  return (request, action, stream) => {
    const given = BEARER.exec(request.header('authorization') ?? '')?.[1];
    if (given === undefined) return 'unauthenticated';
    let found: (typeof known)[number] | undefined;
    // All of them are compared, so that the time says nothing about which one it was.
    for (const entry of known) if (isSame(entry.token, given)) found = entry;
    if (found === undefined) return 'unauthenticated';
    const prefixes = action === 'read' ? found.read : found.write;
    return prefixes.some((prefix) => isBelow(stream, prefix));
  };
}

/** Whole segments: `chat` is not the beginning of `chatter`. */
function isBelow(stream: string, prefix: string): boolean {
  if (!stream.startsWith(prefix)) return false;
  return prefix === '' || prefix.endsWith('/') || stream.length === prefix.length || stream[prefix.length] === '/';
}

/** Compares in a time that depends on the lengths alone. */
function isSame(token: string, given: string): boolean {
  let difference = token.length ^ given.length;
  for (let i = 0; i < given.length; i++) difference |= token.charCodeAt(i % token.length) ^ given.charCodeAt(i);
  return difference === 0;
}

/** Asks all of them, in their order. Throws a `Refusal`: 401 or 403. */
export async function requireAllowed(
  rules: readonly Authorize[],
  request: HttpRequest,
  action: Action,
  stream: string,
): Promise<void> {
  for (const rule of rules) {
    let decision: Decision;
    try {
      decision = await rule(request, action, stream);
    } catch (cause) {
      throw hostFault('authorize', cause);
    }
    if (decision === true) continue;
    if (decision === 'unauthenticated') {
      throw new Refusal(401, 'UNAUTHENTICATED', 'Say who you are', ['www-authenticate', 'Bearer']);
    }
    throw new Refusal(403, 'FORBIDDEN', `You may not ${action} this stream`);
  }
}
