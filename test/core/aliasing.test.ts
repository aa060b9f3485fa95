/** COPY: whose memory is whose, and what may be written at all. */

import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import type { ByteStream } from '../../packages/fanpipe/src/core/byte-stream.ts';
import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import { OWN_MEMORY_FROM, SLAB_SIZE } from '../../packages/fanpipe/src/core/slab-allocator.ts';
import type { Chunk } from '../../packages/fanpipe/src/core/to-bytes.ts';

/** What lies about the borders at which a copy goes to the slab, to the next one, or to memory of its own. */
const SIZES = [1, 7, 1000, 1024, 1025, OWN_MEMORY_FROM, OWN_MEMORY_FROM + 1, SLAB_SIZE - 1, SLAB_SIZE, SLAB_SIZE + 1];

function filled(size: number, byte: number): Uint8Array {
  return new Uint8Array(size).fill(byte);
}

/** What is there now, chunk by chunk. */
function readAll(stream: ByteStream): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let chunk = stream.read(); chunk instanceof Uint8Array; chunk = stream.read()) chunks.push(chunk);
  return chunks;
}

describe('COPY: the caller’s memory after a write', () => {
  const ways: Record<string, (writer: ByteWriter, chunk: Uint8Array) => unknown> = {
    write: (writer, chunk) => writer.write(chunk),
    writeSync: (writer, chunk) => writer.writeSync(chunk),
    writev: (writer, chunk) => writer.writev([chunk.subarray(0, 1), chunk.subarray(1)]),
    writevSync: (writer, chunk) => writer.writevSync([chunk, new Uint8Array(0)]),
    'write with copy over a writer without': (writer, chunk) => writer.write(chunk, { copy: true }),
  };
  for (const [name, write] of Object.entries(ways)) {
    test(`COPY: ${name}: it may be reused at once, whatever its size`, async () => {
      const writer = new ByteWriter({ replay: 'all', copy: !name.includes('over') });
      const parked = writer.stream()[Symbol.asyncIterator]().next();
      const streams = [
        writer.stream(),
        writer.stream({ overflow: 'drop-oldest', highWaterMark: 1 }),
        writer.stream({ overflow: 'drop-newest', highWaterMark: 5 }),
      ];
      const expected: number[] = [];
      for (const [i, size] of SIZES.entries()) {
        const chunk = filled(size, i + 1);
        write(writer, chunk);
        chunk.fill(0xff);
        for (let k = 0; k < size; k++) expected.push(i + 1);
      }
      const bytes = (chunks: Uint8Array[]): Buffer => Buffer.concat(chunks);
      expect((await parked).value?.every((byte) => byte === 1)).toBe(true);
      expect(bytes(readAll(streams[0] as ByteStream)).equals(Buffer.from(expected))).toBe(true);
      expect([...bytes(readAll(streams[1] as ByteStream))]).toEqual([SIZES.length]);
      expect([...bytes(readAll(streams[2] as ByteStream))]).toEqual(expected.slice(0, 5));
      expect(bytes(readAll(writer.stream({ from: 'start' }))).equals(Buffer.from(expected))).toBe(true);
    });
  }

  test('COPY: with copy: false the memory is handed over: what is read is what was given', () => {
    const writer = new ByteWriter({ copy: false });
    const streams = [writer.stream(), writer.stream({ highWaterMark: 1e9 })];
    const chunk = filled(9000, 1);
    writer.writeSync(chunk);
    for (const stream of streams) expect(stream.read()).toBe(chunk);
    const copied = filled(9000, 2);
    writer.writeSync(copied, { copy: true });
    expect(streams[0]?.read()).not.toBe(copied);
    // Text has no memory to hand over.
    writer.writeSync('text');
    expect(new TextDecoder().decode(streams[0]?.read() as Uint8Array)).toBe('text');
  });

  test('COPY: a write copies once, not per reader: all streams share the chunk', () => {
    const writer = new ByteWriter();
    const streams = Array.from({ length: 10 }, (_, i) =>
      writer.stream(i % 2 === 0 ? {} : { overflow: 'drop-oldest', highWaterMark: 100 }),
    );
    writer.writeSync('shared');
    const [first, ...others] = streams.map((stream) => stream.read());
    for (const other of others) expect(other).toBe(first);
  });

  test('COPY: the memory may be transferred away after the write', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    const chunk = filled(100, 7);
    writer.writeSync(chunk);
    structuredClone(chunk, { transfer: [chunk.buffer as ArrayBuffer] });
    expect(stream.read()).toEqual(filled(100, 7));
  });
});

describe('COPY: a reader’s memory', () => {
  test('COPY: what a stream with copies, a fill or readable() gives is nobody else’s', async () => {
    const writer = new ByteWriter({ replay: 'all' });
    const owners = {
      next: writer.stream({ copy: true })[Symbol.asyncIterator](),
      batches: writer.stream({ copy: true }).batches(),
      bounded: writer.stream({ copy: true, overflow: 'drop-oldest', highWaterMark: 1e9 })[Symbol.asyncIterator](),
      read: writer.stream({ copy: true }),
    };
    const readers = Array.from({ length: 2 }, () => writer.stream().readable().getReader());
    const sharers = [writer.stream(), writer.stream({ highWaterMark: 1e9 })];
    const expected: Uint8Array[] = [];
    for (const [i, size] of SIZES.entries()) {
      const parked = i % 2 === 0;
      const asked = parked ? [owners.next.next(), owners.bounded.next()] : [];
      const asking = owners.batches.next();
      const chunk = filled(size, i + 1);
      expected.push(chunk);
      writer.writeSync(chunk);
      if (!parked) asked.push(owners.next.next(), owners.bounded.next());
      const own: Uint8Array[] = [owners.read.read() as Uint8Array, ...((await asking).value ?? [])];
      for (const { value } of await Promise.all(asked)) own.push(value as Uint8Array);
      for (const mine of own) expect(mine).toEqual(chunk);
      // A byte stream may cut and merge.
      for (const reader of readers) {
        let size = 0;
        while (size < chunk.byteLength) {
          const piece = (await reader.read()).value as Uint8Array;
          expect(piece).toEqual(chunk.subarray(size, size + piece.byteLength));
          size += piece.byteLength;
          own.push(piece);
        }
      }
      for (const mine of own) mine.fill(0xff);
      // Not one of them saw the scribbling of another, nor shares a buffer with anyone.
      expect(new Set(own.map((mine) => mine.buffer)).size).toBe(own.length);
    }
    for (const sharer of sharers) expect(readAll(sharer)).toEqual(expected);
    expect(readAll(writer.stream({ from: 'start' }))).toEqual(expected);
    for (const reader of readers) await reader.cancel();
  });

  test('COPY: a chunk cut by a start or a mark is private too, and the rest is untouched', () => {
    const writer = new ByteWriter({ replay: 'all' });
    const cut = writer.stream({ copy: true, overflow: 'drop-newest', highWaterMark: 3 });
    writer.writeSync('abcdef');
    const late = writer.stream({ from: 2, copy: true });
    for (const [stream, text] of [
      [cut, 'abc'],
      [late, 'cdef'],
    ] as const) {
      const chunk = stream.read() as Uint8Array;
      expect(Buffer.from(chunk).toString()).toBe(text);
      expect(chunk.byteLength).toBe(chunk.buffer.byteLength);
      chunk.fill(0);
    }
    expect(Buffer.from(writer.stream({ from: 0 }).read() as Uint8Array).toString()).toBe('abcdef');
  });

  test('COPY: collectors give memory of their own', async () => {
    const writer = new ByteWriter({ copy: false });
    const collected = [writer.stream().bytes(), writer.stream().bytes()];
    const chunk = filled(20, 1);
    writer.writeSync(chunk);
    writer.close();
    const [first, second] = await Promise.all(collected);
    first?.fill(0xff);
    expect(second).toEqual(filled(20, 1));
    expect(chunk).toEqual(filled(20, 1));
  });
});

describe('COPY: kinds of input', () => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const shifted = (): ArrayBuffer => Uint8Array.of(9, 9, ...bytes, 9, 9).buffer;
  const shared = (): SharedArrayBuffer => {
    const buffer = new SharedArrayBuffer(8);
    new Uint8Array(buffer).set(bytes);
    return buffer;
  };
  // Node 20 has them; the types do not yet.
  const resizable = (max: number): ArrayBuffer =>
    new (ArrayBuffer as unknown as new (size: number, options: object) => ArrayBuffer)(8, { maxByteLength: max });
  const inResizable = (): ArrayBuffer => {
    const buffer = resizable(100);
    new Uint8Array(buffer).set(bytes);
    return buffer;
  };
  const taken: Record<string, () => Chunk> = {
    'a Uint8Array': () => bytes.slice(),
    'a Buffer': () => Buffer.from(bytes),
    'a Buffer in the pool': () => Buffer.from(bytes.toString().split(',').map(Number)),
    'an Int16Array': () => new Int16Array(bytes.slice().buffer),
    'a Float64Array': () => new Float64Array(bytes.slice().buffer),
    'a Uint8ClampedArray': () => new Uint8ClampedArray(bytes),
    'a BigInt64Array': () => new BigInt64Array(bytes.slice().buffer),
    'a DataView': () => new DataView(bytes.slice().buffer),
    'a DataView with an offset': () => new DataView(shifted(), 2, 8),
    'an Int16Array with an offset': () => new Int16Array(shifted(), 2, 4),
    'a Uint8Array with an offset': () => new Uint8Array(shifted(), 2, 8),
    'an ArrayBuffer': () => bytes.slice().buffer,
    'a SharedArrayBuffer': shared,
    'a Uint8Array on shared memory': () => new Uint8Array(shared()),
    'a resizable ArrayBuffer': inResizable,
    'a view that tracks the length of a resizable one': () => new Uint8Array(inResizable()),
    'a subclass of Uint8Array': () => new (class Mine extends Uint8Array {})(bytes),
    'a Uint8Array of another realm': () => runInNewContext('Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)'),
    'a DataView of another realm': () => runInNewContext('new DataView(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8).buffer)'),
    'an ArrayBuffer of another realm': () => runInNewContext('Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8).buffer'),
    'a SharedArrayBuffer of another realm': () =>
      runInNewContext('const b = new SharedArrayBuffer(8); new Uint8Array(b).set([1, 2, 3, 4, 5, 6, 7, 8]); b'),
    text: () => '\x01\x02\x03\x04\x05\x06\x07\x08',
  };
  for (const [name, make] of Object.entries(taken)) {
    test(`COPY COUNT: ${name} is taken byte by byte, and may change afterwards`, async () => {
      const writer = new ByteWriter();
      const stream = writer.stream();
      const chunk = make();
      const buffer = ArrayBuffer.isView(chunk) ? chunk.buffer : chunk;
      await writer.write(chunk);
      writer.writeSync(chunk);
      await writer.writev([chunk, chunk]);
      if (typeof buffer !== 'string') new Uint8Array(buffer).fill(0xff);
      expect(writer.bytesWritten).toBe(32);
      for (let i = 0; i < 4; i++) {
        const read = stream.read() as Uint8Array;
        expect(read).toBeInstanceOf(Uint8Array);
        expect([...read]).toEqual([...bytes]);
      }
      const byReference = new ByteWriter({ copy: false });
      const other = byReference.stream();
      await byReference.write(make());
      expect([...(other.read() as Uint8Array)]).toEqual([...bytes]);
    });
  }

  test('COPY: a view that tracks a length is taken as long as it is now', () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    const buffer = inResizable();
    const view = new Uint8Array(buffer);
    writer.writeSync(view);
    (buffer as unknown as { resize(size: number): void }).resize(2);
    writer.writeSync(view);
    (buffer as unknown as { resize(size: number): void }).resize(0);
    writer.writeSync(view);
    expect(readAll(stream).map((chunk) => chunk.byteLength)).toEqual([8, 2]);
  });

  const texts: Record<string, string> = {
    'characters of one to four bytes': 'aé€😀',
    'a lone high surrogate': 'x\ud83dy',
    'a lone low surrogate': '\ude00',
    'surrogates the wrong way round': '\ude00\ud83d',
    'NUL and control characters': '\0\x1b\x7f',
    'a byte order mark': '\ufeffx',
    'much of it, with a pair across every border': '😀'.repeat(40_000),
    'much of it, three bytes to a unit': '€'.repeat(30_000),
    'just as much as surely fits a slab': '€'.repeat(Math.floor(OWN_MEMORY_FROM / 3)),
    'one unit more': '€'.repeat(Math.floor(OWN_MEMORY_FROM / 3) + 1),
  };
  for (const [name, text] of Object.entries(texts)) {
    test(`COUNT ORD: text is UTF-8: ${name}`, async () => {
      const expected = new TextEncoder().encode(text);
      const writer = new ByteWriter();
      const stream = writer.stream();
      const collected = writer.stream().text();
      writer.writeSync(text);
      await writer.write(text);
      await writer.writev([text, '', text]);
      expect(writer.bytesWritten).toBe(4 * expected.byteLength);
      for (const chunk of readAll(stream)) expect(Buffer.from(chunk).equals(expected)).toBe(true);
      writer.close();
      // Surrogates in different writes are not a pair.
      const all = Buffer.concat([expected, expected, expected, expected]);
      expect(await collected).toBe(new TextDecoder().decode(all));
    });
  }

  const empty: Record<string, () => Chunk> = {
    'no text': () => '',
    'a Uint8Array of 0': () => new Uint8Array(0),
    'an ArrayBuffer of 0': () => new ArrayBuffer(0),
    'a SharedArrayBuffer of 0': () => new SharedArrayBuffer(0),
    'a DataView of 0 at the end of a buffer': () => new DataView(new ArrayBuffer(8), 8),
    'a view out of the bounds of a buffer that shrank': () => {
      const buffer = resizable(100);
      const view = new Uint8Array(buffer, 4);
      (buffer as unknown as { resize(size: number): void }).resize(2);
      return view;
    },
  };
  for (const [name, make] of Object.entries(empty)) {
    test(`EMPTY: ${name} does nothing, with and without a copy`, async () => {
      const writer = new ByteWriter({ replay: 'all' });
      const stream = writer.stream({ overflow: 'disconnect', highWaterMark: 0 });
      const iterator = writer.stream()[Symbol.asyncIterator]();
      let settled = false;
      void iterator.next().then(() => {
        settled = true;
      });
      for (const copy of [true, false]) {
        await writer.write(make(), { copy });
        await writer.writev([make(), make()], { copy });
        expect(writer.writeSync(make(), { copy })).toBe(true);
        expect(writer.writevSync([make()], { copy })).toBe(true);
        expect(writer.writevSync([], { copy })).toBe(true);
      }
      await Promise.resolve();
      expect([writer.bytesWritten, stream.lag, settled, writer.streamCount]).toEqual([0, 0, false, 2]);
      await iterator.return?.();
    });
  }
});
