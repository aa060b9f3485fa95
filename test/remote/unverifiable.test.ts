/** EXACT: where no second answer could be verified, the first one is all there is: nothing but its reader gives it up. */

import { describe, expect, test } from 'vitest';
import { RemoteByteStream, type RemoteOptions } from '../../packages/fanpipe/src/remote/index.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { MemoryOrigin } from '../support/memory-origin.ts';
import { Random } from '../support/random.ts';
import { rejection, sha256 } from '../support/remote-reading.ts';

const body = new Random(12).bytes(4_000_000);
const REFUSED = 'ERR_FANPIPE_UNVERIFIABLE_RESOURCE';

describe.each([undefined, 'W/"weak"'])('a resource with the ETag %s', (etag) => {
  function open(options: RemoteOptions = {}) {
    const clock = new FakeClock();
    const origin = new MemoryOrigin(body, { etag });
    const remote = new RemoteByteStream('http://origin.test/x', { fetcher: origin.fetcher, clock, ...options });
    return { clock, origin, remote };
  }

  async function expectRest({ remote, origin }: ReturnType<typeof open>, from: number): Promise<void> {
    expect(remote.position).toBe(from);
    expect(sha256(await remote.read(2_000_000))).toBe(sha256(body.subarray(from, from + 2_000_000)));
    expect(origin.requests).toHaveLength(1);
    remote.close();
  }

  test('EXACT, WINDOW: a reader that pauses for long goes on in the same answer', async () => {
    const at = open();
    await at.remote.read(10_000);
    await at.clock.advance(3_600_000);
    await expectRest(at, 10_000);
  });

  test.each([1, 6])('EXACT: a readAt that is refused takes no connection from it, of %i', async (maxConnections) => {
    const at = open({ maxConnections });
    await at.remote.read(10_000);
    const refused = Array.from({ length: 8 }, (_, n) => rejection(at.remote.readAt(3_000_000 + n * 100_000, 10)));
    expect((await Promise.all(refused)).map(({ code }) => code)).toEqual(refused.map(() => REFUSED));
    await expectRest(at, 10_000);
  });

  test.each([
    ['far ahead', {}, 20_000, 3_900_000],
    ['back beyond the cache', { cacheSize: 300_000 }, 1_500_000, 0],
  ])('EXACT: a read %s that is refused leaves it', async (_, options, before, place) => {
    const at = open(options);
    for (let read = 0; read < before; ) read += (await at.remote.read(before - read)).length;
    await at.remote.seek(place);
    expect((await rejection(at.remote.read(10))).code).toBe(REFUSED);
    await at.remote.seek(before);
    await expectRest(at, before);
  });
});
