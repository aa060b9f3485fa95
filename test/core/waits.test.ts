/** WAIT, NEXT and what `flush` waits for, step by step. */

import { describe, expect, test } from 'vitest';
import { cursorOf } from '../../packages/fanpipe/src/core/base-stream.ts';
import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import { OVERFLOW_POLICIES } from '../../packages/fanpipe/src/core/policies.ts';
import { TypedWriter } from '../../packages/fanpipe/src/core/typed-writer.ts';
import { settle } from '../support/fake-clock.ts';

const REASON = new Error('no longer');
const text = (bytes: unknown): string => Buffer.from(bytes as Uint8Array).toString();

/** Whether a promise has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  promise.then(note, note);
  await settle();
  return settled;
}

describe('WAIT: signals of a write', () => {
  test('WAIT: already fired, nothing is taken; fired later, the bytes are taken and only the wait rejects', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream({ highWaterMark: 1 });
    await expect(writer.write('never', { signal: AbortSignal.abort(REASON) })).rejects.toBe(REASON);
    await expect(writer.writev(['never'], { signal: AbortSignal.abort(REASON) })).rejects.toBe(REASON);
    expect(writer.bytesWritten).toBe(0);
    const controller = new AbortController();
    const waits = [
      writer.write('taken', { signal: controller.signal }),
      writer.writev(['also', 'taken'], { signal: controller.signal }),
      writer.write('patient'),
    ];
    controller.abort(REASON);
    for (const wait of waits.slice(0, 2)) await expect(wait).rejects.toBe(REASON);
    expect([writer.bytesWritten, stream.lag, await isSettled(waits[2] as Promise<void>)]).toEqual([21, 21, false]);
    const seen: string[] = [];
    for (let chunk = stream.read(); chunk; chunk = stream.read()) seen.push(text(chunk));
    expect(seen).toEqual(['taken', 'also', 'taken', 'patient']);
    await waits[2];
  });

  test('WAIT: fired when it need not wait: the write is done', async () => {
    const controller = new AbortController();
    const writer = new ByteWriter();
    const written = writer.write('x', { signal: controller.signal });
    controller.abort(REASON);
    await written;
  });

  test('WAIT: fired within the write, by size or by the iterable: taken, and the wait rejects', async () => {
    const controller = new AbortController();
    const writer = new TypedWriter<string>({
      size: () => {
        controller.abort(REASON);
        return 1;
      },
    });
    const stream = writer.stream({ highWaterMark: 0 });
    await expect(writer.write('taken', { signal: controller.signal })).rejects.toBe(REASON);
    expect(stream.read()).toEqual({ value: 'taken' });
    const other = new AbortController();
    function* values(): Generator<string> {
      yield 'a';
      other.abort(REASON);
      yield 'b';
    }
    await expect(writer.writev(values(), { signal: other.signal })).rejects.toBe(REASON);
    expect([stream.read(), stream.read()]).toEqual([{ value: 'a' }, { value: 'b' }]);
  });
});

describe('WAIT: flush', () => {
  test('WAIT: resolves when all that are attached have read what was written so far', async () => {
    const writer = new ByteWriter({ replay: 'all' });
    const streams = [writer.stream(), writer.stream({ highWaterMark: 100 }), writer.stream({ copy: true })];
    await writer.flush();
    for (const chunk of ['ab', 'cd']) writer.writeSync(chunk);
    const flushed = writer.flush();
    // Who comes now, and what is written now, it does not wait for.
    const late = [writer.stream({ from: 'start' }), writer.stream({ from: 3 }), writer.stream()];
    writer.writeSync('ef');
    for (const stream of streams) {
      expect(await isSettled(flushed)).toBe(false);
      stream.read();
      expect(await isSettled(flushed)).toBe(false);
      stream.read();
    }
    await flushed;
    // The next one waits for all.
    const next = writer.flush();
    for (const stream of [...streams, ...late]) {
      expect(await isSettled(next)).toBe(false);
      while (stream.read() instanceof Uint8Array);
    }
    await next;
  });

  test('WAIT LOSS: what is missed counts as passed, at once and by the record', async () => {
    const writer = new TypedWriter<number>({ size: (value) => value });
    const stream = writer.stream({ overflow: 'drop-oldest', highWaterMark: 12 });
    writer.writeSync(12);
    const flushed = writer.flush();
    expect(await isSettled(flushed)).toBe(false);
    // One more takes a part of the record out of the window, and so all of it.
    writer.writeSync(1);
    expect([stream.missed, await isSettled(flushed)]).toEqual([12, true]);
    const bytes = new ByteWriter();
    bytes.stream({ overflow: 'drop-oldest', highWaterMark: 4 });
    bytes.writeSync('abcd');
    const partly = bytes.flush();
    bytes.writeSync('efg');
    expect(await isSettled(partly)).toBe(false);
    bytes.writeSync('h');
    expect(await isSettled(partly)).toBe(true);
  });

  test.for(OVERFLOW_POLICIES)('WAIT DETACH: a stream that goes is not waited for: %s', async (overflow) => {
    for (const leave of ['cancel', 'return', 'abort'] as const) {
      const controller = new AbortController();
      const writer = new ByteWriter();
      const stream = writer.stream({ overflow, highWaterMark: 10, signal: controller.signal });
      writer.writeSync('abc');
      const flushes = [writer.flush(), writer.flush()];
      expect(await isSettled(flushes[0] as Promise<void>)).toBe(false);
      if (leave === 'cancel') stream.cancel();
      else if (leave === 'return') await stream[Symbol.asyncIterator]().return?.();
      else controller.abort();
      await Promise.all(flushes);
    }
  });

  test('WAIT: several at a time, some given up, while the writer goes on', async () => {
    const writer = new ByteWriter();
    const iterator = writer.stream()[Symbol.asyncIterator]();
    const controllers = Array.from({ length: 10 }, () => new AbortController());
    const flushes = controllers.map(({ signal }, i) => {
      writer.writeSync(`${i}`);
      return writer.flush({ signal });
    });
    for (let i = 0; i < 10; i += 2) controllers[i]?.abort(REASON);
    for (let i = 0; i < 10; i += 2) await expect(flushes[i]).rejects.toBe(REASON);
    for (let i = 0; i < 10; i++) {
      expect(text((await iterator.next()).value)).toBe(`${i}`);
      for (let k = 1; k < 10; k += 2) expect(await isSettled(flushes[k] as Promise<void>)).toBe(k <= i);
    }
  });

  test('WAIT COUNT: a stream that was read to its end stays counted as gone, also when it is asked again', async () => {
    const writer = new ByteWriter();
    const [ended, behind] = [writer.stream(), writer.stream()];
    writer.writeSync('x');
    ended.read();
    writer.close();
    expect(ended.read()).toBe(null);
    const flushed = writer.flush();
    for (let i = 0; i < 3; i++) {
      expect(cursorOf(ended).fill(new Uint8Array(4))).toBe(null);
      expect([writer.streamCount, await isSettled(flushed)]).toEqual([1, false]);
    }
    behind.read();
    await flushed;
  });
});

describe('NEXT: several reads at a time', () => {
  test('NEXT: they settle in order: values, then the end', async () => {
    for (const options of [{}, { highWaterMark: 3 }, { copy: true }] as const) {
      const writer = new ByteWriter();
      const iterator = writer.stream(options)[Symbol.asyncIterator]();
      const order: string[] = [];
      for (let i = 0; i < 6; i++) {
        void iterator.next().then(({ value }) => order.push(`${i}:${value === undefined ? 'end' : text(value)}`));
      }
      void writer.writev(['a', 'b']);
      writer.writeSync('c');
      await settle();
      expect(order).toEqual(['0:a', '1:b', '2:c']);
      writer.writeSync('d');
      writer.close();
      await settle();
      expect(order.slice(3)).toEqual(['3:d', '4:end', '5:end']);
    }
  });

  test('NEXT NOW: a read of a batch that is about to wake is not stranded by the next one', async () => {
    const writer = new ByteWriter();
    const batches = writer.stream().batches();
    const first = batches.next();
    writer.writeSync('a');
    writer.writeSync('b');
    const second = batches.next();
    expect(((await first).value as Uint8Array[]).map(text).join('')).toBe('ab');
    writer.writeSync('c');
    expect(((await second).value as Uint8Array[]).map(text).join('')).toBe('c');
  });

  test('NEXT FAIL: a read after the failure does not settle before those that waited for it', async () => {
    const writer = new ByteWriter();
    const iterator = writer.stream()[Symbol.asyncIterator]();
    const order: number[] = [];
    const ask = (i: number): void => void iterator.next().catch(() => order.push(i));
    ask(0);
    ask(1);
    writer.fail(REASON);
    ask(2);
    ask(3);
    await settle();
    expect(order).toEqual([0, 1, 2, 3]);
  });

  test('NEXT: read() may be mixed in: what waits comes first', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    const iterator = stream[Symbol.asyncIterator]();
    expect(stream.read()).toBe(undefined);
    const waiting = [iterator.next(), iterator.next()];
    expect(stream.read()).toBe(undefined);
    void writer.writev(['a', 'b', 'c', 'd']);
    expect(text(stream.read())).toBe('c');
    expect(text((await iterator.next()).value)).toBe('d');
    expect((await Promise.all(waiting)).map(({ value }) => text(value))).toEqual(['a', 'b']);
    const batches = writer.stream();
    const batch = batches.batches().next();
    writer.writeSync('e');
    writer.writeSync('f');
    // What was there when the batch was asked for goes to it.
    expect(batches.read()).toBe(undefined);
    expect(((await batch).value as Uint8Array[]).map(text).join('')).toBe('ef');
  });

  test('NEXT: filling with no room takes nothing, and does not look like the end', () => {
    const writer = new ByteWriter();
    const cursor = cursorOf(writer.stream());
    writer.writeSync('abc');
    writer.close();
    expect(cursor.fill(new Uint8Array(0))).toBe(0);
    const target = new Uint8Array(2);
    expect([cursor.fill(target), text(target), cursor.fill(target), cursor.fill(target)]).toEqual([2, 'ab', 1, null]);
  });
});
