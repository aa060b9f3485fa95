import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import {
  ByteWriter,
  type Clock,
  InvalidArgumentError,
  TypedWriter,
  WriterEndedError,
} from '../../packages/fanpipe/src/index.ts';
import { collect, liveMemory } from '../support/collector.ts';

const MIB = 1024 * 1024;

/** What a call throws. */
function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('It did not throw.');
}

describe('a refusal changes nothing', () => {
  test.each([
    ['a number', 42],
    ['an iterator that is none', { [Symbol.iterator]: 5 }],
    ['null', null],
  ])('CLEAN: from(%s) leaves no listener on the signal', (_, source) => {
    const { signal } = new AbortController();
    for (const Writer of [ByteWriter, TypedWriter]) {
      expect(thrownBy(() => Writer.from(source as never, { signal }))).toBeInstanceOf(InvalidArgumentError);
    }
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test('a monitor with bad options does not use the iterator up', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    expect(thrownBy(() => stream.stalledMonitor({ clock: 5 as unknown as Clock }))).toBeInstanceOf(
      InvalidArgumentError,
    );
    writer.write('still here');
    writer.close();
    expect(await stream.text()).toBe('still here');
  });

  test('END: an option whose getter closes the writer gets its write refused', async () => {
    const writer = new ByteWriter({ replay: 'all' });
    const closing = {
      get copy(): boolean {
        writer.close();
        return true;
      },
    };
    await expect(writer.write('late', closing)).rejects.toBeInstanceOf(WriterEndedError);
    expect(writer.writeSync('late', closing)).toBe(false);
    await expect(writer.writev(['late'], closing)).rejects.toBeInstanceOf(WriterEndedError);
    expect(writer.writevSync(['late'], closing)).toBe(false);
    expect(writer.bytesWritten).toBe(0);
  });

  test('what only looks like a signal, and options that are no object', () => {
    const writer = new ByteWriter();
    const lookalike = { aborted: false, addEventListener: 5 } as unknown as AbortSignal;
    expect(thrownBy(() => writer.stream({ signal: lookalike }))).toBeInstanceOf(InvalidArgumentError);
    expect(thrownBy(() => writer.stream(null as never))).toBeInstanceOf(InvalidArgumentError);
    expect(thrownBy(() => new ByteWriter(null as never))).toBeInstanceOf(InvalidArgumentError);
    expect(thrownBy(() => new TypedWriter(null as never))).toBeInstanceOf(InvalidArgumentError);
    expect(writer.streamCount).toBe(0);
  });
});

describe('what readers share', () => {
  test('ORD: a reader cannot change the result of another, waiting or found', async () => {
    const writer = new TypedWriter<string>();
    const [left, right] = [writer.stream(), writer.stream()].map((stream) => stream[Symbol.asyncIterator]());
    for (const parks of [true, false]) {
      if (!parks) writer.write('value');
      const reads = [left?.next(), right?.next()];
      if (parks) writer.write('value');
      const [mine, other] = await Promise.all(reads);
      expect(() => Object.assign(mine as object, { value: 'changed' })).toThrow(TypeError);
      expect(other?.value).toBe('value');
    }
  });

  test('END: nobody can turn the end of another stream into something else', async () => {
    const writer = new ByteWriter();
    const iterator = writer.stream()[Symbol.asyncIterator]();
    writer.close();
    const end = await iterator.next();
    expect(() => Object.assign(end, { done: false })).toThrow(TypeError);
  });

  test('BOUND: a chunk that all have read is let go, however they read it', async () => {
    const { buffers: before } = await liveMemory();
    const writer = new ByteWriter();
    const one = writer.stream()[Symbol.asyncIterator]();
    const two = writer.stream({ signal: new AbortController().signal }).batches();
    writer.write(new Uint8Array(32 * MIB), { copy: false });
    await one.next();
    await two.next();
    const { buffers } = await liveMemory();
    expect(buffers - before).toBeLessThan(MIB);
    expect(writer.streamCount).toBe(2);
    await Promise.all([one.return?.(), two.return?.()]);
  });
});

describe('a flush that goes on', () => {
  test('BOUND: it holds nothing of what is written after it', async () => {
    const { buffers: before } = await liveMemory();
    const writer = new ByteWriter();
    const stuck = writer.stream({ overflow: 'drop-newest', highWaterMark: 1024 });
    await writer.write(new Uint8Array(4096));
    let isFlushed = false;
    const flushed = writer.flush().then(() => {
      isFlushed = true;
    });
    for (let i = 0; i < 64; i++) await writer.write(new Uint8Array(MIB));
    const { buffers } = await liveMemory();
    expect(buffers - before).toBeLessThan(2 * MIB);
    expect(isFlushed).toBe(false);
    stuck.read();
    await flushed;
  });
});

describe('limits', () => {
  test('a collector refuses what is beyond its limit before it decodes it', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    const chunk = new Uint8Array(MIB).fill(0x61);
    // More than the longest string there can be.
    for (let i = 0; i < 600; i++) writer.write(chunk, { copy: false });
    writer.close();
    await expect(stream.text({ limit: 10 })).rejects.toMatchObject({ code: 'ERR_FANPIPE_LIMIT_EXCEEDED', limit: 10 });
  });
});

describe('a writer that is dropped without an end', () => {
  test('GONE CLEAN: a signal that lives on does not hold it', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    (() => {
      for (let i = 0; i < 20; i++) {
        const writer = new ByteWriter({ replay: 'all', signal });
        writer.write(new Uint8Array(MIB));
      }
    })();
    for (let i = 0; i < 50 && getEventListeners(signal, 'abort').length > 0; i++) await collect();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test('FAIL: the abort still reaches its streams', async () => {
    const controller = new AbortController();
    const open = (): AsyncIterator<Uint8Array> =>
      new ByteWriter({ signal: controller.signal }).stream()[Symbol.asyncIterator]();
    const reader = open();
    const read = reader.next();
    await collect();
    const reason = new Error('stop');
    controller.abort(reason);
    await expect(read).rejects.toBe(reason);
  });
});
