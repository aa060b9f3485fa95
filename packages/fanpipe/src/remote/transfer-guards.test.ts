/** What a transfer must not do, whatever it is given: time, fetchers, signals, bodies that nobody reads. */

import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../../../../test/support/fake-clock.ts';
import {
  BYTES,
  bodyOf,
  honest,
  part,
  range,
  readAll,
  SIZE,
  scene,
  strong,
} from '../../../../test/support/transfer-scene.ts';
import type { Clock } from '../monitor/index.ts';

const LONGEST_TIMER = 2 ** 31 - 1;

describe('CLEAN: a body that is not read', () => {
  const refused = (
    status: number,
    headers: Record<string, string>,
    from: number,
  ): [number, Record<string, string>, number] => [status, headers, from];
  test.each([
    ['behind the end', refused(416, { 'content-range': 'bytes */100' }, 100)],
    ['of a wrong range', refused(206, { 'content-range': 'bytes 6-9/100' }, 5)],
    ['of an error', refused(404, {}, 5)],
    ['of a moment’s error', refused(503, {}, 5)],
    ['that is encoded', refused(206, { 'content-range': 'bytes 5-99/100', 'content-encoding': 'br' }, 5)],
    ['too far behind the start', refused(200, {}, 50)],
  ])('CLEAN: %s: is cancelled', async (_, [status, headers, from]) => {
    let cancelled = 0;
    const body = bodyOf({ chunks: [BYTES], silent: true, onCancel: () => cancelled++ });
    const { remote, clock } = scene([() => new Response(body, { status, headers })], { skipLimit: 10, retry: false });
    readAll(remote.transfer(from, undefined));
    await settle();
    expect([cancelled, clock.pending]).toEqual([1, 0]);
  });
});

describe('time', () => {
  /** A clock as runtimes have it: what is longer than 2 ** 31 - 1 ms comes at once. */
  class NarrowClock extends FakeClock {
    override setTimeout(callback: () => void, ms: number): unknown {
      return super.setTimeout(callback, ms > LONGEST_TIMER ? 1 : ms);
    }
  }

  test.each([2 ** 31, 1e12, Number.MAX_SAFE_INTEGER])(
    'RESUME: a timeout of %d ms is no timeout of none',
    async (timeout) => {
      let reply: (response: Response) => void = () => {};
      const clock: Clock & FakeClock = new NarrowClock();
      const { remote, told } = scene(
        [
          () =>
            new Promise((resolve) => {
              reply = resolve;
            }),
        ],
        { timeout, clock },
      );
      const outcome = readAll(remote.transfer(0, undefined));
      await clock.advance(100_000);
      expect([told, outcome.error]).toEqual([[], undefined]);
      reply(part(0, SIZE));
      await settle();
      expect([outcome.done, clock.pending]).toEqual([true, 0]);
    },
  );

  test('RESUME: a delay of more than timers can is waited for', async () => {
    const clock = new NarrowClock();
    const delay = 3_000_000_000;
    const { remote, asked } = scene(
      [() => new Response(null, { status: 503, headers: { 'retry-after': String(delay / 1000) } }), honest],
      { clock, retry: { maxDelay: 1e12, timeLimit: 1e12 } },
    );
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(delay - 1);
    expect(asked).toHaveLength(1);
    await clock.advance(1);
    expect(outcome.done).toBe(true);
  });

  test('RESUME: an address policy that takes its time is no silence, and the signal ends it', async () => {
    const controller = new AbortController();
    const { remote, told, asked, clock } = scene([honest], { timeout: 1000, allowUrl: () => new Promise(() => {}) });
    const outcome = readAll(remote.transfer(0, undefined, controller.signal));
    await clock.advance(60_000);
    expect([told, asked, outcome]).toEqual([[], [], { bytes: [] }]);
    controller.abort('enough');
    await settle();
    expect([outcome.error, clock.pending]).toEqual(['enough', 0]);
  });
});

describe('what is not HTTP', () => {
  test.each(['text', 5, null, {}])('EXACT: a body of %j is refused with a typed error', async (chunk) => {
    const { remote, asked } = scene([({ from, to }) => part(from, to, strong, { chunks: [chunk] })]);
    const outcome = readAll(remote.transfer(0, 20));
    await settle();
    expect([outcome.bytes, outcome.error?.code, asked.length]).toEqual([[], 'ERR_FANPIPE_INVALID_CHUNK', 1]);
  });

  test('RESUME: an AbortError of the fetcher is a failure, and nobody’s abort', async () => {
    const { remote, clock, told } = scene([() => Promise.reject(new DOMException('mine', 'AbortError')), honest]);
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(0);
    expect([outcome.bytes, told.length]).toEqual([range(0, SIZE), 1]);
  });
});

describe('CLEAN: a signal', () => {
  test('CLEAN: has no listener of a transfer that was never asked, nor of one that has ended', async () => {
    const { signal } = new AbortController();
    const { remote } = scene([honest]);
    remote.transfer(0, undefined, signal);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    readAll(remote.transfer(0, undefined, signal));
    await settle();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test('CLEAN: of the options ends it too', async () => {
    const controller = new AbortController();
    const { remote, asked, clock } = scene([() => new Promise(() => {})], { signal: controller.signal });
    const outcome = readAll(remote.transfer(0, undefined));
    await settle();
    controller.abort('enough');
    await settle();
    expect([outcome.error, clock.pending, asked[0]?.init.signal?.aborted]).toEqual(['enough', 0, true]);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });
});
