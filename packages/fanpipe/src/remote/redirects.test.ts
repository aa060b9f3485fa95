import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../../../../test/support/fake-clock.ts';
import { type RemoteOptions, resolveRemoteOptions } from './options.ts';
import { type Answer, follow } from './redirects.ts';
import { RetryableFailure } from './retry.ts';

const HOME = new URL('https://home.test/file?key=s3cret');
const SECRETS = { authorization: 'Bearer s3cret', 'x-api-key': 's3cret' };
const OWN = { range: 'bytes=5-9', 'accept-encoding': 'identity' };

interface Asked {
  readonly url: string;
  readonly init: RequestInit;
  readonly headers: Record<string, string>;
}

interface Scene {
  readonly asked: Asked[];
  readonly cancelled: string[];
  readonly clock: FakeClock;
  readonly request: AbortController;
  readonly go: () => Promise<Answer>;
}

/** `pages` says where each URL leads; what leads nowhere answers 206. */
function scene(pages: Record<string, string | Response>, options: RemoteOptions = {}, from: URL = HOME): Scene {
  const asked: Asked[] = [];
  const cancelled: string[] = [];
  const clock = new FakeClock();
  const request = new AbortController();
  const fetcher = async (url: string, init: RequestInit): Promise<Response> => {
    asked.push({ url, init, headers: Object.fromEntries(new Headers(init.headers)) });
    const page = pages[url];
    if (page instanceof Response) return page;
    const body = new ReadableStream({ cancel: () => void cancelled.push(url) });
    if (page === undefined) return new Response(body, { status: 206 });
    return new Response(body, { status: 302, headers: page === '' ? {} : { location: page } });
  };
  const resolved = resolveRemoteOptions({ fetcher, clock, ...options });
  return { asked, cancelled, clock, request, go: () => follow(from, resolved, OWN, request) };
}

async function refusal({ go, asked }: Scene): Promise<{ code: string; message: string; urls: string[] }> {
  const error = (await go().then(
    () => Promise.reject(new Error('was not refused')),
    (reason: unknown) => reason,
  )) as { code: string; message: string };
  return { code: error.code, message: error.message, urls: asked.map(({ url }) => url) };
}

describe('ORIGIN: a request', () => {
  test('carries the headers of the caller and ours, and is not redirected by fetch', async () => {
    const { go, asked } = scene({}, { headers: SECRETS });
    const { url, response } = await go();
    expect([url, response.status]).toEqual([HOME.href, 206]);
    expect(asked[0]?.headers).toEqual({ ...SECRETS, ...OWN });
    expect(asked[0]?.init).toMatchObject({ method: 'GET', redirect: 'manual' });
  });

  test('is redirected: to the same origin with all headers, to another and back with ours only', async () => {
    const { go, asked, cancelled } = scene(
      {
        [HOME.href]: '/moved',
        'https://home.test/moved': 'https://cdn.test/a',
        'https://cdn.test/a': 'https://home.test/b',
      },
      { headers: SECRETS },
    );
    expect((await go()).url).toBe('https://home.test/b');
    expect(asked.map(({ headers }) => headers)).toEqual([{ ...SECRETS, ...OWN }, { ...SECRETS, ...OWN }, OWN, OWN]);
    expect(cancelled).toEqual([HOME.href, 'https://home.test/moved', 'https://cdn.test/a']);
  });

  test('is redirected within another origin: with ours only', async () => {
    const { go, asked } = scene(
      { [HOME.href]: 'https://cdn.test/a', 'https://cdn.test/a': '/b', 'https://cdn.test/b': '/c' },
      { headers: SECRETS },
    );
    expect((await go()).url).toBe('https://cdn.test/c');
    expect(asked.map(({ headers }) => headers)).toEqual([{ ...SECRETS, ...OWN }, OWN, OWN, OWN]);
  });

  test.each([301, 302, 303, 307, 308])('follows %i', async (status) => {
    const { go } = scene({ [HOME.href]: new Response(null, { status, headers: { location: '/x' } }) });
    expect((await go()).url).toBe('https://home.test/x');
  });

  test.each([300, 304, 305])('does not follow %i', async (status) => {
    const { go } = scene({ [HOME.href]: new Response(null, { status, headers: { location: '/x' } }) });
    expect((await go()).response.status).toBe(status);
  });

  test.each([
    ['no Location', ''],
    ['no URL', 'https://'],
    ['http', 'http://home.test/file'],
    ['another scheme', 'ftp://home.test/file'],
    ['data', 'data:,x'],
    ['credentials', 'https://me:s3cret@home.test/'],
  ])('is not redirected to %s', async (_, location) => {
    const at = scene({ [HOME.href]: location }, { headers: SECRETS });
    const { code, message, urls } = await refusal(at);
    expect([code, urls]).toEqual(['ERR_FANPIPE_REDIRECT', [HOME.href]]);
    expect(message).not.toContain('s3cret');
    expect(at.cancelled).toEqual([HOME.href]);
  });

  test('is redirected so often, and not once more', async () => {
    const pages = { [HOME.href]: '/1', 'https://home.test/1': '/2', 'https://home.test/2': '/3' };
    expect((await scene(pages, { maxRedirects: 3 }).go()).url).toBe('https://home.test/3');
    expect(await refusal(scene(pages, { maxRedirects: 2 }))).toMatchObject({
      code: 'ERR_FANPIPE_REDIRECT',
      urls: [HOME.href, 'https://home.test/1', 'https://home.test/2'],
    });
    expect((await refusal(scene(pages, { maxRedirects: 0 }))).urls).toEqual([HOME.href]);
  });

  test('http may lead to https, which is another origin', async () => {
    const from = new URL('http://home.test/file');
    const { go, asked } = scene({ [from.href]: 'https://home.test/file' }, { headers: SECRETS }, from);
    await go();
    expect(asked[1]?.headers).toEqual(OWN);
  });
});

describe('ORIGIN: allowUrl', () => {
  test('is asked for the URL and for each target, with a copy', async () => {
    const seen: string[] = [];
    const allowUrl = async (url: URL): Promise<boolean> => {
      seen.push(url.href);
      url.hostname = 'evil.test';
      return true;
    };
    const { go } = scene({ [HOME.href]: 'https://cdn.test/a' }, { allowUrl });
    expect((await go()).url).toBe('https://cdn.test/a');
    expect(seen).toEqual([HOME.href, 'https://cdn.test/a']);
  });

  test('refuses the URL itself, or a target, before anything is sent there', async () => {
    expect(await refusal(scene({}, { allowUrl: () => false }))).toMatchObject({
      code: 'ERR_FANPIPE_INVALID_ARGUMENT',
      urls: [],
    });
    const allowUrl = ({ hostname }: URL): boolean => hostname === 'home.test';
    expect(await refusal(scene({ [HOME.href]: 'https://10.0.0.1/' }, { allowUrl }))).toMatchObject({
      code: 'ERR_FANPIPE_REDIRECT',
      urls: [HOME.href],
    });
  });

  test('throws, or does not say true: nothing is sent', async () => {
    const boom = (): boolean => {
      throw new Error('boom');
    };
    expect(await refusal(scene({}, { allowUrl: boom }))).toMatchObject({ code: 'ERR_FANPIPE_CALLBACK', urls: [] });
    const vague = (() => 'yes') as unknown as () => boolean;
    expect((await refusal(scene({}, { allowUrl: vague }))).urls).toEqual([]);
  });

  test('that never answers is left when the request is aborted, before or meanwhile', async () => {
    const options = { allowUrl: () => new Promise<boolean>(() => {}) };
    const { go, request } = scene({}, options);
    const waiting = go();
    await settle();
    request.abort('enough');
    await expect(waiting).rejects.toBe('enough');
    await expect(go()).rejects.toBe('enough');
    expect(getEventListeners(request.signal, 'abort')).toHaveLength(0);
  });
});

describe('ORIGIN: a redirect that the runtime hides', () => {
  const hidden = Object.defineProperty(new Response(null), 'type', { value: 'opaqueredirect' });

  function browser(options: RemoteOptions, finalUrl: string): Scene {
    const at = scene({ [HOME.href]: hidden }, options);
    const fetcher = async (url: string, init: RequestInit): Promise<Response> => {
      at.asked.push({ url, init, headers: Object.fromEntries(new Headers(init.headers)) });
      if (init.redirect === 'manual') return hidden;
      const body = new ReadableStream({ cancel: () => void at.cancelled.push(url) });
      return Object.defineProperty(new Response(body, { status: 206 }), 'url', { value: finalUrl });
    };
    const resolved = resolveRemoteOptions({ fetcher, clock: at.clock, ...options });
    return { ...at, go: () => follow(HOME, resolved, OWN, at.request) };
  }

  test('is left to it where there are no headers of the caller', async () => {
    const { go, asked } = browser({}, 'https://cdn.test/a');
    expect((await go()).url).toBe('https://cdn.test/a');
    expect(asked.map(({ init, headers }) => [init.redirect, headers])).toEqual([
      ['manual', OWN],
      ['follow', OWN],
    ]);
  });

  test.each([
    ['headers', { headers: SECRETS }],
    ['an address policy', { allowUrl: () => true }],
  ])('is refused with %s', async (_, options) => {
    const at = browser(options, 'https://cdn.test/a');
    expect(await refusal(at)).toMatchObject({ code: 'ERR_FANPIPE_REDIRECT', urls: [HOME.href] });
  });

  test('is one redirect at least, and refused where there may be none', async () => {
    const at = browser({ maxRedirects: 0 }, 'https://cdn.test/a');
    expect(await refusal(at)).toMatchObject({ code: 'ERR_FANPIPE_REDIRECT', urls: [HOME.href] });
    expect(at.asked[0]?.init.redirect).toBe('manual');
  });

  test('is refused where it has led to http', async () => {
    const at = browser({}, 'http://cdn.test/a');
    expect((await refusal(at)).code).toBe('ERR_FANPIPE_REDIRECT');
    expect(at.cancelled).toEqual([HOME.href]);
  });
});

describe('RESUME: a fetch', () => {
  const failure = (go: () => Promise<Answer>): Promise<unknown> =>
    go().then(
      () => 'answered',
      (error: unknown) => error,
    );

  test('that fails may be tried again, whether it throws or rejects', async () => {
    const error = new TypeError('fetch failed');
    for (const fetcher of [
      () => Promise.reject(error),
      () => {
        throw error;
      },
    ]) {
      const { go, clock } = scene({}, { fetcher });
      const failed = await failure(go);
      expect(failed).toBeInstanceOf(RetryableFailure);
      expect([(failed as RetryableFailure).cause, clock.pending]).toEqual([error, 0]);
    }
  });

  test('each hop has its time', async () => {
    const clock = new FakeClock();
    const hops = ['/1', '/2', '/3'];
    const fetcher = async (): Promise<Response> => {
      await clock.sleep(900);
      const location = hops.shift();
      return location === undefined
        ? new Response(null, { status: 206 })
        : new Response(null, { status: 302, headers: { location } });
    };
    const { go } = scene({}, { fetcher, clock, timeout: 1000 });
    const answer = go();
    await clock.advance(4000);
    expect([(await answer).url, clock.pending]).toEqual(['https://home.test/3', 0]);
  });

  test('that says nothing is cut, and its late answer is not read', async () => {
    const clock = new FakeClock();
    let cancelled = false;
    const body = new ReadableStream({
      cancel: () => {
        cancelled = true;
      },
    });
    const fetcher = async (): Promise<Response> => {
      await clock.sleep(2000);
      return new Response(body);
    };
    const { go, request } = scene({}, { fetcher, clock, timeout: 1000 });
    const failed = failure(go);
    await clock.advance(1000);
    expect(((await failed) as RetryableFailure).cause).toMatchObject({ code: 'ERR_FANPIPE_STALLED', kind: 'timeout' });
    expect(request.signal.aborted).toBe(true);
    await clock.advance(1000);
    expect([cancelled, clock.pending, getEventListeners(request.signal, 'abort').length]).toEqual([true, 0, 0]);
  });

  test('that is aborted rejects at once with the reason, though the fetcher does not heed it', async () => {
    const { go, request, clock } = scene({}, { fetcher: () => new Promise(() => {}) });
    const failed = failure(go);
    await settle();
    request.abort('enough');
    expect([await failed, clock.pending]).toEqual(['enough', 0]);
  });

  test('that was aborted before is not made', async () => {
    const { go, request, asked } = scene({});
    request.abort('enough');
    expect([await failure(go), asked]).toEqual(['enough', []]);
  });

  test.each([
    ['nothing', undefined],
    ['text', 'text'],
    ['what throws', Object.defineProperty({}, 'status', { get: () => JSON.parse('') })],
    ['a body that is locked', Object.defineProperty(new Response('x'), 'body', { value: { locked: true } })],
    ['a body that was read', Object.defineProperty(new Response('x'), 'bodyUsed', { value: true })],
  ])('that answers %s is told as a mistake of the fetcher', async (_, answer) => {
    const { go, clock } = scene({}, { fetcher: async () => answer as Response });
    expect(await failure(go)).toMatchObject({ code: 'ERR_FANPIPE_CALLBACK', callback: 'fetcher' });
    expect(clock.pending).toBe(0);
  });
});
