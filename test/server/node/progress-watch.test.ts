/** Who is cut off, and when, by a clock that the test moves. */

import { describe, expect, test } from 'vitest';
import { ProgressWatch, type Watched } from '../../../packages/server/src/node/progress-watch.ts';
import { FakeClock } from '../../support/fake-clock.ts';

class Client implements Watched {
  waiting = 0;
  sent = 0;
  isReceiving = false;
  received = 0;
  cuts: string[] = [];

  cut(why: string): void {
    this.cuts.push(why);
  }
}

function scene(limits = { stallTimeout: 1000, uploadTimeout: 1000 }) {
  const clock = new FakeClock(5000);
  const watch = new ProgressWatch(limits, clock);
  const client = new Client();
  watch.add(client);
  return { clock, watch, client };
}

describe('the watch', () => {
  test('leaves those alone for whom nothing waits, however long', async () => {
    const { clock, client } = scene();
    await clock.advance(100_000);
    expect(client.cuts).toEqual([]);
  });

  test.each(['sending', 'receiving'])(
    'cuts off after the timeout and before one and a half of it (%s)',
    async (why) => {
      for (let shift = 0; shift < 250; shift += 50) {
        const { clock, client } = scene();
        await clock.advance(2000 + shift);
        if (why === 'sending') client.waiting = 10;
        else client.isReceiving = true;
        await clock.advance(999);
        expect(client.cuts).toEqual([]);
        await clock.advance(501);
        expect(client.cuts[0]).toBe(why);
      }
    },
  );

  test('progress begins it anew', async () => {
    const { clock, client } = scene();
    client.waiting = 10;
    client.isReceiving = true;
    for (let i = 0; i < 20; i++) {
      await clock.advance(700);
      client.sent++;
      client.received++;
    }
    expect(client.cuts).toEqual([]);
    await clock.advance(1500);
    expect(client.cuts.length).toBeGreaterThan(0);
  });

  test('progress of one kind is none of the other', async () => {
    const { clock, client } = scene();
    client.waiting = 10;
    for (let i = 0; i < 3; i++) {
      await clock.advance(500);
      client.received++;
    }
    expect(client.cuts[0]).toBe('sending');
  });

  test('a pause between two waits does not count', async () => {
    const { clock, client } = scene();
    for (let i = 0; i < 20; i++) {
      client.waiting = 10;
      client.isReceiving = true;
      await clock.advance(600);
      client.waiting = 0;
      client.isReceiving = false;
      await clock.advance(600);
    }
    expect(client.cuts).toEqual([]);
  });

  test('0 is never, for each of the two', async () => {
    const { clock, client } = scene({ stallTimeout: 0, uploadTimeout: 1000 });
    client.waiting = 10;
    await clock.advance(100_000);
    expect(client.cuts).toEqual([]);
    client.isReceiving = true;
    await clock.advance(1500);
    expect(client.cuts[0]).toBe('receiving');
    const never = scene({ stallTimeout: 0, uploadTimeout: 0 });
    expect(never.clock.pending).toBe(0);
  });

  test('there is a timer only while there is somebody', async () => {
    const { clock, watch, client } = scene();
    expect([watch.size, clock.pending]).toEqual([1, 1]);
    const other = new Client();
    watch.add(other);
    watch.delete(client);
    expect([watch.size, clock.pending]).toEqual([1, 1]);
    await clock.advance(10_000);
    watch.delete(other);
    expect([watch.size, clock.pending]).toEqual([0, 0]);
    watch.add(client);
    expect(clock.pending).toBe(1);
  });

  test('one that goes while it is looked at', async () => {
    const { clock, watch, client } = scene();
    client.waiting = 10;
    client.cut = () => watch.delete(client);
    await clock.advance(3000);
    expect([watch.size, clock.pending]).toEqual([0, 0]);
  });
});
