/** POLICY, LOSS and ALONE, step by step. The model does the same at random; this is how it is meant. */

import { describe, expect, test } from 'vitest';
import type { ByteStream } from '../../packages/fanpipe/src/core/byte-stream.ts';
import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import { OVERFLOW_POLICIES } from '../../packages/fanpipe/src/core/policies.ts';
import { TypedWriter } from '../../packages/fanpipe/src/core/typed-writer.ts';
import { settle } from '../support/fake-clock.ts';

const text = (bytes: Uint8Array | null | undefined): string | null | undefined =>
  bytes && Buffer.from(bytes).toString();

function counters(stream: { position: number; lag: number; missed: number }): number[] {
  return [stream.position, stream.lag, stream.missed];
}

describe('POLICY: drop-oldest', () => {
  test('POLICY ACC LOSS: keeps exactly the newest, cut within a chunk, and tells of the gap when it is crossed', async () => {
    const told: [number, number][] = [];
    const writer = new ByteWriter();
    const stream = writer.stream({
      overflow: 'drop-oldest',
      highWaterMark: 5,
      onMissed: (missed, from) => told.push([missed, from]),
    });
    writer.writeSync('abc');
    writer.writeSync('de');
    expect(counters(stream)).toEqual([0, 5, 0]);
    writer.writeSync('fgh');
    expect(counters(stream)).toEqual([3, 5, 3]);
    expect(text(stream.read())).toBe('de');
    // In a microtask, not within the read.
    expect(told).toEqual([]);
    await null;
    expect(told).toEqual([[3, 0]]);
    writer.writeSync('ijklm');
    expect(counters(stream)).toEqual([8, 5, 6]);
    writer.writeSync('n');
    expect([text(stream.read()), text(stream.read()), stream.read()]).toEqual(['jklm', 'n', undefined]);
    await null;
    expect(told).toEqual([
      [3, 0],
      [4, 5],
    ]);
    expect(stream.missed).toBe(7);
  });

  test('POLICY: a mark of 0 gives only what a reader waits for', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream({ overflow: 'drop-oldest', highWaterMark: 0 });
    writer.writeSync('gone');
    expect(counters(stream)).toEqual([4, 0, 4]);
    const next = stream[Symbol.asyncIterator]().next();
    writer.writeSync('waited for');
    expect(text((await next).value as Uint8Array)).toBe('waited for');
    expect(stream.missed).toBe(4);
  });

  test('POLICY: a record that does not fit whole is missed whole', () => {
    const writer = new TypedWriter<string>({ size: (value) => value.length });
    const stream = writer.stream({ overflow: 'drop-oldest', highWaterMark: 5 });
    for (const value of ['abc', 'de']) writer.writeSync(value);
    writer.writeSync('f');
    expect(counters(stream)).toEqual([3, 3, 3]);
    writer.writeSync('far too long');
    expect(counters(stream)).toEqual([18, 0, 18]);
    writer.writeSync('x');
    expect([stream.read(), stream.read()]).toEqual([{ value: 'x' }, undefined]);
  });
});

describe('POLICY: drop-newest', () => {
  test('POLICY ACC LOSS: keeps exactly the oldest, takes nothing more until these are read, then goes on at the tail', async () => {
    const told: [number, number][] = [];
    const writer = new ByteWriter();
    const stream = writer.stream({
      overflow: 'drop-newest',
      highWaterMark: 5,
      onMissed: (missed, from) => told.push([missed, from]),
    });
    writer.writeSync('abc');
    writer.writeSync('defg');
    expect(counters(stream)).toEqual([0, 5, 2]);
    expect(text(stream.read())).toBe('abc');
    // Some room, but what is kept is not read yet.
    writer.writeSync('h');
    expect(counters(stream)).toEqual([3, 2, 3]);
    await null;
    expect(told).toEqual([]);
    expect(text(stream.read())).toBe('de');
    expect(counters(stream)).toEqual([8, 0, 3]);
    await null;
    expect(told).toEqual([[3, 5]]);
    writer.writeSync('ijklm');
    expect(counters(stream)).toEqual([8, 5, 3]);
    expect([text(stream.read()), stream.read()]).toEqual(['ijklm', undefined]);
  });

  test('POLICY: what is kept is cut out of a chunk that was begun, and is right for batches too', async () => {
    const writer = new ByteWriter({ replay: 'all' });
    writer.writeSync('0123456789');
    for (const batches of [false, true]) {
      const stream = writer.stream({ from: writer.bytesWritten - 8, overflow: 'drop-newest', highWaterMark: 8 });
      writer.writeSync('x'.repeat(10));
      expect(stream.lag).toBe(8);
      const chunks = batches ? (await stream.batches().next()).value : [stream.read()];
      expect(Buffer.concat(chunks as Uint8Array[]).toString()).toBe(batches ? 'x'.repeat(8) : '23456789');
      stream.cancel();
    }
  });

  test('POLICY: a first record that does not fit is missed, and so is all until then', () => {
    const writer = new TypedWriter<string>({ size: (value) => value.length });
    const stream = writer.stream({ overflow: 'drop-newest', highWaterMark: 5 });
    writer.writeSync('far too long');
    expect(counters(stream)).toEqual([12, 0, 12]);
    for (const value of ['abc', 'def', 'g']) writer.writeSync(value);
    expect(counters(stream)).toEqual([12, 3, 16]);
    expect([stream.read(), stream.read()]).toEqual([{ value: 'abc' }, undefined]);
    expect(counters(stream)).toEqual([19, 0, 16]);
  });
});

describe('POLICY WAIT: block', () => {
  test('POLICY WAIT ACC: a write takes effect, and its promise waits until the lag is within the mark', async () => {
    const writer = new ByteWriter();
    const slow = writer.stream({ highWaterMark: 5 });
    const other = writer.stream();
    let written = 0;
    const write = (chunk: string): void => void writer.write(chunk).then(() => written++);
    write('abcde');
    await null;
    expect([written, writer.desiredSize]).toEqual([1, 0]);
    write('f');
    write('gh');
    await settle();
    expect([written, writer.desiredSize, writer.writeSync('x')]).toEqual([1, 0, false]);
    // NOW, for everyone.
    expect([other.lag, slow.lag]).toEqual([8, 8]);
    slow.read();
    await null;
    expect([written, slow.lag, writer.desiredSize]).toEqual([3, 3, 2]);
    expect(slow.missed).toBe(0);
  });

  test('POLICY WAIT: every blocking stream must be within its mark, and only these count', async () => {
    const writer = new ByteWriter();
    const streams = [1, 2, 3].map((highWaterMark) => writer.stream({ highWaterMark }));
    const others = OVERFLOW_POLICIES.slice(1).map((overflow) => writer.stream({ overflow, highWaterMark: 1 }));
    writer.stream();
    const written = writer.write('1234');
    let woken = false;
    void written.then(() => {
      woken = true;
    });
    expect(others.map(({ lag }) => lag)).toEqual([1, 1, 0]);
    for (const stream of streams) {
      expect(writer.desiredSize).toBe(0);
      await settle();
      expect(woken).toBe(false);
      stream.read();
    }
    await written;
    expect(writer.desiredSize).toBe(1);
  });
});

describe('ALONE', () => {
  test('ALONE: a slow or stalled reader delays neither the others nor, but for block, the writer', async () => {
    const writer = new TypedWriter<number>();
    const stalled = OVERFLOW_POLICIES.slice(1).map((overflow) => writer.stream({ overflow, highWaterMark: 3 }));
    stalled.push(writer.stream());
    const seen: number[] = [];
    void (async () => {
      for await (const value of writer.stream()) seen.push(value);
    })();
    for (let i = 0; i < 1000; i++) {
      let written = false;
      void writer.write(i).then(() => {
        written = true;
      });
      // Within a few microtasks each, with nobody else reading.
      for (let k = 0; k < 5; k++) await null;
      expect([seen.length, written]).toEqual([i + 1, true]);
    }
    expect(stalled.map(({ lag }) => lag)).toEqual([3, 3, 0, 1000]);
    writer.close();
  });

  test('ALONE: under block the writer waits, and other readers still get everything at once', async () => {
    const writer = new TypedWriter<number>();
    const stalled = writer.stream({ overflow: 'block', highWaterMark: 1 });
    const others = [writer.stream(), writer.stream({ overflow: 'drop-oldest', highWaterMark: 100 })];
    const next = others.map((stream) => stream[Symbol.asyncIterator]());
    for (let i = 0; i < 5; i++) {
      const reads = next.map((iterator) => iterator.next());
      void writer.write(i);
      for (const read of reads) expect(await read).toEqual({ value: i, done: false });
    }
    expect(stalled.lag).toBe(5);
  });

  test('ALONE ORD: fast and slow readers of all policies at once, each by its own rules', async () => {
    const writer = new ByteWriter();
    const readers: { stream: ByteStream; every: number; seen: number[]; detached: boolean }[] = [];
    for (const overflow of [undefined, ...OVERFLOW_POLICIES]) {
      for (const every of [1, 3, 50]) {
        if (overflow === 'block' && every > 1) continue;
        const stream = writer.stream(overflow === undefined ? {} : { overflow, highWaterMark: 10 });
        readers.push({ stream, every, seen: [], detached: false });
      }
    }
    for (let i = 0; i < 200; i++) {
      await writer.write(Uint8Array.of(i));
      for (const reader of readers) {
        const { stream, every, seen } = reader;
        if (i % every !== 0) continue;
        try {
          for (let chunk = stream.read(); chunk; chunk = stream.read()) seen.push(...chunk);
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_FANPIPE_DISCONNECTED' });
          reader.detached = true;
        }
      }
    }
    expect(readers.filter(({ detached }) => detached).length).toBe(1);
    for (const { stream, every, seen, detached } of readers) {
      const delivered = seen.length;
      expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
      // Who was disconnected has counted up to there.
      expect(delivered + stream.missed + stream.lag).toBe(detached ? stream.position : 200);
      if (every < 50) expect([delivered, stream.missed, detached]).toEqual([every === 1 ? 200 : 199, 0, false]);
    }
  });
});
