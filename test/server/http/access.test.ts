/** Who may do what: tokens, hooks, pages of other origins, and what every reply has. */
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type BearerToken, StreamNotFoundError, StreamServer } from '../../../packages/server/src/index.ts';
import { Call, HttpRig, tokenAt } from './http-rig.ts';

const READER = 'reader-0123456789abcdef';
const WRITER = 'writer-0123456789abcdef';
const OTHER = 'other-0123456789abcdef0';
const TOKENS: BearerToken[] = [
  { token: READER, read: ['chat'] },
  { token: WRITER, read: ['chat/'], write: ['chat/'] },
  { token: OTHER, read: [''], write: ['other'] },
];
const ROUTES = [
  'GET',
  'GET ?offset=-1',
  'GET ?offset=now&live=long-poll',
  'GET ?offset=-1&live=sse',
  'GET ?live=raw',
  'HEAD',
  'PUT',
  'POST',
  'DELETE',
];
const isRead = (route: string): boolean => route.startsWith('GET') || route === 'HEAD';

async function ask(rig: HttpRig, route: string, name: string, authorization?: string): Promise<number> {
  const [method, query = ''] = route.split(' ');
  const answer = await rig.call(`${method} ${name}${query}`, {
    headers: { 'content-type': 'text/plain', ...(authorization === undefined ? {} : { authorization }) },
    ...(method === 'POST' ? { body: 'x' } : {}),
  });
  if (answer.reply.body !== undefined && !(answer.reply.body instanceof Uint8Array)) answer.stop();
  return answer.status;
}

describe('tokens', () => {
  test.each(ROUTES)('%s: no, wrong, and cut tokens are 401', async (route) => {
    const rig = new HttpRig({ tokens: TOKENS, longPollTimeout: 1 });
    for (const authorization of [
      undefined,
      '',
      'Bearer',
      'Bearer ',
      `Bearer ${READER}x`,
      `Bearer ${READER.slice(0, -1)}`,
      `Bearer ${READER.toUpperCase()}`,
      `Basic ${READER}`,
      READER,
      `Bearer ${READER} ${READER}`,
      `Bearer ${READER}, Bearer ${WRITER}`,
      'Bearer ünicode-0123456789',
    ]) {
      expect(await ask(rig, route, 'chat/a', authorization), authorization).toBe(401);
    }
  });

  test.each(ROUTES)('%s: each token does what it may, where it may, whatever is there', async (route) => {
    const rig = new HttpRig({ tokens: TOKENS, longPollTimeout: 1 });
    const may = async (token: string, name: string): Promise<boolean> => {
      const status = await ask(rig, route, name, `bearer  ${token}`);
      expect(status).not.toBe(401);
      return status !== 403;
    };
    const read = isRead(route);
    expect(await may(READER, 'chat')).toBe(read);
    expect(await may(READER, 'chat/a')).toBe(read);
    expect(await may(READER, 'chatter')).toBe(false);
    expect(await may(READER, 'other')).toBe(false);
    expect(await may(WRITER, 'chat/a')).toBe(true);
    expect(await may(WRITER, 'chat')).toBe(false);
    expect(await may(WRITER, 'CHAT/a')).toBe(false);
    expect(await may(OTHER, 'chat/a')).toBe(read);
    expect(await may(OTHER, 'other')).toBe(true);
  });

  test('an encoded path is the name that it means', async () => {
    const rig = new HttpRig({ tokens: TOKENS });
    expect(await ask(rig, 'GET', '%63hat%2Fa', `Bearer ${WRITER}`)).toBe(404);
    expect(await ask(rig, 'GET', 'chat/%2e%2e/other', `Bearer ${WRITER}`)).toBe(400);
  });

  test('a preflight needs none, and says nothing of streams', async () => {
    const rig = new HttpRig({ tokens: TOKENS, cors: { origins: '*' } });
    expect((await rig.call('OPTIONS chat/a')).status).toBe(204);
  });

  test('they never come back: not in a reply, not in an error', async () => {
    const rig = new HttpRig({ tokens: TOKENS });
    for (const token of [READER, WRITER]) {
      for (const route of ROUTES) {
        const [method, query = ''] = route.split(' ');
        const answer = await rig.call(`${method} other${query}`, { headers: { authorization: `Bearer ${token}` } });
        expect(JSON.stringify(answer.reply.headers) + (await answer.text())).not.toContain(token);
      }
    }
    for (const token of ['short', `${READER}\n`, `${READER} `]) {
      let message = '';
      try {
        new StreamServer({ tokens: [{ token, read: [''] }] });
      } catch (error) {
        message = String(error);
      }
      expect(message).toContain('TypeError');
      expect(message).not.toContain(token);
    }
  });
});

describe('authorize', () => {
  test('is asked before anything is looked up, with what is asked for', async () => {
    const asked: string[] = [];
    const rig = new HttpRig({
      authorize: async (request, action, stream) => {
        asked.push(`${request.method} ${action} ${stream}`);
        return stream === 'a' ? true : stream === 'b' ? 'unauthenticated' : false;
      },
    });
    for (const method of ['GET', 'HEAD', 'PUT', 'POST', 'DELETE']) {
      expect((await rig.call(`${method} b`)).status).toBe(401);
      expect((await rig.call(`${method} c`)).status).toBe(403);
    }
    expect((await rig.call('GET b')).header('www-authenticate')).toBe('Bearer');
    expect((await rig.call('GET a')).status).toBe(404);
    expect(asked.slice(0, 10).filter((_, i) => i % 2 === 0)).toEqual([
      'GET read b',
      'HEAD read b',
      'PUT create b',
      'POST append b',
      'DELETE delete b',
    ]);
  });

  test('what it throws lets nobody in, and is told to nobody but the server', async () => {
    const rig = new HttpRig({
      authorize: () => {
        throw new Error('secret of the database');
      },
    });
    const answer = await rig.call('GET a');
    expect([answer.status, await answer.text()]).toEqual([500, expect.not.stringContaining('secret')]);
    expect(rig.faults).toHaveLength(1);
  });

  test('what it throws is a fault of the server, be it an error that is a clients elsewhere', async () => {
    const rig: HttpRig = new HttpRig({
      authorize: async (_request, _action, stream) => {
        await rig.server.hub.open(`users/${stream}`);
        return true;
      },
    });
    const answer = await rig.call('GET a');
    expect([answer.status, await answer.text()]).toEqual([500, expect.not.stringContaining('users')]);
    expect(rig.faults).toEqual([expect.objectContaining({ cause: expect.any(StreamNotFoundError) })]);
  });

  test('who is told of a fault and throws changes nothing of the reply', async () => {
    const fails = (): never => {
      throw new Error('no');
    };
    const rig = new HttpRig({ authorize: fails, onError: fails });
    expect((await rig.call('GET a')).status).toBe(500);
    await expect(rig.server.handle(new Call('GET a'))).resolves.toMatchObject({ status: 500 });
  });

  test('a fault that nobody asked to be told of is printed', async () => {
    const fault = new Error('no');
    const printed = vi.spyOn(console, 'error').mockImplementation(() => {});
    onTestFinished(() => printed.mockRestore());
    const fails = (): never => {
      throw fault;
    };
    const rig = new HttpRig({ authorize: fails, onError: undefined });
    expect((await rig.call('GET a')).status).toBe(500);
    expect(printed.mock.calls).toEqual([[expect.objectContaining({ cause: fault })]]);
  });

  test('only true is a yes', async () => {
    for (const decision of [undefined, 1, 'yes', {}, null]) {
      const rig = new HttpRig({ authorize: () => decision as never });
      expect((await rig.call('GET a')).status).toBe(403);
    }
  });

  test('with tokens too, both must allow', async () => {
    const rig = new HttpRig({ tokens: TOKENS, authorize: (_, action) => action === 'read' });
    expect(await ask(rig, 'GET', 'chat/a', `Bearer ${WRITER}`)).toBe(404);
    expect(await ask(rig, 'POST', 'chat/a', `Bearer ${WRITER}`)).toBe(403);
    expect(await ask(rig, 'GET', 'chat/a')).toBe(401);
  });
});

describe('pages of other origins', () => {
  const origin = async (rig: HttpRig, value?: string): Promise<(string | undefined)[]> => {
    const answer = await rig.call('GET a', { headers: value === undefined ? {} : { origin: value } });
    return [
      answer.header('access-control-allow-origin'),
      answer.header('access-control-allow-credentials'),
      answer.header('vary'),
    ];
  };

  test('see nothing unless they are allowed to', async () => {
    expect(await origin(new HttpRig(), 'https://a.example')).toEqual([undefined, undefined, undefined]);
    const preflight = await new HttpRig().call('OPTIONS a', { headers: { origin: 'https://a.example' } });
    expect([preflight.status, preflight.header('access-control-allow-origin')]).toEqual([204, undefined]);
    expect((await new HttpRig().call('GET a')).header('cross-origin-resource-policy')).toBe('same-origin');
  });

  test('all, or those that are listed, exactly', async () => {
    const all = new HttpRig({ cors: { origins: '*' } });
    expect(await origin(all, 'https://a.example')).toEqual(['*', undefined, undefined]);
    expect((await all.call('GET a')).header('cross-origin-resource-policy')).toBe('cross-origin');
    const some = new HttpRig({ cors: { origins: ['https://a.example'], credentials: true } });
    expect(await origin(some, 'https://a.example')).toEqual(['https://a.example', 'true', 'Origin']);
    for (const other of [
      undefined,
      'null',
      'https://a.example.evil',
      'http://a.example',
      'https://A.example',
      'https://a.example:8443',
    ]) {
      expect(await origin(some, other), other).toEqual([undefined, undefined, 'Origin']);
    }
  });

  test('write nothing unless they are allowed to, with or without asking first', async () => {
    const page = (site: string | undefined, from: string | undefined): Record<string, string> => ({
      'content-type': 'text/plain',
      ...(site === undefined ? {} : { 'sec-fetch-site': site }),
      ...(from === undefined ? {} : { origin: from }),
    });
    const statuses = async (rig: HttpRig, headers: Record<string, string>): Promise<number[]> => {
      const all: number[] = [];
      for (const method of ['PUT', 'POST', 'DELETE', 'GET']) {
        const body = method === 'POST' ? 'x' : undefined;
        all.push((await rig.call(`${method} a`, { headers, body })).status);
      }
      return all;
    };
    const cases: [string | undefined, string | undefined, boolean][] = [
      // What is no browser.
      [undefined, undefined, true],
      // A page of this server, behind whatever proxy.
      ['same-origin', 'https://proxy.example', true],
      // Typed in by the user.
      ['none', undefined, true],
      ['cross-site', 'https://a.example', false],
      ['same-site', 'https://a.example', false],
      ['cross-site', undefined, false],
      ['cross-site', 'null', false],
      ['cross-site', 'http://test', false],
      // Old browsers, and plain HTTP.
      [undefined, 'http://test', true],
      [undefined, 'https://test:80', false],
      [undefined, 'http://test:80', true],
      [undefined, 'https://a.example', false],
      [undefined, 'null', false],
    ];
    const listed = { origins: ['https://a.example'] };
    for (const [site, from, isAllowed] of cases) {
      const rig = new HttpRig();
      await rig.call('PUT a', { headers: { 'content-type': 'text/plain' } });
      const expected = isAllowed ? [200, 204, 204, 404] : [403, 403, 403, 200];
      expect(await statuses(rig, page(site, from)), `${site} ${from}`).toEqual(expected);
      const open = await statuses(new HttpRig({ cors: { origins: '*' } }), page(site, from));
      const isSent = isAllowed || from !== undefined;
      expect(open, `${site} ${from} to all`).toEqual(isSent ? [201, 204, 204, 404] : [403, 403, 403, 404]);
      const some = await statuses(new HttpRig({ cors: listed }), page(site, from));
      const isListed = isAllowed || from === 'https://a.example';
      expect(some, `${site} ${from} to some`).toEqual(isListed ? [201, 204, 204, 404] : [403, 403, 403, 404]);
    }
    const refused = await new HttpRig({ cors: listed }).call('POST a', {
      headers: page('cross-site', 'https://b.example'),
    });
    expect([refused.status, await refused.text()]).toEqual([403, expect.stringContaining('cors')]);
  });

  test('a preflight names what clients send', async () => {
    const rig = new HttpRig({ cors: { origins: '*', maxAge: 5 } });
    const answer = await rig.call('OPTIONS a', {
      headers: { origin: 'https://a.example', 'access-control-request-headers': 'if-none-match' },
    });
    for (const name of [
      'if-none-match',
      'content-type',
      'authorization',
      'stream-closed',
      'producer-seq',
      'range',
      'last-event-id',
    ]) {
      expect(answer.header('access-control-allow-headers')).toContain(name);
    }
    expect([answer.header('access-control-max-age'), answer.header('access-control-allow-methods')]).toEqual([
      '5',
      'GET, HEAD, PUT, POST, DELETE, OPTIONS',
    ]);
  });

  test('options that make no sense are refused', () => {
    for (const cors of [
      { origins: '*', credentials: true },
      { origins: 'https://a.example' },
      { origins: [1] },
      { origins: '*', maxAge: -1 },
    ]) {
      expect(() => new StreamServer({ cors: cors as never })).toThrow(TypeError);
    }
    for (const options of [
      { longPollTimeout: -1 },
      { sseLifetime: 0 },
      { cache: 'all' },
      { prefix: 'a b' },
      { limits: { maxBodyBytes: 0 } },
      { longPollTimeout: Number.NaN },
    ]) {
      expect(() => new StreamServer(options as never)).toThrow(TypeError);
    }
  });
});

describe('every reply', () => {
  test('says that it is what it says, and is not to act', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/html', '<script>alert(1)</script>');
    for (const line of [
      'GET a',
      'HEAD a',
      'PUT a',
      'POST a',
      'DELETE b',
      'OPTIONS a',
      'PATCH a',
      'GET /elsewhere',
      'GET a?offset=x',
      'GET a?live=raw',
      'GET a?offset=-1&live=sse',
      'GET a?offset=-1&live=long-poll',
      `GET a?offset=${tokenAt(9, 9)}`,
    ]) {
      const answer = await rig.call(line);
      expect(answer.header('x-content-type-options'), line).toBe('nosniff');
      // Where there is nothing to open there is nothing to act.
      const isOpened = answer.reply.body !== undefined || line.startsWith('HEAD');
      expect(answer.header('content-security-policy'), line).toEqual(
        isOpened ? expect.stringContaining('sandbox') : undefined,
      );
      expect(answer.header('cross-origin-resource-policy'), line).toBeDefined();
      if (answer.reply.body !== undefined && !(answer.reply.body instanceof Uint8Array)) answer.stop();
    }
  });

  test('405 says what there is', async () => {
    const rig = new HttpRig();
    for (const method of ['PATCH', 'TRACE', 'CONNECT', 'PROPFIND', 'get', '']) {
      const answer = await rig.call(`${method} a`);
      expect([answer.status, answer.header('allow')]).toEqual([405, 'GET, HEAD, PUT, POST, DELETE, OPTIONS']);
    }
  });
});

describe('retention', () => {
  test('is the affair of the server', async () => {
    const rig = new HttpRig({ retention: (name) => (name.startsWith('log/') ? { retainBytes: 10 } : {}) });
    for (const name of ['log/a', 'b']) {
      await rig.create(name);
      for (const part of ['aaaaa', 'bbbbb', 'ccccc']) await rig.append(name, part);
    }
    expect(await (await rig.call('GET log/a')).text()).toBe('bbbbbccccc');
    expect(await (await rig.call('GET b')).text()).toBe('aaaaabbbbbccccc');
    expect((await rig.call('PUT log/a', { headers: { 'content-type': 'text/plain' } })).status).toBe(200);
  });
});
