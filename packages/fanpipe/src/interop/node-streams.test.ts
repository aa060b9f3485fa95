import { getEventListeners, once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { describe, expect, test } from 'vitest';
import { isSettled, rejection } from '../../../../test/interop/readable-rules.ts';
import { settle } from '../../../../test/support/fake-clock.ts';
import { type ByteStreamOptions, ByteWriter, TypedWriter } from '../index.ts';
import { toReadable } from '../node.ts';

const reason = new Error('broken');

/** A writer with one stream, as both a stream and a Readable with a small buffer. */
function open(options: ByteStreamOptions = {}, highWaterMark = 10) {
  const writer = new ByteWriter();
  const stream = writer.stream(options);
  return { writer, stream, readable: toReadable(stream, { highWaterMark }) };
}

/** All that a Readable gives, and how it ends. */
async function outcome(readable: Readable): Promise<{ text: string; error?: unknown }> {
  let text = '';
  try {
    for await (const chunk of readable) text += String(chunk);
    return { text };
  } catch (error) {
    return { text, error };
  }
}

describe('toReadable()', () => {
  test('gives all bytes as Buffers, then ends', async () => {
    const { writer, readable } = open();
    const chunks: unknown[] = [];
    readable.on('data', (chunk) => chunks.push(chunk));
    let expected = '';
    for (let i = 0; i < 100; i++) {
      expected += `${i},`;
      await writer.write(`${i},`);
      if (i % 10 === 0) await settle();
    }
    writer.close();
    await finished(readable);
    expect(chunks.every((chunk) => Buffer.isBuffer(chunk))).toBe(true);
    expect(Buffer.concat(chunks as Buffer[]).toString()).toBe(expected);
    expect(writer.streamCount).toBe(0);
  });

  test('works in every way in which a Readable is read', async () => {
    const ways: Record<string, (readable: Readable) => Promise<string>> = {
      data: async (readable) => {
        let text = '';
        readable.on('data', (chunk) => {
          text += String(chunk);
        });
        await once(readable, 'end');
        return text;
      },
      readable: async (readable) => {
        let text = '';
        readable.on('readable', () => {
          for (let chunk = readable.read(); chunk !== null; chunk = readable.read()) text += String(chunk);
        });
        await once(readable, 'end');
        return text;
      },
      'read(n)': async (readable) => {
        let text = '';
        readable.on('readable', () => {
          for (let chunk = readable.read(3) ?? readable.read(); chunk !== null; chunk = readable.read(3)) {
            text += String(chunk);
          }
        });
        await once(readable, 'end');
        return text;
      },
      'for await': async (readable) => (await outcome(readable)).text,
      pipe: async (readable) => (await outcome(readable.pipe(new PassThrough()))).text,
      pipeline: async (readable) => {
        const through = new PassThrough();
        const text = outcome(through);
        await pipeline(readable, through);
        return (await text).text;
      },
      toWeb: async (readable) => new Response(Readable.toWeb(readable) as never).text(),
      setEncoding: async (readable) => (await outcome(readable.setEncoding('utf8'))).text,
    };
    for (const [name, read] of Object.entries(ways)) {
      for (const when of ['before', 'after'] as const) {
        const { writer, readable } = open();
        const text = when === 'before' ? read(readable) : undefined;
        const write = async (): Promise<void> => {
          for (const chunk of ['one', ' and two, which is longer than the buffer', ' and thrée']) {
            await writer.write(chunk);
            if (when === 'before') await settle();
          }
          writer.close();
        };
        await write();
        expect(await (text ?? read(readable)), `${name}, ${when}`).toBe(
          'one and two, which is longer than the buffer and thrée',
        );
      }
    }
  });

  test('BOUND: it buffers up to its mark; the rest stays in the channel', async () => {
    const { writer, stream, readable } = open();
    for (let i = 0; i < 100; i++) writer.writeSync('12345');
    expect(stream.lag).toBe(500);
    readable.on('readable', () => {});
    await settle();
    expect([readable.readableLength, stream.lag]).toEqual([10, 490]);
    readable.read(5);
    await settle();
    expect([readable.readableLength, stream.lag]).toEqual([10, 485]);
    readable.destroy();
  });

  test('POLICY block: the writer waits for the reader of the Readable', async () => {
    const { writer, readable } = open({ highWaterMark: 10, overflow: 'block' });
    readable.pause();
    let accepted = 0;
    const writing = (async () => {
      for (; accepted < 100; accepted++) await writer.write('1234567890');
      writer.close();
    })();
    readable.on('readable', () => {});
    await settle();
    expect(accepted).toBeLessThan(5);
    readable.removeAllListeners('readable');
    const { text } = await outcome(readable);
    await writing;
    expect(text.length).toBe(1000);
  });

  test('LOSS: drop-oldest acts while nobody reads the Readable', async () => {
    const { writer, stream, readable } = open({ highWaterMark: 5, overflow: 'drop-oldest' });
    for (let i = 0; i < 10; i++) writer.writeSync(String(i));
    writer.close();
    expect((await outcome(readable)).text).toBe('56789');
    expect(stream.missed).toBe(5);
  });

  test('FAIL: all that came before is read first, then it is destroyed with the reason', async () => {
    for (const size of [1, 9, 10, 11, 100]) {
      for (const when of ['before', 'after'] as const) {
        const { writer, readable } = open();
        const result = when === 'after' ? outcome(readable) : undefined;
        if (when === 'after') await settle();
        for (let i = 0; i < size; i++) writer.writeSync('x');
        writer.fail(reason);
        expect(await (result ?? outcome(readable)), `${size} bytes, ${when}`).toEqual({
          text: 'x'.repeat(size),
          error: reason,
        });
        expect(readable.destroyed).toBe(true);
      }
    }
  });

  test('FAIL: bytes that nobody has read yet hold the failure back', async () => {
    const { writer, readable } = open();
    const errors: unknown[] = [];
    readable.on('error', (error) => errors.push(error));
    readable.on('readable', () => {});
    writer.writeSync('unread');
    await settle();
    writer.fail(reason);
    await settle();
    expect([readable.destroyed, readable.readableLength]).toEqual([false, 6]);
    expect(String(readable.read())).toBe('unread');
    await settle();
    expect(errors).toEqual([reason]);
    expect(readable.read()).toBe(null);
  });

  test('FAIL: a falsy reason is a failure too', async () => {
    for (const falsy of [null, 0, '', false]) {
      const { writer, readable } = open();
      writer.fail(falsy);
      expect((await outcome(readable)).error).toMatchObject({ code: 'ERR_FANPIPE_WRITER_FAILED', cause: falsy });
    }
  });

  test('FAIL: a reason that is no Error comes unchanged', async () => {
    const { writer, readable } = open();
    const errors: unknown[] = [];
    readable.on('error', (error) => errors.push(error)).resume();
    writer.fail('just text');
    await settle();
    expect(errors).toEqual(['just text']);
  });

  test('DETACH: destroying it detaches the stream, also while a read waits', async () => {
    for (const isReading of [false, true]) {
      for (const error of [undefined, reason]) {
        const { writer, readable } = open({ highWaterMark: 5, overflow: 'block' });
        const errors: unknown[] = [];
        readable.on('error', (each) => errors.push(each));
        if (isReading) readable.resume();
        await settle();
        readable.destroy(error);
        await once(readable, 'close').catch(() => {});
        expect(writer.streamCount).toBe(0);
        expect(errors).toEqual(error === undefined ? [] : [error]);
        expect(await isSettled(writer.write('much more than its mark'))).toBe(true);
      }
    }
  });

  test('DETACH: leaving a loop over it detaches the stream', async () => {
    const { writer, readable } = open();
    writer.writeSync('some');
    for await (const chunk of readable) {
      expect(String(chunk)).toBe('some');
      break;
    }
    expect(writer.streamCount).toBe(0);
  });

  for (const [name, options, cut, expected] of [
    [
      'cancel() of the stream',
      {},
      ({ stream }) => stream.cancel('enough'),
      { code: 'ERR_FANPIPE_CANCELLED', cause: 'enough' },
    ],
    [
      'POLICY disconnect',
      { highWaterMark: 100, overflow: 'disconnect' },
      ({ writer }) => writer.writeSync('x'.repeat(101)),
      { code: 'ERR_FANPIPE_DISCONNECTED', missed: 101 },
    ],
  ] as [string, ByteStreamOptions, (at: ReturnType<typeof open>) => void, object][]) {
    test(`DETACH: ${name} destroys it at once, though nobody reads on`, async () => {
      const at = open(options);
      const errors: unknown[] = [];
      at.readable.on('error', (error) => errors.push(error)).on('readable', () => {});
      at.writer.writeSync('fills the buffer');
      await settle();
      expect(at.readable.readableLength).toBeGreaterThanOrEqual(10);
      cut(at);
      await settle();
      expect(errors).toEqual([expect.objectContaining(expected)]);
      expect(at.readable.destroyed).toBe(true);
    });
  }

  test('END: a stream that is cancelled while it waits is no end', async () => {
    const { stream, readable } = open();
    const result = outcome(readable);
    await settle();
    stream.cancel('enough');
    expect((await result).error).toMatchObject({ code: 'ERR_FANPIPE_CANCELLED', cause: 'enough' });
  });

  test('DETACH: the signal of the stream destroys it with its reason, also one that has fired', async () => {
    for (const isEarly of [false, true]) {
      const controller = new AbortController();
      if (isEarly) controller.abort(reason);
      const { writer, readable } = open({ signal: controller.signal });
      const result = outcome(readable);
      await settle();
      controller.abort(reason);
      expect((await result).error).toBe(reason);
      expect(writer.streamCount).toBe(0);
      expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    }
  });

  test('a callback that throws destroys it and detaches the stream', async () => {
    const { writer, readable } = open({
      highWaterMark: 1,
      overflow: 'drop-oldest',
      onMissed: () => {
        throw reason;
      },
    });
    writer.writeSync('abc');
    expect(await outcome(readable)).toMatchObject({
      text: 'c',
      error: { code: 'ERR_FANPIPE_CALLBACK', cause: reason },
    });
    expect(writer.streamCount).toBe(0);
  });

  test('a callback that throws detaches the stream also while there are bytes to read before the error', async () => {
    const { writer, readable } = open(
      {
        highWaterMark: 5,
        overflow: 'drop-oldest',
        onMissed: () => {
          throw reason;
        },
      },
      100,
    );
    writer.writeSync('abcdefgh');
    readable.on('readable', () => {});
    await settle();
    expect([writer.streamCount, readable.readableLength, readable.destroyed]).toEqual([0, 5, false]);
    expect(await outcome(readable)).toMatchObject({ text: 'defgh', error: { code: 'ERR_FANPIPE_CALLBACK' } });
  });

  test('NOW: no listener runs inside a write, a close or a fail', async () => {
    for (const end of ['close', 'fail'] as const) {
      const { writer, readable } = open();
      let isInside = false;
      const heard: string[] = [];
      for (const event of ['data', 'end', 'error', 'close']) {
        readable.on(event, () => heard.push(isInside ? `${event} inside` : event));
      }
      await settle();
      isInside = true;
      writer.writeSync('x');
      writer[end]();
      isInside = false;
      await finished(readable).catch(() => {});
      await settle();
      expect(heard).toEqual(['data', end === 'close' ? 'end' : 'error', 'close']);
    }
  });

  test('refuses what is no stream, and a stream whose iterator is taken', () => {
    for (const wrong of [undefined, null, {}, new PassThrough(), new ByteWriter()]) {
      expect(() => toReadable(wrong as never)).toThrow(
        expect.objectContaining({ code: 'ERR_FANPIPE_INVALID_ARGUMENT' }),
      );
    }
    const untouched = new ByteWriter().stream();
    expect(() => toReadable(untouched, { highWaterMark: -1 })).toThrow(
      expect.objectContaining({ code: 'ERR_FANPIPE_INVALID_ARGUMENT' }),
    );
    expect(toReadable(untouched)).toBeInstanceOf(Readable);
    const { stream } = open();
    expect(() => toReadable(stream)).toThrow(expect.objectContaining({ code: 'ERR_FANPIPE_ITERATOR_TAKEN' }));
  });
});

describe('toReadable() of a typed stream', () => {
  test('gives the very values, in object mode', async () => {
    const writer = new TypedWriter<unknown>();
    const readable = toReadable(writer.stream());
    const values = [{ a: 1 }, 0, '', false, undefined, Number.NaN, [1]];
    const read = readable.toArray();
    for (const value of values) await writer.write(value);
    writer.close();
    expect(await read).toEqual(values);
  });

  test('BOUND: it buffers up to its mark', async () => {
    const writer = new TypedWriter<number>();
    const stream = writer.stream();
    const readable = toReadable(stream, { highWaterMark: 3 });
    for (let i = 0; i < 10; i++) writer.writeSync(i);
    readable.on('readable', () => {});
    await settle();
    expect([readable.readableLength, stream.lag]).toEqual([3, 7]);
    readable.destroy();
  });

  test('null, which would be the end, destroys it with a typed error after what came before', async () => {
    const writer = new TypedWriter<unknown>();
    const readable = toReadable(writer.stream());
    const values: unknown[] = [];
    readable.on('data', (value) => values.push(value));
    const error = rejection(once(readable, 'end'));
    for (const value of [1, null, 2]) writer.writeSync(value);
    writer.close();
    expect(await error).toMatchObject({ code: 'ERR_FANPIPE_UNSUPPORTED_VALUE', value: null });
    expect(values).toEqual([1]);
    expect(writer.streamCount).toBe(0);
  });
});
