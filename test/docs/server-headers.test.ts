/** `docs/server/http.md` names every header that clients of other origins may send and see, which are all that the protocol has. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { corsHeaders, preflightHeaders } from '../../packages/server/src/http/cors.ts';

const markdown = readFileSync(new URL('../../docs/server/http.md', import.meta.url), 'utf8').toLowerCase();

function listed(headers: readonly string[], name: string): string[] {
  return (headers[headers.indexOf(name) + 1] as string).split(', ');
}

test.each([
  ['request', listed(preflightHeaders(undefined), 'access-control-allow-headers')],
  ['reply', listed(corsHeaders({ header: () => undefined }, { origins: '*' }), 'access-control-expose-headers')],
])('every header of a %s', (_, names) => {
  expect(names.length).toBeGreaterThan(10);
  expect(names.filter((name) => !new RegExp(`\`${name}\\b`).test(markdown))).toEqual([]);
});
