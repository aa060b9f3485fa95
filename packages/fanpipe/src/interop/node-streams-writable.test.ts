import { once } from 'node:events';
import { PassThrough, Readable, type Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { describe, expect, test } from 'vitest';
import { isSettled, rejection } from '../../../../test/interop/readable-rules.ts';
import { settle } from '../../../../test/support/fake-clock.ts';
import { channelOf } from '../core/base-writer.ts';
import { ByteWriter, TypedWriter } from '../index.ts';
import { toWritable } from '../node.ts';

const reason = new Error('broken');

/** A writer with a stream, and a Writable that notes its errors; a blocking stream is over its mark after three bytes. */
function open(options: { blocking?: boolean; highWaterMark?: number } = {}) {
  const writer = new ByteWriter();
  const stream = writer.stream(options.blocking ? { highWaterMark: 2, overflow: 'block' } : {});
  const writable = toWritable(writer, { highWaterMark: options.highWaterMark });
  const errors: unknown[] = [];
  writable.on('error', (error) => errors.push(error));
  return { writer, stream, writable, errors };
}

const readText = (stream: { read(): Uint8Array | null | undefined }): string =>
  Buffer.from(stream.read() ?? []).toString();
const write = (writable: Writable, chunk: unknown): Promise<unknown> =>
  new Promise((resolve) => writable.write(chunk, resolve));

describe('toWritable()', () => {
  test('END: what is written arrives, finishing it closes the writer', async () => {
    const { writer, stream, writable } = open();
    const text = stream.text();
    writable.write('a');
    writable.write('62', 'hex');
    writable.cork();
    for (const chunk of ['c', 'd', 'e']) writable.write(Buffer.from(chunk));
    writable.uncork();
    writable.end('f');
    await finished(writable);
    expect(await text).toBe('abcdef');
    expect(writer.state).toBe('closed');
  });

  test('pipeline from a file-like source to two readers', async () => {
    const writer = new ByteWriter();
    const texts = [writer.stream({ highWaterMark: 5 }), writer.stream()].map((stream) => stream.text());
    await pipeline(Readable.from(['one ', 'two ', 'three']), new PassThrough(), toWritable(writer));
    expect(await Promise.all(texts)).toEqual(['one two three', 'one two three']);
  });

  test('POLICY block: a write calls back, and drain comes, when the reader is within its mark', async () => {
    const { stream, writable } = open({ blocking: true, highWaterMark: 4 });
    const first = write(writable, 'abc');
    expect(await isSettled(first)).toBe(false);
    expect(writable.write('more')).toBe(false);
    const drained = once(writable, 'drain');
    expect(readText(stream)).toBe('abc');
    await first;
    expect(await isSettled(drained)).toBe(false);
    expect(readText(stream)).toBe('more');
    await drained;
  });

  test('POLICY block: what is buffered meanwhile comes in one write', async () => {
    const { stream, writable } = open({ blocking: true });
    const writes = ['abc', 'd', 'e', 'f'].map((chunk) => write(writable, chunk));
    await settle();
    expect(readText(stream)).toBe('abc');
    await settle();
    expect(stream.lag).toBe(3);
    const text = stream.text();
    writable.end();
    expect(await text).toBe('def');
    await Promise.all(writes);
  });

  test('POLICY block: a stream that is over its mark by other means does not refuse what comes', async () => {
    for (const count of [1, 3]) {
      const { writer, stream, writable } = open({ blocking: true });
      writer.writeSync('over');
      writable.cork();
      const writes = Array.from({ length: count }, () => write(writable, 'x'));
      writable.uncork();
      expect(await isSettled(Promise.race(writes))).toBe(false);
      expect(stream.lag).toBe(4 + count);
      while (stream.read() instanceof Uint8Array) {}
      await Promise.all(writes);
    }
  });

  test('finishing waits for the writes before it', async () => {
    const { writer, stream, writable } = open({ blocking: true });
    writable.write('abc');
    writable.end('def');
    await settle();
    expect(writer.state).toBe('open');
    const text = stream.text();
    await finished(writable);
    expect(await text).toBe('abcdef');
  });

  test('FAIL: destroy(error) fails the writer with the error', async () => {
    const { writer, stream, writable, errors } = open();
    await write(writable, 'half');
    writable.destroy(reason);
    expect(writer.state).toBe('failed');
    expect(readText(stream)).toBe('half');
    expect(() => stream.read()).toThrow(reason);
    await settle();
    expect(errors).toEqual([reason]);
  });

  test('FAIL: destroy() before the finish is a failure too', async () => {
    for (const isEnding of [false, true]) {
      const { writer, stream, writable, errors } = open({ blocking: true });
      writable.write('half');
      if (isEnding) writable.end('never');
      await settle();
      writable.destroy();
      expect(writer.state).toBe('failed');
      expect(readText(stream)).toBe('half');
      const expected = { code: 'ERR_FANPIPE_PREMATURE_CLOSE', transferred: 4 };
      expect(() => stream.read()).toThrow(expect.objectContaining(expected));
      await settle();
      expect(errors).toEqual([]);
    }
  });

  test('FAIL: destroying it settles a write that a reader holds up for ever', async () => {
    const { writable } = open({ blocking: true });
    const written = write(writable, 'abc');
    await settle();
    writable.destroy(reason);
    expect(await written).toBe(reason);
  });

  test('destroy() after the finish changes nothing', async () => {
    const { writer, writable } = open();
    writable.end('whole');
    await finished(writable);
    writable.destroy();
    expect(writer.state).toBe('closed');
  });

  test('FAIL: a source that breaks fails the writer through pipeline', async () => {
    const { writer, writable } = open();
    const source = new PassThrough();
    const piped = pipeline(source, writable);
    piped.catch(() => {});
    source.write('some');
    await settle();
    source.destroy(reason);
    expect(await rejection(piped)).toBe(reason);
    expect(writer.state).toBe('failed');
  });

  test('a refused write destroys it with the refusal and fails the writer', async () => {
    const writer = new ByteWriter({ offset: Number.MAX_SAFE_INTEGER - 1 });
    const stream = writer.stream();
    const writable = toWritable(writer);
    const errors: unknown[] = [];
    writable.on('error', (error) => errors.push(error));
    const expected = { code: 'ERR_FANPIPE_OFFSET_OVERFLOW' };
    expect(await write(writable, 'a')).toBeFalsy();
    expect(await write(writable, 'b')).toMatchObject(expected);
    await settle();
    expect(errors).toEqual([expect.objectContaining(expected)]);
    expect(readText(stream)).toBe('a');
    expect(() => stream.read()).toThrow(expect.objectContaining(expected));
  });

  for (const end of ['close', 'fail'] as const) {
    const expected =
      end === 'close'
        ? { code: 'ERR_FANPIPE_WRITER_ENDED', state: 'closed' }
        : { code: 'ERR_FANPIPE_WRITER_ENDED', state: 'failed', cause: reason };
    const endWriter = (writer: ByteWriter): void => (end === 'close' ? writer.close() : writer.fail(reason));

    test(`a writer that ends otherwise destroys it: ${end}`, async () => {
      for (const blocking of [false, true]) {
        const { writer, writable, errors } = open({ blocking });
        const written = write(writable, 'abc');
        await settle();
        endWriter(writer);
        expect(writable.destroyed).toBe(true);
        if (blocking) expect(await written).toMatchObject(expected);
        await settle();
        expect(errors).toEqual([expect.objectContaining(expected)]);
        expect(await write(writable, 'more')).toBeTruthy();
      }
    });

    test(`also one that has ended before: ${end}`, async () => {
      const writer = new ByteWriter();
      endWriter(writer);
      const writable = toWritable(writer);
      const [error] = await once(writable, 'error');
      expect(error).toMatchObject(expected);
    });
  }

  test('NOW: no listener runs inside a close or a fail of the writer', async () => {
    for (const end of ['close', 'fail'] as const) {
      const { writer, writable } = open();
      let isInside = false;
      const heard: string[] = [];
      for (const event of ['error', 'close'])
        writable.on(event, () => heard.push(isInside ? `${event} inside` : event));
      isInside = true;
      writer[end]();
      isInside = false;
      await settle();
      expect(heard).toEqual(['error', 'close']);
    }
  });

  test('CLEAN: no watcher is left on the writer', async () => {
    for (const end of ['end', 'destroy'] as const) {
      const { writer, writable } = open();
      expect(channelOf(writer).endWatchers.size).toBe(1);
      writable[end]();
      await finished(writable).catch(() => {});
      expect(channelOf(writer).endWatchers.size).toBe(0);
    }
  });

  test('values pass as they are, in object mode', async () => {
    const writer = new TypedWriter<unknown>();
    const stream = writer.stream();
    const writable = toWritable(writer);
    const values = [{ a: 1 }, 0, '', false, [1]];
    for (const value of values) writable.write(value);
    writable.end();
    expect(await stream.array()).toEqual(values);
  });

  test('values: destroy() counts what had passed', async () => {
    const writer = new TypedWriter<unknown>();
    const stream = writer.stream();
    const writable = toWritable(writer);
    await write(writable, {});
    writable.destroy();
    stream.read();
    expect(() => stream.read()).toThrow(
      expect.objectContaining({ code: 'ERR_FANPIPE_PREMATURE_CLOSE', transferred: 1 }),
    );
  });

  test('refuses what is no writer', () => {
    for (const wrong of [undefined, null, {}, new PassThrough(), new ByteWriter().stream()]) {
      expect(() => toWritable(wrong as never)).toThrow(
        expect.objectContaining({ code: 'ERR_FANPIPE_INVALID_ARGUMENT' }),
      );
    }
    expect(() => toWritable(new ByteWriter(), { highWaterMark: 0.5 })).toThrow(
      expect.objectContaining({ code: 'ERR_FANPIPE_INVALID_ARGUMENT' }),
    );
  });
});
