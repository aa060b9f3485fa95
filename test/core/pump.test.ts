/** `from(source)`: END, FAIL and WAIT for what a writer is fed from, and that the source is always told. */

import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import type { Source } from '../../packages/fanpipe/src/core/pump.ts';
import type { Chunk } from '../../packages/fanpipe/src/core/to-bytes.ts';
import { TypedWriter } from '../../packages/fanpipe/src/core/typed-writer.ts';
import { settle } from '../support/fake-clock.ts';

const REASON = new Error('the reason');

/** A source of numbers from 1 that notes what is done to it. */
class Counting implements AsyncIterable<number> {
  asked = 0;
  left = 0;
  /** Throws instead of the value of this number. */
  failsAt = Number.POSITIVE_INFINITY;
  endsAt = Number.POSITIVE_INFINITY;

  [Symbol.asyncIterator](): AsyncIterator<number> {
    return {
      next: async () => {
        const value = ++this.asked;
        if (value >= this.failsAt) throw REASON;
        return { value, done: value >= this.endsAt };
      },
      return: async () => {
        this.left++;
        return { value: undefined, done: true };
      },
    };
  }
}

describe('END ORD: sources', () => {
  const bytes = (text: string): Uint8Array => Buffer.from(text);
  const sources: Record<string, () => Source<Chunk> | Chunk> = {
    'an array': () => ['abc', bytes('def')],
    'a Set': () => new Set(['abc', 'def']),
    'a generator': function* () {
      yield 'abc';
      yield 'def';
    },
    'an async generator': async function* () {
      yield 'abc';
      await settle();
      yield 'def';
    },
    'an array of promises': () => [Promise.resolve('abc'), 'def'] as Source<Chunk>,
    'a ReadableStream': () =>
      new ReadableStream<Chunk>({
        start(controller) {
          controller.enqueue(bytes('abc'));
          controller.enqueue('def');
          controller.close();
        },
      }),
    'the stream of a Blob': () => new Blob(['abc', 'def']).stream(),
    'a Response': () => new Response('abcdef'),
    'a Node Readable': () => Readable.from([bytes('abc'), bytes('def')]),
    'another stream of ours': () => {
      const writer = new ByteWriter({ replay: 'all' });
      writer.writeSync('abcdef');
      writer.close();
      return writer.stream({ from: 'start' });
    },
    'a stream of values': () => {
      const writer = new TypedWriter<string>({ replay: 'all' });
      void writer.writev(['abc', 'def']);
      writer.close();
      return writer.stream({ from: 'start' });
    },
    'one string': () => 'abcdef',
    'one Uint8Array': () => bytes('abcdef'),
    'one ArrayBuffer': () => Uint8Array.from(bytes('abcdef')).buffer,
  };
  for (const [name, make] of Object.entries(sources)) {
    test(`END ORD COUNT: ${name}: streams opened right after see all of it, and its end closes`, async () => {
      const made = make();
      const source = typeof made === 'function' ? (made as () => Source<Chunk>)() : made;
      const writer = ByteWriter.from(source);
      const texts = [writer.stream().text(), writer.stream({ overflow: 'block', highWaterMark: 0 }).text()];
      expect(writer.bytesWritten).toBe(0);
      expect(await Promise.all(texts)).toEqual(['abcdef', 'abcdef']);
      expect([writer.state, writer.bytesWritten]).toEqual(['closed', 6]);
    });
  }

  test('EMPTY END: nothing at all', async () => {
    for (const source of [[], '', new Response(null), new ReadableStream({ start: (c) => c.close() })]) {
      const writer = ByteWriter.from(source as Source<Chunk>);
      expect(await writer.stream().text()).toBe('');
      expect(writer.state).toBe('closed');
    }
  });

  test('START: options of the writer hold, and a late stream gets what is retained', async () => {
    const writer = ByteWriter.from(['abc', 'def'], { replay: 4, offset: 100 });
    await writer.stream().text();
    const late = writer.stream({ from: 'start' });
    expect(late.position).toBe(102);
    expect(await late.text()).toBe('cdef');
  });

  test('COPY: what is yielded may be reused, unless it was handed over or is a Response’s', async () => {
    const buffer = new Uint8Array(3);
    function* reusing(): Generator<Uint8Array> {
      for (const byte of [1, 2, 3]) yield buffer.fill(byte);
    }
    expect([...(await ByteWriter.from(reusing()).stream().bytes())]).toEqual([1, 1, 1, 2, 2, 2, 3, 3, 3]);
    const chunk = new Uint8Array(3);
    expect((await ByteWriter.from([chunk], { copy: false }).stream()[Symbol.asyncIterator]().next()).value).toBe(chunk);
  });

  test('ORD: typed writers take what is yielded as values', async () => {
    const values = [{ a: 1 }, 'text', undefined, null, 5];
    const writer = TypedWriter.from<unknown>(values, { size: () => 2 });
    const stream = writer.stream();
    expect(await stream.array()).toEqual(values);
    expect(stream.position).toBe(10);
    // A string is iterable too, by characters, which nobody means.
    expect(() => TypedWriter.from('abc')).toThrow('source must be an iterable');
  });
});

describe('FAIL: sources that fail', () => {
  test('FAIL: what came before is delivered, then the source’s own error; it is not left on top of it', async () => {
    const source = new Counting();
    source.failsAt = 4;
    const writer = TypedWriter.from(source);
    const iterator = writer.stream()[Symbol.asyncIterator]();
    for (const value of [1, 2, 3]) expect(await iterator.next()).toEqual({ value, done: false });
    await expect(iterator.next()).rejects.toBe(REASON);
    expect([writer.state, source.asked, source.left]).toEqual(['failed', 4, 0]);
    const stream = new ReadableStream({
      pull(controller) {
        controller.error(REASON);
      },
    });
    await expect(ByteWriter.from(stream).stream().text()).rejects.toBe(REASON);
  });

  test('FAIL: a chunk that is refused fails the writer, and the source is left', async () => {
    const source = new Counting();
    const writer = ByteWriter.from(source as unknown as Source<Chunk>);
    await expect(writer.stream().text()).rejects.toMatchObject({ code: 'ERR_FANPIPE_INVALID_CHUNK', value: 1 });
    await settle();
    expect([source.asked, source.left]).toEqual([1, 1]);
  });

  test('FAIL: a promise that is rejected fails the writer, and its iterator is left', async () => {
    let left = 0;
    const values = {
      [Symbol.iterator]: () => ({
        next: () => ({ value: Promise.reject(REASON), done: false }),
        return: () => {
          left++;
          throw new Error('and it does not like to be left');
        },
      }),
    } as unknown as Iterable<Promise<string>>;
    await expect(ByteWriter.from(values).stream().text()).rejects.toBe(REASON);
    await settle();
    expect(left).toBe(1);
  });

  test('FAIL NOW: an iterator that throws at its first step does so in a microtask', async () => {
    const writer = ByteWriter.from({
      [Symbol.asyncIterator]: () => ({
        next: () => {
          throw REASON;
        },
      }),
    });
    expect(writer.state).toBe('open');
    await expect(writer.stream().text()).rejects.toBe(REASON);
  });
});

describe('END WAIT: writers that end, and readers that are slow', () => {
  for (const end of ['close', 'fail', 'abort'] as const) {
    test(`END CLEAN NOW: a writer that ends by ${end} leaves its source once, and not from within`, async () => {
      const controller = new AbortController();
      const source = new Counting();
      const writer = TypedWriter.from(source, { signal: controller.signal });
      // One that waits keeps the pump waiting too.
      const stream = writer.stream({ highWaterMark: 2 });
      await settle();
      expect(source.asked).toBe(3);
      if (end === 'abort') controller.abort(REASON);
      else writer[end](REASON as never);
      expect(source.left).toBe(0);
      await settle();
      expect(source.left).toBe(1);
      expect([stream.read(), stream.read(), stream.read()]).toEqual([{ value: 1 }, { value: 2 }, { value: 3 }]);
      if (end === 'close') expect(stream.read()).toBe(null);
      else expect(() => stream.read()).toThrow(REASON);
      await settle();
      expect([source.asked, source.left]).toEqual([3, 1]);
    });
  }

  test('END CLEAN: a generator is left, so that its finally runs', async () => {
    let finished = 0;
    function* endless(): Generator<string> {
      try {
        for (;;) yield 'x';
      } finally {
        finished++;
      }
    }
    const writer = ByteWriter.from(endless());
    const stream = writer.stream({ highWaterMark: 3 });
    await settle();
    expect([stream.lag, finished]).toEqual([4, 0]);
    writer.close();
    await settle();
    expect(finished).toBe(1);
    expect(await stream.text()).toBe('xxxx');
  });

  test('END CLEAN: a ReadableStream is cancelled with the reason', async () => {
    const cancelled: unknown[] = [];
    const source = (): ReadableStream<string> =>
      new ReadableStream({
        cancel: (reason) => {
          cancelled.push(reason);
          throw new Error('and does not like it');
        },
      });
    const writers = [ByteWriter.from(source()), ByteWriter.from(source(), { signal: AbortSignal.abort(REASON) })];
    await settle();
    writers[0]?.fail(REASON);
    await settle();
    expect(cancelled).toEqual([REASON, REASON]);
  });

  test.each([
    ['before its first chunk', 0],
    ['after some', 2],
  ])('END CLEAN: a Node Readable that has fallen silent %s is destroyed', async (_, count) => {
    const source = new Readable({ read() {} });
    for (let i = 0; i < count; i++) source.push('x');
    const writer = ByteWriter.from(source);
    const stream = writer.stream();
    await settle();
    expect(stream.lag).toBe(count);
    writer.fail(REASON);
    await settle();
    expect(source.destroyed).toBe(true);
  });

  test('FAIL CLEAN: a Node Readable that has failed before it is read, and nobody listens yet', async () => {
    const text = await new Promise<Promise<string>>((resolve) => {
      // Here errors are emitted before any microtask runs.
      process.nextTick(() => {
        const source = new Readable({ read() {} });
        source.destroy(REASON);
        resolve(
          ByteWriter.from(source)
            .stream()
            .text()
            .catch((error) => error),
        );
      });
    });
    expect(text).toBe(REASON);
  });

  test('END CLEAN: a Node Readable that fails because it is left before its first chunk', async () => {
    for (const signal of [undefined, AbortSignal.abort(REASON)]) {
      const source = new Readable({ read() {}, destroy: (_, done) => done(new Error('and does not like it')) });
      ByteWriter.from(source, { signal }).close();
      await settle();
      // An error that nobody hears fails the run.
      expect(source.destroyed).toBe(true);
    }
  });

  test('END CLEAN: a source that has ended is not left, nor one that has no return', async () => {
    const source = new Counting();
    source.endsAt = 3;
    const writer = TypedWriter.from(source);
    expect(await writer.stream().array()).toEqual([1, 2]);
    writer.fail(REASON);
    await settle();
    expect(source.left).toBe(0);
    const simple = TypedWriter.from({ [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) });
    simple.close();
    await settle();
  });

  test('CLEAN: a source that does not like to be left harms nobody', async () => {
    for (const leave of [
      () => {
        throw REASON;
      },
      () => Promise.reject(REASON),
    ]) {
      const writer = ByteWriter.from({
        [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}), return: leave }),
      });
      const text = writer.stream().text();
      writer.close();
      expect(await text).toBe('');
      await settle();
    }
  });

  test('WAIT ALONE: the source is asked as fast as the blocking streams allow, and no faster', async () => {
    const source = new Counting();
    const writer = TypedWriter.from(source);
    const slow = writer.stream({ overflow: 'block', highWaterMark: 5 });
    const dropping = writer.stream({ overflow: 'drop-oldest', highWaterMark: 2 });
    await settle();
    // One beyond the mark, which is what makes it wait.
    expect([source.asked, slow.lag, dropping.missed]).toEqual([6, 6, 4]);
    for (let i = 1; i <= 20; i++) {
      expect(slow.read()).toEqual({ value: i });
      await settle();
      expect(source.asked).toBe(6 + i);
    }
    slow.cancel();
    for (let i = 0; i < 10; i++) await null;
    expect(source.asked).toBeGreaterThan(26);
    writer.close();
    dropping.cancel();
  });

  test('END: an end of the writer while the source is being asked drops what it then says', async () => {
    let answer: (result: IteratorResult<string>) => void = () => {};
    const writer = ByteWriter.from({
      [Symbol.asyncIterator]: () => ({
        next: () =>
          new Promise<IteratorResult<string>>((resolve) => {
            answer = resolve;
          }),
      }),
    });
    const text = writer.stream().text();
    await settle();
    writer.writeSync('from elsewhere');
    writer.close();
    answer({ value: 'too late', done: false });
    expect(await text).toBe('from elsewhere');
    await settle();
    expect(writer.bytesWritten).toBe(14);
  });
});
