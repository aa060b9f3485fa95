/**
 * Whatever is refused is refused with a typed error whose code is stable and whose message names the value and what was
 * expected; nothing is lost or changed by it, and everything goes on.
 */

import { describe, expect, test } from 'vitest';
import type { ByteStream } from '../../packages/fanpipe/src/core/byte-stream.ts';
import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import type { TypedStream } from '../../packages/fanpipe/src/core/typed-stream.ts';
import { TypedWriter } from '../../packages/fanpipe/src/core/typed-writer.ts';
import { FanpipeError, type FanpipeErrorCode } from '../../packages/fanpipe/src/errors.ts';

interface Refusal {
  readonly code: FanpipeErrorCode;
  /** What the message must hold: the value, and what was expected. */
  readonly names: readonly (string | RegExp)[];
}

function expectRefusal(error: unknown, { code, names }: Refusal): void {
  expect(error).toBeInstanceOf(FanpipeError);
  expect(error).toBeInstanceOf(Error);
  expect((error as FanpipeError).code).toBe(code);
  // The name says the class, and a stack trace begins with it.
  expect((error as Error).name).toMatch(/Error$/);
  expect((error as Error).name).not.toBe('Error');
  for (const name of names) expect((error as Error).message).toMatch(name);
}

function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('it was not refused');
}

/** A writer of bytes with streams of every kind, some of which wait, and a check that nothing has changed. */
function scene(): { writer: ByteWriter; unchanged: (goOn?: boolean) => Promise<void> } {
  const writer = new ByteWriter({ replay: 4, offset: 100 });
  writer.writeSync('0123456789');
  const reader = writer.stream();
  const parked = writer.stream()[Symbol.asyncIterator]().next();
  const lagging = writer.stream({ from: 'start', overflow: 'drop-oldest', highWaterMark: 4 });
  const bounded = writer.stream({ highWaterMark: 5 });
  const streams = [reader, lagging, bounded];
  const counters = (): unknown[] => [
    writer.bytesWritten,
    writer.streamCount,
    writer.desiredSize,
    writer.state,
    ...streams.flatMap(({ position, lag, missed }) => [position, lag, missed]),
  ];
  const before = counters();
  return {
    writer,
    unchanged: async (goOn = true) => {
      expect(counters()).toEqual(before);
      if (!goOn) return;
      // It goes on as if nothing had been.
      expect(writer.writeSync('ok')).toBe(true);
      for (const stream of [reader, bounded]) expect(Buffer.from(stream.read() as Uint8Array).toString()).toBe('ok');
      expect(Buffer.from((await parked).value as Uint8Array).toString()).toBe('ok');
      expect([lagging.missed, lagging.lag]).toEqual([2, 4]);
      expect(Buffer.from(lagging.read() as Uint8Array).toString()).toBe('89');
      expect(writer.bytesWritten).toBe(12);
      for (const stream of streams) stream.cancel();
    },
  };
}

describe('bad input: chunks', () => {
  const detached = (make: (buffer: ArrayBuffer) => unknown, offset = 0): unknown => {
    const buffer = new ArrayBuffer(16 + offset);
    const chunk = make(buffer);
    structuredClone(buffer, { transfer: [buffer] });
    return chunk;
  };
  const invalid: Record<string, [unknown, string]> = {
    null: [null, 'got null'],
    undefined: [undefined, 'got undefined'],
    'a number': [42, 'got 42'],
    NaN: [Number.NaN, 'got NaN'],
    'minus zero': [-0, 'got -0'],
    'a bigint': [7n, 'got 7n'],
    'a boolean': [true, 'got true'],
    'a symbol': [Symbol('tag'), 'got Symbol(tag)'],
    'a function': [function named() {}, 'got function named'],
    'an anonymous function': [() => {}, 'got function'],
    'a plain object': [{ length: 3 }, 'got an instance of Object'],
    'an object without prototype': [Object.create(null), 'got an instance of Object'],
    'an array of numbers': [[1, 2, 3], 'got an instance of Array'],
    'a Promise': [Promise.resolve('x'), 'got an instance of Promise'],
    'a boxed string': [new String('x'), 'got an instance of String'],
    'a Blob': [new Blob(['x']), 'got an instance of Blob'],
    'an object with the prototype of a Uint8Array': [
      Object.create(Uint8Array.prototype),
      'got an instance of Uint8Array',
    ],
    'a proxy of a Uint8Array': [new Proxy(new Uint8Array(3), {}), 'got an instance of Uint8Array'],
    'an object tagged as an ArrayBuffer': [
      { [Symbol.toStringTag]: 'ArrayBuffer', length: 3 },
      'got an instance of Object',
    ],
    'an object that throws when it is looked at': [
      new Proxy(
        {},
        {
          get: () => {
            throw new Error('do not look');
          },
          getPrototypeOf: () => {
            throw new Error('do not look');
          },
        },
      ),
      'got an object',
    ],
  };
  const gone: Record<string, () => unknown> = {
    'a Uint8Array': () => detached((buffer) => new Uint8Array(buffer)),
    'a Uint8Array with an offset': () => detached((buffer) => new Uint8Array(buffer, 4, 8)),
    'a Buffer': () => detached((buffer) => Buffer.from(buffer)),
    'an Int16Array': () => detached((buffer) => new Int16Array(buffer)),
    'a DataView': () => detached((buffer) => new DataView(buffer, 2)),
    'an ArrayBuffer': () => detached((buffer) => buffer),
    'what a message port took': () => {
      const chunk = new Uint8Array(8);
      const { port1, port2 } = new MessageChannel();
      port1.postMessage(chunk, [chunk.buffer]);
      port1.close();
      port2.close();
      return chunk;
    },
  };
  const cases: [string, () => unknown, Refusal][] = [
    ...Object.entries(invalid).map(([name, [value, got]]): [string, () => unknown, Refusal] => [
      name,
      () => value,
      { code: 'ERR_FANPIPE_INVALID_CHUNK', names: [got, 'must be a Uint8Array', 'Nothing was written'] },
    ]),
    ...Object.entries(gone).map(([name, make]): [string, () => unknown, Refusal] => [
      `${name}, detached`,
      make,
      { code: 'ERR_FANPIPE_DETACHED_BUFFER', names: ['an instance of', 'detached', 'Nothing was written'] },
    ]),
  ];
  for (const [name, make, refusal] of cases) {
    test(`COUNT ACC: a chunk that is ${name} is refused by every way to write`, async () => {
      const { writer, unchanged } = scene();
      const chunk = make() as Uint8Array;
      for (const copy of [true, false]) {
        expectRefusal(await writer.write(chunk, { copy }).catch((error) => error), refusal);
        expectRefusal(
          thrownBy(() => writer.writeSync(chunk, { copy })),
          refusal,
        );
        // All or nothing, wherever it stands.
        for (const chunks of [[chunk], ['good', chunk], [chunk, 'good'], ['good', chunk, new Uint8Array(9000)]]) {
          expectRefusal(await writer.writev(chunks, { copy }).catch((error) => error), refusal);
          expectRefusal(
            thrownBy(() => writer.writevSync(chunks, { copy })),
            refusal,
          );
        }
      }
      await unchanged();
    });
  }

  test('COUNT ACC: a chunk that goes while the others are still handed over takes all of them along', async () => {
    const { writer, unchanged } = scene();
    const chunk = new Uint8Array(9000);
    function* chunks(): Generator<Uint8Array | string> {
      yield 'good';
      yield chunk;
      structuredClone(chunk, { transfer: [chunk.buffer] });
      yield 'good too';
    }
    const error = await writer.writev(chunks()).catch((reason) => reason);
    expectRefusal(error, { code: 'ERR_FANPIPE_DETACHED_BUFFER', names: ['Uint8Array'] });
    await unchanged();
  });

  test('COUNT ACC: chunks that cannot be iterated, or throw while they are', async () => {
    const { writer, unchanged } = scene();
    const refusal: Refusal = { code: 'ERR_FANPIPE_INVALID_ARGUMENT', names: ['chunks must be an iterable', 'got'] };
    for (const bad of [undefined, null, 5, 'characters', {}, Promise.resolve([])] as never[]) {
      expectRefusal(await writer.writev(bad).catch((error) => error), refusal);
      expectRefusal(
        thrownBy(() => writer.writevSync(bad)),
        refusal,
      );
    }
    const reason = new Error('their own');
    function* throws(): Generator<string> {
      yield 'good';
      throw reason;
    }
    await expect(writer.writev(throws())).rejects.toBe(reason);
    expect(thrownBy(() => writer.writevSync(throws()))).toBe(reason);
    const values = new TypedWriter<number>();
    expectRefusal(await values.writev(5 as never).catch((error) => error), {
      ...refusal,
      names: ['values must be', '5'],
    });
    expect(values.valuesWritten).toBe(0);
    await unchanged();
  });
});

describe('bad input: options of a stream', () => {
  const code = 'ERR_FANPIPE_INVALID_ARGUMENT';
  const amount = 'a whole number from 0';
  const cases: [string, Record<string, unknown>, Refusal][] = [
    ...([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '5', null, 5n, {}] as const).map(
      (mark): [string, Record<string, unknown>, Refusal] => [
        `the mark ${typeof mark === 'object' ? JSON.stringify(mark) : `${typeof mark} ${mark}`}`,
        { highWaterMark: mark },
        { code, names: ['highWaterMark must be', amount, typeof mark === 'object' ? 'got' : `${mark}`] },
      ],
    ),
    ...['drop', 'BLOCK', '', null, 0, ['block'], 'constructor'].map(
      (overflow): [string, Record<string, unknown>, Refusal] => [
        `the policy ${JSON.stringify(overflow)}`,
        { overflow },
        { code, names: ['overflow must be one of', "'block', 'drop-oldest', 'drop-newest', 'disconnect'", 'got'] },
      ],
    ),
    ...[-1, 1.5, Number.NaN, 2 ** 53, '105', 'end', null, true, () => 0].map(
      (from): [string, Record<string, unknown>, Refusal] => [
        `the start ${String(from)} (${typeof from})`,
        { from },
        { code, names: ["from must be 'now', 'start', an offset", 'got'] },
      ],
    ),
    ...[{}, { last: -1 }, { last: 1.5 }, { last: '3' }, { first: 3 }, [3]].map(
      (from): [string, Record<string, unknown>, Refusal] => [
        `the start ${JSON.stringify(from)}`,
        { from },
        { code, names: ['from.last must be', amount] },
      ],
    ),
    [
      'a start that is evicted',
      { from: 105 },
      { code: 'ERR_FANPIPE_OFFSET_EVICTED', names: ['Offset 105 is no longer', '106', 'No stream was opened'] },
    ],
    ['a start before the origin', { from: 99 }, { code: 'ERR_FANPIPE_OFFSET_EVICTED', names: ['Offset 99', '106'] }],
    [
      'a start that is not written',
      { from: 111 },
      { code: 'ERR_FANPIPE_OFFSET_NOT_WRITTEN', names: ['Offset 111 is not written', '110', 'No stream was opened'] },
    ],
    ['a signal that is none', { signal: {} }, { code, names: ['signal must be an AbortSignal', 'Object'] }],
    ['null for a signal', { signal: null }, { code, names: ['signal must be an AbortSignal', 'null'] }],
    ['a callback that is none', { onMissed: 'log' }, { code, names: ['onMissed must be a function', '"log"'] }],
  ];
  for (const [name, options, refusal] of cases) {
    test(`START POLICY: ${name} is refused`, async () => {
      const { writer, unchanged } = scene();
      expectRefusal(
        thrownBy(() => writer.stream(options)),
        refusal,
      );
      // Together with good options, whatever their order, nothing of them takes effect either.
      const good = { overflow: 'block', highWaterMark: 0, from: 'start', signal: new AbortController().signal };
      expectRefusal(
        thrownBy(() => writer.stream({ ...good, ...options } as object)),
        refusal,
      );
      await unchanged();
    });
  }

  test('START: an offset inside a record is refused', () => {
    const writer = new TypedWriter<string>({ size: (text) => text.length, replay: 'all' });
    for (const text of ['ab', 'cde', 'f']) writer.writeSync(text);
    for (const from of [1, 3, 4]) {
      const error = thrownBy(() => writer.stream({ from }));
      expectRefusal(error, { code, names: ['from must be an offset at which a record begins', `${from}`] });
    }
    expect([0, 2, 5, 6].map((from) => writer.stream({ from }).lag)).toEqual([6, 4, 1, 0]);
    expect(writer.streamCount).toBe(4);
  });

  test('LOSS: the facts of a refusal are on the error, not only in its message', () => {
    const { writer } = scene();
    expect(thrownBy(() => writer.stream({ from: 105 }))).toMatchObject({ offset: 105, head: 106 });
    expect(thrownBy(() => writer.stream({ from: 111 }))).toMatchObject({ offset: 111, tail: 110 });
    expect(thrownBy(() => writer.stream({ highWaterMark: -3 }))).toMatchObject({
      argument: 'highWaterMark',
      value: -3,
    });
    expect(thrownBy(() => writer.writeSync(42 as never))).toMatchObject({ value: 42 });
  });
});

describe('bad input: options of a writer, and of what waits', () => {
  const code = 'ERR_FANPIPE_INVALID_ARGUMENT';
  test.for([
    [{ replay: -1 }, 'replay must be a whole number from 0'],
    [{ replay: 1.5 }, 'replay'],
    [{ replay: 'some' }, '"some"'],
    [{ replay: Number.POSITIVE_INFINITY }, 'Infinity'],
    [{ offset: -1 }, 'offset must be a whole number from 0'],
    [{ offset: 2 ** 53 }, '9007199254740992'],
    [{ offset: '0' }, '"0"'],
    [{ signal: 'now' }, 'signal must be an AbortSignal'],
  ] as const)('CLEAN: %o is refused', ([options, name]) => {
    for (const Writer of [ByteWriter, TypedWriter]) {
      expectRefusal(
        thrownBy(() => new Writer(options as object)),
        { code, names: [name] },
      );
    }
  });

  test('CLEAN: a size that is no function is refused', () => {
    expectRefusal(
      thrownBy(() => new TypedWriter({ size: 5 as never })),
      { code, names: ['size must be a function', '5'] },
    );
  });

  test('WAIT: a signal that is none is refused before anything is taken', async () => {
    const { writer, unchanged } = scene();
    const options = { signal: { aborted: false } as AbortSignal };
    for (const call of [
      () => writer.write('x', options),
      () => writer.writev(['x'], options),
      () => writer.flush(options),
    ]) {
      expectRefusal(await call().catch((error) => error), { code, names: ['signal must be an AbortSignal'] });
    }
    await unchanged();
  });

  test('NEXT: a bad limit is refused before the iterator is taken', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    for (const limit of [-1, 1.5, Number.NaN, '5' as never]) {
      for (const collect of [() => stream.bytes({ limit }), () => stream.text({ limit })]) {
        expectRefusal(await collect().catch((error) => error), { code, names: ['limit must be', 'a whole number'] });
      }
    }
    const values = new TypedWriter<number>();
    const other = values.stream();
    expectRefusal(await other.array({ limit: -1 }).catch((error) => error), { code, names: ['limit'] });
    writer.writeSync('x');
    writer.close();
    expect(await stream.text()).toBe('x');
    values.close();
    expect(await other.array()).toEqual([]);
  });

  test('CLEAN: a source that is none is refused at once', () => {
    for (const source of [5, null, undefined, {}, true]) {
      expectRefusal(
        thrownBy(() => ByteWriter.from(source as never)),
        { code, names: ['source must be an iterable', 'got'] },
      );
      expectRefusal(
        thrownBy(() => TypedWriter.from(source as never)),
        { code, names: ['source must be'] },
      );
    }
    const locked = new ReadableStream();
    locked.getReader();
    expectRefusal(
      thrownBy(() => ByteWriter.from(locked)),
      { code, names: ['not locked'] },
    );
  });
});

describe('bad input: a write after the end', () => {
  for (const end of ['close', 'fail'] as const) {
    test(`END FAIL COUNT: after ${end}: refused with the state, and the reason as its cause`, async () => {
      for (const writer of [new ByteWriter({ replay: 'all' }), new TypedWriter<string>({ replay: 'all' })]) {
        const late = writer.stream({ from: 'start' }) as ByteStream | TypedStream<string>;
        await (writer as ByteWriter).write('before');
        const reason = new Error('the reason');
        writer[end](reason as never);
        const state = end === 'close' ? 'closed' : 'failed';
        const refusal: Refusal = { code: 'ERR_FANPIPE_WRITER_ENDED', names: [`has ${state}`, 'Nothing was written'] };
        for (const write of [() => writer.write('x' as never), () => writer.writev(['x'] as never)]) {
          const error = await write().catch((refused: unknown) => refused);
          expectRefusal(error, refusal);
          expect(error).toMatchObject({ state, ...(end === 'fail' ? { cause: reason } : {}) });
          if (end === 'close') expect(error).not.toHaveProperty('cause');
        }
        expect(writer.writeSync('x' as never)).toBe(false);
        expect(writer.writevSync(['x'] as never)).toBe(false);
        // What may not be written at all is not looked at any more.
        expect(writer.writeSync(42 as never)).toBe(false);
        expect(late.read()).not.toBe(null);
        expect([late.lag, late.missed]).toEqual([0, 0]);
      }
    });
  }
});

describe('bad input: a second iterator', () => {
  const asks: Record<string, (stream: ByteStream) => unknown> = {
    'for await': (stream) => stream[Symbol.asyncIterator](),
    'batches()': (stream) => stream.batches(),
    'bytes()': (stream) => stream.bytes(),
    'text()': (stream) => stream.text(),
    'readable()': (stream) => stream.readable(),
    'stalledMonitor()': (stream) => stream.stalledMonitor(),
  };
  for (const [first, take] of Object.entries(asks)) {
    test(`NEXT: after ${first} every other is refused, and the first goes on undisturbed`, async () => {
      const writer = new ByteWriter();
      const stream = writer.stream();
      const taken = take(stream);
      for (const [second, ask] of Object.entries(asks)) {
        const refused = await (async () => ask(stream))().catch((error) => error);
        expectRefusal(refused, {
          code: 'ERR_FANPIPE_ITERATOR_TAKEN',
          names: [second, 'taken already', 'goes on undisturbed'],
        });
      }
      expect(writer.streamCount).toBe(1);
      writer.writeSync('still ');
      writer.writeSync('here');
      writer.close();
      let text = '';
      const decode = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
      if (first === 'text()') text = await (taken as Promise<string>);
      else if (first === 'bytes()') text = decode(await (taken as Promise<Uint8Array>));
      else {
        for await (const item of taken as AsyncIterable<Uint8Array | readonly Uint8Array[]>) {
          for (const bytes of item instanceof Uint8Array ? [item] : item) text += decode(bytes);
        }
      }
      expect(text).toBe('still here');
    });
  }

  test('NEXT: typed streams alike', async () => {
    const writer = new TypedWriter<number>();
    const stream = writer.stream();
    const all = stream.array();
    for (const ask of [() => stream[Symbol.asyncIterator](), () => stream.batches(), () => stream.readable()]) {
      expectRefusal(thrownBy(ask), { code: 'ERR_FANPIPE_ITERATOR_TAKEN', names: ['taken already'] });
    }
    expectRefusal(await stream.array().catch((error) => error), {
      code: 'ERR_FANPIPE_ITERATOR_TAKEN',
      names: ['array'],
    });
    await writer.write(1);
    writer.close();
    expect(await all).toEqual([1]);
  });
});

describe('bad input: callbacks', () => {
  test('NOW COUNT: a size that throws, or returns what it must not, refuses the write', async () => {
    const cause = new Error('their own');
    const bad: [() => unknown, RegExp][] = [
      [
        () => {
          throw cause;
        },
        /`size` threw: nothing was written/,
      ],
      ...[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '5', 5n, null, undefined, {}, Symbol('x')].map(
        (size): [() => unknown, RegExp] => [() => size, /`size` must return a whole number from 1, got .+\. Nothing/],
      ),
    ];
    let size: () => unknown = () => 1;
    const writer = new TypedWriter<string>({ size: () => size() as number, replay: 'all' });
    const stream = writer.stream();
    for (const [returns, message] of bad) {
      size = returns;
      const refusal: Refusal = { code: 'ERR_FANPIPE_CALLBACK', names: [message] };
      expectRefusal(await writer.write('x').catch((error) => error), refusal);
      expectRefusal(
        thrownBy(() => writer.writeSync('x')),
        refusal,
      );
      let calls = 0;
      size = () => (++calls === 1 ? 1 : returns());
      expectRefusal(await writer.writev(['good', 'bad']).catch((error) => error), refusal);
      calls = 0;
      expectRefusal(
        thrownBy(() => writer.writevSync(['good', 'bad'])),
        refusal,
      );
    }
    expect(await writer.write('x').catch((error) => error)).toMatchObject({ callback: 'size' });
    size = bad[0]?.[0] as () => unknown;
    expect(await writer.write('x').catch((error) => error)).toMatchObject({ cause });
    expect([writer.valuesWritten, stream.lag, writer.state]).toEqual([0, 0, 'open']);
    size = () => 3;
    await writer.write('good');
    expect([writer.valuesWritten, stream.lag, stream.read()]).toEqual([1, 3, { value: 'good' }]);
  });

  test('LOSS NEXT: an onMissed that throws fails one read, and the stream goes on without loss', async () => {
    const cause = new Error('their own');
    const told: number[] = [];
    const writer = new ByteWriter();
    const stream = writer.stream({
      overflow: 'drop-oldest',
      highWaterMark: 4,
      onMissed: (missed) => {
        told.push(missed);
        throw cause;
      },
    });
    const iterator = stream[Symbol.asyncIterator]();
    for (const reads of ['next', 'read', 'parked'] as const) {
      writer.writeSync('abcdef');
      expect(Buffer.from((await iterator.next()).value as Uint8Array).toString()).toBe('cdef');
      const parked = reads === 'parked' ? iterator.next() : undefined;
      if (reads !== 'parked') await Promise.resolve();
      const error = await (parked ?? (reads === 'next' ? iterator.next() : (async () => stream.read())())).catch(
        (reason) => reason,
      );
      expectRefusal(error, { code: 'ERR_FANPIPE_CALLBACK', names: ['`onMissed` threw', 'stays attached'] });
      expect(error).toMatchObject({ callback: 'onMissed', cause });
      expect(stream.read()).toBe(undefined);
      expect(writer.streamCount).toBe(1);
    }
    expect(told).toEqual([2, 2, 2]);
    expect([stream.missed, stream.position, stream.lag]).toEqual([6, 18, 0]);
    const next = iterator.next();
    writer.writeSync('on');
    expect(Buffer.from((await next).value as Uint8Array).toString()).toBe('on');
  });

  test('DETACH LOSS: a collector whose onMissed throws rejects, and its stream is detached', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream({
      overflow: 'drop-oldest',
      highWaterMark: 2,
      onMissed: () => {
        throw new Error('their own');
      },
    });
    const text = stream.text();
    writer.writeSync('a');
    writer.writeSync('bcd');
    expectRefusal(await text.catch((error) => error), { code: 'ERR_FANPIPE_CALLBACK', names: ['onMissed'] });
    expect(writer.streamCount).toBe(0);
  });
});

describe('bad input: the errors themselves', () => {
  test('FAIL: codes are distinct, never change, and survive being printed', async () => {
    const errors = await import('../../packages/fanpipe/src/errors.ts');
    const made: FanpipeError[] = [
      new errors.InvalidArgumentError('a', 1, 'b'),
      new errors.InvalidChunkError(1),
      new errors.DetachedBufferError(new Uint8Array(0)),
      new errors.OffsetEvictedError(1, 2),
      new errors.OffsetNotWrittenError(2, 1),
      new errors.OffsetOverflowError(1, 2),
      new errors.WriterEndedError('closed'),
      new errors.WriterFailedError(),
      new errors.IteratorTakenError('x'),
      new errors.DisconnectedError(1, 2, 3),
      new errors.CancelledError(undefined),
      new errors.LimitExceededError(1),
      new errors.CallbackError('x', 'y'),
    ];
    expect(made.map(({ code, name }) => [name, code])).toEqual([
      ['InvalidArgumentError', 'ERR_FANPIPE_INVALID_ARGUMENT'],
      ['InvalidChunkError', 'ERR_FANPIPE_INVALID_CHUNK'],
      ['DetachedBufferError', 'ERR_FANPIPE_DETACHED_BUFFER'],
      ['OffsetEvictedError', 'ERR_FANPIPE_OFFSET_EVICTED'],
      ['OffsetNotWrittenError', 'ERR_FANPIPE_OFFSET_NOT_WRITTEN'],
      ['OffsetOverflowError', 'ERR_FANPIPE_OFFSET_OVERFLOW'],
      ['WriterEndedError', 'ERR_FANPIPE_WRITER_ENDED'],
      ['WriterFailedError', 'ERR_FANPIPE_WRITER_FAILED'],
      ['IteratorTakenError', 'ERR_FANPIPE_ITERATOR_TAKEN'],
      ['DisconnectedError', 'ERR_FANPIPE_DISCONNECTED'],
      ['CancelledError', 'ERR_FANPIPE_CANCELLED'],
      ['LimitExceededError', 'ERR_FANPIPE_LIMIT_EXCEEDED'],
      ['CallbackError', 'ERR_FANPIPE_CALLBACK'],
    ]);
    for (const error of made) {
      expect(error.stack).toContain(`${error.name}: ${error.message}`);
      expect(Object.keys(error)).not.toContain('name');
    }
  });
});
