/** What requests say before any stream is looked at: paths, queries, offsets, types, times, the headers of writers. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { eventEncoding, isJson, parseContentType } from '../../../packages/server/src/http/content-type.ts';
import { expiryHeaders, parseExpiry } from '../../../packages/server/src/http/expiry.ts';
import { formatOffset, parseOffset, resolveOffset } from '../../../packages/server/src/http/offset-token.ts';
import { parseQuery } from '../../../packages/server/src/http/query.ts';
import { Refusal } from '../../../packages/server/src/http/refusal.ts';
import { checkPrefix, streamName } from '../../../packages/server/src/http/stream-name.ts';
import {
  encodeReason,
  isClosing,
  parseEnd,
  parseProducer,
  parseStreamSeq,
} from '../../../packages/server/src/http/writer-headers.ts';
import { essenceOf } from '../../../packages/server/src/hub/content-type.ts';
import type { StreamState } from '../../../packages/server/src/index.ts';
import { randomSeed } from '../../support/seed.ts';

const wellFormed = (string: string): string => string.replace(/\p{Surrogate}/gu, '\ufffd');
const PREFIX = '/v1/stream/';
const headers = (values: Record<string, string>): { header(name: string): string | undefined } => ({
  header: (name) => values[name],
});

function refused(run: () => unknown): number | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof Refusal) return error.status;
    throw error;
  }
  return undefined;
}

describe('names of streams', () => {
  test.each([
    ['a', 'a'],
    ['a/b/c', 'a/b/c'],
    ['a%2Fb', 'a/b'],
    ['%41', 'A'],
    ['%e2%82%ac', '€'],
    ['a%20b', 'a b'],
    ["!$&'()*+,;=:@-._~", "!$&'()*+,;=:@-._~"],
    ['%3Cimg%20onerror%3E', '<img onerror>'],
    ['a..b', 'a..b'],
    ['__dsx', '__dsx'],
    ['x/__ds', 'x/__ds'],
    ['%C3%A9', 'é'],
    ['e%CC%81', 'e\u0301'],
  ])('%s is %j', (path, name) => expect(streamName(PREFIX + path, PREFIX)).toBe(name));

  test.each([
    ['', 400],
    ['a//b', 400],
    ['a/', 400],
    ['/a', 400],
    ['..', 400],
    ['.', 400],
    ['a/../b', 400],
    ['a/./b', 400],
    ['%2e%2e%2fetc', 400],
    ['a/%2E%2E', 400],
    ['a%00b', 400],
    ['a%0Ab', 400],
    ['a%0d%0aX: y', 400],
    ['a%7f', 400],
    ['%zz', 400],
    ['%', 400],
    ['%4', 400],
    ['%ff', 400],
    ['%ed%a0%80', 400],
    ['%c0%ae%c0%ae', 400],
    ['é', 400],
    ['a b', 400],
    ['a"b', 400],
    ['<a>', 400],
    ['__ds', 404],
    ['__ds/subscriptions/1', 404],
    ['%5f%5fds/jwks.json', 404],
    ['x'.repeat(1025), 400],
    ['%e2%82%ac'.repeat(342), 400],
  ])('%s is refused with %d', (path, status) => {
    expect(refused(() => streamName(PREFIX + path, PREFIX))).toBe(status);
  });

  test('names have up to 1,024 bytes of UTF-8, whatever they are made of', () => {
    expect(streamName(PREFIX + 'x'.repeat(1024), PREFIX)).toHaveLength(1024);
    expect(streamName(PREFIX + '%e2%82%ac'.repeat(341), PREFIX)).toHaveLength(341);
  });

  test('a path without the prefix names no stream', () => {
    expect(streamName('/v1/streams/a', PREFIX)).toBeUndefined();
    expect(streamName('/', PREFIX)).toBeUndefined();
    expect(streamName('//v1/stream/a', PREFIX)).toBeUndefined();
  });

  test('prefixes get their slashes, and what is no path is refused', () => {
    expect(checkPrefix('v1/stream')).toBe('/v1/stream/');
    expect(checkPrefix('/')).toBe('/');
    for (const wrong of ['a b', '/a//b', '/a?b', '/é']) expect(() => checkPrefix(wrong)).toThrow(TypeError);
  });

  test('any name comes back from its own path, and two paths of one name differ only in how it is encoded', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }), (name) => {
        let path: string;
        try {
          path = encodeURIComponent(name);
        } catch {
          return;
        }
        const status = refused(() => expect(streamName(PREFIX + path, PREFIX)).toBe(name));
        const isSound = [...name].every((char) => char >= ' ' && char !== '\x7f');
        const hasGoodSegments = name.split('/').every((part) => !['', '.', '..'].includes(part));
        expect(status).toBe(isSound && hasGoodSegments ? undefined : 400);
      }),
      { seed: randomSeed() },
    );
  });
});

describe('queries', () => {
  test('what is ours is read, the rest passed over', () => {
    expect(parseQuery('')).toEqual({ offset: undefined, live: undefined, cursor: undefined });
    expect(parseQuery('foo=bar&offset=-1&cursor=7&live=sse&live2=x&&a')).toEqual({
      offset: '-1',
      live: 'sse',
      cursor: '7',
    });
    expect(parseQuery('%6fffset=%2d1').offset).toBe('-1');
    expect(parseQuery('offset=').offset).toBe('');
    expect(parseQuery('offset').offset).toBe('');
    expect(parseQuery('offset=a=b+c').offset).toBe('a=b c');
    expect(parseQuery('OFFSET=1').offset).toBeUndefined();
  });
  test.each([
    'offset=1&offset=1',
    'live=sse&live=sse',
    'cursor=1&cursor=2',
    'offset=1&%6fffset=2',
    'offset=%',
    'x=%zz',
    '%ff=1',
    'live=',
    'live=maybe',
    'live=SSE',
    'live=true',
  ])('%s is refused', (query) => expect(refused(() => parseQuery(query))).toBe(400));
});

const state: StreamState = {
  name: 'fork',
  generation: 9,
  config: { contentType: 'text/plain' },
  createdAt: 0,
  head: 0,
  tail: 30,
  end: undefined,
  inherited: [
    { generation: 3, to: 10 },
    { generation: 7, to: 20 },
  ],
};
const token = (generation: number, offset: number): string =>
  `${String(generation).padStart(16, '0')}_${String(offset).padStart(16, '0')}`;
const resolve = (text: string, of: StreamState = state): number => {
  const parsed = parseOffset(text);
  if (parsed === undefined) throw new Refusal(400, 'BAD_REQUEST', 'no token');
  return resolveOffset(parsed, of);
};

describe('offsets', () => {
  test('each part of a fork has the tokens of the generation that wrote it', () => {
    const own = { generation: 4, inherited: [] };
    expect(formatOffset(own, 0)).toBe(token(0, 0));
    expect(formatOffset(own, 1)).toBe(token(4, 1));
    expect(formatOffset(state, 10)).toBe(token(3, 10));
    expect(formatOffset(state, 11)).toBe(token(7, 11));
    expect(formatOffset(state, 20)).toBe(token(7, 20));
    expect(formatOffset(state, 21)).toBe(token(9, 21));
  });

  test('tokens sort as positions do, and each comes back', () => {
    const tokens = Array.from({ length: 31 }, (_, offset) => formatOffset(state, offset));
    expect([...tokens].sort()).toEqual(tokens);
    expect(new Set(tokens).size).toBe(31);
    for (const [offset, text] of tokens.entries()) expect(resolve(text)).toBe(offset);
    expect(formatOffset({ generation: Number.MAX_SAFE_INTEGER, inherited: [] }, Number.MAX_SAFE_INTEGER)).toHaveLength(
      33,
    );
  });

  test.each([
    '',
    'abc',
    '1',
    '-2',
    'NOW',
    token(1, 1).slice(1),
    `${token(1, 1)}0`,
    ` ${token(1, 1)}`,
    `${token(1, 1)}\n`,
    token(1, 1).replace('_', '-'),
    token(0, 5),
    token(5, 0),
    '9999999999999999_0000000000000001',
    '0000000000000001_9999999999999999',
    '../1',
    '1,2',
    `${'٠'.repeat(16)}_${'٠'.repeat(16)}`,
  ])('%j is none', (text) => expect(parseOffset(text)).toBeUndefined());

  test('start and now are places', () => {
    expect(resolve('-1')).toBe(0);
    expect(resolve('now')).toBe(30);
    expect(resolve('-1', { ...state, head: 12 })).toBe(12);
  });

  test('tokens of a deleted stream, and of what is no longer retained, are gone, with the oldest offset', () => {
    const trimmed = { ...state, head: 12 };
    for (const text of [token(8, 25), token(99, 1), token(7, 11), token(3, 2), token(0, 0)]) {
      const error = (() => {
        try {
          return resolve(text, trimmed);
        } catch (caught) {
          return caught;
        }
      })();
      expect(error, text).toBeInstanceOf(Refusal);
      expect(error).toMatchObject({ status: 410, headers: ['stream-oldest-offset', token(7, 12)] });
    }
    expect(resolve(token(7, 12), trimmed)).toBe(12);
  });

  test('what is not written, or not of this fork, is refused', () => {
    expect(refused(() => resolve(token(9, 31)))).toBe(400);
    expect(refused(() => resolve(token(7, 21)))).toBe(400);
    expect(refused(() => resolve(token(9, 20)))).toBe(400);
    expect(refused(() => resolve(token(3, 11)))).toBe(400);
  });
});

describe('content types', () => {
  test.each([
    ['text/plain', 'text/plain'],
    ['TEXT/Plain; Charset=UTF-8', 'text/plain'],
    [' application/vnd.a+json ', 'application/vnd.a+json'],
    ['multipart/form-data; boundary="a b; c"', 'multipart/form-data'],
    ['text/plain;', 'text/plain'],
    ['text/plain ; ; charset=x', 'text/plain'],
  ])('%j is %s', (header, essence) => {
    expect(parseContentType(header)).toBe(header.trim());
    expect(essenceOf(header)).toBe(essence);
  });

  test.each([
    '',
    'text',
    'text/',
    '/plain',
    'text/plain, text/html',
    'te xt/plain',
    'text/plain; charset',
    'text/plain; charset=',
    'text/plain\r\nX: y',
    'text/plain;\r\nx=y',
    'text/plain;\u00a0x=y',
    'text/plain; x=y z=a',
    'text/plain; a=1; A=2',
    'text/plain; a="x',
    'text/plain; a="\r\n"',
    'text/pläin',
    `text/${'x'.repeat(300)}`,
  ])('%j is refused', (header) => expect(refused(() => parseContentType(header))).toBe(400));

  test('a type made to be slow to read is not', () => {
    const start = performance.now();
    expect(refused(() => parseContentType(`a/b${' ;'.repeat(120)}`))).toBeUndefined();
    expect(refused(() => parseContentType(`a/b${';a=b'.repeat(60)}`))).toBe(400);
    expect(refused(() => parseContentType(`a/b;${' '.repeat(240)}=`))).toBe(400);
    // White space between two marks may belong to the one or to the other: the ways double with each, and the end fits none of them.
    expect(refused(() => parseContentType(`a/b${'; '.repeat(28)};(`))).toBe(400);
    expect(refused(() => parseContentType(`a/b${';  '.repeat(80)};(`))).toBe(400);
    expect(performance.now() - start).toBeLessThan(500);
  });

  test('how they are shown', () => {
    expect(isJson('Application/JSON; charset=utf-8')).toBe(true);
    expect(isJson('application/x-ndjson')).toBe(false);
    expect(eventEncoding('application/json;x=1')).toBe('json');
    expect(eventEncoding('Text/Html')).toBe('text');
    expect(eventEncoding('image/png')).toBe('base64');
    expect(eventEncoding('application/vnd.a+json')).toBe('base64');
  });
});

describe('when streams expire', () => {
  test.each([
    ['0', 0],
    ['3600', 3_600_000],
    ['9007199254740', 9_007_199_254_740_000],
  ])('a TTL of %s', (text, ttl) => {
    const expiry = parseExpiry(headers({ 'stream-ttl': text }));
    expect(expiry).toEqual({ ttl });
    expect(expiryHeaders(expiry)).toEqual(['stream-ttl', text]);
  });

  test.each(['', '-1', '+1', '01', '00', '1.0', '1e3', '1 ', ' 1', '1s', '0x1', '9007199254741', '1, 1', '١'])(
    'a TTL of %j is refused',
    (text) => expect(refused(() => parseExpiry(headers({ 'stream-ttl': text })))).toBe(400),
  );

  test.each([
    ['2030-01-31T12:00:00Z', '2030-01-31T12:00:00.000Z'],
    ['2030-01-31t12:00:00z', '2030-01-31T12:00:00.000Z'],
    ['2030-01-31T12:00:00.1239Z', '2030-01-31T12:00:00.123Z'],
    ['2030-01-31T12:00:00+02:30', '2030-01-31T09:30:00.000Z'],
    ['2030-01-31T23:00:00-02:00', '2030-02-01T01:00:00.000Z'],
    ['2016-12-31T23:59:60Z', '2017-01-01T00:00:00.000Z'],
    ['2028-02-29T00:00:00Z', '2028-02-29T00:00:00.000Z'],
  ])('%s is %s', (text, time) => {
    expect(expiryHeaders(parseExpiry(headers({ 'stream-expires-at': text })))).toEqual(['stream-expires-at', time]);
  });

  test.each([
    '',
    'tomorrow',
    '2030-01-31',
    '2030-02-30T00:00:00Z',
    '2027-02-29T00:00:00Z',
    '2030-13-01T00:00:00Z',
    '2030-01-31T24:00:00Z',
    '2030-01-31T12:60:00Z',
    '2030-01-31T12:00:00',
    '2030-01-31T12:00:00+25:00',
    '1900000000',
    '9999-12-31T23:59:60Z',
    '9999-12-31T23:00:00-02:00',
    '0000-01-01T00:00:00+00:01',
    'Tue, 01 Jan 2030 00:00:00 GMT',
  ])('a time of %j is refused', (text) =>
    expect(refused(() => parseExpiry(headers({ 'stream-expires-at': text })))).toBe(400),
  );

  test('one or the other', () => {
    expect(parseExpiry(headers({}))).toEqual({});
    expect(
      refused(() => parseExpiry(headers({ 'stream-ttl': '1', 'stream-expires-at': '2030-01-31T12:00:00Z' }))),
    ).toBe(400);
  });
});

describe('headers of writers', () => {
  const producer = (id?: string, epoch?: string, seq?: string): Record<string, string> => ({
    ...(id === undefined ? {} : { 'producer-id': id }),
    ...(epoch === undefined ? {} : { 'producer-epoch': epoch }),
    ...(seq === undefined ? {} : { 'producer-seq': seq }),
  });

  test('a producer', () => {
    expect(parseProducer(headers({}))).toBeUndefined();
    expect(parseProducer(headers(producer('a', '0', '9007199254740991')))).toEqual({
      id: 'a',
      epoch: 0,
      seq: 9007199254740991,
    });
  });

  test.each([
    ['a', undefined, undefined],
    [undefined, '0', undefined],
    [undefined, undefined, '0'],
    ['a', '0', undefined],
    ['', '0', '0'],
    ['a', '', '0'],
    ['a', '0', '1abc'],
    ['a', '1e3', '0'],
    ['a', '-1', '0'],
    ['a', '1.0', '0'],
    ['a', '0', '9007199254740992'],
    ['a', '0, 0', '0'],
    ['x'.repeat(1025), '0', '0'],
  ])('a producer of %s, %s, %s is refused', (...values) => {
    expect(refused(() => parseProducer(headers(producer(...values))))).toBe(400);
  });

  test('Stream-Seq', () => {
    expect(parseStreamSeq(headers({}))).toBeUndefined();
    expect(parseStreamSeq(headers({ 'stream-seq': '09' }))).toBe('09');
    for (const seq of ['', 'x'.repeat(1025)])
      expect(refused(() => parseStreamSeq(headers({ 'stream-seq': seq })))).toBe(400);
  });

  test('blind spot 2: Stream-Closed counts in any case, and anything but true is as if absent', () => {
    for (const value of ['true', 'TRUE', 'True', 'tRuE', ' true '])
      expect(isClosing(headers({ 'stream-closed': value }))).toBe(true);
    for (const value of ['', 'false', 'yes', '1', 'truee', 'true, true', '"true"']) {
      expect(isClosing(headers({ 'stream-closed': value })), value).toBe(false);
    }
    expect(isClosing(headers({}))).toBe(false);
  });

  test('Stream-Error', () => {
    expect(parseEnd(headers({}))).toBeUndefined();
    expect(parseEnd(headers({ 'stream-closed': 'true' }))).toEqual({ kind: 'closed' });
    expect(parseEnd(headers({ 'stream-error': 'disk%20full%0A€'.replace('€', '%E2%82%AC') }))).toEqual({
      kind: 'failed',
      reason: 'disk full\n€',
    });
    for (const value of ['', '%', '%ff', 'x'.repeat(4097)]) {
      expect(
        refused(() => parseEnd(headers({ 'stream-error': value }))),
        value,
      ).toBe(400);
    }
    expect(refused(() => parseEnd(headers({ 'stream-error': 'x', 'stream-closed': 'true' })))).toBe(400);
    expect(parseEnd(headers({ 'stream-error': 'x', 'stream-closed': 'no' }))).toEqual({ kind: 'failed', reason: 'x' });
  });

  test('any reason goes through a header', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 100 }), (reason) => {
        const value = encodeReason(reason);
        expect(value).toMatch(/^[\x21-\x7e]*$/);
        expect(parseEnd(headers({ 'stream-error': value }))).toEqual({ kind: 'failed', reason: wellFormed(reason) });
      }),
      { seed: randomSeed() },
    );
    expect(encodeReason('\ud800')).toBe('%EF%BF%BD');
    expect(encodeReason('')).toBe('unknown');
  });

  test.each(['x', 'é', '😀', '\ud800', ' '])('a reason of many %j is cut so that it fits into a head', (character) => {
    for (const length of [400, 1000, 4095, 4096, 4097, 100_000]) {
      const reason = character.repeat(length);
      const value = encodeReason(reason);
      expect(value.length).toBeLessThanOrEqual(4096);
      const told = (parseEnd(headers({ 'stream-error': value })) as { reason: string }).reason;
      const isWhole = encodeURIComponent(wellFormed(reason)).length <= 4096;
      if (isWhole) expect(told).toBe(wellFormed(reason));
      else {
        expect(told.endsWith('…')).toBe(true);
        expect(wellFormed(reason).startsWith(told.slice(0, -1))).toBe(true);
        expect(value.length).toBeGreaterThan(4070);
      }
    }
  });
});
