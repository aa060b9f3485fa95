/**
 * Bad input: every case has its status, and none of them is the server's fault, changes a stream, or leaves something behind. What only a
 * socket can send is in the tests of the listener.
 */
import { describe, expect, test } from 'vitest';
import { Call, type CallOptions, HttpRig, tokenAt } from './http-rig.ts';

type Headers = Record<string, string>;
type Case = readonly [status: number, line: string, headers?: Headers, body?: string | Uint8Array];

const TEXT: Headers = { 'content-type': 'text/plain' };
const JSON_TYPE: Headers = { 'content-type': 'application/json' };
const bytes = (...values: number[]): Uint8Array => new Uint8Array(values);
const producer = (id: string, epoch: string, seq: string): Headers => ({
  ...TEXT,
  'producer-id': id,
  'producer-epoch': epoch,
  'producer-seq': seq,
});
const fork = (source: string, offset?: string, beyond?: string): Headers => ({
  'stream-forked-from': source,
  ...(offset === undefined ? {} : { 'stream-fork-offset': offset }),
  ...(beyond === undefined ? {} : { 'stream-fork-sub-offset': beyond }),
});

/**
 * There are: `text` (generation 1, `0123456789`), `json` (2, `[11,22]`), `closed` (3), `failed` (4), `fork` (5, of `text` at 5),
 * `trimmed` (6, bytes 5 to 15).
 */
async function scene(): Promise<HttpRig> {
  const rig = new HttpRig({ limits: { maxBodyBytes: 1000 }, longPollTimeout: 1 });
  await rig.create('text', 'text/plain', '0123456789');
  await rig.create('json', 'application/json', '[11,22]');
  await rig.create('closed', 'text/plain', 'x', { 'stream-closed': 'true' });
  await rig.create('failed', 'text/plain', 'x');
  await rig.call('POST failed', { headers: { 'stream-error': 'why' } });
  await rig.call('PUT fork', { headers: fork('/v1/stream/text', tokenAt(1, 5)) });
  await rig.server.hub.create('trimmed', { contentType: 'text/plain', retainBytes: 10 });
  for (const part of ['aaaaa', 'bbbbb', 'ccccc']) await rig.append('trimmed', part);
  return rig;
}

const PATHS: Case[] = [
  [404, 'GET /'],
  [404, 'GET /v1'],
  [404, 'GET /v1/stream'],
  [404, 'GET /V1/stream/text'],
  [404, 'GET //v1/stream/text'],
  [404, 'GET /../../etc/passwd'],
  [400, 'GET /v1/stream/'],
  [400, 'GET ../../etc/passwd'],
  [400, 'GET text/..'],
  [400, 'GET ./text'],
  [400, 'GET %2e%2e%2f%2e%2e%2fetc%2fpasswd'],
  [400, 'GET ..%2fetc'],
  [400, 'GET text/'],
  [400, 'GET text//a'],
  [400, 'GET text%2f'],
  [400, 'GET text%00'],
  [400, 'GET text%0d%0aSet-Cookie:a=b'],
  [400, 'GET text%7f'],
  [400, 'GET %'],
  [400, 'GET %zz'],
  [400, 'GET %e2%82'],
  [400, 'GET %ed%a0%80'],
  [400, 'GET %c0%af'],
  [400, 'GET tëxt'],
  [400, 'GET te xt'],
  [400, 'GET te|xt%'],
  [400, `GET ${'x'.repeat(1025)}`],
  [400, `GET ${'a/'.repeat(600)}a`],
  [404, `GET ${'x'.repeat(1024)}`],
  [400, `PUT ${'x'.repeat(5000)}`, TEXT],
  [404, 'GET __ds/subscriptions/1'],
  [404, 'PUT __ds', TEXT],
  [404, 'PUT %5F%5Fds/x', TEXT],
  [404, 'POST __ds/subscriptions/1/claim', JSON_TYPE, '{}'],
];

const METHODS: Case[] = [
  [405, 'PATCH text', TEXT, 'x'],
  [405, 'TRACE text'],
  [405, 'CONNECT text'],
  [405, 'get text'],
  [405, 'LOCK text'],
  [404, 'PATCH /elsewhere'],
];

const MISSING: Case[] = [
  [404, 'GET none'],
  [404, 'GET none?offset=-1'],
  [404, 'GET none?offset=now'],
  [404, 'GET none?offset=now&live=long-poll'],
  [404, 'GET none?offset=-1&live=sse'],
  [404, 'GET none?live=raw'],
  [404, 'HEAD none'],
  [404, 'DELETE none'],
  [404, 'POST none', TEXT, 'x'],
  [404, 'POST none', { 'stream-closed': 'true' }],
  [404, 'GET Text'],
];

const QUERIES: Case[] = [
  [400, 'GET text?offset='],
  [400, 'GET text?offset'],
  [400, 'GET text?offset=0'],
  [400, 'GET text?offset=-2'],
  [400, 'GET text?offset=--1'],
  [400, 'GET text?offset=%201'],
  [400, 'GET text?offset=now%00'],
  [400, 'GET text?offset=Now'],
  [400, 'GET text?offset=1,2'],
  [400, 'GET text?offset=../text'],
  [400, `GET text?offset=${tokenAt(1, 5)}/`],
  [400, `GET text?offset=${tokenAt(1, 5)}%0a`],
  [400, `GET text?offset=${tokenAt(1, 5)}+`],
  [400, `GET text?offset=${tokenAt(1, 11)}`],
  [400, `GET text?offset=${tokenAt(1, Number.MAX_SAFE_INTEGER)}`],
  [400, 'GET text?offset=0000000000000001_9999999999999999'],
  [400, 'GET text?offset=9999999999999999_0000000000000001'],
  [400, 'GET text?offset=0000000000000000_0000000000000005'],
  [400, 'GET text?offset=0000000000000005_0000000000000000'],
  [410, `GET text?offset=${tokenAt(77, 1)}`],
  [410, `GET text?offset=${tokenAt(2, 5)}`],
  [410, `GET trimmed?offset=${tokenAt(6, 4)}`],
  [410, `GET trimmed?offset=${tokenAt(0, 0)}`],
  [410, `GET trimmed?offset=${tokenAt(6, 4)}&live=long-poll`],
  [410, `GET trimmed?offset=${tokenAt(6, 4)}&live=sse`],
  [410, `GET trimmed?offset=${tokenAt(6, 4)}&live=raw`],
  [400, `GET json?offset=${tokenAt(2, 1)}`],
  [400, `GET json?offset=${tokenAt(2, 4)}&live=sse`],
  [400, `GET json?offset=${tokenAt(2, 4)}&live=raw`],
  [400, `GET fork?offset=${tokenAt(1, 6)}`],
  [400, `GET fork?offset=${tokenAt(5, 5)}`],
  [400, 'GET text?offset=-1&offset=-1'],
  [400, 'GET text?offset=-1&%6Fffset=now'],
  [400, 'GET text?offset=%'],
  [400, 'GET text?offset=%ff'],
  [400, 'GET text?x=%zz'],
  [400, 'GET text?live=long-poll'],
  [400, 'GET text?live=sse'],
  [400, 'GET text?offset=-1&live='],
  [400, 'GET text?offset=-1&live=poll'],
  [400, 'GET text?offset=-1&live=SSE'],
  [400, 'GET text?offset=-1&live=sse&live=raw'],
  [400, 'GET text?offset=now&live=sse&cursor=-1'],
  [400, 'GET text?offset=now&live=sse&cursor=1e9'],
  [400, `GET text?offset=now&live=long-poll&cursor=${'9'.repeat(400)}`],
  [400, 'GET text?offset=now&live=long-poll&cursor=1&cursor=2'],
  [400, 'GET text?offset=-1&live=sse', { 'last-event-id': 'x' }],
  [400, 'GET text?offset=-1&live=sse', { 'last-event-id': `${tokenAt(1, 5)}\n` }],
  [409, `GET failed?offset=${tokenAt(4, 1)}&live=long-poll`],
  [409, `GET failed?offset=${tokenAt(4, 1)}&live=sse`],
];

const CONDITIONS: Case[] = [
  [416, 'GET text', { range: 'bytes=10-' }],
  [416, 'GET text', { range: 'bytes=-0' }],
  [416, 'GET text', { range: `bytes=1${'0'.repeat(30)}-` }],
  [200, 'GET text', { range: 'bytes=5-2' }],
  [200, 'GET text', { range: 'bytes=-' }],
  [200, 'GET text', { range: 'bytes=a-b' }],
  [200, 'GET text', { range: 'pages=1-2' }],
  [200, 'GET text', { range: `bytes=${Array.from({ length: 1000 }, (_, i) => `${i}-`).join(',')}` }],
  [200, 'GET text', { range: 'bytes=0-4,2-6' }],
  [206, 'GET text', { range: `bytes=9-1${'0'.repeat(30)}` }],
  [206, 'GET text', { range: 'bytes=-99999999999999999999' }],
  [200, 'GET text', { range: 'bytes=0-1', 'if-range': 'x' }],
  [200, 'GET text', { range: 'bytes=0-1', 'if-range': '"1:0:99"' }],
  [200, 'GET text', { 'if-none-match': '"' }],
  [200, 'GET text', { 'if-none-match': `${'"a", '.repeat(2000)}"` }],
  [200, 'GET text', { 'if-none-match': 'W/W/"1:0:10"' }],
  [304, 'GET text', { 'if-none-match': 'W/"1:0:10"' }],
  [410, 'GET trimmed', { range: 'bytes=0-1', 'if-range': '"6:0:10"' }],
];

const CREATES: Case[] = [
  [400, 'PUT new', { 'content-type': '' }],
  [400, 'PUT new', { 'content-type': 'text' }],
  [400, 'PUT new', { 'content-type': 'text/plain\r\nset-cookie: a=b' }],
  [400, 'PUT new', { 'content-type': 'text/plain, text/html' }],
  [400, 'PUT new', { 'content-type': 'text/plain; charset=a; charset=b' }],
  [400, 'PUT new', { 'content-type': 'text/plän' }],
  [400, 'PUT new', { 'content-type': `text/${'x'.repeat(252)}` }],
  [400, 'PUT new', { ...TEXT, 'stream-ttl': '-1' }],
  [400, 'PUT new', { ...TEXT, 'stream-ttl': '1.5' }],
  [400, 'PUT new', { ...TEXT, 'stream-ttl': '007' }],
  [400, 'PUT new', { ...TEXT, 'stream-ttl': '1e3' }],
  [400, 'PUT new', { ...TEXT, 'stream-ttl': '9'.repeat(30) }],
  [400, 'PUT new', { ...TEXT, 'stream-ttl': '' }],
  [400, 'PUT new', { ...TEXT, 'stream-expires-at': 'soon' }],
  [400, 'PUT new', { ...TEXT, 'stream-expires-at': '2030-02-30T00:00:00Z' }],
  [400, 'PUT new', { ...TEXT, 'stream-expires-at': '2030-01-01' }],
  [400, 'PUT new', { ...TEXT, 'stream-ttl': '1', 'stream-expires-at': '2030-01-01T00:00:00Z' }],
  [400, 'PUT new', JSON_TYPE, '{'],
  [400, 'PUT new', JSON_TYPE, '[1,]'],
  [400, 'PUT new', JSON_TYPE, bytes(0xff)],
  [400, 'PUT new', JSON_TYPE, bytes(0x22, 0xc3, 0x22)],
  [413, 'PUT new', TEXT, 'x'.repeat(1001)],
  [409, 'PUT text', { 'content-type': 'text/html' }],
  [409, 'PUT text', { ...TEXT, 'stream-ttl': '60' }],
  [409, 'PUT text', { ...TEXT, 'stream-closed': 'true' }],
  [409, 'PUT closed', TEXT],
  [409, 'PUT failed', { ...TEXT, 'stream-closed': 'true' }],
  [404, 'PUT new', fork('/v1/stream/none')],
  [404, 'PUT new', fork('/elsewhere/text')],
  [404, 'PUT new', fork('text')],
  [400, 'PUT new', fork('/v1/stream/../text')],
  [400, 'PUT new', fork('/v1/stream/%zz')],
  [404, 'PUT new', fork('http://other/v1/stream/text')],
  [400, 'PUT new', { 'stream-fork-offset': tokenAt(1, 5) }],
  [400, 'PUT new', { 'stream-fork-sub-offset': '0' }],
  [400, 'PUT new', fork('/v1/stream/text', 'x')],
  [400, 'PUT new', fork('/v1/stream/text', '')],
  [400, 'PUT new', fork('/v1/stream/text', tokenAt(1, 11))],
  [410, 'PUT new', fork('/v1/stream/text', tokenAt(2, 5))],
  [400, 'PUT new', fork('/v1/stream/text', tokenAt(1, 5), '-1')],
  [400, 'PUT new', fork('/v1/stream/text', tokenAt(1, 5), '1.5')],
  [400, 'PUT new', fork('/v1/stream/text', tokenAt(1, 5), '05')],
  [400, 'PUT new', fork('/v1/stream/text', tokenAt(1, 5), '6')],
  [400, 'PUT new', fork('/v1/stream/text', tokenAt(1, 5), '9'.repeat(30))],
  [400, 'PUT new', fork('/v1/stream/text', undefined, '1')],
  [400, 'PUT new', fork('/v1/stream/json', tokenAt(2, 3), '2')],
  [400, 'PUT new', fork('/v1/stream/json', tokenAt(2, 1))],
  [409, 'PUT new', { ...fork('/v1/stream/text'), 'content-type': 'text/html' }],
  [409, 'PUT fork', fork('/v1/stream/text', tokenAt(1, 4))],
  [409, 'PUT fork', fork('/v1/stream/text', tokenAt(1, 5), '1')],
  [400, 'PUT fork', fork('/v1/stream/text', 'x')],
  [409, 'PUT fork', fork('/v1/stream/json')],
  [409, 'PUT text', fork('/v1/stream/json')],
];

const APPENDS: Case[] = [
  [400, 'POST text', TEXT],
  [400, 'POST text', {}, 'x'],
  [400, 'POST text', { 'content-type': 'text' }, 'x'],
  [409, 'POST text', { 'content-type': 'text/html' }, 'x'],
  [409, 'POST text', JSON_TYPE, '1'],
  [413, 'POST text', TEXT, 'x'.repeat(1001)],
  [400, 'POST json', JSON_TYPE, '[]'],
  [400, 'POST json', JSON_TYPE, ' [ ] '],
  [400, 'POST json', JSON_TYPE, ' '],
  [400, 'POST json', JSON_TYPE, '{"a":1'],
  [400, 'POST json', JSON_TYPE, '{"a":1}{"b":2}'],
  [400, 'POST json', JSON_TYPE, 'NaN'],
  [400, 'POST json', JSON_TYPE, "{'a':1}"],
  [400, 'POST json', JSON_TYPE, '[1]\u0000'],
  [400, 'POST json', JSON_TYPE, '['.repeat(1000)],
  [400, 'POST json', JSON_TYPE, bytes(0xfe, 0xff, 0, 0x31)],
  [400, 'POST json', { ...JSON_TYPE, 'stream-closed': 'true' }, '[]'],
  [400, 'POST json', { ...JSON_TYPE, ...producer('p', '0', '0'), 'content-type': 'application/json' }, '{'],
  [400, 'POST text', { ...TEXT, 'producer-id': 'p' }, 'x'],
  [400, 'POST text', { ...TEXT, 'producer-epoch': '0', 'producer-seq': '0' }, 'x'],
  [400, 'POST text', producer('', '0', '0'), 'x'],
  [400, 'POST text', producer('\xff'.repeat(1024), '0', '0'), 'x'],
  [400, 'POST text', producer('p', '-1', '0'), 'x'],
  [400, 'POST text', producer('p', '0', '1.5'), 'x'],
  [400, 'POST text', producer('p', '0x0', '0'), 'x'],
  [400, 'POST text', producer('p', '0', '9007199254740992'), 'x'],
  [400, 'POST text', producer('p'.repeat(1025), '0', '0'), 'x'],
  [409, 'POST text', producer('p', '0', '1'), 'x'],
  [400, 'POST text', { ...TEXT, 'stream-seq': '' }, 'x'],
  [400, 'POST text', { ...TEXT, 'stream-seq': 's'.repeat(1025) }, 'x'],
  [400, 'POST text', { ...TEXT, 'stream-closed': 'yes' }],
  [400, 'POST text', { 'stream-closed': 'true, true' }],
  [400, 'POST text', { 'stream-error': '' }],
  [400, 'POST text', { 'stream-error': '%' }],
  [400, 'POST text', { 'stream-error': '%ff' }],
  [400, 'POST text', { 'stream-error': 'x'.repeat(4097) }],
  [400, 'POST text', { 'stream-error': 'x', 'stream-closed': 'true' }],
  [400, 'POST text', { ...TEXT, 'stream-error': 'x' }, 'x'],
  [409, 'POST closed', TEXT, 'x'],
  [409, 'POST closed', { 'stream-error': 'x' }],
  [409, 'POST closed', { 'content-type': 'text/html' }, 'x'],
  [409, 'POST failed', TEXT, 'x'],
  [409, 'POST failed', { 'stream-closed': 'true' }],
];

const ALL = { PATHS, METHODS, MISSING, QUERIES, CONDITIONS, CREATES, APPENDS };

describe.each(Object.entries(ALL))('bad input: %s', (_, cases) => {
  test.each(cases)('FAULT: %d for %j with %j and %j', async (...row) => {
    const [status, line, headers, body] = row as unknown as Case;
    const rig = await scene();
    const before = await states(rig);
    const options: CallOptions = { ...(headers === undefined ? {} : { headers }), body };
    const call = new Call(line, options);
    const answer = await rig.call(call);
    expect(answer.status).toBe(status);
    if (status >= 400) {
      const { error } = JSON.parse(await answer.text()) as { error: { code: string; message: string } };
      expect(error.code).toMatch(/^[A-Z_]+$/);
      expect(error.message.length).toBeGreaterThan(0);
      expect(answer.header('cache-control')).toBe('no-store');
      // Nothing of what came may become a header of what goes.
      expect(answer.reply.headers.every((value) => /^[\x20-\x7e]*$/.test(value))).toBe(true);
    }
    expect(rig.faults).toEqual([]);
    expect(await states(rig)).toEqual(before);
    expect((await rig.server.hub.stats()).readers).toBe(0);
  });
});

/** All streams as they are. */
async function states(rig: HttpRig): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const state of rig.server.hub.list()) found.push(state);
  return found;
}

test('bad input: there are enough cases', () => {
  expect(Object.values(ALL).flat().length).toBeGreaterThanOrEqual(200);
});

test('FAULT: mutated requests are answered, and never by a fault', async () => {
  const rig = await scene();
  const alphabet = [
    '%',
    '%00',
    '..',
    '/',
    '\\',
    '"',
    ',',
    ' ',
    '\u00e9',
    '-1',
    'now',
    '&',
    '=',
    'x',
    '0',
    '9'.repeat(20),
    '\t',
    ';',
    '_',
    'true',
    'offset',
    'live=sse',
    '[',
    '{',
  ];
  let state = Number(process.env.FANPIPE_SEED ?? Date.now() % 2 ** 31);
  const seed = state;
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
  const mutate = (text: string): string => {
    const at = random(text.length + 1);
    return text.slice(0, at) + (alphabet[random(alphabet.length)] as string) + text.slice(at + random(3));
  };
  const all = Object.values(ALL).flat();
  for (let i = 0; i < 3000; i++) {
    const [, line, headers = {}, body] = all[random(all.length)] as Case;
    const space = line.indexOf(' ');
    const target = random(2) === 0 ? mutate(line.slice(space + 1)) : line.slice(space + 1);
    const mutated = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, random(2) === 0 ? mutate(value) : value]),
    );
    const answer = await rig.call(new Call(`${line.slice(0, space)} ${target}`, { headers: mutated, body }));
    expect(answer.status, `seed ${seed}, ${i}: ${line} as ${target} with ${JSON.stringify(mutated)}`).toBeLessThan(500);
    if (answer.reply.body !== undefined && !(answer.reply.body instanceof Uint8Array)) answer.stop();
  }
  expect(rig.faults).toEqual([]);
});
