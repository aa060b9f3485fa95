/** What an entry can be filled from, and what is refused: WHOLE for each kind of source. */

import { addAbortSignal, PassThrough, Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import type { PoolSource } from '../../packages/fanpipe/src/pool/options.ts';
import { StreamPool } from '../../packages/fanpipe/src/pool/stream-pool.ts';
import { settle } from '../support/fake-clock.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const REASON = new Error('the reason');

function webStream(...chunks: (Uint8Array | string)[]): ReadableStream<Uint8Array | string> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

describe('sources that end', () => {
  const sources: Record<string, () => PoolSource> = {
    'an array': () => ['abc', bytes('def')],
    'a generator': function* () {
      yield 'abc';
      yield bytes('def').buffer as ArrayBuffer;
    },
    'an async generator': async function* () {
      yield bytes('abc');
      await settle();
      yield new DataView(bytes('def').buffer);
    },
    'a ReadableStream': () => webStream(bytes('abc'), 'def'),
    'a ReadableStream of bytes': () => new Blob(['abc', 'def']).stream(),
    'a Response': () => new Response('abcdef'),
    'a Response of 206': () => new Response('abcdef', { status: 206 }),
    'a Node Readable': () => Readable.from([Buffer.from('abc'), Buffer.from('def')]),
    'a Node stream that was written to': () => {
      const stream = new PassThrough();
      stream.write('abc');
      stream.end('def');
      return stream;
    },
    'a stream of ours': () => {
      const writer = new ByteWriter({ replay: 'all' });
      writer.writeSync('abcdef');
      writer.close();
      return writer.stream({ from: 'start' });
    },
    'one string': () => 'abcdef',
    'one buffer': () => bytes('abcdef'),
    'promises of chunks': () => [Promise.resolve('abc'), 'def'],
  };
  for (const [name, make] of Object.entries(sources)) {
    test(`ONCE WHOLE: ${name}: all of it for all, and its end completes`, async () => {
      const pool = new StreamPool();
      let calls = 0;
      const opener = (): PoolSource => {
        calls++;
        const made = make();
        return typeof made === 'function' ? (made as () => PoolSource)() : made;
      };
      const texts = [pool.open('key', opener).text(), pool.open('key', opener, { highWaterMark: 0 }).text()];
      expect(await Promise.all(texts)).toEqual(['abcdef', 'abcdef']);
      expect(await pool.open('key', opener, { start: 2, end: 4 }).text()).toBe('cd');
      expect(pool.stats().entries).toEqual([{ key: 'key', state: 'complete', bytes: 6, readers: 0, hits: 2 }]);
      expect(calls).toBe(1);
    });
  }

  const nothing: Record<string, () => PoolSource> = {
    'an empty array': () => [],
    'a Response without a body': () => new Response(null, { status: 204 }),
    'a Response of an empty body': () => new Response(''),
    'empty chunks': () => ['', new Uint8Array(0)],
    'an ended Node stream': () => Readable.from([]),
  };
  for (const [name, make] of Object.entries(nothing)) {
    test(`WHOLE: ${name} is a whole of nothing`, async () => {
      const pool = new StreamPool();
      expect(await pool.open('key', make).text()).toBe('');
      expect(pool.stats().entries).toMatchObject([{ state: 'complete', bytes: 0 }]);
      expect(await pool.open('key', make, { end: 10 }).text()).toBe('');
      expect(pool.stats()).toMatchObject({ misses: 1, hits: 1 });
    });
  }
});

describe('openers and sources that fail', () => {
  const failing: Record<string, () => PoolSource | Promise<PoolSource>> = {
    'an opener that throws': () => {
      throw REASON;
    },
    'an opener that rejects': () => Promise.reject(REASON),
    'an iterator that throws at once': () => ({
      [Symbol.asyncIterator]: () => {
        throw REASON;
      },
    }),
    'a generator': function* (): Generator<string> {
      yield 'abc';
      throw REASON;
    },
    'an async generator': async function* () {
      yield 'abc';
      throw REASON;
    },
    'a ReadableStream': () => {
      let calls = 0;
      return new ReadableStream<Uint8Array>({
        pull(controller) {
          if (calls++ === 0) controller.enqueue(bytes('abc'));
          else controller.error(REASON);
        },
      });
    },
    'a Node Readable': () => {
      const stream = new PassThrough();
      stream.write('abc');
      setImmediate(() => stream.destroy(REASON));
      return stream;
    },
  } as Record<string, () => PoolSource | Promise<PoolSource>>;
  for (const [name, make] of Object.entries(failing)) {
    test(`WHOLE: ${name}: the bytes so far, then its own error, for all; the next open starts afresh`, async () => {
      const pool = new StreamPool();
      let calls = 0;
      const opener = (): PoolSource | Promise<PoolSource> => {
        calls++;
        const made = make();
        return typeof made === 'function' ? (made as () => PoolSource)() : made;
      };
      const read = async (): Promise<string> => {
        let text = '';
        try {
          for await (const chunk of pool.open('key', opener)) text += new TextDecoder().decode(chunk);
        } catch (error) {
          expect(error).toBe(REASON);
          return text;
        }
        throw new Error('it looks like the end');
      };
      const texts = await Promise.all([read(), read(), read()]);
      expect(new Set(texts).size).toBe(1);
      expect(['', 'abc']).toContain(texts[0]);
      expect(calls).toBe(1);
      expect(pool.stats()).toMatchObject({ entries: [], bytes: 0, readers: 0, failures: 1 });
      await read();
      expect(calls).toBe(2);
    });
  }

  test('WHOLE: a reason of undefined is still a failure', async () => {
    const pool = new StreamPool();
    await expect(pool.open('key', () => Promise.reject()).text()).rejects.toMatchObject({
      code: 'ERR_FANPIPE_WRITER_FAILED',
    });
  });

  test('WHOLE: a Node stream that closes without an end is no whole', async () => {
    const pool = new StreamPool();
    const stream = new PassThrough();
    stream.write('half');
    const reader = pool.open('key', () => stream);
    await settle();
    stream.destroy();
    await expect(reader.text()).rejects.toMatchObject({ code: 'ERR_STREAM_PREMATURE_CLOSE' });
    const destroyed = new PassThrough();
    destroyed.destroy();
    await expect(pool.open('key', () => destroyed).text()).rejects.toThrow();
    expect(pool.stats().failures).toBe(2);
  });

  test('WHOLE: a chunk that is none fails the entry, and the source is left', async () => {
    const pool = new StreamPool();
    let left = 0;
    let reason: unknown;
    function* numbers({ signal }: { signal: AbortSignal }): Generator<unknown> {
      signal.addEventListener('abort', () => {
        reason = signal.reason;
      });
      try {
        yield 'good';
        yield 5;
      } finally {
        left++;
      }
    }
    const reader = pool.open('key', numbers as never);
    await expect(reader.text()).rejects.toMatchObject({ code: 'ERR_FANPIPE_INVALID_CHUNK', value: 5 });
    await settle();
    expect(left).toBe(1);
    expect(reason).toMatchObject({ code: 'ERR_FANPIPE_INVALID_CHUNK' });
  });
});

describe('what is refused', () => {
  const refused: Record<string, { make: () => unknown; status?: number; says: string }> = {
    'a Response of 404': {
      make: () => new Response('not found', { status: 404 }),
      status: 404,
      says: 'a Response with the status 404: expected 200 to 299',
    },
    'a Response of 304': { make: () => new Response(null, { status: 304 }), status: 304, says: 'the status 304' },
    'an error Response': { make: () => Response.error(), status: 0, says: 'the status 0' },
    'a Response that was read': {
      make: async () => {
        const response = new Response('used');
        await response.text();
        return response;
      },
      status: 200,
      says: 'a Response whose body is read already',
    },
    'a Response whose body is locked': {
      make: () => {
        const response = new Response('used');
        response.body?.getReader();
        return response;
      },
      status: 200,
      says: 'a Response whose body is read already',
    },
    'a locked ReadableStream': {
      make: () => {
        const stream = webStream('x');
        stream.getReader();
        return stream;
      },
      says: 'a ReadableStream that is locked',
    },
    'a Readable that was read to its end': {
      make: async () => {
        const stream = Readable.from(['x']);
        for await (const _ of stream);
        return stream;
      },
      says: 'a Readable that was read to its end',
    },
    undefined: { make: () => undefined, says: 'undefined: expected an iterable' },
    null: { make: () => null, says: 'null: expected an iterable' },
    'a number': { make: () => 5, says: '5: expected an iterable' },
    'an object': { make: () => ({}), says: 'an instance of Object: expected an iterable' },
  };
  for (const [name, { make, status, says }] of Object.entries(refused)) {
    test(`WHOLE: ${name}: all readers get a PoolSourceError`, async () => {
      const pool = new StreamPool();
      const opener = make as () => PoolSource;
      const readers = [pool.open('key', opener).text(), pool.open('key', opener, { start: 3 }).text()];
      for (const outcome of await Promise.allSettled(readers)) {
        expect(outcome).toMatchObject({ reason: { code: 'ERR_FANPIPE_POOL_SOURCE', name: 'PoolSourceError', status } });
        expect((outcome as PromiseRejectedResult).reason.message).toContain(says);
      }
      expect(pool.stats()).toMatchObject({ entries: [], failures: 1, readers: 0 });
    });
  }

  test('WHOLE CLEAN: the body of a Response that is refused is cancelled, so that it holds no connection', async () => {
    let cancelled = 0;
    const body = new ReadableStream<Uint8Array>({
      cancel() {
        cancelled++;
        throw new Error('and it does not like that');
      },
    });
    const pool = new StreamPool();
    await expect(pool.open('key', () => new Response(body, { status: 500 })).text()).rejects.toThrow('500');
    expect(cancelled).toBe(1);
  });
});

describe('sources that are left', () => {
  /** One that has given a chunk and falls silent, and how it can be seen that it was left. */
  const silent: Record<string, () => { source: PoolSource; isLeft: () => boolean }> = {
    'an iterator': () => {
      let left = 0;
      const iterator = {
        next: () => (left++ === 0 ? Promise.resolve({ value: 'x', done: false }) : new Promise(() => {})),
        return: async () => {
          left = -1;
          return { value: undefined, done: true };
        },
      };
      return { source: { [Symbol.asyncIterator]: () => iterator } as PoolSource, isLeft: () => left === -1 };
    },
    'a ReadableStream': () => {
      let isLeft = false;
      const source = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(bytes('x')),
        cancel: () => {
          isLeft = true;
        },
      });
      return { source, isLeft: () => isLeft };
    },
    'a Response': () => {
      let isLeft = false;
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(bytes('x')),
        cancel: () => {
          isLeft = true;
        },
      });
      return { source: new Response(body), isLeft: () => isLeft };
    },
    'a Node Readable': () => {
      const source = new PassThrough();
      source.write('x');
      return { source, isLeft: () => source.destroyed };
    },
  };
  const ways: Record<string, (pool: StreamPool, reader: { cancel(): void }) => void> = {
    'its last reader leaves': (_, reader) => reader.cancel(),
    'the pool is closed': (pool) => pool.close(),
    'it is forgotten and its last reader leaves': (pool, reader) => {
      pool.delete('key');
      reader.cancel();
    },
  };
  for (const [name, make] of Object.entries(silent)) {
    for (const [way, leave] of Object.entries(ways)) {
      test(`WHOLE CLEAN: ${name} is left when ${way}, not from within, although it is silent`, async () => {
        const pool = new StreamPool();
        const { source, isLeft } = make();
        const reader = pool.open('key', () => source);
        await settle();
        expect(reader.lag).toBe(1);
        leave(pool, reader);
        expect(isLeft()).toBe(false);
        await settle();
        expect(isLeft()).toBe(true);
        expect(pool.stats().entries).toEqual([]);
      });
    }

    test(`WHOLE CLEAN: ${name} that comes when nobody wants it any more is left`, async () => {
      const pool = new StreamPool();
      const { source, isLeft } = make();
      let resolve: (source: PoolSource) => void = () => {};
      const reader = pool.open(
        'key',
        () =>
          new Promise((done) => {
            resolve = done;
          }),
      );
      await settle();
      reader.cancel();
      await settle();
      resolve(source);
      await settle();
      expect(isLeft()).toBe(true);
      expect(pool.stats()).toMatchObject({ entries: [], bytes: 0 });
    });
  }

  test('GROUP CLEAN: a Node Readable that fails by the signal, at whatever moment its last reader leaves', async () => {
    for (let steps = 0; steps < 12; steps++) {
      const source = new PassThrough();
      const reader = new StreamPool().open('key', async ({ signal }) => {
        for (let i = 0; i < 4; i++) await null;
        return addAbortSignal(signal, source);
      });
      for (let i = 0; i < steps; i++) await null;
      reader.cancel();
      await settle();
      // An error that nobody hears fails the run. Before its opener was called nothing was asked for.
      expect(source.destroyed).toBe(steps > 0);
    }
  });

  test('WHOLE CLEAN: an opener that fails when nobody wants it any more disturbs nobody', async () => {
    const pool = new StreamPool();
    const reader = pool.open('key', async ({ signal }) => {
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      return [];
    });
    await settle();
    reader.cancel();
    await settle();
    expect(pool.stats()).toMatchObject({ entries: [], failures: 0 });
  });
});

describe('the memory of a chunk', () => {
  test('WHOLE: a generator may use its buffer again', async () => {
    const buffer = new Uint8Array(20_000);
    function* reusing(): Generator<Uint8Array> {
      for (const byte of [1, 2, 3]) yield buffer.fill(byte);
    }
    const all = await new StreamPool().open('key', reusing).bytes();
    expect([all[0], all[20_000], all[40_000], all.length]).toEqual([1, 2, 3, 60_000]);
  });

  const chunkOf = async (size: number, bufferSize: number, resizable = false): Promise<{ shared: boolean }> => {
    // Resizable buffers are newer than the types.
    const memory = resizable
      ? new (ArrayBuffer as unknown as new (size: number, options: object) => ArrayBuffer)(bufferSize, {
          maxByteLength: bufferSize,
        })
      : new ArrayBuffer(bufferSize);
    const chunk = new Uint8Array(memory, 0, size);
    const source = new ReadableStream({
      start(controller) {
        controller.enqueue(chunk);
        controller.close();
      },
    });
    const stream = new StreamPool().open('key', () => source);
    await settle();
    const read = stream.read() as Uint8Array;
    expect(read.byteLength).toBe(size);
    return { shared: read.buffer === memory };
  };

  test('WHOLE: large chunks of web streams are kept as they are, all else is copied', async () => {
    expect(await chunkOf(64_000, 64_000)).toEqual({ shared: true });
    expect(await chunkOf(8192, 8192)).toEqual({ shared: true });
    expect(await chunkOf(57_344, 65_536)).toEqual({ shared: true });
    // Little of it would keep much alive.
    expect(await chunkOf(50_000, 65_536)).toEqual({ shared: false });
    expect(await chunkOf(8191, 8191)).toEqual({ shared: false });
    // Somebody may still make it smaller.
    expect(await chunkOf(64_000, 64_000, true)).toEqual({ shared: false });
  });
});
