/** What a transfer must not do, whatever it is given: time, fetchers, signals, bodies that nobody reads. */

import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../../../../test/support/fake-clock.ts';
import {
  BYTES,
  bodyOf,
  honest,
  part,
  type Reply,
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

  test.each([
    ['a DataView', new DataView(BYTES.buffer, 10, 10)],
    ['two bytes an item', new Uint16Array(BYTES.buffer, 10, 5)],
  ])('EXACT: a chunk of %s is its bytes', async (_, chunk) => {
    const { remote } = scene([() => part(10, 20, strong, { chunks: [chunk] })]);
    const outcome = readAll(remote.transfer(10, 20));
    await settle();
    expect(outcome).toEqual({ bytes: range(10, 20), done: true });
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

  test('CLEAN: of the options that has fired before: the other one has no listener', async () => {
    const { signal } = new AbortController();
    const { remote, asked } = scene([honest], { signal: AbortSignal.abort('enough') });
    const outcome = readAll(remote.transfer(0, undefined, signal));
    await settle();
    expect([outcome.error, asked.length, getEventListeners(signal, 'abort').length]).toEqual(['enough', 0, 0]);
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

describe('CLEAN: whoever leaves', () => {
  /** A redirect, a moment's error, a part, a part that is cut short, and a body without end: from a fetcher that heeds no signal. */
  function course(open: Set<ReadableStream>): Reply[] {
    const body = (chunks: Uint8Array[], isSilent = false): ReadableStream<Uint8Array> => {
      const stream: ReadableStream<Uint8Array> = new ReadableStream(
        {
          pull(controller): Promise<void> | void {
            const chunk = chunks.shift();
            if (chunk !== undefined) controller.enqueue(chunk);
            else if (isSilent) return new Promise(() => {});
            else {
              open.delete(stream);
              controller.close();
            }
          },
          cancel: () => void open.delete(stream),
        },
        { highWaterMark: 0 },
      );
      open.add(stream);
      return stream;
    };
    const bytes = (from: number, to: number, end: number, isSilent = false): Response =>
      new Response(body([BYTES.slice(from, to)], isSilent), {
        status: 206,
        headers: { ...strong, 'content-range': `bytes ${from}-${end - 1}/${SIZE}` },
      });
    return [
      () => new Response(body([], true), { status: 302, headers: { location: '/elsewhere' } }),
      () => new Response(body([], true), { status: 503 }),
      () => bytes(0, 20, 20),
      () => bytes(20, 30, 50),
      () => bytes(30, 50, 50, true),
      ({ from }) => bytes(from, Math.min(from + 10, SIZE - 1), SIZE, true),
    ];
  }

  /** Its times pass with the microtasks, so that nothing happens in between. */
  class MicrotaskClock implements Clock {
    readonly timers: Set<object> = new Set();

    #now = 0;

    now(): number {
      return this.#now;
    }

    setTimeout(callback: () => void, ms: number): unknown {
      const timer = {};
      this.timers.add(timer);
      let hops = ms === 0 ? 5 : 60;
      const hop = (): void => {
        if (!this.timers.has(timer)) return;
        if (hops-- > 0) queueMicrotask(hop);
        else {
          this.timers.delete(timer);
          this.#now += ms;
          callback();
        }
      };
      hop();
      return timer;
    }

    clearTimeout(timer: unknown): void {
      this.timers.delete(timer as object);
    }
  }

  test.each(['by return()', 'by a signal', 'by the signal of the options'])(
    'CLEAN: %s: after any number of microtasks nothing is left',
    async (how) => {
      const places: Set<string> = new Set();
      for (let hops = 0; hops < 320; hops++) {
        const open: Set<ReadableStream> = new Set();
        const controller = new AbortController();
        const { signal } = controller;
        const clock = new MicrotaskClock();
        const { remote, asked } = scene(course(open), {
          clock,
          allowUrl: async () => true,
          ...(how === 'by the signal of the options' ? { signal } : {}),
        });
        const transfer = remote.transfer(0, undefined, how === 'by a signal' ? signal : undefined);
        const outcome = readAll(transfer);
        for (let hop = 0; hop < hops; hop++) await null;
        places.add(`${asked.length}, ${transfer.position}`);
        if (how === 'by return()') await transfer.return();
        else controller.abort('enough');
        await settle();
        const { bytes, ...end } = outcome;
        expect({ hops, ...end }).toEqual({ hops, ...(how === 'by return()' ? { done: true } : { error: 'enough' }) });
        expect(bytes).toEqual(range(0, bytes.length));
        const signals = [signal, ...asked.map(({ init }) => init.signal as AbortSignal)];
        const listeners = signals.map((one) => getEventListeners(one, 'abort').length);
        expect({ hops, timers: clock.timers.size, open: open.size, listeners }).toEqual({
          hops,
          timers: 0,
          open: 0,
          listeners: signals.map(() => 0),
        });
      }
      // It was left everywhere: by the requests made, and the position.
      const everywhere = [
        '0, 0',
        '1, 0',
        '2, 0',
        '3, 0',
        '3, 20',
        '4, 20',
        '4, 30',
        '5, 30',
        '5, 50',
        '6, 50',
        '6, 60',
      ];
      expect([...places]).toEqual(expect.arrayContaining(everywhere));
    },
  );
});
