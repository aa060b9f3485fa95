import { badRequest } from './refusal.ts';

/** How a reader goes on at the tail. `raw` is ours: plain bytes until the stream ends. */
export type LiveMode = 'long-poll' | 'sse' | 'raw';

/** What the query of a read says. */
export interface ReadQuery {
  readonly offset: string | undefined;
  readonly live: LiveMode | undefined;
  readonly cursor: string | undefined;
}

/** What stands for something else. */
const ENCODED = /[%+]/;
const LIVE: readonly string[] = ['long-poll', 'sse', 'raw'] satisfies LiveMode[];

/**
 * Reads a query. Unknown parameters mean nothing; one of ours that comes twice, or percent-encoding that is none, is refused (400), since
 * a cache on the way could take it for something else.
 */
export function parseQuery(query: string): ReadQuery {
  const found = new Map<string, string>();
  if (query !== '') {
    for (const part of query.split('&')) {
      const mark = part.indexOf('=');
      const name = decode(mark < 0 ? part : part.slice(0, mark));
      const value = mark < 0 ? '' : decode(part.slice(mark + 1));
      if (name !== 'offset' && name !== 'live' && name !== 'cursor') continue;
      if (found.has(name)) throw badRequest(`The query has more than one ${name}`);
      found.set(name, value);
    }
  }
  const live = found.get('live');
  if (live !== undefined && !LIVE.includes(live)) {
    throw badRequest(`live is one of ${LIVE.join(', ')}, or left out`);
  }
  return { offset: found.get('offset'), live: live as LiveMode | undefined, cursor: found.get('cursor') };
}

function decode(text: string): string {
  if (!ENCODED.test(text)) return text;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw badRequest('The query is not well percent-encoded UTF-8');
  }
}
