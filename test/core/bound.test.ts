/**
 * BOUND: what is retained is at most the largest mark plus one write and two slabs, however long a reader sleeps.
 *
 * By reference, every write hands over a view of one and the same mebibyte, and what counts is how many of the views the
 * channel keeps alive. Copied, the slabs are what `arrayBuffers` counts.
 *
 * FANPIPE_BOUND_GIB is how much is written by reference under each policy (default 10).
 */

import { describe, expect, test } from 'vitest';
import type { ByteStream } from '../../packages/fanpipe/src/core/byte-stream.ts';
import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import type { OverflowPolicy } from '../../packages/fanpipe/src/core/policies.ts';
import { SLAB_SIZE } from '../../packages/fanpipe/src/core/slab-allocator.ts';
import { TypedWriter } from '../../packages/fanpipe/src/core/typed-writer.ts';
import { Living, liveMemory } from '../support/collector.ts';
import { settle } from '../support/fake-clock.ts';

const MIB = 1024 * 1024;
const WRITES = Number(process.env.FANPIPE_BOUND_GIB ?? 10) * 1024;
const TICK = 512;
const MARK = 8 * MIB;

/** Reads what is there, and keeps none of it. */
function drain(streams: readonly ByteStream[]): void {
  for (const stream of streams) while (stream.read() instanceof Uint8Array);
}

/** Waits for more again and again. A loop would keep what it read last in its frame, and this keeps nothing. */
function readForEver(iterator: AsyncIterator<unknown>): void {
  void iterator.next().then(({ done }) => {
    if (!done) readForEver(iterator);
  });
}

/** A stream that reads a little of what is replayed and is cancelled, or dropped. */
function comeAndGo(writer: ByteWriter, cancel: boolean): void {
  const late = writer.stream({ from: 'start' });
  late.read();
  if (cancel) late.cancel();
}

/** Readers that keep up: some look now and then, the others wait. */
function openReaders(writer: ByteWriter, count: number): ByteStream[] {
  const lookers: ByteStream[] = [];
  for (let i = 0; i < count; i++) {
    const stream = writer.stream(i % 3 === 0 ? { highWaterMark: MARK, overflow: 'drop-oldest' } : {});
    if (i % 2 === 0) lookers.push(stream);
    else readForEver(stream.batches());
  }
  return lookers;
}

describe('BOUND: one stuck of 1,000 readers', () => {
  test.for(['drop-oldest', 'drop-newest', 'disconnect'] as const)('BOUND ALONE: %s, by reference', async (overflow) => {
    const memory = new ArrayBuffer(MIB);
    const living = new Living();
    const writer = new ByteWriter({ copy: false });
    const lookers = openReaders(writer, 999);
    let stuck = writer.stream({ overflow, highWaterMark: MARK });
    let disconnected = 0;
    const heaps: number[] = [];
    for (let i = 1; i <= WRITES; i++) {
      writer.writeSync(living.add(new Uint8Array(memory)));
      if (i % 16 === 0) {
        drain(lookers);
        await settle();
      }
      expect(stuck.lag).toBeLessThanOrEqual(MARK);
      if (overflow === 'disconnect' && writer.streamCount < 1000) {
        disconnected++;
        stuck = writer.stream({ overflow, highWaterMark: MARK });
      }
      if (i % TICK === 0) {
        expect(await living.count()).toBeLessThanOrEqual(MARK / MIB + 1);
        heaps.push(process.memoryUsage().heapUsed);
      }
    }
    expect(writer.bytesWritten).toBe(WRITES * MIB);
    if (overflow === 'disconnect') expect(disconnected).toBe(Math.floor(WRITES / (MARK / MIB + 1)));
    else expect(stuck.missed).toBe((WRITES - MARK / MIB) * MIB);
    const last = heaps.slice(-5);
    expect(Math.min(...last) - (heaps[1] as number)).toBeLessThan(MIB);
    writer.close();
  });

  test('BOUND ALONE: block, by reference, with a writer that awaits', async () => {
    const memory = new ArrayBuffer(MIB);
    const living = new Living();
    const writer = new ByteWriter({ copy: false });
    const lookers = openReaders(writer, 999);
    const slow = writer.stream({ overflow: 'block', highWaterMark: MARK });
    let waited = 0;
    for (let i = 1; i <= WRITES; i++) {
      const written = writer.write(living.add(new Uint8Array(memory)));
      expect(slow.lag).toBeLessThanOrEqual(MARK + MIB);
      drain(lookers);
      if (writer.desiredSize === 0 && slow.lag > MARK) {
        waited++;
        expect(slow.read()?.byteLength).toBe(MIB);
      }
      await written;
      if (i % TICK === 0) expect(await living.count()).toBeLessThanOrEqual(MARK / MIB + 1);
    }
    expect(waited).toBe(WRITES - MARK / MIB);
    expect(slow.missed).toBe(0);
    writer.close();
  });
});

describe('BOUND: what is copied', () => {
  const POLICIES: OverflowPolicy[] = ['block', 'drop-oldest', 'drop-newest', 'disconnect'];

  test.for(POLICIES)('BOUND: %s, small writes', async (overflow) => {
    const mark = MIB;
    const size = 1000;
    const chunk = new Uint8Array(size);
    const writer = new ByteWriter();
    const { buffers: before } = await liveMemory();
    let stuck = writer.stream({ overflow, highWaterMark: mark });
    const keepsUp = writer.stream();
    for (let tick = 0; tick < 12; tick++) {
      for (let i = 0; i < 5000; i++) {
        const written = writer.write(chunk);
        if (overflow === 'block' && stuck.lag > mark) stuck.read();
        drain([keepsUp]);
        await written;
      }
      const { buffers } = await liveMemory();
      expect(buffers - before).toBeLessThanOrEqual(mark + size + 2 * SLAB_SIZE);
      if (overflow === 'disconnect') stuck = writer.stream({ overflow, highWaterMark: mark });
    }
    stuck.cancel();
  });

  test('BOUND START: a replay, also when streams come and go in it', async () => {
    const replay = MIB;
    const chunk = new Uint8Array(3000);
    const { buffers: before } = await liveMemory();
    const writer = new ByteWriter({ replay });
    for (let tick = 0; tick < 10; tick++) {
      for (let i = 0; i < 1000; i++) {
        writer.writeSync(chunk);
        if (i % 100 === 0) comeAndGo(writer, i % 200 === 0);
      }
      const { buffers } = await liveMemory();
      expect(buffers - before).toBeLessThanOrEqual(replay + chunk.byteLength + 2 * SLAB_SIZE);
    }
  });

  test('BOUND: large writes get memory of their own, and a cut one holds no more than it', async () => {
    const { buffers: before } = await liveMemory();
    const writer = new ByteWriter();
    const stuck = writer.stream({ overflow: 'drop-newest', highWaterMark: 10 });
    const size = 4 * MIB;
    const write = (): boolean => writer.writeSync(new Uint8Array(size));
    for (let i = 0; i < 20; i++) write();
    expect(stuck.lag).toBe(10);
    const { buffers } = await liveMemory();
    expect(buffers - before).toBeLessThanOrEqual(10 + size + 2 * SLAB_SIZE);
    stuck.cancel();
  });

  test('BOUND: a window is shared by all who have fallen behind in it', async () => {
    const writer = new ByteWriter({ copy: false });
    const memory = new ArrayBuffer(MIB);
    const living = new Living();
    const stuck = Array.from({ length: 800 }, (_, i) =>
      writer.stream({ overflow: 'drop-oldest', highWaterMark: ((i % 8) + 1) * MIB }),
    );
    for (let i = 0; i < 1000; i++) writer.writeSync(living.add(new Uint8Array(memory)));
    expect(await living.count()).toBeLessThanOrEqual(9);
    // Those with the large marks go: the window shrinks at once to what the others want.
    for (const [i, stream] of stuck.entries()) if (i % 8 >= 3) stream.cancel();
    expect(await living.count()).toBeLessThanOrEqual(4);
    for (const stream of stuck) stream.cancel();
    writer.writeSync(living.add(new Uint8Array(memory)));
    expect(await living.count()).toBeLessThanOrEqual(1);
  });

  test('BOUND: all keep up: one chunk at most is held, with and without a policy', async () => {
    const writer = new ByteWriter({ copy: false });
    const memory = new ArrayBuffer(MIB);
    const living = new Living();
    const lookers = openReaders(writer, 100);
    for (let i = 0; i < 500; i++) {
      writer.writeSync(living.add(new Uint8Array(memory)));
      drain(lookers);
      if (i % 50 === 0) {
        await settle();
        expect(await living.count()).toBeLessThanOrEqual(1);
      }
    }
    writer.close();
  });

  test('BOUND: records are held whole, and what they count for is what is bounded', async () => {
    const living = new Living();
    const writer = new TypedWriter<{ size: number }>({ size: (value) => value.size });
    const streams = (['drop-oldest', 'drop-newest'] as const).map((overflow) =>
      writer.stream({ overflow, highWaterMark: 100 }),
    );
    for (let i = 0; i < 5000; i++) writer.writeSync(living.add({ size: 7 }));
    // 14 whole records of 7 fit into 100; the shared window also holds the one that straddles its border.
    expect(streams.map((stream) => stream.lag)).toEqual([98, 98]);
    expect(await living.count()).toBeLessThanOrEqual(14 + 14 + 1);
  });
});
