/** ORIGIN: what is sent where, when an answer points elsewhere. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Fetcher, RemoteByteStream, type RemoteOptions } from '../../packages/fanpipe/src/remote/index.ts';
import { type Answer, FaultServer, honest, type Resource, type Script, type Seen } from '../support/fault-server.ts';
import { redirect, stopAt } from '../support/faults.ts';
import { IdleClock } from '../support/idle-clock.ts';
import { Random } from '../support/random.ts';
import { iterated, rejection, sha256, thrownBy } from '../support/remote-reading.ts';

const resource: Resource = { body: new Random(5).bytes(300_000), etag: '"v1"' };
const digest = sha256(resource.body);
const secrets = { authorization: 'Bearer s3cret', 'X-Api-Key': 's3cret', cookie: 'id=s3cret', 'x-trace': '7' };

let home: FaultServer;
let foreign: FaultServer;
let third: FaultServer;
let open: RemoteByteStream[];
beforeAll(async () => {
  [home, foreign, third] = await Promise.all([FaultServer.start(), FaultServer.start(), FaultServer.start()]);
});
beforeEach(() => {
  open = [];
  return () => {
    for (const remote of open) remote.close();
  };
});
afterAll(() => Promise.all([home.close(), foreign.close(), third.close()]));

const serve: Script = (request: Seen): Answer => honest(resource, request);

function remoteAt(url: string | URL, options: RemoteOptions = {}): RemoteByteStream {
  const remote = new RemoteByteStream(url, { retry: { baseDelay: 1, maxDelay: 1 }, ...options });
  open.push(remote);
  return remote;
}

/** The headers of the caller that came with a request. */
function carried({ headers }: Seen): string[] {
  return Object.keys(secrets)
    .map((name) => name.toLowerCase())
    .filter((name) => headers[name] !== undefined);
}

const all = Object.keys(secrets)
  .map((name) => name.toLowerCase())
  .sort();

describe('redirects', () => {
  test('ORIGIN: headers of the caller go to its own origin, redirected or not', async () => {
    const url = home.on('/a', () => redirect('/b?x=1'));
    home.on('/b?x=1', serve);
    expect(sha256(await iterated(remoteAt(url, { headers: secrets })))).toBe(digest);
    for (const path of ['/a', '/b?x=1']) {
      expect(home.seen(path).length).toBeGreaterThan(0);
      for (const request of home.seen(path)) expect(carried(request).sort()).toEqual(all);
    }
  });

  test.each([301, 302, 303, 307, 308])(
    'ORIGIN: %i to another origin: they stay, and what a range needs goes',
    async (status) => {
      const target = foreign.on('/x', (request) =>
        request.index === 0 ? stopAt(honest(resource, request), 1000) : honest(resource, request),
      );
      const url = home.on('/x', () => redirect(target, status));
      expect(sha256(await iterated(remoteAt(url, { headers: secrets })))).toBe(digest);
      expect(foreign.seen('/x').length).toBeGreaterThan(1);
      for (const request of foreign.seen('/x')) {
        expect(carried(request)).toEqual([]);
        expect(request.method).toBe('GET');
        expect(request.range).toBeDefined();
        // Node's fetch says it once more.
        expect(request.headers['accept-encoding']).toMatch(/^identity(, identity)?$/);
        expect(JSON.stringify(request.headers)).not.toContain('s3cret');
        expect(request.headers.referer).toBeUndefined();
      }
      const later = foreign.seen('/x').slice(1);
      expect(later.map(({ headers }) => headers['if-range'])).toEqual(later.map(() => '"v1"'));
      // Followed anew each time, with all headers where they belong.
      expect(home.seen('/x')).toHaveLength(foreign.seen('/x').length);
      for (const request of home.seen('/x')) expect(carried(request).sort()).toEqual(all);
    },
  );

  test('ORIGIN: on the way back home they are not regained', async () => {
    const back = home.on('/end', serve);
    const away = foreign.on('/away', () => redirect(back));
    const url = home.on('/begin', () => redirect(away));
    expect(sha256(await iterated(remoteAt(url, { headers: new Headers(secrets) })))).toBe(digest);
    expect(home.seen('/end').length).toBeGreaterThan(0);
    for (const request of [...foreign.seen('/away'), ...home.seen('/end')]) expect(carried(request)).toEqual([]);
    for (const request of home.seen('/begin')) expect(carried(request).sort()).toEqual(all);
  });

  test('ORIGIN: within another origin they are not regained either', async () => {
    foreign.on('/in2', serve);
    const away = foreign.on('/in1', () => redirect('/in2'));
    await remoteAt(
      home.on('/out', () => redirect(away)),
      { headers: secrets },
    ).readAt(0, 10);
    expect(home.seen('/out').map((request) => carried(request).sort())).toEqual([all]);
    expect([...foreign.seen('/in1'), ...foreign.seen('/in2')].map(carried)).toEqual([[], []]);
  });

  test('ORIGIN: another port is another origin, another path is not', async () => {
    const far = third.on('/z', serve);
    const middle = foreign.on('/z', () => redirect(far));
    const url = home.on('/z', () => redirect('/zz'));
    home.on('/zz', () => redirect(middle));
    await remoteAt(url, { headers: Object.entries(secrets) }).readAt(0, 10);
    expect(carried(home.seen('/zz')[0] as Seen).sort()).toEqual(all);
    expect(carried(foreign.seen('/z')[0] as Seen)).toEqual([]);
    expect(carried(third.seen('/z')[0] as Seen)).toEqual([]);
  });

  test('ORIGIN: maxRedirects are followed, and one more is refused', async () => {
    const hops = (count: number): string => {
      for (let hop = 1; hop < count; hop++) home.on(`/hop${hop}`, () => redirect(`/hop${hop + 1}`));
      home.on(`/hop${count}`, serve);
      return home.on('/hop0', () => redirect('/hop1'));
    };
    const bytes = await remoteAt(hops(5)).readAt(7, 5);
    expect(bytes).toEqual(resource.body.slice(7, 12));
    const error = await rejection(remoteAt(hops(6)).readAt(7, 5));
    expect(error).toMatchObject({ name: 'RedirectError', code: 'ERR_FANPIPE_REDIRECT' });
    expect(home.seen('/hop6')).toHaveLength(0);
    expect(await remoteAt(hops(2), { maxRedirects: 2 }).readAt(0, 1)).toHaveLength(1);
    expect((await rejection(remoteAt(hops(2), { maxRedirects: 1 }).readAt(0, 1))).code).toBe('ERR_FANPIPE_REDIRECT');
    const none = remoteAt(hops(1), { maxRedirects: 0 });
    expect((await rejection(none.readAt(0, 1))).code).toBe('ERR_FANPIPE_REDIRECT');
  });

  test('ORIGIN: a loop ends at the limit, without a retry', async () => {
    const url = home.on('/loop', () => redirect('/pool'));
    home.on('/pool', () => redirect('/loop'));
    const remote = remoteAt(url);
    expect((await rejection(remote.read(1))).code).toBe('ERR_FANPIPE_REDIRECT');
    expect(home.seen('/loop').length + home.seen('/pool').length).toBe(6);
    expect(remote.stats().retries).toBe(0);
  });

  test.each([
    ['ftp:', 'ftp://127.0.0.1/x'],
    ['data:', 'data:text/plain,x'],
    ['file:', 'file:///etc/passwd'],
    ['no URL', 'http://'],
    ['credentials in it', 'http://me:s3cret@127.0.0.1/x'],
  ])('ORIGIN: to %s: refused at once', async (_, location) => {
    const remote = remoteAt(home.on('/bad', () => redirect(location)));
    const error = await rejection(remote.read(1));
    expect(error.code).toBe('ERR_FANPIPE_REDIRECT');
    expect(error.message).not.toContain('s3cret');
    expect(home.seen('/bad')).toHaveLength(1);
  });

  test('ORIGIN: without a Location: refused at once', async () => {
    const url = home.on('/lost', () => ({ status: 302, headers: {}, body: new Uint8Array(0) }));
    expect((await rejection(remoteAt(url).read(1))).code).toBe('ERR_FANPIPE_REDIRECT');
    expect(home.seen('/lost')).toHaveLength(1);
  });

  test('ORIGIN: from https to http: refused, and nothing is sent there', async () => {
    const asked: string[] = [];
    const fetcher: Fetcher = async (url) => {
      asked.push(url);
      const location = url.endsWith('/begin') ? 'https://b.example/middle' : 'http://b.example/end';
      return new Response(null, { status: 302, headers: { location } });
    };
    const error = await rejection(remoteAt('https://a.example/begin', { fetcher, headers: secrets }).read(1));
    expect(error.code).toBe('ERR_FANPIPE_REDIRECT');
    expect(asked).toEqual(['https://a.example/begin', 'https://b.example/middle']);
  });

  test('ORIGIN: from http to https they stay too: another scheme is another origin', async () => {
    const asked: [string, Headers][] = [];
    const fetcher: Fetcher = async (url, init) => {
      asked.push([url, new Headers(init.headers)]);
      expect(init).toMatchObject({ redirect: 'manual' });
      if (url.startsWith('http:')) {
        return new Response(null, { status: 301, headers: { location: 'https://a.example/x' } });
      }
      return new Response('abc', { status: 206, headers: { 'content-range': 'bytes 0-2/3', etag: '"x"' } });
    };
    const remote = remoteAt('http://a.example/x', { fetcher, headers: secrets });
    expect(Buffer.from(await remote.read(3)).toString()).toBe('abc');
    const [first, second] = asked as [[string, Headers], [string, Headers]];
    expect([first[0], first[1].get('authorization')]).toEqual(['http://a.example/x', secrets.authorization]);
    expect(second[0]).toBe('https://a.example/x');
    for (const name of all) expect([name, second[1].get(name)]).toEqual([name, null]);
  });

  test('ORIGIN: the body of a redirect is not read', async () => {
    let cancelled = 0;
    const body = (): ReadableStream<Uint8Array> =>
      new ReadableStream({
        cancel: () => {
          cancelled++;
        },
      });
    const fetcher: Fetcher = async (url) =>
      url.endsWith('/1')
        ? new Response(body(), { status: 302, headers: { location: '/2' } })
        : new Response('a', { status: 206, headers: { 'content-range': 'bytes 0-0/1' } });
    await remoteAt('http://a.example/1', { fetcher }).read(1);
    expect(cancelled).toBe(1);
  });
});

describe('allowUrl', () => {
  test('ORIGIN: is asked for the URL and for each target, and may take its time', async () => {
    const target = foreign.on('/ok', serve);
    const url = home.on('/ok', () => redirect(target));
    const asked: string[] = [];
    const allowUrl = async (candidate: URL): Promise<boolean> => {
      asked.push(candidate.href);
      return true;
    };
    await remoteAt(url, { allowUrl }).readAt(0, 4);
    expect(asked).toEqual([url, target]);
  });

  test('ORIGIN: what it refuses is not asked for', async () => {
    const target = foreign.on('/no', serve);
    const url = home.on('/no', () => redirect(target));
    const onlyHome = (candidate: URL): boolean => candidate.origin === home.origin;
    const error = await rejection(remoteAt(url, { allowUrl: onlyHome }).readAt(0, 4));
    expect(error.code).toBe('ERR_FANPIPE_REDIRECT');
    expect([home.seen('/no').length, foreign.seen('/no').length]).toEqual([1, 0]);

    const own = await rejection(remoteAt(url, { allowUrl: async () => false }).readAt(0, 4));
    expect(own.code).toMatch(/^ERR_FANPIPE_(REDIRECT|INVALID_ARGUMENT)$/);
    expect(home.seen('/no')).toHaveLength(1);
  });

  test('ORIGIN: that it throws is told, and nothing is asked for', async () => {
    const url = home.on('/throws', serve);
    const allowUrl = (): boolean => {
      throw new Error('no policy');
    };
    const error = await rejection(remoteAt(url, { allowUrl }).readAt(0, 4));
    expect(error).toMatchObject({
      code: 'ERR_FANPIPE_CALLBACK',
      callback: 'allowUrl',
      cause: { message: 'no policy' },
    });
    expect(home.seen('/throws')).toHaveLength(0);
  });
});

describe('the URL and the headers', () => {
  test.each(['http://me@127.0.0.1/', 'http://me:pass@127.0.0.1/', 'https://:pass@127.0.0.1/'])(
    'ORIGIN: credentials in the URL are refused: %s',
    (url) => {
      const error = thrownBy(() => remoteAt(url));
      expect(error).toMatchObject({ code: 'ERR_FANPIPE_INVALID_ARGUMENT', argument: 'url' });
      expect((error as Error).message).toMatch(/authorization/i);
      expect((error as Error).message).not.toContain('pass@');
    },
  );

  test.each([
    'http://me:s3cret@127.0.0.1:99999999/',
    'ftp://me:s3cret@127.0.0.1/',
    'ftp://127.0.0.1/x?key=s3cret',
    '/x?key=s3cret',
    '//me:s3cret@127.0.0.1/?key=s3cret',
  ])('ORIGIN: what is no URL is not shown with its secrets: %s', (url) => {
    const error = thrownBy(() => remoteAt(url));
    expect(error).toMatchObject({ code: 'ERR_FANPIPE_INVALID_ARGUMENT', argument: 'url' });
    expect(`${(error as Error).stack} ${JSON.stringify(error)}`).not.toContain('s3cret');
  });

  test('ORIGIN: an error does not show what is secret', async () => {
    const url = home.on('/secret', () => ({ status: 403, headers: {}, body: new Uint8Array(0) }));
    const error = await rejection(remoteAt(url, { headers: secrets }).read(1));
    expect(error.code).toBe('ERR_FANPIPE_HTTP_STATUS');
    expect(`${error.stack} ${JSON.stringify(error)}`).not.toContain('s3cret');
  });

  test('ORIGIN: the headers of the caller are copied', async () => {
    const url = home.on('/copied', serve);
    const headers = new Headers({ 'x-mine': 'before' });
    const remote = remoteAt(url, { headers });
    headers.set('x-mine', 'after');
    await remote.read(1);
    expect(home.seen('/copied')[0]?.headers['x-mine']).toBe('before');
  });
});

test('ORIGIN: a redirect that changes in mid-way leads to the same bytes, or is noticed', async () => {
  const clock = new IdleClock();
  const other: Resource = { body: new Random(6).bytes(300_000), etag: '"v2"' };
  const good = foreign.on('/good', serve);
  const bad = third.on('/bad', (request) => honest(other, request));
  const same = home.on('/moving', (request) =>
    redirect([good, good, `${home.origin}/mirror`][request.index % 3] ?? good),
  );
  home.on('/mirror', serve);
  expect(sha256(await iterated(remoteAt(same, { clock, readAhead: 64 * 1024 })))).toBe(digest);
  const broken = foreign.on('/broken', (request) => stopAt(honest(resource, request), 70_000));
  const wrong = home.on('/moved', (request) => redirect(request.index === 0 ? broken : bad));
  const remote = remoteAt(wrong, { clock, readAhead: 64 * 1024 });
  expect((await rejection(iterated(remote))).code).toBe('ERR_FANPIPE_RESOURCE_CHANGED');
  clock.stop();
});
