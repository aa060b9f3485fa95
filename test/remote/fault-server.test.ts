/**
 * The faults are real: what each does to a client that believes everything, `fetch` alone. A fault that did nothing would
 * let every test of this folder pass.
 */

import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, FaultServer, honest, type Resource, type Seen } from '../support/fault-server.ts';
import * as faults from '../support/faults.ts';
import { IdleClock } from '../support/idle-clock.ts';
import { until } from '../support/in-parallel.ts';
import { Random } from '../support/random.ts';
import { sha256 } from '../support/remote-reading.ts';

const SIZE = 200_000;
const resource: Resource = { body: new Random(2).bytes(SIZE), etag: '"a"' };
const other: Resource = { body: new Random(3).bytes(SIZE), etag: '"b"' };
const right = resource.body.subarray(1000, 3000);

let server: FaultServer;
beforeAll(async () => {
  server = await FaultServer.start();
});
afterAll(() => server.close());

interface Outcome {
  status?: number;
  headers?: Headers;
  bytes?: Uint8Array;
  error?: unknown;
}

/** Asks with `fetch` for bytes 1,000 to 2,999. */
async function ask(
  fault: (answer: Answer, request: Seen) => Answer,
  headers: Record<string, string> = { range: 'bytes=1000-2999' },
): Promise<Outcome> {
  const url = server.on('/x', (request) => fault(honest(resource, request), request));
  const outcome: Outcome = {};
  try {
    const response = await fetch(url, { headers, redirect: 'manual' });
    outcome.status = response.status;
    outcome.headers = response.headers;
    outcome.bytes = new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    outcome.error = error;
  }
  return outcome;
}

const same = (bytes: Uint8Array | undefined, wanted: Uint8Array): boolean =>
  bytes !== undefined && sha256(bytes) === sha256(wanted);

describe('the server, asked by fetch alone', () => {
  test('is honest unless told otherwise', async () => {
    const part = await ask((answer) => answer);
    expect([part.status, part.headers?.get('content-range')]).toEqual([206, `bytes 1000-2999/${SIZE}`]);
    expect(same(part.bytes, right)).toBe(true);
    const open = await ask((answer) => answer, { range: 'bytes=199000-' });
    expect(same(open.bytes, resource.body.subarray(199_000))).toBe(true);
    const all = await ask((answer) => answer, {});
    expect([all.status, same(all.bytes, resource.body)]).toEqual([200, true]);
    const held = await ask((answer) => answer, { range: 'bytes=1000-2999', 'if-range': '"a"' });
    expect([held.status, same(held.bytes, right)]).toEqual([206, true]);
    const gone = await ask((answer) => answer, { range: 'bytes=1000-2999', 'if-range': '"b"' });
    expect([gone.status, same(gone.bytes, resource.body)]).toEqual([200, true]);
    const beyond = await ask((answer) => answer, { range: `bytes=${SIZE}-` });
    expect([beyond.status, beyond.headers?.get('content-range')]).toEqual([416, `bytes */${SIZE}`]);
  });

  const breaks: [string, (answer: Answer, request: Seen) => Answer][] = [
    ['a cut', (answer) => faults.stopAt(answer, 700)],
    ['a reset', (answer) => faults.stopAt(answer, 700, 'reset')],
    ['a reset before the first byte', (answer) => faults.stopAt(answer, 0, 'reset')],
    ['a cut in chunks', (answer) => faults.stopAt(faults.framed(answer, 'chunked'), 700)],
    ['a longer length', (answer) => faults.promisesMore(answer, 5)],
    ['no HTTP', () => faults.garbage()],
    ['no answer', () => faults.hungUp()],
  ];
  test.each(breaks)('%s breaks it off', async (_, fault) => {
    expect((await ask(fault)).error).toBeInstanceOf(TypeError);
  });

  const lies: [string, (answer: Answer, request: Seen) => Answer][] = [
    ['a cut before a close that nobody counts', (answer) => faults.stopAt(faults.framed(answer, 'close'), 700)],
    ['a shorter body', (answer) => faults.bringsLess(answer, 1)],
    ['a longer body', (answer) => faults.bringsMore(answer, 1)],
    ['a longer body in chunks', (answer) => faults.bringsMore(answer, 1, 'chunked')],
    ['a longer body before a close', (answer) => faults.bringsMore(answer, 1, 'close')],
    ['the whole', (_, request) => faults.whole(resource, request)],
    ['a range further on', (_, request) => faults.ranged(resource, request, 1001, 3001)],
    ['a range that ends later', (_, request) => faults.ranged(resource, request, 1000, 3001)],
    ['parts', (answer) => faults.multipart(answer)],
    ['other bytes', (_, request) => faults.changed(other, request, true)],
    ['an error page', () => faults.refused(503, 10 ** 9)],
    ['416', () => faults.unsatisfied(resource)],
  ];
  test.each(lies)('%s is believed', async (_, fault) => {
    const { error, bytes } = await ask(fault);
    expect(error).toBeUndefined();
    expect(same(bytes, right)).toBe(false);
  });

  test('right bytes in another frame, with a wrong label, encoded, or with a spill behind them', async () => {
    for (const framing of ['chunked', 'close'] as const) {
      const { headers, bytes } = await ask((answer) => faults.framed(answer, framing));
      expect([framing, headers?.get('content-length'), same(bytes, right)]).toEqual([framing, null, true]);
    }
    const label = await ask((answer) => faults.mislabelled(answer, 'bytes 0-1/*'));
    expect([label.headers?.get('content-range'), same(label.bytes, right)]).toEqual(['bytes 0-1/*', true]);
    const none = await ask((answer) => faults.mislabelled(answer, null));
    expect(none.headers?.get('content-range')).toBe(null);
    const encoded = await ask((answer) => faults.gzipped(answer));
    expect([encoded.headers?.get('content-encoding'), same(encoded.bytes, right)]).toEqual(['gzip', true]);
    const spill = await ask((answer) => faults.spillsOver(answer, 20));
    expect([spill.headers?.get('content-length'), same(spill.bytes, right)]).toEqual(['2000', true]);
  });

  test('headers that are given or left out, redirects', async () => {
    const busy = await ask(() => faults.refused(429, 'Wed, 21 Oct 2015 07:28:00 GMT'));
    expect([busy.status, busy.headers?.get('retry-after')]).toEqual([429, 'Wed, 21 Oct 2015 07:28:00 GMT']);
    expect((await ask((answer) => faults.without(answer, 'etag'))).headers?.get('etag')).toBe(null);
    const moved = await ask(() => faults.redirect('/y', 307));
    expect([moved.status, moved.headers?.get('location')]).toEqual([307, '/y']);
  });

  test('time passes only while all wait: late heads, pauses in the body', async () => {
    const clock = new IdleClock();
    const url = server.on(
      '/slow',
      (request) => faults.trickled(faults.lateHead(honest(resource, request), 9000), 50_000, 1000),
      { clock },
    );
    const response = await fetch(url);
    expect(clock.now()).toBe(9000);
    expect(same(new Uint8Array(await response.arrayBuffer()), resource.body)).toBe(true);
    expect([clock.now(), clock.pending]).toEqual([13_000, 0]);
    clock.stop();
  });

  test('a stall lasts until the client leaves', async () => {
    const clock = new IdleClock();
    for (const fault of [faults.lateHead, (answer: Answer) => faults.stopAt(answer, 100, 'stall')]) {
      const url = server.on('/stall', (request) => fault(honest(resource, request)), { clock });
      const controller = new AbortController();
      void clock.sleep(10_000).then(() => controller.abort());
      await expect(fetch(url, { signal: controller.signal }).then((response) => response.text())).rejects.toThrow();
      await until(() => server.seen('/stall')[0]?.aborted === true, 'the server has noticed');
    }
    expect([clock.now(), clock.pending]).toEqual([20_000, 0]);
    clock.stop();
  });

  test('what it noted: the request, and what became of it', async () => {
    await ask((answer) => answer, { range: 'bytes=5-9', 'x-mine': '1' });
    const [seen] = server.seen('/x');
    expect(seen).toMatchObject({ method: 'GET', path: '/x', index: 0, range: { from: 5, to: 10 }, sent: 5 });
    expect(seen?.headers['x-mine']).toBe('1');
    await ask((answer) => faults.stopAt(answer, 100));
    await until(() => server.seen('/x')[0]?.aborted === true);
    expect(server.seen('/x')[0]?.sent).toBe(100);
  });

  test('several requests go over one connection', async () => {
    const url = server.on('/keep', (request) => honest({ body: new Uint8Array(10) }, request));
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    let heard = '';
    socket.setEncoding('latin1').on('data', (text) => {
      heard += text;
    });
    const get = 'GET /keep HTTP/1.1\r\nhost: x\r\n\r\n';
    socket.write(get + get);
    await until(() => heard.split('HTTP/1.1 200').length === 3, 'two answers');
    socket.destroy();
    expect(server.seen('/keep')).toHaveLength(2);
  });
});
