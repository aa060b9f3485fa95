/**
 * The protocols of the iterable streams API as such. That its functions are content with them is tested on the Node that
 * has them, in test/interop/iter-streams.mjs.
 */

import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { isSettled, rejection } from '../../../../test/interop/readable-rules.ts';
import { ByteWriter, TypedWriter } from '../index.ts';

const reason = new Error('broken');

type Batches = AsyncIterableIterator<Uint8Array[], undefined>;
interface FanOut {
  readonly consumerCount: number;
  push(...args: unknown[]): Batches;
  pull(...args: unknown[]): Batches;
  cancel(...args: unknown[]): void;
}

/** Calls the method that an object has for a protocol. */
function protocol(object: object, name: string, ...args: unknown[]): unknown {
  const method = (object as Record<symbol, (...args: unknown[]) => unknown>)[Symbol.for(`Stream.${name}`)];
  expect(method).toBeTypeOf('function');
  return method?.call(object, ...args);
}

const batchesOf = (stream: object): Batches => protocol(stream, 'toAsyncStreamable') as Batches;
const fanOutOf = (writer: ByteWriter, options?: object, name = 'broadcastProtocol'): FanOut =>
  protocol(writer, name, options) as FanOut;
const drained = (writer: object): Promise<boolean> | null =>
  protocol(writer, 'drainableProtocol') as Promise<boolean> | null;

async function textOf(batches: AsyncIterable<Uint8Array[]>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const batch of batches) chunks.push(...batch);
  return Buffer.concat(chunks).toString();
}

describe('Stream.toAsyncStreamable on a stream', () => {
  test('NEXT: gives its batches and takes its iterator', async () => {
    const writer = new ByteWriter({ copy: false });
    const stream = writer.stream();
    const batches = batchesOf(stream);
    for (const chunk of ['a', 'b']) writer.writeSync(Buffer.from(chunk));
    expect((await batches.next()).value?.map(String)).toEqual(['a', 'b']);
    expect(() => batchesOf(stream)).toThrow(expect.objectContaining({ code: 'ERR_FANPIPE_ITERATOR_TAKEN' }));
    writer.close();
    expect(await batches.next()).toEqual({ value: undefined, done: true });
  });

  test('COPY: arrays of its own, also where streams share a batch', async () => {
    const writer = new ByteWriter();
    const both = [batchesOf(writer.stream()), batchesOf(writer.stream())];
    const reads = both.map((batches) => batches.next());
    writer.writeSync('a');
    const [first, second] = await Promise.all(reads);
    expect(first?.value).toEqual(second?.value);
    expect(first?.value).not.toBe(second?.value);
  });

  test('DETACH: return() and throw() detach the stream', async () => {
    const writer = new ByteWriter();
    const [first, second] = [batchesOf(writer.stream()), batchesOf(writer.stream())];
    const waiting = first.next();
    expect(await first.return?.()).toEqual({ value: undefined, done: true });
    expect(await waiting).toEqual({ value: undefined, done: true });
    expect(await rejection(second.throw?.(reason) as Promise<unknown>)).toBe(reason);
    expect(writer.streamCount).toBe(0);
    expect(first[Symbol.asyncIterator]()).toBe(first);
  });

  test('END: a cancelled stream rejects', async () => {
    const stream = new ByteWriter().stream();
    const waiting = batchesOf(stream).next();
    stream.cancel('enough');
    expect(await rejection(waiting)).toMatchObject({ code: 'ERR_FANPIPE_CANCELLED', cause: 'enough' });
  });

  test('only streams of bytes have it', () => {
    expect(Symbol.for('Stream.toAsyncStreamable') in new TypedWriter().stream()).toBe(false);
  });
});

describe('Stream.drainableProtocol on a writer', () => {
  test('true with room, or when there is again; null after the end', async () => {
    for (const writer of [new ByteWriter(), new TypedWriter<string>()]) {
      expect(await drained(writer)).toBe(true);
      const stream = writer.stream({ highWaterMark: 1, overflow: 'block' });
      writer.writevSync(['a', 'b']);
      expect(writer.canWrite).toBe(false);
      const waiting = drained(writer) as Promise<boolean>;
      expect(await isSettled(waiting)).toBe(false);
      while (stream.read() != null) {}
      expect(await waiting).toBe(true);
      writer.close();
      expect(drained(writer)).toBe(null);
      expect(writer.canWrite).toBe(null);
    }
  });

  test('false if the writer closes before, a rejection if it fails; nobody has to look', async () => {
    const full = (): ByteWriter => {
      const writer = new ByteWriter();
      writer.stream({ highWaterMark: 1, overflow: 'block' });
      writer.writeSync('ab');
      return writer;
    };
    const closing = full();
    const closed = drained(closing);
    closing.close();
    expect(await closed).toBe(false);
    const failing = full();
    const failed = drained(failing) as Promise<boolean>;
    drained(failing);
    failing.fail(reason);
    expect(await rejection(failed)).toBe(reason);
  });

  test('a promise that nobody is left to settle does no harm: end, then room', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream({ highWaterMark: 1, overflow: 'block' });
    writer.writeSync('ab');
    const waiting = drained(writer);
    writer.close();
    stream.read();
    expect(await waiting).toBe(false);
  });
});

for (const [name, method] of [
  ['broadcastProtocol', 'push'],
  ['shareProtocol', 'pull'],
] as const) {
  describe(`Stream.${name} on a writer`, () => {
    test('every consumer gets all bytes, a late one what is replayed', async () => {
      const writer = new ByteWriter({ replay: 'all' });
      const fanOut = fanOutOf(writer, undefined, name);
      const texts = [textOf(fanOut[method]()), textOf(fanOut[method]())];
      writer.writeSync('early ');
      texts.push(textOf(fanOut[method]()));
      expect(fanOut.consumerCount).toBe(3);
      writer.writeSync('late');
      writer.close();
      expect(await Promise.all(texts)).toEqual(['early late', 'early late', 'early late']);
      expect(fanOut.consumerCount).toBe(0);
    });

    test('POLICY: budget and backpressure are the mark and the policy of each consumer', async () => {
      for (const [backpressure, expected] of [
        [undefined, 'aabb'],
        ['strict', 'aabb'],
        ['unbounded', 'aabb'],
        ['drop-oldest', 'bb'],
        ['drop-newest', 'aa'],
      ] as [string | undefined, string][]) {
        const writer = new ByteWriter();
        const batches = fanOutOf(writer, { budget: 2, backpressure }, name)[method]();
        const writes = ['aa', 'bb'].map((chunk) => writer.write(chunk));
        expect(await isSettled(Promise.all(writes)), backpressure).toBe(expected.length < 4);
        const text = textOf(batches);
        await Promise.all(writes);
        writer.close();
        expect(await text, backpressure).toBe(expected);
      }
    });

    test('bad options are refused, and nothing is opened', () => {
      const writer = new ByteWriter();
      const refused = expect.objectContaining({ code: 'ERR_FANPIPE_INVALID_ARGUMENT' });
      expect(() => fanOutOf(writer, { budget: 0.5 }, name)).toThrow(refused);
      expect(() => fanOutOf(writer, { backpressure: 'explode' }, name)).toThrow(refused);
      expect(() => fanOutOf(writer, undefined, name)[method](5, {})).toThrow(refused);
      expect(() => fanOutOf(writer, undefined, name)[method]({ signal: 5 })).toThrow(refused);
      expect(writer.streamCount).toBe(0);
    });

    test('cancel(): consumers are done, with a reason they reject; so are those to come; the writer goes on', async () => {
      for (const args of [[], [reason], [undefined]]) {
        const writer = new ByteWriter();
        const fanOut = fanOutOf(writer, undefined, name);
        const waiting = fanOut[method]().next();
        const idle = fanOut[method]();
        fanOut.cancel(...args);
        fanOut.cancel(new Error('the first one counts'));
        for (const result of [waiting, idle.next(), fanOut[method]().next()]) {
          if (args.length === 0) expect(await result).toEqual({ value: undefined, done: true });
          else expect(await rejection(result)).toBe(args[0]);
        }
        expect([writer.state, writer.streamCount, fanOut.consumerCount]).toEqual(['open', 0, 0]);
      }
    });

    test('dispose cancels', () => {
      const writer = new ByteWriter();
      const fanOut = fanOutOf(writer, undefined, name);
      fanOut[method]();
      (fanOut as unknown as Disposable)[Symbol.dispose]();
      expect(writer.streamCount).toBe(0);
    });

    test('signals: of all and of one, left without a listener', async () => {
      const writer = new ByteWriter();
      const [all, one] = [new AbortController(), new AbortController()];
      const fanOut = fanOutOf(writer, { signal: all.signal }, name);
      const first = fanOut[method]({ signal: one.signal }).next();
      const second = fanOut[method]().next();
      one.abort(reason);
      expect(await rejection(first)).toBe(reason);
      expect(await isSettled(second)).toBe(false);
      all.abort(reason);
      expect(await rejection(second)).toBe(reason);
      expect(getEventListeners(all.signal, 'abort')).toEqual([]);
      expect(await rejection(fanOut[method]().next())).toBe(reason);
    });

    test('CLEAN: consumers that come and go leave nothing', async () => {
      const writer = new ByteWriter();
      const fanOut = fanOutOf(writer, undefined, name);
      const staying = fanOut[method]();
      for (let i = 0; i < 1000; i++) await fanOut[method]().return?.();
      expect([writer.streamCount, fanOut.consumerCount]).toEqual([1, 1]);
      await staying.return?.();
      expect(fanOut.consumerCount).toBe(0);
    });
  });
}

describe('transforms of a consumer', () => {
  const through = async (chunks: string[], ...transforms: unknown[]): Promise<string> => {
    const writer = new ByteWriter({ copy: false });
    const text = textOf(fanOutOf(writer).push(...transforms));
    for (const chunk of chunks) {
      writer.writeSync(Buffer.from(chunk));
      await new Promise(setImmediate);
    }
    writer.close();
    return text;
  };
  const upper = (batch: Uint8Array[] | null): string[] | null =>
    batch?.map((each) => Buffer.from(each).toString().toUpperCase()) ?? null;

  test('functions, in a chain, with what they give at the end', async () => {
    expect(await through(['a', 'b'], upper)).toBe('AB');
    expect(
      await through(
        ['a', 'b'],
        (batch: unknown) => batch ?? '.',
        upper,
        async (batch: unknown) => batch,
      ),
    ).toBe('AB.');
  });

  test('one with a transform method, which sees null at the end', async () => {
    const counting = {
      async *transform(batches: AsyncIterable<Uint8Array[] | null>) {
        let count = 0;
        for await (const batch of batches) {
          if (batch === null) yield `${count} bytes`;
          else for (const chunk of batch) count += chunk.length;
        }
      },
    };
    expect(await through(['abc', 'de'], counting)).toBe('5 bytes');
    expect(await through(['abc', 'de'], counting, upper)).toBe('5 BYTES');
  });

  test('whatever holds bytes is taken, however nested', async () => {
    const gives = [
      'text',
      new Uint8Array([65]).buffer,
      new DataView(new Uint8Array([66]).buffer),
      [['C'], new Set(['D'])],
      (async function* () {
        yield 'E';
      })(),
      [],
    ];
    expect(await through(['x'], (batch: unknown) => (batch === null ? null : gives))).toBe('textABCDE');
  });

  test('what throws, or gives what holds no bytes, detaches the stream and aborts its signal', async () => {
    for (const [give, expected] of [
      [() => Promise.reject(reason), reason],
      [() => 5, { code: 'ERR_FANPIPE_INVALID_CHUNK', value: 5 }],
      [() => undefined, { code: 'ERR_FANPIPE_INVALID_CHUNK' }],
    ] as const) {
      const writer = new ByteWriter();
      let seen: AbortSignal | undefined;
      const batches = fanOutOf(writer).push((_: unknown, { signal }: { signal: AbortSignal }) => {
        seen = signal;
        return give();
      });
      writer.writeSync('a');
      const error = await rejection(batches.next());
      if (expected === reason) expect(error).toBe(reason);
      else expect(error).toMatchObject(expected);
      expect(seen?.reason).toBe(error);
      expect(writer.streamCount).toBe(0);
    }
  });

  test('FAIL: the reason of the writer passes unchanged', async () => {
    const writer = new ByteWriter();
    const batches = fanOutOf(writer).push(upper);
    writer.fail(reason);
    expect(await rejection(batches.next())).toBe(reason);
  });

  test('DETACH: return() and throw() settle a read that waits, and abort the signal', async () => {
    for (const leave of ['return', 'throw'] as const) {
      const writer = new ByteWriter();
      let seen: AbortSignal | undefined;
      const batches = fanOutOf(writer).push((batch: unknown, { signal }: { signal: AbortSignal }) => {
        seen = signal;
        return batch;
      });
      writer.writeSync('a');
      await batches.next();
      const waiting = rejection(batches.next());
      const left = (leave === 'throw' ? batches.throw?.(reason) : batches.return?.()) as Promise<unknown>;
      if (leave === 'return') expect(await left).toEqual({ value: undefined, done: true });
      else expect(await rejection(left)).toBe(reason);
      expect(await waiting).toMatchObject({ code: 'ERR_FANPIPE_CANCELLED' });
      expect(seen?.aborted).toBe(true);
      expect(writer.streamCount).toBe(0);
      expect(batches[Symbol.asyncIterator]()).toBe(batches);
    }
  });
});
