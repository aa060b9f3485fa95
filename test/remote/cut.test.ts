/** A connection that breaks, wherever it breaks: the transfer goes on at that byte. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RemoteByteStream, type RemoteOptions } from '../../packages/fanpipe/src/remote/index.ts';
import { type Answer, FaultServer, type Framing, honest, type Resource, type Seen } from '../support/fault-server.ts';
import { framed, stopAt } from '../support/faults.ts';
import { IdleClock } from '../support/idle-clock.ts';
import { inParallel, until } from '../support/in-parallel.ts';
import { Random } from '../support/random.ts';
import { iterated, readInPieces, readInto, sha256 } from '../support/remote-reading.ts';

const SIZE = 4096;
const resource: Resource = { body: new Random(1).bytes(SIZE), etag: '"one"' };
const digest = sha256(resource.body);
const readings = [
  iterated,
  (r: RemoteByteStream) => readInPieces(r, () => 1000),
  (r: RemoteByteStream) => readInto(r, SIZE),
];

let server: FaultServer;
beforeAll(async () => {
  server = await FaultServer.start();
});
afterAll(() => server.close());

/** Downloads once, with the first answer broken at byte `k`. The bytes before are with the client when it breaks. */
async function download(
  k: number,
  how: 'cut' | 'reset',
  framing: Framing,
  options: RemoteOptions = {},
): Promise<readonly Seen[]> {
  const clock = new IdleClock();
  const path = `/${how}/${framing}/${k}`;
  const received = (): boolean => remote.stats().bytesFetched >= k;
  const script = (request: Seen): Answer => {
    const answer = framed(honest(resource, request), framing);
    return request.index > 0 ? answer : stopAt(answer, k, how, () => until(received, `${k} bytes at the client`));
  };
  const remote = new RemoteByteStream(server.on(path, script, { clock }), { clock, ...options });
  clock.probe = () => remote.stats().bytesFetched;
  try {
    const bytes = await (readings[k % readings.length] as (typeof readings)[0])(remote);
    if (sha256(bytes) !== digest) throw new Error(`other bytes, ${bytes.length} of them, after a ${how} at ${k}`);
    expect({ k, fetched: remote.stats().bytesFetched, retries: remote.stats().retries }).toEqual({
      k,
      fetched: SIZE,
      retries: 1,
    });
    expect({ k, pending: clock.pending }).toEqual({ k, pending: 0 });
    return server.seen(path);
  } finally {
    remote.close();
    clock.stop();
    server.forget(path);
  }
}

function expectResumedAt(k: number, seen: readonly Seen[]): void {
  const asked = seen.map(({ range, headers }) => [range?.from, headers['if-range']]);
  expect({ k, asked }).toEqual({
    k,
    asked: [
      [0, undefined],
      // Before the first byte there is nothing that the rest would have to fit.
      [k, k === 0 ? undefined : '"one"'],
    ],
  });
}

describe('a connection that breaks', () => {
  test('RESUME, EXACT: cut at every byte of 4 KiB: two requests, the second begins exactly there', async () => {
    await inParallel(SIZE, 32, async (k) => expectResumedAt(k, await download(k, 'cut', 'length')));
  });

  test.each([
    ['reset', 'length'],
    ['cut', 'chunked'],
    ['cut', 'close'],
    ['reset', 'chunked'],
  ] as const)('RESUME, EXACT: %s in a body framed by %s: the same', async (how, framing) => {
    await inParallel(SIZE / 16, 32, async (i) => expectResumedAt(i * 16 + 5, await download(i * 16 + 5, how, framing)));
  });

  test('RESUME: without a range first (seekable: false) it goes on with one', async () => {
    await inParallel(SIZE / 64, 32, async (i) => {
      const k = i * 64 + 7;
      const seen = await download(k, 'cut', 'length', { seekable: false });
      expect(seen[0]?.headers.range).toBe(undefined);
      expect(seen[1]?.headers.range).toMatch(new RegExp(`^bytes=${k}-`));
    });
  });
});
