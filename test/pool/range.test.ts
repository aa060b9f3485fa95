/** RANGE: a range is served from what is there or on the way, by every way to read, and is over with its last byte. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { cursorOf } from '../../packages/fanpipe/src/core/base-stream.ts';
import type { ByteStream } from '../../packages/fanpipe/src/core/byte-stream.ts';
import { pipeToResponse, toReadable } from '../../packages/fanpipe/src/node.ts';
import type { PoolOpenOptions, StreamPoolOptions } from '../../packages/fanpipe/src/pool/options.ts';
import { StreamPool } from '../../packages/fanpipe/src/pool/stream-pool.ts';
import { settle } from '../support/fake-clock.ts';
import { PushSource } from '../support/push-source.ts';

const TEXT = 'the quick brown fox jumps over the lazy dog';
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (chunk: Uint8Array | null | undefined): string => (chunk ? new TextDecoder().decode(chunk) : `${chunk}`);

/** One entry whose source the test drives. */
function scene(options: StreamPoolOptions = {}): {
  pool: StreamPool;
  source: PushSource<Uint8Array>;
  open: (start: number, end?: number, options?: PoolOpenOptions) => ByteStream;
  give: (...chunks: string[]) => Promise<void>;
} {
  const pool = new StreamPool({ onLastLeave: 'keep', ...options });
  const source = new PushSource<Uint8Array>();
  return {
    pool,
    source,
    open: (start, end, openOptions) => pool.open('key', () => source, { start, end, ...openOptions }),
    give: async (...chunks) => {
      source.push(...chunks.map(bytes));
      await settle();
    },
  };
}

/** Every way to read a stream to its end as text. */
const ways: Record<string, (stream: ByteStream) => Promise<string>> = {
  'text()': (stream) => stream.text(),
  'for await': async (stream) => {
    let text = '';
    for await (const chunk of stream) text += textOf(chunk);
    return text;
  },
  'batches()': async (stream) => {
    let text = '';
    for await (const batch of stream.batches()) for (const chunk of batch) text += textOf(chunk);
    return text;
  },
  'read()': async (stream) => {
    let text = '';
    for (;;) {
      const chunk = stream.read();
      if (chunk === null) return text;
      if (chunk === undefined) await settle();
      else text += textOf(chunk);
    }
  },
  'readable()': (stream) => new Response(stream.readable()).text(),
  'readable() with a BYOB reader': async (stream) => {
    const reader = stream.readable().getReader({ mode: 'byob' });
    let text = '';
    for (;;) {
      const { value, done } = await reader.read(new Uint8Array(4));
      if (done) return text;
      text += textOf(value);
    }
  },
  'a Node Readable': async (stream) => {
    const chunks: Buffer[] = [];
    for await (const chunk of toReadable(stream)) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  },
  'a response': async (stream) => {
    const server = createServer((_, response) => void pipeToResponse(stream, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      return await response.text();
    } finally {
      server.close();
      server.closeAllConnections();
    }
  },
  'a monitor': async (stream) => {
    let text = '';
    for await (const chunk of stream.stalledMonitor().withTimeout(5000)) text += textOf(chunk);
    return text;
  },
};

describe('RANGE: every way to read', () => {
  const ranges: [number, number | undefined][] = [
    [0, 9],
    [4, 9],
    [7, 8],
    [10, undefined],
    [4, 100],
    [0, TEXT.length],
    [TEXT.length, undefined],
    [TEXT.length, 100],
  ];
  for (const [way, read] of Object.entries(ways)) {
    test(`RANGE: ${way}, of what is there, on its way, and yet to come`, async () => {
      const { pool, source, open, give } = scene();
      const texts = (): Promise<string[]> => Promise.all(ranges.map(([start, end]) => read(open(start, end))));
      const ahead = texts();
      await give(TEXT.slice(0, 6), TEXT.slice(6, 8));
      const onTheWay = texts();
      await give(TEXT.slice(8, 20));
      await give(TEXT.slice(20));
      source.end();
      const expected = ranges.map(([start, end]) => TEXT.slice(start, end));
      expect(await ahead).toEqual(expected);
      expect(await onTheWay).toEqual(expected);
      expect(await texts()).toEqual(expected);
      expect(pool.stats()).toMatchObject({ readers: 0, misses: 1 });
    });

    test(`RANGE WHOLE: ${way}, of a source that fails within it, or ends before it`, async () => {
      const { source, open, give } = scene();
      const failing = read(open(2, 30));
      const done = read(open(0, 6));
      await give(TEXT.slice(0, 8));
      source.fail(new Error('cut off'));
      // A response that is cut off looks so to fetch.
      await expect(failing).rejects.toThrow(way === 'a response' ? 'terminated' : 'cut off');
      expect(await done).toBe(TEXT.slice(0, 6));

      const short = scene();
      const beyond = read(short.open(50, 60));
      await short.give(TEXT);
      short.source.end();
      if (way === 'a response') await expect(beyond).rejects.toThrow();
      else await expect(beyond).rejects.toMatchObject({ code: 'ERR_FANPIPE_OFFSET_NOT_WRITTEN', offset: 50, tail: 43 });
    });
  }

  test('RANGE: all kinds of chunks, cut anywhere', async () => {
    for (let size = 1; size <= 5; size++) {
      const chunks = Array.from({ length: Math.ceil(TEXT.length / size) }, (_, i) =>
        TEXT.slice(i * size, (i + 1) * size),
      );
      const pool = new StreamPool();
      for (let start = 0; start <= 12; start++) {
        for (let end = start; end <= 14; end++) {
          const stream = pool.open('key', () => chunks, { start, end, onLastLeave: 'keep' });
          expect(await stream.text()).toBe(TEXT.slice(start, end));
        }
      }
      expect(pool.stats().misses).toBe(1);
    }
  });
});

describe('RANGE: where it ends', () => {
  test('RANGE GROUP: it is detached with its last byte, while others go on', async () => {
    const { pool, open, give } = scene();
    const whole = open(0);
    const range = open(4, 9);
    const iterator = open(4, 9)[Symbol.asyncIterator]();
    const reads = [iterator.next(), iterator.next(), iterator.next()];
    await give(TEXT.slice(0, 12));
    expect(pool.stats().readers).toBe(2);
    const results = await Promise.all(reads);
    expect(results.map(({ value, done }) => [value && textOf(value), done])).toEqual([
      ['quick', false],
      [undefined, true],
      [undefined, true],
    ]);
    expect([range.position, range.lag, range.missed]).toEqual([4, 5, 0]);
    expect(textOf(range.read())).toBe('quick');
    expect(cursorOf(range).ending).toEqual({ kind: 'done' });
    expect(pool.stats().readers).toBe(1);
    expect(range.read()).toBe(null);
    await give(TEXT.slice(12));
    expect([range.position, range.lag, range.missed]).toEqual([9, 0, 0]);
    expect(whole.lag).toBe(TEXT.length);
  });

  test('RANGE: while the source is before its start, it waits there', async () => {
    const { open, give } = scene();
    const stream = open(10, 15);
    expect([stream.position, stream.lag, stream.missed, stream.read()]).toEqual([10, 0, 0, undefined]);
    await give(TEXT.slice(0, 10));
    expect([stream.position, stream.lag, stream.missed, stream.read()]).toEqual([10, 0, 0, undefined]);
    await give(TEXT.slice(10, 12));
    expect([stream.position, stream.lag]).toEqual([10, 2]);
    await give(TEXT.slice(12));
    expect([stream.position, stream.lag]).toEqual([10, 5]);
    expect(await stream.text()).toBe(TEXT.slice(10, 15));
  });

  test('RANGE: cancelled, aborted or left while it waits, in the middle, and at its end', async () => {
    const { pool, open, give } = scene();
    const controller = new AbortController();
    const streams = [open(2, 9), open(2, 9, { signal: controller.signal }), open(20, 30), open(2, 4)];
    const parked = streams.map((stream) => stream[Symbol.asyncIterator]().next());
    streams[2]?.cancel();
    await give(TEXT.slice(0, 5));
    expect((await Promise.all(parked)).map(({ value }) => value && textOf(value))).toEqual([
      'e q',
      'e q',
      undefined,
      'e ',
    ]);
    streams[0]?.cancel();
    const reason = new Error('no longer');
    controller.abort(reason);
    streams[3]?.cancel();
    await give(TEXT.slice(5));
    expect(streams[0]?.read()).toBe(null);
    expect(() => streams[1]?.read()).toThrow(reason);
    expect(streams.map(({ position, lag }) => [position, lag])).toEqual([
      [5, 0],
      [5, 0],
      [20, 0],
      [4, 0],
    ]);
    expect(pool.stats().readers).toBe(0);
  });

  test('RANGE: batches merge neighbours where they do not cross the end', async () => {
    const { open, give } = scene();
    const [within, across] = [open(1, 12).batches(), open(1, 10).batches()];
    await give('0123', '4567', '89ab');
    const [one, several] = [open(1, 12), open(1, 10)].map((stream) => stream.batches());
    const textsOf = async (batches: AsyncIterator<readonly Uint8Array[]> | undefined): Promise<string[]> => {
      const result = await batches?.next();
      return result?.done === false ? result.value.map(textOf) : [];
    };
    expect(await textsOf(one)).toEqual(['123456789ab']);
    expect(await textsOf(several)).toEqual(['123', '4567', '89']);
    expect([await textsOf(within), await textsOf(across)]).toEqual([['123456789ab'], ['123', '4567', '89']]);
  });

  test('RANGE: copies are memory of its own, cut to size', async () => {
    const { open, give } = scene();
    open(0).cancel();
    await give(TEXT);
    const shared = open(4, 9).read() as Uint8Array;
    const own = open(4, 9, { copy: true }).read() as Uint8Array;
    expect(textOf(own)).toBe('quick');
    expect(own.buffer).not.toBe(shared.buffer);
    expect(own.buffer.byteLength).toBe(5);
  });
});

describe('RANGE POLICY: a policy sees the range alone', () => {
  test('RANGE POLICY: nobody is disconnected, blocked or robbed by what lies beyond its end', async () => {
    const { source, open, give } = scene();
    const policies = ['disconnect', 'drop-oldest', 'drop-newest', 'block'] as const;
    const streams = policies.map((overflow) => open(4, 9, { overflow, highWaterMark: 5 }));
    const ahead = policies.map((overflow) => open(20, 25, { overflow, highWaterMark: 5 }));
    await give(TEXT.slice(0, 7));
    await give(TEXT.slice(7));
    await give('and much more'.repeat(100));
    source.end();
    expect(streams.map(({ lag, missed }) => [lag, missed])).toEqual(Array(4).fill([5, 0]));
    for (const stream of streams) expect(await stream.text()).toBe('quick');
    for (const stream of ahead) expect(await stream.text()).toBe('jumps');
  });

  test('RANGE POLICY LOSS: what a policy does within the range is exact, in the middle of a chunk too', async () => {
    const { open, give } = scene();
    const gaps: Record<string, unknown[]> = { 'drop-oldest': [], 'drop-newest': [], disconnect: [] };
    const streams = Object.entries(gaps).map(([overflow, told]) =>
      open(4, 9, {
        overflow: overflow as 'disconnect',
        highWaterMark: 2,
        onMissed: (missed, from) => told.push([missed, from]),
      }),
    );
    await give(TEXT);
    expect(streams.map(({ position, lag, missed }) => [position, lag, missed])).toEqual([
      [7, 2, 3],
      [4, 2, 3],
      [9, 0, 5],
    ]);
    expect(await streams[0]?.text()).toBe('ck');
    expect(await streams[1]?.text()).toBe('qu');
    await expect(streams[2]?.text()).rejects.toMatchObject({
      code: 'ERR_FANPIPE_DISCONNECTED',
      missed: 5,
      position: 4,
    });
    expect(gaps).toEqual({ 'drop-oldest': [[3, 4]], 'drop-newest': [[3, 6]], disconnect: [] });
  });

  test('RANGE POLICY: block makes the source wait within the range, and not after it', async () => {
    const { pool, open, give, source } = scene();
    const stream = open(4, 9, { highWaterMark: 2 });
    const other = open(0);
    await give(TEXT);
    // The chunk is written up to the end of the range, where the lag is beyond the mark.
    expect([stream.lag, other.lag]).toEqual([5, 9]);
    await give('!');
    expect([other.lag, source.asked]).toEqual([9, 1]);
    expect(cursorOf(stream).fill(new Uint8Array(3))).toBe(3);
    await settle();
    expect([stream.lag, other.lag]).toEqual([2, TEXT.length + 1]);
    expect(pool.stats().readers).toBe(2);
    expect(textOf(stream.read())).toBe('ck');
    expect(pool.stats().readers).toBe(1);
  });

  test('RANGE LOSS: a callback that throws is told before the end, also where nothing is left of the range', async () => {
    for (const way of ['read', 'next', 'batch', 'fill'] as const) {
      const { open, give } = scene();
      const stream = open(0, 10, {
        overflow: 'drop-oldest',
        highWaterMark: 0,
        onMissed: () => {
          throw new Error('told');
        },
      });
      await give('01234');
      expect(stream.read()).toBe(undefined);
      await settle();
      await give('56789', 'more');
      const cursor = cursorOf(stream);
      const read = {
        read: async () => cursor.read(),
        next: () => cursor.next(),
        batch: () => cursor.nextBatch(),
        fill: async () => cursor.fill(new Uint8Array(1)),
      }[way];
      await expect(read()).rejects.toMatchObject({ code: 'ERR_FANPIPE_CALLBACK' });
      await settle();
      expect([stream.missed, stream.read()]).toEqual([10, null]);
    }
  });

  test('RANGE NEXT LOSS: a callback that throws rejects one of several reads, and the others go on', async () => {
    const { open, give } = scene();
    const iterator = open(0, 14, {
      overflow: 'drop-oldest',
      highWaterMark: 3,
      onMissed: () => {
        throw new Error('told');
      },
    })[Symbol.asyncIterator]();
    const other = open(0)[Symbol.asyncIterator]();
    await give('01234');
    const first = iterator.next();
    const reads = [iterator.next(), iterator.next()];
    const [rejected] = reads.map((read) => read.catch((error) => error.code));
    await settle();
    const more = [iterator.next(), iterator.next(), other.next(), other.next()];
    await give('56', '78');
    await give('9abcdef');
    expect(textOf((await first).value)).toBe('234');
    expect(await rejected).toBe('ERR_FANPIPE_CALLBACK');
    const results = await Promise.all([reads[1], ...more]);
    expect(results.map((result) => textOf(result?.value))).toEqual(['56', '78', '9abcd', '01234', '56']);
    expect((await iterator.next()).done).toBe(true);
  });

  test('RANGE POLICY: a range that is all there does not block', async () => {
    const { open, give } = scene();
    const whole = open(0);
    await give(TEXT);
    const stream = open(4, 9, { overflow: 'block', highWaterMark: 0 });
    await give('more', 'and more');
    expect(whole.lag).toBe(TEXT.length + 12);
    expect(await stream.text()).toBe('quick');
  });

  test('RANGE: a source may use its buffer again, also where a chunk is written in two parts', async () => {
    for (const make of [(text: string) => Buffer.from(text), bytes]) {
      const { source, open } = scene();
      const stream = open(4, 9, { highWaterMark: 100 });
      const whole = open(0);
      const chunk = make(TEXT);
      source.push(chunk);
      // As early as that: when the write was begun, and before the rest is written.
      while (whole.lag === 0) await null;
      expect(whole.lag).toBe(4);
      chunk.fill(0);
      await settle();
      source.end();
      expect(await stream.text()).toBe('quick');
      expect(await whole.text()).toBe(TEXT);
    }
  });
});
