/** What a stream is created with, and when one that is there is the same. */
import { describe, expect, test } from 'vitest';
import type { StreamConfig, StreamEnd, StreamState } from '../../../packages/server/src/backends/backend.ts';
import { isSameType } from '../../../packages/server/src/hub/content-type.ts';
import type { NewStreamConfig, NewStreamOptions } from '../../../packages/server/src/hub/hub-options.ts';
import { checkConfig, difference, forkConfig, plainConfig } from '../../../packages/server/src/hub/stream-config.ts';

function state(config: Partial<StreamConfig> = {}, end?: StreamEnd): StreamState {
  const contentType = config.contentType ?? 'application/octet-stream';
  return {
    name: 's',
    generation: 7,
    config: { ...config, contentType },
    createdAt: 0,
    head: 10,
    tail: 20,
    end,
    inherited: [],
  };
}

test.each([
  ['text/plain', 'TEXT/Plain', true],
  ['text/plain;charset=utf-8', 'text/plain; charset=UTF-8', true],
  ['text/plain ; charset=utf-8', 'text/plain;charset=utf-8', true],
  ['text/plain; charset="utf-8"', 'text/plain;charset=UTF-8', true],
  ['text/plain', 'text/plain;charset=utf-8', true],
  ['text/plain; format=flowed', 'text/plain; charset=utf-8', true],
  ['text/plain; charset=latin1', 'text/plain; charset=utf-8', false],
  ['text/plain; a="x; charset=b"; charset=a', 'text/plain; charset=a', true],
  ['text/plain; a="x; charset=b"; charset=a', 'text/plain; charset=b', false],
  ['text/plain', 'text/html', false],
  ['application/json', 'application/jsonp', false],
])('types %j and %j: the same is %s, both ways', (one, other, same) => {
  expect([isSameType(one, other), isSameType(other, one)]).toEqual([same, same]);
});

test('a type that is not named is bytes', () => {
  expect(plainConfig({ ttl: 5 })).toEqual({ contentType: 'application/octet-stream', ttl: 5 });
});

test('time to live and expiry together are refused', () => {
  expect(() => checkConfig({ ttl: 1, expiresAt: 2 })).toThrow(/not both/);
});

const FAILED: StreamEnd = { kind: 'failed', reason: 'r' };
const FORK = { source: 'src', generation: 3, offset: 5 };

describe('the same', () => {
  test.each<[string, StreamState, NewStreamConfig, NewStreamOptions]>([
    ['nothing is said', state(), {}, {}],
    ['type in other letters', state({ contentType: 'Text/Plain' }), { contentType: 'text/plain' }, {}],
    ['ttl', state({ ttl: 5 }), { ttl: 5 }, {}],
    ['expiry', state({ expiresAt: 5 }), { expiresAt: 5 }, {}],
    ['both closed', state({}, { kind: 'closed' }), {}, { end: { kind: 'closed' } }],
    ['retention differs', state({ retainBytes: 5 }), { retainBytes: 6, retainFor: 3 }, {}],
    ['fork, offset not named', state({ fork: FORK }), {}, { fork: { source: 'src' } }],
    ['fork, offset named', state({ fork: FORK }), {}, { fork: { source: 'src', offset: 5 } }],
    ['fork with what it inherited', state({ fork: FORK, ttl: 9, contentType: 'text/html' }), {}, { fork: FORK }],
  ])('%s', (_, there, config, options) => expect(difference(there, config, options)).toBeUndefined());
});

describe('another one', () => {
  test.each<[string, StreamState, NewStreamConfig, NewStreamOptions]>([
    ['type', state({ contentType: 'text/plain' }), { contentType: 'text/html' }, {}],
    ['type that is not named', state({ contentType: 'text/plain' }), {}, {}],
    ['ttl', state({ ttl: 5 }), { ttl: 6 }, {}],
    ['ttl that is not named', state({ ttl: 5 }), {}, {}],
    ['ttl that is not there', state(), { ttl: 6 }, {}],
    ['expiry', state({ expiresAt: 5 }), { expiresAt: 6 }, {}],
    ['it has ended', state({}, { kind: 'closed' }), {}, {}],
    ['it has not ended', state(), {}, { end: { kind: 'closed' } }],
    ['it has failed', state({}, FAILED), {}, { end: { kind: 'closed' } }],
    ['it is a fork', state({ fork: FORK }), {}, {}],
    ['it is no fork', state(), {}, { fork: FORK }],
    ['a fork of another', state({ fork: FORK }), {}, { fork: { source: 'other' } }],
    ['a fork elsewhere', state({ fork: FORK }), {}, { fork: { source: 'src', offset: 6 } }],
    ['a fork with its own ttl', state({ fork: FORK, ttl: 9 }), { ttl: 8 }, { fork: FORK }],
  ])('%s', (_, there, config, options) => expect(difference(there, config, options)).toBeTypeOf('string'));
});

describe('forks', () => {
  const source = state({ contentType: 'text/plain', ttl: 50 });
  const fork = { source: 's', generation: 7 };

  test('take over type and expiry, and begin at the tail', () => {
    expect(forkConfig({}, source)).toEqual({ contentType: 'text/plain', ttl: 50, fork: { ...fork, offset: 20 } });
    expect(forkConfig({}, state({ expiresAt: 9 }), 15)).toEqual({
      contentType: 'application/octet-stream',
      expiresAt: 9,
      fork: { ...fork, offset: 15 },
    });
  });
  test('have an expiry of their own where they name one', () => {
    expect(forkConfig({ expiresAt: 9 }, source, 10)).toEqual({
      contentType: 'text/plain',
      expiresAt: 9,
      fork: { ...fork, offset: 10 },
    });
  });
  test('begin where the source has bytes', () => {
    expect(() => forkConfig({}, source, 21)).toThrow(expect.objectContaining({ problem: 'offset' }));
    expect(() => forkConfig({}, source, 9)).toThrow(expect.objectContaining({ problem: 'offset' }));
  });
  test('have the type of the source', () => {
    expect(() => forkConfig({ contentType: 'text/html' }, source)).toThrow(
      expect.objectContaining({ problem: 'content-type' }),
    );
    expect(forkConfig({ contentType: 'TEXT/PLAIN' }, source).contentType).toBe('TEXT/PLAIN');
  });
});
