import { describe, expect, test } from 'vitest';
import { isSettled, rejection } from '../../../../test/interop/readable-rules.ts';
import { settle } from '../../../../test/support/fake-clock.ts';
import { ByteWriter, type Chunk, TypedWriter } from '../index.ts';

const reason = new Error('broken');

/** A writer with a stream and its web stream; a blocking stream is over its mark after three bytes. */
function open(options: { blocking?: boolean } = {}) {
  const writer = new ByteWriter();
  const stream = writer.stream(options.blocking ? { highWaterMark: 2, overflow: 'block' } : {});
  const writable = writer.writable();
  const sink = writable.getWriter();
  sink.closed.catch(() => {});
  sink.ready.catch(() => {});
  return { writer, stream, writable, sink };
}

const readText = (stream: { read(): Uint8Array | null | undefined }): string =>
  Buffer.from(stream.read() ?? []).toString();

describe('writable()', () => {
  test('takes every kind of chunk', async () => {
    const { writer, stream, sink } = open();
    const chunks: Chunk[] = [
      'a',
      Buffer.from('b'),
      new Uint8Array([99]).buffer,
      new DataView(new Uint8Array([100]).buffer),
    ];
    for (const chunk of chunks) await sink.write(chunk);
    await sink.write('');
    await sink.close();
    expect(await stream.text()).toBe('abcd');
    expect(writer.state).toBe('closed');
  });

  test('COPY: a chunk may be reused after the write, unless the writer was made with copy: false', async () => {
    for (const copy of [true, false]) {
      const writer = new ByteWriter({ copy });
      const stream = writer.stream();
      const chunk = Buffer.from('mine');
      await writer.writable().getWriter().write(chunk);
      chunk.fill('x');
      expect(readText(stream)).toBe(copy ? 'mine' : 'xxxx');
    }
  });

  test('ready and desiredSize wait for the blocking streams', async () => {
    const { stream, sink } = open({ blocking: true });
    await sink.ready;
    expect(sink.desiredSize).toBe(1);
    const write = sink.write('abc');
    expect(sink.desiredSize).toBe(0);
    expect(await isSettled(Promise.race([write, sink.ready]))).toBe(false);
    expect(readText(stream)).toBe('abc');
    await write;
    await sink.ready;
    expect(sink.desiredSize).toBe(1);
  });

  test('END: close() waits for the writes before it and closes the writer', async () => {
    const { writer, stream, sink } = open({ blocking: true });
    const write = sink.write('abc');
    const closed = sink.close();
    expect(await isSettled(closed)).toBe(false);
    expect(writer.state).toBe('open');
    expect(await stream.text()).toBe('abc');
    await Promise.all([write, closed, sink.closed]);
    expect(writer.state).toBe('closed');
  });

  test('FAIL: abort(reason) fails the writer with the reason', async () => {
    const { writer, stream, sink } = open();
    await sink.write('half');
    await sink.abort(reason);
    expect(writer.state).toBe('failed');
    expect(readText(stream)).toBe('half');
    expect(() => stream.read()).toThrow(reason);
    expect(await rejection(sink.closed)).toBe(reason);
  });

  test('FAIL: abort() without a reason is a failure too', async () => {
    const { stream, sink } = open();
    await sink.abort();
    expect(() => stream.read()).toThrow(expect.objectContaining({ code: 'ERR_FANPIPE_WRITER_FAILED' }));
  });

  test('FAIL: abort() without a reason, while a write is held up', async () => {
    const { stream, sink } = open({ blocking: true });
    sink.write('abc').catch(() => {});
    await settle();
    await sink.abort();
    stream.read();
    expect(() => stream.read()).toThrow(expect.objectContaining({ code: 'ERR_FANPIPE_WRITER_FAILED' }));
  });

  test('FAIL: abort does not wait for a write that a reader holds up for ever', async () => {
    const { writer, stream, sink } = open({ blocking: true });
    const writes = [sink.write('abc'), sink.write('never')];
    for (const write of writes) write.catch(() => {});
    await settle();
    await sink.abort(reason);
    expect(writer.state).toBe('failed');
    for (const write of writes) expect(await rejection(write)).toBe(reason);
    expect(readText(stream)).toBe('abc');
    expect(() => stream.read()).toThrow(reason);
  });

  for (const [name, chunk, code] of [
    ['no chunk', 5, 'ERR_FANPIPE_INVALID_CHUNK'],
    ['null', null, 'ERR_FANPIPE_INVALID_CHUNK'],
    ['a detached buffer', new Uint8Array(8), 'ERR_FANPIPE_DETACHED_BUFFER'],
  ] as const) {
    test(`a refused chunk errors the web stream and fails the writer: ${name}`, async () => {
      const { writer, stream, sink } = open();
      await sink.write('before');
      if (chunk instanceof Uint8Array) structuredClone(chunk, { transfer: [chunk.buffer] });
      expect(await rejection(sink.write(chunk as never))).toMatchObject({ code });
      expect(await rejection(sink.closed)).toMatchObject({ code });
      expect(writer.state).toBe('failed');
      expect(readText(stream)).toBe('before');
      expect(() => stream.read()).toThrow(expect.objectContaining({ code }));
    });
  }

  test('SAFE: an offset too large fails the writer too', async () => {
    const writer = new ByteWriter({ offset: Number.MAX_SAFE_INTEGER - 1 });
    const sink = writer.writable().getWriter();
    sink.closed.catch(() => {});
    sink.ready.catch(() => {});
    await sink.write('a');
    expect(await rejection(sink.write('b'))).toMatchObject({ code: 'ERR_FANPIPE_OFFSET_OVERFLOW' });
    expect(writer.state).toBe('failed');
  });

  test('values: a size that throws fails the writer too', async () => {
    const writer = new TypedWriter<string>({ size: (value) => (value === 'bad' ? Number.NaN : 1) });
    const stream = writer.stream();
    const sink = writer.writable().getWriter();
    sink.closed.catch(() => {});
    sink.ready.catch(() => {});
    await sink.write('good');
    expect(await rejection(sink.write('bad'))).toMatchObject({ code: 'ERR_FANPIPE_CALLBACK' });
    expect(stream.read()).toEqual({ value: 'good' });
    expect(() => stream.read()).toThrow(expect.objectContaining({ code: 'ERR_FANPIPE_CALLBACK' }));
  });

  for (const end of ['close', 'fail'] as const) {
    const expected =
      end === 'close'
        ? { code: 'ERR_FANPIPE_WRITER_ENDED', state: 'closed' }
        : { code: 'ERR_FANPIPE_WRITER_ENDED', state: 'failed', cause: reason };
    const endWriter = (writer: ByteWriter): void => (end === 'close' ? writer.close() : writer.fail(reason));

    test(`a writer that ends otherwise errors the web stream at once: ${end}`, async () => {
      const { writer, sink } = open();
      await sink.write('a');
      endWriter(writer);
      expect(await rejection(sink.closed)).toMatchObject(expected);
      expect(await rejection(sink.write('b'))).toMatchObject(expected);
    });

    test(`also while a write waits: ${end}`, async () => {
      const { writer, sink } = open({ blocking: true });
      const write = sink.write('abc');
      write.catch(() => {});
      await settle();
      endWriter(writer);
      expect(await rejection(write)).toMatchObject(expected);
      expect(await rejection(sink.closed)).toMatchObject(expected);
    });

    test(`and before writable(): ${end}`, async () => {
      const writer = new ByteWriter();
      endWriter(writer);
      expect(await rejection(writer.writable().getWriter().closed)).toMatchObject(expected);
    });
  }

  test('several of one writer: closing one errors the others', async () => {
    const writer = new ByteWriter();
    const [first, second] = [writer.writable().getWriter(), writer.writable().getWriter()];
    await first.write('a');
    await second.write('b');
    await first.close();
    expect(await rejection(second.closed)).toMatchObject({ code: 'ERR_FANPIPE_WRITER_ENDED', state: 'closed' });
  });

  test('pipeTo: an error of the source is the writer’s reason, and preventAbort leaves it open', async () => {
    for (const preventAbort of [false, true]) {
      const { writer, writable, sink } = open();
      sink.releaseLock();
      const source = new ReadableStream<Chunk>({
        pull(controller) {
          controller.error(reason);
        },
      });
      expect(await rejection(source.pipeTo(writable, { preventAbort }))).toBe(reason);
      expect(writer.state).toBe(preventAbort ? 'open' : 'failed');
    }
  });

  test('pipeTo: a writer that fails cancels the source', async () => {
    const { writer, writable, sink } = open();
    sink.releaseLock();
    let cancelled: unknown;
    const source = new ReadableStream<Chunk>({
      cancel(with_) {
        cancelled = with_;
      },
    });
    const piped = source.pipeTo(writable);
    piped.catch(() => {});
    await settle();
    writer.fail(reason);
    expect(await rejection(piped)).toMatchObject({ code: 'ERR_FANPIPE_WRITER_ENDED', cause: reason });
    expect(cancelled).toMatchObject({ code: 'ERR_FANPIPE_WRITER_ENDED' });
  });
});
