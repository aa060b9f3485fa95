import { CallbackError, InvalidArgumentError } from '../errors.ts';
import { RedirectError } from './errors.ts';
import type { ResolvedRemoteOptions } from './options.ts';
import { discard, timedFetch } from './timed-fetch.ts';

/** A response, and the URL that gave it. */
export interface Answer {
  readonly response: Response;
  readonly url: string;
}

/**
 * Makes one request and follows its redirects by hand (RFC 9110, 15.4): at most `maxRedirects`, only over http and https, never
 * from https to http. `fetch` would carry headers such as `x-api-key` along to wherever a redirect leads; here the caller's headers
 * stop at the first step to another origin, and do not come back on the way home. Our own headers, the range, go all the way.
 *
 * Rejects with a `RetryableFailure` where another attempt may help, with the reason of `request` once that is aborted, and else
 * with a typed error. No body is left unread behind it.
 */
export async function follow(
  url: URL,
  options: ResolvedRemoteOptions,
  ownHeaders: Readonly<Record<string, string>>,
  request: AbortController,
): Promise<Answer> {
  let at = url;
  let isHome = true;
  for (let hops = 0; ; hops++) {
    if (!(await isAllowed(at, options, request.signal))) {
      if (hops > 0) throw new RedirectError(url.href, '`allowUrl` refuses where it leads');
      throw new InvalidArgumentError('url', url, 'one that `allowUrl` allows');
    }
    const response = await send(at, options, isHome, ownHeaders, request, 'manual');
    const isHidden = response.type === 'opaqueredirect';
    if (!isHidden && !isRedirect(response.status)) return { response, url: at.href };
    discard(response);
    if (hops >= options.maxRedirects) {
      throw new RedirectError(url.href, `there were more than ${options.maxRedirects} redirects (maxRedirects)`);
    }
    if (isHidden) return followBlindly(at, options, isHome, ownHeaders, request);
    const to = target(at, response.headers.get('location'));
    isHome &&= to.origin === at.origin;
    at = to;
  }
}

/**
 * Browsers do not show where a redirect leads, and follow it with all headers, and as many more as they like. So it is left to them
 * only where nothing must be kept back and no address refused.
 */
async function followBlindly(
  url: URL,
  options: ResolvedRemoteOptions,
  isHome: boolean,
  ownHeaders: Readonly<Record<string, string>>,
  request: AbortController,
): Promise<Answer> {
  const advice = 'this runtime hides where it leads';
  if (!options.headers.keys().next().done) {
    throw new RedirectError(
      url.href,
      `${advice}, and would carry your headers along. Give the final URL, or no headers`,
    );
  }
  if (options.allowUrl !== undefined) {
    throw new RedirectError(url.href, `${advice}, so that \`allowUrl\` cannot be asked. Give the final URL`);
  }
  const response = await send(url, options, isHome, ownHeaders, request, 'follow');
  const last = new URL(response.url || url.href);
  if (url.protocol === 'https:' && last.protocol !== 'https:') {
    discard(response);
    throw new RedirectError(url.href, 'it leads from https to http');
  }
  return { response, url: last.href };
}

function send(
  url: URL,
  options: ResolvedRemoteOptions,
  isHome: boolean,
  ownHeaders: Readonly<Record<string, string>>,
  request: AbortController,
  redirect: 'manual' | 'follow',
): Promise<Response> {
  const headers = new Headers(isHome ? options.headers : undefined);
  for (const [name, value] of Object.entries(ownHeaders)) headers.set(name, value);
  return timedFetch(url.href, { method: 'GET', headers, redirect }, options, request);
}

/** Takes as long as it takes, which is no silence of a server; only `signal` ends it. */
async function isAllowed(url: URL, { allowUrl }: ResolvedRemoteOptions, signal: AbortSignal): Promise<boolean> {
  if (allowUrl === undefined) return true;
  let leave = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    const rejectNow = (): void => reject(signal.reason);
    if (signal.aborted) rejectNow();
    signal.addEventListener('abort', rejectNow, { once: true });
    leave = () => signal.removeEventListener('abort', rejectNow);
  });
  try {
    return await Promise.race([aborted, ask(allowUrl, url)]);
  } finally {
    leave();
  }
}

async function ask(allowUrl: NonNullable<ResolvedRemoteOptions['allowUrl']>, url: URL): Promise<boolean> {
  try {
    // A copy: it is the caller's code.
    return (await allowUrl(new URL(url))) === true;
  } catch (cause) {
    throw new CallbackError('allowUrl', 'threw. Nothing was sent to that URL; the next read asks it again.', { cause });
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
