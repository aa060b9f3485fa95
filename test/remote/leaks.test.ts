/** CLEAN: nothing stays behind of a remote stream that is closed: no listener, no socket, no timer, no memory. */

import { getEventListeners } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RemoteByteStream } from '../../packages/fanpipe/src/remote/index.ts';
import { collect, collectUntil, liveMemory } from '../support/collector.ts';
import { FaultServer, honest, type Resource } from '../support/fault-server.ts';
import { lateHead, stopAt } from '../support/faults.ts';
import { IdleClock } from '../support/idle-clock.ts';
import { inParallel, until } from '../support/in-parallel.ts';
import { Random } from '../support/random.ts';
import { runToExit } from '../support/run-to-exit.ts';

const SIZE = 600_000;
const resource: Resource = { body: new Random(12).bytes(SIZE), etag: '"leak"' };

let server: FaultServer;
let clock: IdleClock;
beforeAll(async () => {
  clock = new IdleClock();
  server = await FaultServer.start();
  serveAll(server);
});
afterAll(async () => {
  clock.stop();
  await server.close();
});

function serveAll(on: FaultServer): void {
  on.on('/ok', (request) => honest(resource, request), { clock });
  on.on('/silent', (request) => lateHead(honest(resource, request)), { clock });
  on.on('/stall', (request) => stopAt(honest(resource, request), 20_000, 'stall'), { clock });
}

const ignore = (): void => {};
type Use = (remote: RemoteByteStream) => Promise<void>;
const finish: Use = async (remote) => {
  for await (const _ of remote) void _;
};
/** What is done with a stream before it is closed. */
const uses: [path: string, use: Use][] = [
  ['/ok', async () => {}],
  ['/ok', async (remote) => void (await remote.read(10))],
  ['/ok', finish],
  [
    '/ok',
    async (remote) => {
      for await (const _ of remote) break;
    },
  ],
  ['/ok', async (remote) => void remote.read(300_000).catch(ignore)],
  [
    '/ok',
    async (remote) => {
      for (let i = 0; i < 10; i++) remote.readAt(i * 50_000, 100).catch(ignore);
      await remote.readAt(9 * 50_000, 100);
      remote.seek(10, 'end').catch(ignore);
    },
  ],
  ['/silent', async (remote) => void remote.read(10).catch(ignore)],
  ['/stall', async (remote) => void remote.readAt(10, 100_000).catch(ignore)],
  [
    '/stall',
    async (remote) => {
      remote.read(100_000).catch(ignore);
      await remote.readAt(0, 10_000);
    },
  ],
  [
    '/ok',
    async (remote) => {
      const writer = remote.share();
      const stream = writer.stream();
      for await (const _ of stream) break;
    },
  ],
  [
    '/silent',
    async (remote) => {
      remote.share().stream().bytes().catch(ignore);
      await Promise.resolve();
    },
  ],
  [
    '/silent',
    async (remote) => {
      const controller = new AbortController();
      const read = remote.readAt(0, 10, { signal: controller.signal });
      controller.abort();
      await read.catch(ignore);
      if (getEventListeners(controller.signal, 'abort').length > 0) throw new Error('a listener of readAt stays');
    },
  ],
];

describe('CLEAN: opened and closed', () => {
  test('CLEAN: 1,000 streams of one signal, in the middle of everything: no listener, socket or timer is left', async () => {
    const resources = (): string[] => process.getActiveResourcesInfo().filter((kind) => kind !== 'Immediate');
    const before = resources();
    const own = await FaultServer.start();
    serveAll(own);
    const { signal } = new AbortController();
    await inParallel(1000, 20, async (index) => {
      const [path, use] = uses[index % uses.length] as (typeof uses)[0];
      // Some by the timers of the runtime, as a user has them.
      const time = index % 3 === 0 ? {} : { clock };
      const remote = new RemoteByteStream(own.origin + path, { signal, cacheSize: 2 ** 18, ...time });
      await use(remote);
      remote.close();
    });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    await until(() => clock.pending === 0, 'no timer of the clock');
    // The connections that fetch keeps for the next request end with their server.
    await own.close();
    const added = (): string[] => {
      const now = resources();
      for (const kind of before) if (now.includes(kind)) now.splice(now.indexOf(kind), 1);
      return now;
    };
    await until(() => added().length === 0, `nothing keeps the process alive: ${added()}`);
  });

  test('CLEAN: the signal aborts 200 streams at once, and keeps none', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const reason = new Error('all of you');
    const reads = Array.from({ length: 200 }, (_, index) => {
      const [path] = uses[index % uses.length] as (typeof uses)[0];
      const remote = new RemoteByteStream(server.origin + path, { signal, clock, autostart: index % 2 === 0 });
      return remote.readAt(SIZE - 100, 200).then(
        () => 'done',
        (error) => error,
      );
    });
    expect(getEventListeners(signal, 'abort').length).toBeLessThanOrEqual(1);
    controller.abort(reason);
    for (const outcome of await Promise.all(reads)) expect(outcome).toBe(reason);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    await until(() => clock.pending === 0, 'no timer of the clock');
  });

  test('CLEAN: autostart whose failure nobody reads is no unhandled rejection', async () => {
    const path = server.on('/gone', () => ({ status: 404, headers: {}, body: new Uint8Array(0) }));
    const remote = new RemoteByteStream(path, { autostart: true, clock });
    await until(() => server.seen('/gone').length === 1, 'it was asked for');
    await until(() => clock.pending === 0, 'it was answered');
    await collect();
    remote.close();
  });

  test('CLEAN: a closed stream holds no cache', async () => {
    const body = new Uint8Array(8 * 2 ** 20);
    const url = server.on('/large', (request) => honest({ body, etag: '"large"' }, request), { clock });
    const { buffers: before } = await liveMemory();
    const kept: RemoteByteStream[] = [];
    for (let i = 0; i < 5; i++) {
      const remote = new RemoteByteStream(url, { clock });
      // Of one that only goes forward a part is kept.
      await remote.readAt(0, 1);
      await finish(remote);
      expect(remote.stats().bytesCached).toBe(body.length);
      kept.push(remote);
    }
    for (const remote of kept) remote.close();
    expect(kept.map((remote) => remote.stats().bytesCached)).toEqual([0, 0, 0, 0, 0]);
    await collectUntil(() => process.memoryUsage().arrayBuffers - before < 4 * 2 ** 20, 'their caches are free');
  });
});

describe('CLEAN: the process', () => {
  test.each(['closed', 'open'])(
    'CLEAN: a process that has used everything exits by itself, its last stream %s',
    async (how) => {
      const urls = [`${server.origin}/ok`, `${server.origin}/silent`];
      const { code, output, lingered } = await runToExit('./exiting-remote-process.ts', ...urls, how);
      expect(output).toBe('finished, ERR_FANPIPE_REMOTE_CLOSED, aborted, ERR_FANPIPE_REMOTE_CLOSED, true, timers: 0\n');
      expect(code).toBe(0);
      expect(lingered).toBeLessThan(1000);
    },
  );
});
