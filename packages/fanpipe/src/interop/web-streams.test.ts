import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { isSettled, rejection } from '../../../../test/interop/readable-rules.ts';
import { settle } from '../../../../test/support/fake-clock.ts';
import { type ByteStreamOptions, ByteWriter, DisconnectedError, TypedWriter } from '../index.ts';

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();
const reason = new Error('broken');

/** A writer with one stream, as both a stream and a web stream. */
function open(options: ByteStreamOptions = {}) {
  const writer = new ByteWriter();
  const stream = writer.stream(options);
  return { writer, stream, readable: stream.readable() };
}

describe('readable(): backpressure', () => {
  test('nothing is taken from the stream before somebody reads', async () => {
    const { writer, stream, readable } = open();
    const reader = readable.getReader();
    for (const chunk of ['a', 'b', 'c']) writer.writeSync(chunk);
    await settle();
    expect([stream.lag, stream.position]).toEqual([3, 0]);
    expect(text((await reader.read()).value)).toBe('abc');
    expect([stream.lag, stream.position]).toEqual([0, 3]);
    writer.writeSync('more');
    await settle();
    expect(stream.lag).toBe(4);
  });

  test('a default reader gets at most 64 KiB at once, the rest stays in the channel', async () => {
    const { writer, stream, readable } = open();
    writer.writeSync(new Uint8Array(100_000));
    const { value } = await readable.getReader().read();
    expect(value?.byteLength).toBe(65_536);
    expect(stream.lag).toBe(100_000 - 65_536);
  });

  test('values are taken one for each read', async () => {
    const writer = new TypedWriter<number>();
    const stream = writer.stream();
    const reader = stream.readable().getReader();
    writer.writevSync([1, 2, 3]);
    expect((await reader.read()).value).toBe(1);
    await settle();
    expect(stream.lag).toBe(2);
  });

  test('POLICY block: a writer waits for the reader of the web stream', async () => {
    const { writer, readable } = open({ highWaterMark: 2, overflow: 'block' });
    const write = writer.write('abc');
    expect(await isSettled(write)).toBe(false);
    await readable.getReader().read();
    await write;
  });

  test('LOSS: drop-oldest acts while nobody reads, and tells', async () => {
    const gaps: [number, number][] = [];
    const { writer, stream, readable } = open({
      highWaterMark: 3,
      overflow: 'drop-oldest',
      onMissed: (missed, from) => gaps.push([missed, from]),
    });
    const reader = readable.getReader();
    writer.writeSync('abc');
    writer.writeSync('def');
    expect(stream.missed).toBe(3);
    expect(text((await reader.read()).value)).toBe('def');
    await settle();
    expect(gaps).toEqual([[3, 0]]);
  });

  test('LOSS: what is missed at the very end is told though there is nothing to read', async () => {
    const gaps: number[] = [];
    const { writer, readable } = open({
      highWaterMark: 0,
      overflow: 'drop-oldest',
      onMissed: (missed) => gaps.push(missed),
    });
    writer.writeSync('abc');
    writer.close();
    await readable.getReader().closed;
    expect(gaps).toEqual([3]);
    expect(writer.streamCount).toBe(0);
  });
});

describe('readable(): detached from outside, while nobody reads', () => {
  const cases: [
    string,
    ByteStreamOptions & { abort?: AbortController },
    (at: ReturnType<typeof open>) => void,
    object,
  ][] = [
    [
      'cancel() of the stream',
      {},
      ({ stream }) => stream.cancel('enough'),
      { code: 'ERR_FANPIPE_CANCELLED', cause: 'enough' },
    ],
    [
      'cancel() of a stream with a policy',
      { highWaterMark: 5 },
      ({ stream }) => stream.cancel('enough'),
      { code: 'ERR_FANPIPE_CANCELLED', cause: 'enough' },
    ],
    [
      'POLICY disconnect',
      { highWaterMark: 5, overflow: 'disconnect' },
      ({ writer }) => writer.writeSync('too much'),
      { code: 'ERR_FANPIPE_DISCONNECTED', missed: 8 },
    ],
  ];
  for (const [name, options, happen, expected] of cases) {
    test(`DETACH: ${name} errors the web stream at once`, async () => {
      const at = open(options);
      const { closed } = at.readable.getReader();
      closed.catch(() => {});
      await settle();
      happen(at);
      expect(await rejection(closed)).toMatchObject(expected);
      expect(at.writer.streamCount).toBe(0);
    });

    test(`DETACH: ${name} before readable() too`, async () => {
      const writer = new ByteWriter();
      const stream = writer.stream(options);
      happen({ writer, stream, readable: undefined as never });
      expect(await rejection(stream.readable().getReader().closed)).toMatchObject(expected);
    });
  }

  test('DETACH: the signal of the stream errors the web stream at once, and is left without a listener', async () => {
    const controller = new AbortController();
    const { writer, readable } = open({ signal: controller.signal });
    const { closed } = readable.getReader();
    closed.catch(() => {});
    writer.writeSync('unread');
    controller.abort(reason);
    expect(await rejection(closed)).toBe(reason);
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  });

  test('DETACH: while a read waits, it rejects', async () => {
    const { stream, readable } = open();
    const read = readable.getReader().read();
    await settle();
    stream.cancel('enough');
    expect(await rejection(read)).toMatchObject({ code: 'ERR_FANPIPE_CANCELLED', cause: 'enough' });
  });

  test('END: pipeTo does not close its destination for a cancelled stream', async () => {
    const { writer, stream, readable } = open();
    const destination = new ByteWriter();
    const piped = readable.pipeTo(destination.writable());
    piped.catch(() => {});
    await writer.write('some');
    await settle();
    stream.cancel();
    expect(await rejection(piped)).toMatchObject({ code: 'ERR_FANPIPE_CANCELLED' });
    expect(destination.state).toBe('failed');
  });

  test('cancel(reason) of the web stream detaches the stream, also while a read waits', async () => {
    for (const withRead of [false, true]) {
      const { writer, readable } = open({ highWaterMark: 5 });
      const reader = readable.getReader();
      const read = withRead ? reader.read() : undefined;
      await settle();
      await reader.cancel('enough');
      expect(await (read ?? reader.read())).toEqual({ value: undefined, done: true });
      expect(writer.streamCount).toBe(0);
      expect(await isSettled(writer.write('much more than its mark'))).toBe(true);
    }
  });

  test('a callback that throws errors the web stream and detaches the stream', async () => {
    for (const isMoreWaiting of [false, true]) {
      const { writer, readable } = open({
        highWaterMark: 1,
        overflow: 'drop-oldest',
        onMissed: () => {
          throw reason;
        },
      });
      const reader = readable.getReader();
      reader.closed.catch(() => {});
      writer.writeSync('abc');
      expect(text((await reader.read()).value)).toBe('c');
      await settle();
      if (isMoreWaiting) writer.writeSync('d');
      expect(await rejection(reader.read())).toMatchObject({ code: 'ERR_FANPIPE_CALLBACK', cause: reason });
      expect(writer.streamCount).toBe(0);
    }
  });
});

describe('readable(): memory', () => {
  test('COPY: a default reader gets memory of just the size, shared with nobody', async () => {
    const writer = new ByteWriter();
    const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(7);
    const sources = ['text', Buffer.from('buffer'), shared, new Uint8Array(new ArrayBuffer(100), 50, 10)];
    for (const parked of [false, true]) {
      for (const source of sources) {
        const streams = [writer.stream(), writer.stream(), writer.stream()] as const;
        const readers = [streams[0].readable().getReader(), streams[1].readable().getReader()];
        await settle();
        const early = parked ? readers.map((reader) => reader.read()) : [];
        writer.writeSync(source, { copy: false });
        const original = Buffer.from(streams[2].read() ?? []);
        for (const [index, reader] of readers.entries()) {
          const { value } = await (early[index] ?? reader.read());
          expect(Buffer.compare(value ?? Buffer.alloc(0), original)).toBe(0);
          expect(value?.buffer).toBeInstanceOf(ArrayBuffer);
          expect(value?.buffer.byteLength).toBe(original.byteLength);
          value?.fill(0);
        }
      }
    }
  });

  test('COPY: a BYOB reader gets its own memory back, filled', async () => {
    const { writer, readable } = open();
    const reader = readable.getReader({ mode: 'byob' });
    writer.writeSync('abcdef');
    const first = await reader.read(new Uint8Array(new ArrayBuffer(8), 2, 4));
    expect([text(first.value), first.value?.byteOffset, first.value?.buffer.byteLength]).toEqual(['abcd', 2, 8]);
    const waiting = new ArrayBuffer(8);
    expect(text((await reader.read(new Uint8Array(waiting))).value)).toBe('ef');
  });

  test('BYOB: a chunk for which a read waited may be larger than its view', async () => {
    for (const end of ['close', 'fail'] as const) {
      const { writer, readable } = open();
      const reader = readable.getReader({ mode: 'byob' });
      reader.closed.catch(() => {});
      const first = reader.read(new Uint8Array(2));
      await settle();
      writer.writeSync('abcde');
      writer.writeSync('f');
      if (end === 'close') writer.close();
      else writer.fail(reason);
      expect(text((await first).value)).toBe('ab');
      expect(text((await reader.read(new Uint8Array(2))).value)).toBe('cd');
      expect(await isSettled(reader.closed)).toBe(false);
      expect(text((await reader.read(new Uint8Array(2))).value)).toBe('e');
      expect(text((await reader.read(new Uint8Array(2))).value)).toBe('f');
      if (end === 'close') expect(await reader.closed).toBe(undefined);
      else expect(await rejection(reader.closed)).toBe(reason);
    }
  });

  test('BYOB: reads that wait at the close get their memory back, empty', async () => {
    for (const waitFirst of [true, false]) {
      const { writer, readable } = open();
      const reader = readable.getReader({ mode: 'byob' });
      const reads = [reader.read(new Uint8Array(4)), reader.read(new Uint8Array(5))];
      if (waitFirst) await settle();
      writer.close();
      for (const [index, read] of reads.entries()) {
        const { value, done } = await read;
        expect([done, value?.byteLength, value?.buffer.byteLength]).toEqual([true, 0, 4 + index]);
      }
      await reader.closed;
    }
  });

  test('BYOB: reads that wait at a failure reject with the reason', async () => {
    const { writer, readable } = open();
    const reader = readable.getReader({ mode: 'byob' });
    reader.closed.catch(() => {});
    const reads = [reader.read(new Uint8Array(4)), reader.read(new Uint8Array(4))];
    await settle();
    writer.fail(reason);
    for (const read of reads) expect(await rejection(read)).toBe(reason);
  });

  test('BYOB: an end inside an element errors the stream, as the standard has it', async () => {
    const { writer, readable } = open();
    const reader = readable.getReader({ mode: 'byob' });
    reader.closed.catch(() => {});
    const read = reader.read(new Uint16Array(2));
    await settle();
    writer.writeSync('a');
    writer.close();
    expect(await rejection(read)).toBeInstanceOf(TypeError);
    expect(await rejection(reader.closed)).toBeInstanceOf(TypeError);
    expect(writer.streamCount).toBe(0);
  });

  test('BYOB and default readers may take turns', async () => {
    const { writer, readable } = open();
    for (const [chunk, mode] of [
      ['a', 'byob'],
      ['b', undefined],
      ['c', 'byob'],
    ] as const) {
      writer.writeSync(chunk);
      if (mode === 'byob') {
        const reader = readable.getReader({ mode });
        expect(text((await reader.read(new Uint8Array(9))).value)).toBe(chunk);
        reader.releaseLock();
      } else {
        const reader = readable.getReader();
        expect(text((await reader.read()).value)).toBe(chunk);
        reader.releaseLock();
      }
    }
  });

  test('FAIL: bytes that came for a reader that let go of the lock come before the failure', async () => {
    for (const mode of ['byob', undefined] as const) {
      const { writer, readable } = open();
      const first = mode === 'byob' ? readable.getReader({ mode }) : readable.getReader();
      const read = first instanceof ReadableStreamBYOBReader ? first.read(new Uint8Array(8)) : first.read();
      first.closed.catch(() => {});
      await settle();
      first.releaseLock();
      expect(await rejection(read)).toBeInstanceOf(TypeError);
      writer.writeSync('late');
      await settle();
      writer.fail(reason);
      const second = readable.getReader();
      second.closed.catch(() => {});
      expect(text((await second.read()).value)).toBe('late');
      expect(await rejection(second.read())).toBe(reason);
      expect(await rejection(second.closed)).toBe(reason);
    }
  });
});

describe('readable(): the stream it came from', () => {
  test('NEXT: it takes the one iterator', () => {
    const { stream } = open();
    for (const take of [() => stream.readable(), () => stream.batches(), () => stream[Symbol.asyncIterator]()]) {
      expect(take).toThrow(expect.objectContaining({ code: 'ERR_FANPIPE_ITERATOR_TAKEN' }));
    }
    const other = new ByteWriter().stream();
    other.batches();
    expect(() => other.readable()).toThrow(expect.objectContaining({ code: 'ERR_FANPIPE_ITERATOR_TAKEN' }));
  });

  test('read() may be mixed in, and may be what reaches the end', async () => {
    for (const options of [{}, { highWaterMark: 100 }]) {
      const { writer, stream, readable } = open(options);
      const reader = readable.getReader();
      writer.writeSync('a');
      writer.writeSync('b');
      expect(text(stream.read() as Uint8Array)).toBe('a');
      expect(text((await reader.read()).value)).toBe('b');
      writer.writeSync('c');
      writer.close();
      expect(text(stream.read() as Uint8Array)).toBe('c');
      expect(stream.read()).toBe(null);
      expect(await reader.closed).toBe(undefined);
      expect(writer.streamCount).toBe(0);
    }
  });

  test('ACC: the counters add up', async () => {
    const { writer, stream, readable } = open({ highWaterMark: 4, overflow: 'drop-newest' });
    const reader = readable.getReader({ mode: 'byob' });
    let delivered = 0;
    for (let round = 0; round < 50; round++) {
      writer.writeSync('x'.repeat(1 + (round % 5)));
      if (round % 3 === 0) delivered += (await reader.read(new Uint8Array(1 + (round % 4)))).value?.byteLength ?? 0;
      // What a read waited for may be more than its view, and is then neither delivered nor waiting in the channel.
      expect(delivered + stream.missed + stream.lag).toBe(writer.bytesWritten);
    }
  });

  test('NOW: writing, closing and opening from within a reader', async () => {
    const { writer, readable } = open();
    const reader = readable.getReader();
    const seen: string[] = [];
    writer.writeSync('0');
    for (let round = 1; ; round++) {
      const { value, done } = await reader.read();
      if (done) break;
      seen.push(text(value));
      if (round < 5) writer.writeSync(String(round));
      else writer.close();
    }
    expect(seen).toEqual(['0', '1', '2', '3', '4']);
  });

  test('a disconnected stream tells its web stream what it missed', async () => {
    const { writer, readable } = open({ highWaterMark: 1, overflow: 'disconnect' });
    const reader = readable.getReader();
    writer.writeSync('ab');
    const error = await rejection(reader.read());
    reader.closed.catch(() => {});
    expect(error).toBeInstanceOf(DisconnectedError);
    expect(error).toMatchObject({ missed: 2, position: 0 });
  });
});
