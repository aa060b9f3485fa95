/** What keeps memory and handles within bounds: policies, backpressure, signals, offsets. */
import { ByteWriter, type OverflowPolicy } from 'fanpipe';
import { equal, isSettled, ok, rejects, same, sameText, throws } from './assert.ts';
import { readNow } from './bytes.ts';
import { test } from './case.ts';
import type { Case } from './harness.ts';
import { turn } from './harness.ts';

/** A signal that counts its abort listeners. */
function countedSignal(): { controller: AbortController; signal: AbortSignal; listeners: () => number } {
  const controller = new AbortController();
  const { signal } = controller;
  let count = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  Object.defineProperty(signal, 'addEventListener', {
    value: (...args: Parameters<typeof add>) => {
      count++;
      add(...args);
    },
  });
  Object.defineProperty(signal, 'removeEventListener', {
    value: (...args: Parameters<typeof remove>) => {
      count--;
      remove(...args);
    },
  });
  return { controller, signal, listeners: () => count };
}

export const limitCases: readonly Case[] = [
  test('POLICY block: write waits while the lag exceeds the mark, and wakes when it does not', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream({ highWaterMark: 4, overflow: 'block' });
    ok(await isSettled(writer.write('1234')), 'at the mark it does not wait');
    equal(writer.desiredSize, 0, 'desiredSize');
    const write = writer.write('5');
    ok(!(await isSettled(write)), 'beyond the mark it waits');
    equal(stream.lag, 5, 'the bytes are there already');
    equal(writer.writeSync('6'), false, 'writeSync refuses');
    equal(writer.bytesWritten, 5, 'and takes nothing');
    stream.read();
    ok(await isSettled(write), 'it wakes');
    equal(writer.writeSync('6'), true, 'writeSync takes again');
    equal(readNow(stream), '56', 'nothing is lost');
    equal(stream.missed, 0, 'missed');
  }),

  test('POLICY block: a stream that leaves wakes the writer', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream({ highWaterMark: 0, overflow: 'block' });
    const write = writer.write('x');
    ok(!(await isSettled(write)), 'waits');
    stream.cancel();
    ok(await isSettled(write), 'wakes');
    equal(await write, undefined, 'resolves');
  }),

  test('POLICY drop-oldest: keeps exactly the newest mark bytes', () => {
    const writer = new ByteWriter();
    const stream = writer.stream({ highWaterMark: 5, overflow: 'drop-oldest' });
    writer.writev(['abc', 'def', 'ghi']);
    equal(stream.lag, 5, 'lag');
    equal(stream.missed, 4, 'missed');
    equal(stream.position, 4, 'position');
    equal(readNow(stream), 'efghi', 'bytes');
    writer.writeSync('0123456789');
    equal(readNow(stream), '56789', 'one write beyond the mark');
    equal(stream.missed, 9, 'missed in all');
  }),

  test('POLICY drop-newest: keeps the oldest mark bytes and takes nothing more until these are read', () => {
    const writer = new ByteWriter();
    const stream = writer.stream({ highWaterMark: 5, overflow: 'drop-newest' });
    writer.writev(['abc', 'def', 'ghi']);
    equal(stream.lag, 5, 'lag');
    equal(stream.missed, 4, 'missed');
    sameText(stream.read(), 'abc', 'first');
    writer.writeSync('jkl');
    equal(stream.missed, 7, 'still full: two kept bytes are unread');
    sameText(stream.read(), 'de', 'the rest of what was kept');
    writer.writeSync('mno');
    equal(readNow(stream), 'mno', 'it takes again');
    equal(stream.missed, 7, 'missed in all');
  }),

  test('POLICY disconnect: rejects at once with the amount, and frees the backlog', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream({ highWaterMark: 5, overflow: 'disconnect' });
    writer.writev(['abc', 'de']);
    equal(writer.streamCount, 1, 'at the mark it stays');
    writer.writeSync('f');
    equal(writer.streamCount, 0, 'beyond it is gone');
    const next = stream[Symbol.asyncIterator]().next();
    await rejects(next, 'ERR_FANPIPE_DISCONNECTED', 'next');
    await next.catch((error: { missed?: number; highWaterMark?: number; position?: number }) => {
      same([error.missed, error.highWaterMark, error.position], [6, 5, 0], 'the amount, the mark, the position');
    });
    same([stream.missed, stream.lag], [6, 0], 'the counters');
  }),

  test('POLICY: belongs to each stream, so four kinds share one writer', async () => {
    const writer = new ByteWriter();
    const open = (overflow: OverflowPolicy) => writer.stream({ highWaterMark: 3, overflow });
    const [block, oldest, newest] = (['block', 'drop-oldest', 'drop-newest'] as const).map(open);
    const cut = open('disconnect');
    const plain = writer.stream();
    const write = writer.write('abcde');
    ok(!(await isSettled(write)), 'the blocking one holds the writer');
    equal(readNow(block as typeof plain), 'abcde', 'block');
    await write;
    equal(readNow(oldest as typeof plain), 'cde', 'drop-oldest');
    equal(readNow(newest as typeof plain), 'abc', 'drop-newest');
    throws(() => cut.read(), 'ERR_FANPIPE_DISCONNECTED', 'disconnect');
    equal(readNow(plain), 'abcde', 'none');
  }),

  test('BOUND: what a sleeping reader can still read never exceeds its mark', () => {
    const writer = new ByteWriter();
    const sleepers = (['drop-oldest', 'drop-newest'] as const).map((overflow) =>
      writer.stream({ highWaterMark: 1000, overflow }),
    );
    const chunk = new Uint8Array(64);
    for (let i = 0; i < 5000; i++) {
      writer.writeSync(chunk);
      for (const stream of sleepers) {
        ok(stream.lag <= 1000, `a lag of ${stream.lag}`);
        equal(stream.lag + stream.missed, writer.bytesWritten, 'and nothing is unaccounted for');
      }
    }
  }),

  test('LOSS: onMissed tells exactly what was missed, in a microtask when the reader crosses the gap', async () => {
    const writer = new ByteWriter();
    const told: number[] = [];
    const stream = writer.stream({
      highWaterMark: 3,
      overflow: 'drop-oldest',
      onMissed: (missed) => void told.push(missed),
    });
    writer.writev(['abc', 'de']);
    await turn();
    same(told, [], 'not before the reader gets there');
    sameText(stream.read(), 'c', 'the oldest that is left');
    same(told, [], 'never within read');
    await undefined;
    same(told, [2], 'in a microtask');
    equal(readNow(stream), 'de', 'the rest');
    writer.writeSync('vwxyz');
    equal(readNow(stream), 'xyz', 'after another gap');
    await undefined;
    same(told, [2, 2], 'each gap is told once');
    equal(stream.missed, 4, 'missed counts them all');
  }),

  test('LOSS: an onMissed that throws is a typed error of that stream alone', async () => {
    const writer = new ByteWriter();
    const boom = new Error('boom');
    const stream = writer.stream({
      highWaterMark: 1,
      overflow: 'drop-oldest',
      onMissed: () => {
        throw boom;
      },
    });
    const other = writer.stream();
    writer.writeSync('ab');
    sameText(stream.read(), 'b', 'read');
    await turn();
    throws(() => stream.read(), 'ERR_FANPIPE_CALLBACK', 'the next read');
    writer.writeSync('c');
    equal(readNow(stream), 'c', 'nothing is lost by it');
    equal(readNow(other), 'abc', 'the other stream');
  }),

  test('WAIT: an aborted signal takes nothing; a later abort rejects only the wait', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream({ highWaterMark: 1, overflow: 'block' });
    const early = AbortSignal.abort(new Error('early'));
    await rejects(writer.write('no', { signal: early }), early.reason, 'aborted before');
    equal(writer.bytesWritten, 0, 'nothing was taken');
    const controller = new AbortController();
    const write = writer.write('yes', { signal: controller.signal });
    controller.abort(new Error('late'));
    await rejects(write, controller.signal.reason, 'aborted later');
    equal(readNow(stream), 'yes', 'the bytes were taken');
  }),

  test('CLEAN: one listener per signal however many streams use it, none left behind', async () => {
    const { controller, signal, listeners } = countedSignal();
    const writer = new ByteWriter();
    const streams = Array.from({ length: 50 }, () => writer.stream({ signal }));
    equal(listeners(), 1, 'for 50 streams');
    for (const stream of streams) stream.cancel();
    equal(listeners(), 0, 'when all have left');
    const blocking = writer.stream({ highWaterMark: 0, overflow: 'block' });
    const write = writer.write('x', { signal });
    const flush = writer.flush({ signal });
    equal(listeners(), 1, 'for a write and a flush');
    readNow(blocking);
    await write;
    await flush;
    equal(listeners(), 0, 'when both are done');
    writer.stream({ signal });
    writer.close();
    controller.abort();
  }),

  test('CLEAN: no unhandled rejection, whoever is not looking', async () => {
    const writer = new ByteWriter({ replay: 'all' });
    const streams = Array.from({ length: 4 }, () => writer.stream());
    streams[0]?.[Symbol.asyncIterator]();
    streams[1]?.batches();
    streams[2]?.readable();
    streams[3]?.stalledMonitor();
    writer.stream({ highWaterMark: 1, overflow: 'disconnect' });
    writer.stream({ signal: AbortSignal.abort() });
    const aborted = new AbortController();
    writer.stream({ signal: aborted.signal }).readable();
    writer.writeSync('abc');
    aborted.abort();
    writer.fail(new Error('nobody looks'));
    writer.stream();
    // The harness fails a case during which a rejection goes unhandled.
    await turn();
  }),

  test('a mark, a policy or a limit of the wrong kind is refused', () => {
    const writer = new ByteWriter();
    const wrong = 'ERR_FANPIPE_INVALID_ARGUMENT';
    for (const highWaterMark of [-1, 1.5, Number.NaN, '5' as never]) {
      throws(() => writer.stream({ highWaterMark, overflow: 'block' }), wrong, `a mark of ${highWaterMark}`);
    }
    throws(() => writer.stream({ highWaterMark: 5, overflow: 'explode' as never }), wrong, 'an unknown policy');
    throws(() => new ByteWriter({ replay: -1 }), wrong, 'a negative replay');
    throws(() => new ByteWriter({ offset: 0.5 }), wrong, 'a fractional offset');
    equal(writer.streamCount, 0, 'no stream was opened');
  }),

  test('SAFE: passing 2^53 is an error, never a wrap', async () => {
    const writer = new ByteWriter({ offset: Number.MAX_SAFE_INTEGER - 3 });
    const stream = writer.stream();
    writer.writeSync('abc');
    await rejects(writer.write('d'), 'ERR_FANPIPE_OFFSET_OVERFLOW', 'one too many');
    throws(() => writer.writeSync('d'), 'ERR_FANPIPE_OFFSET_OVERFLOW', 'writeSync');
    equal(stream.position + stream.lag, Number.MAX_SAFE_INTEGER, 'the tail');
    writer.close();
    equal(await stream.text(), 'abc', 'what was taken is delivered');
  }),
];
