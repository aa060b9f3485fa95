/** Options that make no sense are refused, and times that no timer can count are as long as one can. */
import { expect, test } from 'vitest';
import { StreamNotFoundError, StreamServer, type StreamServerOptions } from '../../../packages/server/src/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { bytesOf, HttpRig } from './http-rig.ts';

/** Of the runtimes: what is longer rings at once. */
const LONGEST = 2 ** 31 - 1;

class NotingClock extends FakeClock {
  readonly asked: number[] = [];

  override setTimeout(callback: () => void, ms: number): unknown {
    this.asked.push(ms);
    return super.setTimeout(callback, ms);
  }
}

test.each<[keyof StreamServerOptions, string]>([
  ['longPollTimeout', 'live=long-poll&offset=now'],
  ['sseLifetime', 'live=sse&offset=now'],
  ['stallTimeout', 'offset=-1'],
])('%s may be for ever', async (name, query) => {
  const clock = new NotingClock();
  const server = new StreamServer({ [name]: Number.POSITIVE_INFINITY, clock, random: () => 1 });
  const chunks = [bytesOf('x'.repeat(200_000))];
  await server.hub.create('s', { contentType: 'text/plain' }, { chunks });
  clock.asked.length = 0;
  const request = new Request(`http://test/v1/stream/s?${query}`);
  const answer = server.fetch(request);
  await settle();
  expect(Math.max(...clock.asked)).toBeGreaterThan(LONGEST / 2);
  expect(Math.max(...clock.asked)).toBeLessThanOrEqual(LONGEST);
  server.drain();
  await (await answer).arrayBuffer();
  await server.close();
});

test.each([
  { longPollTimeout: -1 },
  { sseLifetime: 0 },
  { stallTimeout: Number.NaN },
  { stallTimeout: '5' as never },
  { cache: 'none' as never },
  { limits: { maxBodyBytes: 0 } },
  { retention: { retainBytes: -1 } },
  { retention: { retainBytes: 1.5 } },
  { retention: { retainFor: Number.NaN } },
  { retention: 5 as never },
  { retention: null as never },
  { authorize: 'nobody' as never },
  { onError: {} as never },
  { now: 5 as never },
  { random: 5 as never },
  { tokens: [{ token: 'x'.repeat(16), read: 'chat' as never }] },
  { tokens: [{ token: 'x'.repeat(16), write: [5 as never] }] },
  {
    tokens: [
      { token: 'x'.repeat(16), read: ['a'] },
      { token: 'x'.repeat(16), write: ['a'] },
    ],
  },
])('%o is refused', (options) => {
  expect(() => new StreamServer(options)).toThrow(TypeError);
});

test.each([{ window: -1 }, { limits: { maxStreams: 0.5 } }])('%o is refused by the hub', (options) => {
  expect(() => new StreamServer(options)).toThrow(expect.objectContaining({ code: 'ERR_FANPIPE_INVALID_ARGUMENT' }));
});

test.each<[string, () => unknown]>([
  ['is none', () => ({ retainBytes: -1 })],
  ['is nothing', () => undefined],
  ['comes later', async () => ({ retainBytes: 5 })],
  [
    'throws',
    () => {
      throw new StreamNotFoundError('s');
    },
  ],
])('a function whose retention %s is a fault of the server', async (_, retention) => {
  const rig = new HttpRig({ retention: retention as never });
  expect((await rig.call('PUT s')).status).toBe(500);
  expect(rig.faults).toHaveLength(1);
  expect(await rig.server.hub.backend.open('s')).toBeUndefined();
});

test('retention says nothing of what a client asks for', async () => {
  const rig = new HttpRig({ retention: () => ({ retainBytes: 5, ttl: 1000, contentType: 'text/html' }) });
  const { reply } = await rig.call('PUT s', { headers: { 'content-type': 'text/plain' } });
  expect(reply.status).toBe(201);
  const { config } = await rig.server.hub.open('s');
  expect(config).toEqual({ contentType: 'text/plain', retainBytes: 5 });
});
