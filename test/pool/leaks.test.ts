/**
 * GONE, CLEAN and KEEP: late joiners share what is kept, dropped streams are counted off, and nothing stays behind, neither memory
 * nor listeners nor timers that keep the process alive.
 */

import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import type { ByteStream } from '../../packages/fanpipe/src/core/byte-stream.ts';
import { OVERFLOW_POLICIES } from '../../packages/fanpipe/src/core/policies.ts';
import type { PoolOpenOptions } from '../../packages/fanpipe/src/pool/options.ts';
import { StreamPool } from '../../packages/fanpipe/src/pool/stream-pool.ts';
import { collectUntil, Living, liveMemory } from '../support/collector.ts';
import { settle } from '../support/fake-clock.ts';
import { PushSource } from '../support/push-source.ts';
import { runToExit } from '../support/run-to-exit.ts';

const MIB = 1024 * 1024;

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length;
}

describe('KEEP: what the pool has let go of', () => {
  test('KEEP CLEAN: finished streams that somebody holds do not hold the bytes of their entries', async () => {
    const pool = new StreamPool();
    const before = await liveMemory();
    const held: ByteStream[] = [];
    for (let i = 0; i < 16; i++) {
      const stream = pool.open(`key ${i}`, () => [new Uint8Array(MIB)]);
      await stream.bytes();
      pool.delete(`key ${i}`);
      held.push(stream);
    }
    const after = await liveMemory();
    expect(after.buffers - before.buffers).toBeLessThan(2 * MIB);
    expect(held.map((stream) => stream.position)).toEqual(held.map(() => MIB));
  });
});

describe('KEEP: late joiners share', () => {
  const kinds: Record<string, (chunk: Uint8Array) => ReadableStream<Uint8Array> | Uint8Array[]> = {
    'kept by reference': (chunk) =>
      new ReadableStream({
        start(controller) {
          for (let i = 0; i < 16; i++) controller.enqueue(chunk.slice());
          controller.close();
        },
      }),
    copied: (chunk) => Array.from({ length: 16 }, () => chunk.slice()),
  };
  const ranges: Record<string, PoolOpenOptions> = {
    'whole streams': {},
    ranges: { start: 100, end: 16 * MIB - 100 },
    'ranges with a policy': { start: 100, end: 16 * MIB - 100, overflow: 'drop-oldest', highWaterMark: 1000 },
  };
  for (const [kind, make] of Object.entries(kinds)) {
    for (const [range, options] of Object.entries(ranges)) {
      test(`KEEP: 100 late joiners of 16 MiB ${kind}, ${range}: less than 1 MiB more, and one memory for all`, async () => {
        const pool = new StreamPool();
        const opener = () => make(new Uint8Array(MIB).fill(7));
        await pool.open('key', opener).bytes();
        const buffersOf = async (): Promise<ArrayBufferLike[]> => {
          const buffers: ArrayBufferLike[] = [];
          for await (const chunk of pool.open('key', opener, options)) buffers.push(chunk.buffer);
          return buffers;
        };
        const shared = await buffersOf();
        expect(shared).toHaveLength(16);
        const before = await liveMemory();
        const iterators = Array.from({ length: 100 }, () => pool.open('key', opener, options)[Symbol.asyncIterator]());
        const chunks: Uint8Array[] = [];
        // Each stands elsewhere.
        for (const [i, iterator] of iterators.entries()) {
          for (let n = 0; n <= i % 16; n++) {
            const { value } = await iterator.next();
            if (value !== undefined) chunks[n] = value;
          }
        }
        const after = await liveMemory();
        expect(after.buffers - before.buffers + after.heap - before.heap).toBeLessThan(MIB);
        expect(chunks.map(({ buffer }) => shared.indexOf(buffer))).toEqual(Array.from({ length: 16 }, (_, i) => i));
        expect(pool.stats()).toMatchObject({ bytes: 16 * MIB, misses: 1 });
        for (const iterator of iterators) await iterator.return?.();
        expect(pool.stats().readers).toBe(0);
      });
    }
  }

  test('KEEP: what is evicted is freed', async () => {
    const pool = new StreamPool({ budget: 8 * MIB });
    const { buffers: before } = await liveMemory();
    // A frame may hold what it has touched.
    const read = async (key: string): Promise<void> => {
      const reader = pool.open(key, () => [new Uint8Array(MIB), new Uint8Array(MIB)]);
      for await (const chunk of reader) expect(chunk).toHaveLength(MIB);
    };
    for (let i = 0; i < 20; i++) await read(`${i}`);
    expect(pool.stats()).toMatchObject({ bytes: 8 * MIB, evictions: 16 });
    expect((await liveMemory()).buffers - before).toBeLessThan(9 * MIB);
    pool.close();
    expect((await liveMemory()).buffers - before).toBeLessThan(MIB);
  });
});

describe('GONE: streams that are dropped', () => {
  const kinds: Record<string, PoolOpenOptions> = {
    whole: {},
    'a range': { start: 2, end: 50 },
    'a range ahead': { start: 1000, end: 2000 },
    'with copies': { copy: true },
    ...Object.fromEntries(
      OVERFLOW_POLICIES.flatMap((overflow) => [
        [`${overflow}`, { overflow, highWaterMark: 5 }],
        [`a range with ${overflow}`, { overflow, highWaterMark: 5, start: 2, end: 50 }],
        [`a range ahead with ${overflow}`, { overflow, highWaterMark: 5, start: 1000, end: 2000 }],
      ]),
    ),
  };
  for (const [name, options] of Object.entries(kinds)) {
    test(`GONE GROUP: ${name}: counted off, no listener, and the source is stopped with the last`, async () => {
      const pool = new StreamPool();
      const source = new PushSource<Uint8Array>();
      const { signal } = new AbortController();
      const drop = (): void => {
        const stream: ByteStream = pool.open('key', () => source, {
          ...options,
          signal,
          // It refers to its stream, which must not keep it alive.
          onMissed: () => stream.cancel(),
        });
        stream.read();
      };
      for (let i = 0; i < 20; i++) drop();
      await settle();
      source.push(new Uint8Array(4));
      await settle();
      expect(pool.stats().entries).toMatchObject([{ state: 'filling', bytes: 4, readers: 20 }]);
      // Some are over their mark now.
      source.push(new Uint8Array(10));
      await collectUntil(() => pool.stats().readers === 0, 'the streams are counted off');
      await collectUntil(() => listeners(signal) === 0, 'the signal has no listener');
      await settle();
      expect([source.returned, pool.stats().entries.length]).toEqual([1, 0]);
    });
  }

  for (const [name, options] of Object.entries(kinds)) {
    test(`GONE: ${name}, whose reads all settled`, async () => {
      const pool = new StreamPool({ onLastLeave: 'keep' });
      const source = new PushSource<Uint8Array>();
      const drop = (): Promise<unknown>[] => {
        const iterator = pool.open('key', () => source, options)[Symbol.asyncIterator]();
        return [iterator.next(), iterator.next()];
      };
      const reads = drop();
      source.push(new Uint8Array(1005), new Uint8Array(10));
      await Promise.all(reads);
      reads.length = 0;
      await settle();
      await collectUntil(() => pool.stats().readers === 0, 'the stream is counted off');
      expect(pool.stats().entries).toMatchObject([{ state: 'filling', bytes: 1015 }]);
      pool.close();
    });
  }

  test('GONE KEEP: of a failed entry, whose bytes are let go with them', async () => {
    const pool = new StreamPool();
    const source = new PushSource<Uint8Array>();
    const drop = (): void => void pool.open('key', () => source);
    drop();
    await settle();
    source.push(new Uint8Array(10));
    await settle();
    source.fail(new Error('on purpose'));
    await settle();
    await collectUntil(() => pool.stats().bytes === 0, 'the bytes are let go');
    expect(pool.stats()).toMatchObject({ entries: [], readers: 0 });
  });

  test('GONE: a pool that is dropped takes its entries along', async () => {
    const living = new Living();
    const drop = async (): Promise<void> => {
      const pool = living.add(new StreamPool({ onLastLeave: 'keep' }));
      const chunk = living.add(new Uint8Array(64 * 1024));
      const source = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(chunk);
          controller.close();
        },
      });
      await pool.open('complete', () => source).bytes();
      pool.open('silent', () => new PushSource<Uint8Array>(), { start: 5, highWaterMark: 1 });
      await settle();
    };
    for (let i = 0; i < 10; i++) await drop();
    expect(await living.count()).toBe(0);
  });
});

describe('CLEAN: opening and leaving', () => {
  test('CLEAN GROUP: 20,000 streams of every kind leave no memory, no listener and no reader', async () => {
    const pool = new StreamPool({ budget: 1000 });
    const { signal } = new AbortController();
    const cycle = async (i: number): Promise<void> => {
      const opener = (): string[] => ['0123456789'];
      const overflow = (['block', 'drop-oldest', 'drop-newest'] as const)[i % 3];
      const first = pool.open(`${i % 200}`, opener, { signal });
      const range = pool.open(`${i % 200}`, opener, { signal, start: 3, end: 30, overflow, highWaterMark: 2 });
      const ahead = pool.open(`${i % 200}`, opener, { signal, start: 9, end: 12 }).bytes();
      const failed = pool
        .open('failed', () => Promise.reject(new Error('on purpose')), { signal })
        .text()
        .catch((error) => error.message);
      await settle();
      range.read();
      range.cancel();
      await first.bytes();
      await ahead;
      const message = await failed;
      if (message !== 'on purpose' || listeners(signal) !== 0) throw new Error(`${message}, ${listeners(signal)}`);
    };
    const run = async (): Promise<void> => {
      for (let i = 0; i < 2500; i++) await cycle(i);
    };
    await run();
    const { heap } = await liveMemory();
    await run();
    expect((await liveMemory()).heap - heap).toBeLessThan(2 * MIB);
    expect(pool.stats()).toMatchObject({ readers: 0, bytes: 1000 });
    expect(listeners(signal)).toBe(0);
  });

  test('CLEAN: a process that has used everything exits by itself at once', async () => {
    const { code, output, lingered } = await runToExit('./exiting-pool-process.ts');
    expect(output).toBe('finished, new timers: 0\n');
    expect(code).toBe(0);
    expect(lingered).toBeLessThan(1000);
  });
});
