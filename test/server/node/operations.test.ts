/** `/health` and `/metrics`: what those who run a server see. */

import { describe, expect, test } from 'vitest';
import { Latency, Metrics, type Reply } from '../../../packages/server/src/http/index.ts';
import { routeOf } from '../../../packages/server/src/http/route-of.ts';
import { Hub } from '../../../packages/server/src/hub/index.ts';
import { memoryBackend } from '../../../packages/server/src/index.ts';
import { serve } from '../../../packages/server/src/node/index.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { cleanUp, LiveBody, RawClient, repliesIn, serveTest, whole } from './node-rig.ts';

const LINE = /^fanpipe_[a-z_]+(\{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*\})? (\d+(\.\d+)?(e[+-]?\d+)?|\+Inf)$/;

/** The samples, by name and labels. Fails on a line that is not in the format, and on one without a type before it. */
function samplesIn(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  expect(text.endsWith('\n')).toBe(true);
  for (const line of text.slice(0, -1).split('\n')) {
    if (line.startsWith('# HELP ')) continue;
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    if (type !== null) {
      expect(types.has(type[1] as string)).toBe(false);
      types.set(type[1] as string, type[2] as string);
      continue;
    }
    expect(line).toMatch(LINE);
    const at = line.lastIndexOf(' ');
    const key = line.slice(0, at);
    const name = key.replace(/\{.*/, '').replace(/_(bucket|sum|count)$/, '');
    expect(types.has(name) || types.has(key.replace(/\{.*/, ''))).toBe(true);
    expect(samples.has(key)).toBe(false);
    samples.set(key, Number(line.slice(at + 1)));
  }
  return samples;
}

async function samplesOf(url: string): Promise<Map<string, number>> {
  const reply = await fetch(`${url}/metrics`);
  expect(reply.status).toBe(200);
  expect(reply.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  return samplesIn(await reply.text());
}

describe('/metrics', () => {
  test('counts requests by route and status, connections and bytes', async () => {
    const live = new LiveBody();
    const serving = await serveTest((request): Reply => {
      if (request.query.startsWith('live=sse')) return live.reply();
      return request.method === 'POST' ? whole(204) : whole(request.path === '/none' ? 404 : 200, 'x'.repeat(1000));
    });
    const client = await RawClient.open(serving.port);
    client.get('/a');
    client.get('/a?offset=0&live=long-poll');
    client.get('/none');
    client.send('POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc');
    client.send('POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc');
    client.get('/a?live=sse');
    await live.started;
    const samples = await samplesOf(serving.url);
    const requests = [...samples].filter(([key]) => key.startsWith('fanpipe_requests_total'));
    expect(Object.fromEntries(requests)).toEqual({
      'fanpipe_requests_total{route="read",status="200"}': 1,
      'fanpipe_requests_total{route="long-poll",status="200"}': 1,
      'fanpipe_requests_total{route="read",status="404"}': 1,
      'fanpipe_requests_total{route="append",status="204"}': 2,
      'fanpipe_requests_total{route="sse",status="200"}': 1,
    });
    expect(samples.get('fanpipe_connections')).toBeGreaterThanOrEqual(2);
    expect(samples.get('fanpipe_received_bytes_total')).toBeGreaterThan(client.socket.bytesWritten - 1);
    expect(samples.get('fanpipe_sent_bytes_total')).toBeGreaterThan(3000);
    expect(samples.get('fanpipe_process_resident_memory_bytes')).toBeGreaterThan(10e6);
    client.socket.destroy();
    await live.stopped;
    const later = await samplesOf(serving.url);
    expect(later.get('fanpipe_received_bytes_total')).toBeGreaterThan(samples.get('fanpipe_received_bytes_total') ?? 0);
    expect(later.get('fanpipe_connections')).toBe((samples.get('fanpipe_connections') ?? 0) - 1);
    // Who looks at the numbers is not among them.
    expect(later.get('fanpipe_requests_total{route="read",status="200"}')).toBe(1);
  });

  test('what is known elsewhere is looked up first, and its failure hides nothing', async () => {
    const metrics = new Metrics();
    let looks = 0;
    metrics.gauge('looks', 'How often.', () => looks);
    metrics.before(async () => void looks++);
    metrics.before(() => Promise.reject(new Error('not now')));
    expect(samplesIn(await metrics.text()).get('fanpipe_looks')).toBe(1);
    expect(samplesIn(await metrics.text()).get('fanpipe_looks')).toBe(2);
  });

  test('latencies are buckets that add up', async () => {
    const metrics = new Metrics();
    const latency = new Latency('wait_seconds', 'How long.');
    metrics.add(latency);
    for (const ms of [0, 0.1, 0.2, 3, 700, 60_000]) latency.add(ms);
    const samples = samplesIn(await metrics.text());
    const bucket = (bound: string): number | undefined => samples.get(`fanpipe_wait_seconds_bucket{le="${bound}"}`);
    expect(['0.0001', '0.00025', '0.0025', '0.005', '0.5', '1', '10', '+Inf'].map(bucket)).toEqual([
      2, 3, 3, 4, 4, 5, 5, 6,
    ]);
    expect(samples.get('fanpipe_wait_seconds_count')).toBe(6);
    expect(samples.get('fanpipe_wait_seconds_sum')).toBeCloseTo(60.7033);
  });

  test('how long a backend takes is measured: what it acknowledged, from the call on', async () => {
    const latency = new Latency('backend_append_seconds', 'How long.');
    let now = 0;
    const clock = Object.assign(new FakeClock(), { now: () => (now += 1000) });
    const hub = new Hub(memoryBackend(), { clock, onAppend: (ms) => latency.add(ms) });
    const { stream } = await hub.create('a', { contentType: 'text/plain' });
    await stream.append([new Uint8Array(3)]);
    await stream.append([], { end: { kind: 'closed' } });
    await stream.append([new Uint8Array(3)]);
    expect(latency.lines().slice(-2)).toEqual([
      'fanpipe_backend_append_seconds_sum 2',
      'fanpipe_backend_append_seconds_count 2',
    ]);
    await hub.close();
  });

  test.each([
    ['GET', '', 'read'],
    ['GET', 'offset=1', 'read'],
    ['GET', 'live=sse', 'sse'],
    ['GET', 'offset=-1&live=sse&x=y', 'sse'],
    ['GET', 'live=long-poll', 'long-poll'],
    ['GET', 'live=raw', 'raw'],
    ['GET', 'live=other', 'read'],
    ['GET', 'alive=sse', 'read'],
    ['GET', 'alive=no&live=sse', 'sse'],
    ['GET', 'alive=sse&olive=raw', 'read'],
    ['HEAD', '', 'head'],
    ['PUT', '', 'create'],
    ['POST', '', 'append'],
    ['DELETE', '', 'delete'],
    ['OPTIONS', '', 'preflight'],
    ['PATCH', '', 'other'],
  ])('%s ?%s is %s', (method, query, route) => {
    expect(routeOf({ method, query, path: '/a' } as Parameters<typeof routeOf>[0])).toBe(route);
  });
});

describe('/health', () => {
  test('is 200 while the server can work, and says why it cannot', async () => {
    let failure: Error | undefined;
    const serving = await serve({
      port: 0,
      server: {
        handle: async () => whole(404),
        check: async () => {
          if (failure !== undefined) throw failure;
        },
      },
    });
    cleanUp(() => serving.close({ grace: 0 }));
    const ask = async (method = 'GET') => {
      const reply = await fetch(`${serving.url}/health`, { method });
      return [reply.status, await reply.text(), reply.headers.get('cache-control'), reply.headers.get('allow')];
    };
    expect(await ask()).toEqual([200, 'ok\n', 'no-store', null]);
    expect(await ask('HEAD')).toEqual([200, '', 'no-store', null]);
    expect(await ask('POST')).toEqual([405, '', 'no-store', 'GET, HEAD']);
    failure = new Error('the disk is full');
    expect(await ask()).toEqual([503, 'the disk is full\n', 'no-store', null]);
  });

  test('both can be taken away', async () => {
    const serving = await serveTest((request) => whole(404, request.path), { operations: false });
    const client = await RawClient.open(serving.port);
    client.get('/health');
    client.get('/metrics', 'connection: close');
    await client.closed;
    expect(repliesIn(client.text)).toMatchObject([
      { status: 404, body: '/health' },
      { status: 404, body: '/metrics' },
    ]);
  });
});
