import { CallbackError } from '../errors.ts';
import { RedirectError } from './errors.ts';
import type { ResolvedRemoteOptions } from './options.ts';
import { RetryableFailure } from './retry.ts';

/** A response, and the URL that gave it. */
export interface Answer {
  readonly response: Response;
  readonly url: string;
}

/**
 * Makes one request and follows its redirects by hand (RFC 9110, 15.4): at most `maxRedirects`, only over http and https, never
 * from https to http. `fetch` would carry headers such as `x-api-key` along to wherever a redirect leads; here the caller's headers
 * stop at the first step to another origin, and do not come back on the way home. Our own headers, the range, go all the way.
 */
export async function request(
  url: URL,
  options: ResolvedRemoteOptions,
  ownHeaders: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Answer> {
  let at = url;
  let isHome = true;
  for (let hops = 0; ; hops++) {
    if (!(await isAllowed(at, options))) throw new RedirectError(url.href, '`allowUrl` refused where it leads');
    signal.throwIfAborted();
    const response = await send(at, options, isHome, ownHeaders, signal, 'manual');
    if (response.type === 'opaqueredirect') return followBlindly(at, options, isHome, ownHeaders, signal);
    if (!isRedirect(response.status)) return { response, url: at.href };
    discard(response);
    if (hops === options.maxRedirects) {
      throw new RedirectError(url.href, `there were more than ${options.maxRedirects} redirects`);
    }
    const to = target(at, response.headers.get('location'));
    isHome &&= to.origin === at.origin;
    at = to;
  }
}

/**
 * Browsers do not show where a redirect leads, and follow it with all headers. So it is left to them where there is nothing that
 * must not be carried along; they too refuse the way from https to http.
 */
async function followBlindly(
  url: URL,
  options: ResolvedRemoteOptions,
  isHome: boolean,
  ownHeaders: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Answer> {
  if (!options.headers.keys().next().done) {
    throw new RedirectError(
      url.href,
      'this runtime hides where it leads, and would carry your headers along. Give the final URL, or no headers',
    );
  }
  const response = await send(url, options, isHome, ownHeaders, signal, 'follow');
  const last = new URL(response.url || url.href);
  if (!(await isAllowed(last, options))) {
    discard(response);
    throw new RedirectError(url.href, '`allowUrl` refused where it leads');
  }
  return { response, url: last.href };
}

async function send(
  url: URL,
  options: ResolvedRemoteOptions,
  isHome: boolean,
  ownHeaders: Readonly<Record<string, string>>,
  signal: AbortSignal,
  redirect: 'manual' | 'follow',
): Promise<Response> {
  const headers = new Headers(isHome ? options.headers : undefined);
  for (const [name, value] of Object.entries(ownHeaders)) headers.set(name, value);
  try {
    return await options.fetcher(url.href, { method: 'GET', headers, redirect, signal });
  } catch (error) {
    throw new RetryableFailure(error);
  }
}

async function isAllowed(url: URL, { allowUrl }: ResolvedRemoteOptions): Promise<boolean> {
  if (allowUrl === undefined) return true;
  try {
    // A copy: it is the caller's code.
    return (await allowUrl(new URL(url))) === true;
  } catch (cause) {
    throw new CallbackError('allowUrl', 'threw. No request was made.', { cause });
  }
}

function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

function target(from: URL, location: string | null): URL {
  if (location === null) throw new RedirectError(from.href, 'the answer has no Location');
  let to: URL;
  try {
    to = new URL(location, from);
  } catch {
    throw new RedirectError(from.href, 'its Location is no URL');
  }
  if (to.protocol !== 'https:' && to.protocol !== 'http:') {
    throw new RedirectError(from.href, `it leads to ${to.protocol}, and only http and https are read`);
  }
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    throw new RedirectError(from.href, 'it leads from https to http');
  }
  if (to.username !== '' || to.password !== '') throw new RedirectError(from.href, 'its Location holds credentials');
  return to;
}

/** Leaves a body that nobody will read, so that its connection is free. */
export function discard(response: Response): void {
  response.body?.cancel().catch(() => {});
}
