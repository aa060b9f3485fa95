import { allowsOrigin, type CorsOptions } from './cors.ts';
import type { HttpRequest } from './http-request.ts';
import { Refusal } from './refusal.ts';

/** What browsers say of requests that no other page has made. */
const OWN_SITES: ReadonlySet<string> = new Set(['same-origin', 'none']);

/**
 * Throws 403 for a write that a page of another origin has a browser send, unless `cors` lets that origin in. A browser asks before most of
 * them, but sends a simple `POST` at once, with the user's cookies and to the user's own machine, and only hides the reply.
 *
 * What is no browser says neither of the two headers, and is let through. Where `Sec-Fetch-Site` is missing (old browsers, and plain HTTP
 * but to this machine), the hosts are compared. https://fetch.spec.whatwg.org/#origin-header,
 * https://w3c.github.io/webappsec-fetch-metadata/#sec-fetch-site-header
 */
export function refuseForeignWrite(
  request: Pick<HttpRequest, 'header' | 'origin'>,
  cors: CorsOptions | undefined,
): void {
  const site = request.header('sec-fetch-site');
  const origin = request.header('origin');
  if (site === undefined ? origin === undefined || isSameHost(origin, request.origin) : OWN_SITES.has(site)) return;
  if (origin !== undefined && allowsOrigin(cors, origin)) return;
  throw new Refusal(
    403,
    'FORBIDDEN',
    'A page of another origin may not write here: the option cors of the server lists those that may',
  );
}

function isSameHost(origin: string, own: string): boolean {
  return URL.canParse(origin) && URL.canParse(own) && new URL(origin).host === new URL(own).host;
}
