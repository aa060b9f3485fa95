/**
 * DETACH, END and FAIL after the fact: how a stream that has ended looks, whichever way it did, and that its end harms
 * nobody else.
 */

import { describe, expect, test } from 'vitest';
import type { ByteStream } from '../../packages/fanpipe/src/core/byte-stream.ts';
import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import { OVERFLOW_POLICIES } from '../../packages/fanpipe/src/core/policies.ts';
import { TypedWriter } from '../../packages/fanpipe/src/core/typed-writer.ts';
import {
  CancelledError,
  DisconnectedError,
  LimitExceededError,
  WriterFailedError,
} from '../../packages/fanpipe/src/errors.ts';
import { settle } from '../support/fake-clock.ts';

const REASON = new Error('the reason');

type Opened = { writer: ByteWriter; stream: ByteStream; controller: AbortController };

/** Ways to leave a stream that has read "ab" and has "cdefgh" waiting. */
const ways: Record<string, (opened: Opened) => unknown> = {
  cancel: ({ stream }) => stream.cancel(REASON),
  abort: ({ controller }) => controller.abort(REASON),
  return: ({ stream }) => stream[Symbol.asyncIterator]().return?.(),
  throw: ({ stream }) =>
    stream[Symbol.asyncIterator]()
      .throw?.(REASON)
      .catch(() => {}),
  break: async ({ stream }) => {
    for await (const _ of stream) break;
  },
  'a throwing loop body': async ({ stream }) => {
    const loop = async (): Promise<void> => {
      for await (const _ of stream) throw REASON;
    };
    await expect(loop()).rejects.toBe(REASON);
  },
  'break out of batches': async ({ stream }) => {
    for await (const _ of stream.batches()) break;
  },
  limit: async ({ stream }) => {
    await expect(stream.bytes({ limit: 1 })).rejects.toBeInstanceOf(LimitExceededError);
  },
  'cancel of readable()': ({ stream }) => stream.readable().cancel(REASON),
  dispose: ({ stream }) => {
    const symbol = Symbol.asyncDispose ?? Symbol.dispose;
    return symbol === undefined ? stream.cancel() : (stream as unknown as Record<symbol, () => unknown>)[symbol]?.();
  },
};

describe('DETACH: leaving a stream', () => {
  for (const [way, leave] of Object.entries(ways)) {
    test.for([undefined, ...OVERFLOW_POLICIES])(`DETACH ACC ALONE: by ${way}, with the policy %s`, async (overflow) => {
      const controller = new AbortController();
      const writer = new ByteWriter({ replay: 3 });
      const other = writer.stream();
      const stream = writer.stream({
        ...(overflow === undefined ? {} : { overflow, highWaterMark: 100 }),
        signal: controller.signal,
      });
      writer.writeSync('ab');
      stream.read();
      writer.writeSync('cde');
      writer.writeSync('fgh');
      await leave({ writer, stream, controller });
      expect(writer.streamCount).toBe(1);
      const frozen = [stream.position, stream.lag, stream.missed];
      // What it had read, missed and left is what there was.
      expect(stream.position + stream.lag).toBe(8);
      expect(stream.missed).toBe(0);
      // Nothing moves it any more, and leaving again does nothing.
      writer.writeSync('more than fits'.repeat(20));
      stream.cancel();
      controller.abort(new Error('too late'));
      writer.close();
      expect([stream.position, stream.lag, stream.missed]).toEqual(frozen);
      expect(writer.streamCount).toBe(1);
      expect(writer.desiredSize).toBe(null);
      expect((await other.text()).length).toBe(8 + 14 * 20);
    });
  }

  test('DETACH: counters freeze at what is missed under a policy, and add up', () => {
    for (const overflow of OVERFLOW_POLICIES) {
      const writer = new ByteWriter();
      const stream = writer.stream({ overflow, highWaterMark: 4 });
      writer.writeSync('abcd');
      const read = (stream.read() as Uint8Array).byteLength;
      writer.writeSync('ef');
      writer.writeSync('ghijkl');
      stream.cancel();
      const counters = [stream.position, stream.lag, stream.missed];
      expect(counters).toEqual(
        {
          block: [4, 8, 0],
          'drop-oldest': [8, 4, 4],
          'drop-newest': [4, 4, 4],
          disconnect: [12, 0, 8],
        }[overflow],
      );
      expect(read + stream.lag + stream.missed).toBe(12);
      writer.writeSync('mnopqr');
      expect([stream.position, stream.lag, stream.missed]).toEqual(counters);
    }
  });

  test('DETACH NEXT: all that wait settle at once, in order', async () => {
    const writer = new ByteWriter();
    const order: string[] = [];
    const wait = (name: string, stream: ByteStream): void => {
      const iterator = stream[Symbol.asyncIterator]();
      for (let i = 0; i < 4; i++) {
        iterator.next().then(
          ({ done }) => order.push(`${name}${i} ${done ? 'done' : 'data'}`),
          (error) => order.push(`${name}${i} ${error.message}`),
        );
      }
    };
    const controller = new AbortController();
    const [cancelled, aborted] = [writer.stream(), writer.stream({ signal: controller.signal })];
    wait('c', cancelled);
    wait('a', aborted);
    writer.writeSync('x');
    cancelled.cancel();
    controller.abort(REASON);
    // "At once" is without a turn of the event loop.
    for (let i = 0; i < 10; i++) await null;
    expect(order.filter((entry) => entry.startsWith('c'))).toEqual(['c0 data', 'c1 done', 'c2 done', 'c3 done']);
    expect(order.filter((entry) => entry.startsWith('a'))).toEqual([
      'a0 data',
      'a1 the reason',
      'a2 the reason',
      'a3 the reason',
    ]);
  });

  test('DETACH WAIT: the writer that waited for it wakes at once, unless it waits for another too', async () => {
    for (const leave of [ways.cancel, ways.abort, ways.return, ways.limit] as ((opened: Opened) => unknown)[]) {
      const writer = new ByteWriter();
      const controllers = [new AbortController(), new AbortController()];
      const streams = controllers.map(({ signal }) => writer.stream({ highWaterMark: 1, signal }));
      let written = false;
      void writer.write('ab').then(() => {
        written = true;
      });
      const opened = (i: number): Opened => ({
        writer,
        stream: streams[i] as ByteStream,
        controller: controllers[i] as AbortController,
      });
      await leave(opened(0));
      await settle();
      expect([written, writer.desiredSize]).toEqual([false, 0]);
      void leave(opened(1));
      for (let i = 0; i < 20; i++) await null;
      expect([written, writer.desiredSize]).toEqual([true, Number.POSITIVE_INFINITY]);
    }
  });

  test('DETACH: a loop that breaks while others are parked disturbs none of them', async () => {
    const writer = new TypedWriter<number>();
    const seen: number[][] = [];
    const loops = Array.from({ length: 50 }, async (_, i) => {
      const mine: number[] = [];
      seen.push(mine);
      for await (const value of writer.stream(i % 2 === 0 ? {} : { overflow: 'drop-oldest' })) {
        mine.push(value);
        if (value === i) break;
        if (i % 7 === 0 && value === 10) throw REASON;
      }
    });
    const settled = Promise.allSettled(loops);
    for (let value = 0; value < 60; value++) {
      await writer.write(value);
      await settle();
    }
    writer.close();
    const outcomes = await settled;
    for (const [i, mine] of seen.entries()) {
      const threw = i % 7 === 0 && i > 10;
      expect(outcomes[i]?.status).toBe(threw ? 'rejected' : 'fulfilled');
      expect(mine).toEqual(Array.from({ length: (threw ? 10 : i) + 1 }, (_, k) => k));
    }
    expect(writer.streamCount).toBe(0);
  });
});

describe('DETACH: cancel and abort', () => {
  test('DETACH: what came first decides, and the other changes nothing', async () => {
    const controller = new AbortController();
    const writer = new ByteWriter();
    const [first, second] = [controller.signal, controller.signal].map((signal) => writer.stream({ signal }));
    first?.cancel(new Error('first'));
    controller.abort(REASON);
    second?.cancel(new Error('second'));
    expect(first?.read()).toBe(null);
    expect(() => second?.read()).toThrow(REASON);
  });

  test('DETACH: a collector under way or to come rejects, and has the reason as its cause', async () => {
    const writer = new ByteWriter();
    const streams = Array.from({ length: 3 }, () => writer.stream());
    const [under, typed] = [(streams[0] as ByteStream).text(), new TypedWriter<number>().stream()];
    const array = typed.array();
    writer.writeSync('some of it');
    await settle();
    for (const stream of streams) stream.cancel(REASON);
    typed.cancel();
    for (const text of [under, (streams[1] as ByteStream).text(), (streams[2] as ByteStream).bytes()]) {
      const error = await text.catch((reason) => reason);
      expect(error).toBeInstanceOf(CancelledError);
      expect(error.cause).toBe(REASON);
    }
    const error = await array.catch((reason) => reason);
    expect(error).toBeInstanceOf(CancelledError);
    // Without a reason there is no cause.
    expect(error).not.toHaveProperty('cause');
  });

  test('DETACH: the reason of a signal is passed on unchanged, whatever it is', async () => {
    for (const reason of [REASON, 'text', 0, null, undefined]) {
      const controller = new AbortController();
      const writer = new ByteWriter();
      const before = writer.stream({ signal: controller.signal });
      const parked = writer.stream({ signal: controller.signal })[Symbol.asyncIterator]().next();
      controller.abort(reason);
      const after = writer.stream({ signal: controller.signal });
      // Without a reason the platform makes one.
      const expected = controller.signal.reason;
      await expect(parked.catch((error) => error)).resolves.toBe(expected);
      for (const stream of [before, after]) await expect(stream.text().catch((error) => error)).resolves.toBe(expected);
      expect(writer.streamCount).toBe(0);
    }
  });

  test('DETACH COUNT: a stream opened under a signal that has fired is detached from the start', () => {
    const writer = new ByteWriter({ replay: 'all' });
    writer.writeSync('abc');
    for (const overflow of OVERFLOW_POLICIES) {
      const stream = writer.stream({ from: 'start', overflow, highWaterMark: 0, signal: AbortSignal.abort(REASON) });
      expect(() => stream.read()).toThrow(REASON);
      expect([writer.streamCount, writer.desiredSize]).toEqual([0, Number.POSITIVE_INFINITY]);
      expect([stream.position, stream.lag, stream.missed]).toEqual([0, 3, 0]);
    }
  });
});

describe('FAIL and END', () => {
  test('FAIL: every stream gets all bytes written before, then the reason, every time it asks', async () => {
    for (const reason of [REASON, 'text', 0, null, false]) {
      const writer = new ByteWriter({ replay: 'all' });
      const streams = [{}, ...OVERFLOW_POLICIES.map((overflow) => ({ overflow })), { copy: true }].map((options) =>
        writer.stream(options),
      );
      const iterators = streams.map((stream) => stream[Symbol.asyncIterator]());
      const parked = iterators.map((iterator) => iterator.next());
      writer.writeSync('a');
      writer.writeSync('b');
      writer.fail(reason);
      const late = writer.stream({ from: 'start' })[Symbol.asyncIterator]();
      parked.push(late.next());
      for (const [i, iterator] of [...iterators, late].entries()) {
        expect(Buffer.from((await parked[i])?.value as Uint8Array).toString()).toBe('a');
        expect(Buffer.from((await iterator.next()).value as Uint8Array).toString()).toBe('b');
        for (let k = 0; k < 3; k++)
          await expect(iterator.next().catch((error) => ({ error }))).resolves.toEqual({ error: reason });
      }
      for (const stream of streams) {
        let thrown: unknown = 'nothing';
        try {
          stream.read();
        } catch (error) {
          thrown = error;
        }
        expect(thrown).toBe(reason);
      }
    }
  });

  test('FAIL: without a reason it is a typed error, the same for all', async () => {
    const writer = new ByteWriter();
    const texts = [writer.stream().text(), writer.stream().text()];
    writer.fail();
    const [first, second] = await Promise.all(texts.map((text) => text.catch((error) => error)));
    expect(first).toBeInstanceOf(WriterFailedError);
    expect(first.code).toBe('ERR_FANPIPE_WRITER_FAILED');
    expect(second).toBe(first);
  });

  test('FAIL END: an end is seen if and only if the writer closed', async () => {
    for (const end of ['close', 'fail', 'neither'] as const) {
      for (const waits of [true, false]) {
        const writer = new ByteWriter();
        const iterators = [undefined, ...OVERFLOW_POLICIES].map((overflow) =>
          writer.stream(overflow === undefined ? {} : { overflow })[Symbol.asyncIterator](),
        );
        const ends = waits ? iterators.map((iterator) => iterator.next()) : [];
        if (end !== 'neither') writer[end]();
        if (!waits) for (const iterator of iterators) ends.push(iterator.next());
        let settled = 0;
        for (const ending of ends) {
          ending.then(
            ({ done }) => {
              settled++;
              expect([end, done]).toEqual(['close', true]);
            },
            () => {
              settled++;
              expect(end).toBe('fail');
            },
          );
        }
        await settle();
        expect(settled).toBe(end === 'neither' ? 0 : ends.length);
      }
    }
  });

  test('FAIL: a writer’s signal fails it with the reason, once, and is left when it ends', async () => {
    const controller = new AbortController();
    const writer = new ByteWriter({ signal: controller.signal });
    const text = writer.stream().text();
    writer.writeSync('x');
    controller.abort(REASON);
    expect(writer.state).toBe('failed');
    await expect(text).rejects.toBe(REASON);
    const late = new ByteWriter({ signal: controller.signal });
    expect(late.state).toBe('failed');
    await expect(late.write('x')).rejects.toMatchObject({ code: 'ERR_FANPIPE_WRITER_ENDED', cause: REASON });
    await expect(late.stream().text()).rejects.toBe(REASON);
  });

  test('END START: a stream opened after the end yields what is retained, as often as one likes', async () => {
    const writer = new ByteWriter({ replay: 4 });
    for (const text of ['abc', 'def', 'g']) writer.writeSync(text);
    expect(await writer.end()).toBe(7);
    for (let i = 0; i < 3; i++) {
      expect(await writer.stream({ from: 'start' }).text()).toBe('defg');
      expect(await writer.stream({ from: { last: 2 } }).text()).toBe('fg');
      expect(await writer.stream({ from: 5 }).text()).toBe('fg');
      expect(await writer.stream().text()).toBe('');
    }
    expect(writer.streamCount).toBe(0);
  });
});

describe('POLICY: a stream that was disconnected', () => {
  test('POLICY LOSS DETACH: the error has the amounts, the backlog is free, and who comes back can go on', async () => {
    const writer = new ByteWriter({ replay: 100 });
    const stream = writer.stream({ overflow: 'disconnect', highWaterMark: 5 });
    writer.writeSync('abc');
    stream.read();
    writer.writeSync('defgh');
    expect(writer.streamCount).toBe(1);
    writer.writeSync('i');
    expect(writer.streamCount).toBe(0);
    const error = await stream.text().catch((reason) => reason);
    expect(error).toBeInstanceOf(DisconnectedError);
    expect(error).toMatchObject({ missed: 6, highWaterMark: 5, position: 3, code: 'ERR_FANPIPE_DISCONNECTED' });
    expect([stream.position, stream.lag, stream.missed]).toEqual([9, 0, 6]);
    writer.close();
    expect(await writer.stream({ from: error.position }).text()).toBe('defghi');
  });

  test('POLICY ALONE: who waits is served within the write and so is never disconnected for waiting', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream({ overflow: 'disconnect', highWaterMark: 0 });
    const text = stream.text();
    for (let i = 0; i < 5; i++) {
      writer.writeSync('large enough');
      await settle();
    }
    writer.close();
    expect(await text).toBe('large enough'.repeat(5));
  });
});

describe('NEXT: limits of collectors', () => {
  test('NEXT DETACH: exactly the limit is within it, one more is not', async () => {
    for (const [limit, size] of [
      [3, 3],
      [3, 4],
      [0, 0],
      [0, 1],
    ] as const) {
      const writer = new ByteWriter({ replay: 'all' });
      const values = new TypedWriter<number>({ size: () => 5 });
      const results = [
        writer.stream().bytes({ limit }),
        writer.stream().text({ limit }),
        values.stream().array({ limit }),
      ];
      for (let i = 0; i < size; i++) {
        writer.writeSync('x');
        values.writeSync(i);
      }
      writer.close();
      values.close();
      for (const result of results) {
        if (size <= limit) expect((await result).length).toBe(size);
        else await expect(result).rejects.toMatchObject({ code: 'ERR_FANPIPE_LIMIT_EXCEEDED', limit });
      }
      expect([writer.streamCount, values.streamCount]).toEqual([0, 0]);
    }
  });
});
