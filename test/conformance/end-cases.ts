/** How streams and writers end, and what one stream has to do with another. */
import { ByteWriter } from 'fanpipe';
import { equal, isSettled, ok, rejects, same, sameText, throws } from './assert.ts';
import { chunksOf } from './bytes.ts';
import { test, testWith } from './case.ts';
import type { Case } from './harness.ts';

export const endCases: readonly Case[] = [
  test('END: close is idempotent, streams drain and complete, later writes are refused', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    const parked = writer.stream()[Symbol.asyncIterator]();
    const first = parked.next();
    const second = parked.next();
    writer.writeSync('last');
    writer.close();
    writer.close();
    equal(writer.state, 'closed', 'state');
    same(await chunksOf(stream), ['last'], 'drained');
    sameText((await first).value, 'last', 'the parked next');
    equal((await second).done, true, 'the next one');
    await rejects(writer.write('x'), 'ERR_FANPIPE_WRITER_ENDED', 'write');
    equal(writer.writeSync('x'), false, 'writeSync');
    equal(await writer.end(), 4, 'end()');
    equal(writer.bytesWritten, 4, 'nothing was taken');
    equal(writer.streamCount, 0, 'no stream is left');
  }),

  test('FAIL: every stream gets all bytes written before, then the reason unchanged', async () => {
    const reason = { odd: 'no error at all' };
    const writer = new ByteWriter({ replay: 'all' });
    const behind = writer.stream();
    const parked = writer.stream()[Symbol.asyncIterator]();
    const early = [parked.next(), parked.next()] as const;
    writer.writeSync('before');
    writer.fail(reason);
    equal(writer.state, 'failed', 'state');
    const late = writer.stream({ from: 'start' });
    sameText((await early[0]).value, 'before', 'the parked next');
    await rejects(early[1], reason, 'the one behind it');
    for (const stream of [behind, late]) {
      const iterator = stream[Symbol.asyncIterator]();
      sameText((await iterator.next()).value, 'before', 'bytes first');
      await rejects(iterator.next(), reason, 'then the reason');
    }
    await rejects(writer.write('x'), 'ERR_FANPIPE_WRITER_ENDED', 'write');
  }),

  test('FAIL: without a reason it is a typed error, and never a clean end', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    const other = writer.stream();
    writer.fail(undefined);
    writer.close();
    equal(writer.state, 'failed', 'a close after it changes nothing');
    await rejects(chunksOf(stream), 'ERR_FANPIPE_WRITER_FAILED', 'the loop');
    throws(() => other.read(), 'ERR_FANPIPE_WRITER_FAILED', 'read()');
  }),

  test('DETACH: break, a throwing body, return and cancel each detach that stream alone', async () => {
    const writer = new ByteWriter();
    const survivor = writer.stream();
    const loops = [writer.stream(), writer.stream()];
    writer.writev(['a', 'b']);
    for await (const _ of loops[0] as (typeof loops)[0] & object) break;
    const thrown = new Error('in the body');
    const throwing = (async () => {
      for await (const _ of loops[1] as (typeof loops)[1] & object) throw thrown;
    })();
    await rejects(throwing, thrown, 'the loop');
    equal(writer.streamCount, 1, 'two have left');
    const parked = [writer.stream(), writer.stream()].map((stream) => {
      const iterator = stream[Symbol.asyncIterator]();
      return { stream, iterator, next: [iterator.next(), iterator.next()] };
    });
    parked[0]?.stream.cancel('enough');
    void parked[1]?.iterator.return?.();
    for (const { next } of parked) {
      for (const each of next) {
        ok(await isSettled(each), 'settles at once');
        equal((await each).done, true, 'as done');
      }
    }
    equal(writer.streamCount, 1, 'these have left too');
    writer.close();
    same(await chunksOf(survivor), ['a', 'b'], 'the survivor');
  }),

  test('DETACH: an abort settles the parked next and detaches', async () => {
    const writer = new ByteWriter();
    const controller = new AbortController();
    const stream = writer.stream({ signal: controller.signal });
    const other = writer.stream();
    const next = stream[Symbol.asyncIterator]().next();
    controller.abort(new Error('stop'));
    ok(await isSettled(next), 'settles at once');
    await rejects(next, controller.signal.reason, 'with the reason');
    equal(writer.streamCount, 1, 'streamCount');
    writer.writeSync('on');
    sameText(other.read(), 'on', 'the other stream');
  }),

  test('ALONE: a stream that nobody reads delays neither the others nor the writer', async () => {
    const writer = new ByteWriter();
    const asleep = writer.stream();
    const awake = chunksOf(writer.stream());
    for (let i = 0; i < 100; i++) {
      const write = writer.write(`${i}`);
      ok(await isSettled(write), 'write');
    }
    writer.close();
    equal((await awake).length, 100, 'the reader is done');
    equal(asleep.lag, 190, 'the sleeper can still read it all');
    equal((await asleep.text()).length, 190, 'and does');
  }),

  test('NEXT: several next() settle in order; a stream has one iterator, read() may be mixed in', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    const iterator = stream[Symbol.asyncIterator]();
    const nexts = [iterator.next(), iterator.next(), iterator.next()];
    writer.writev(['a', 'b', 'c', 'd']);
    sameText(stream.read(), 'd', 'read() comes after those that wait');
    for (const [index, text] of ['a', 'b', 'c'].entries()) sameText((await nexts[index])?.value, text, 'next');
    const taken = 'ERR_FANPIPE_ITERATOR_TAKEN';
    throws(() => stream[Symbol.asyncIterator](), taken, 'a second loop');
    throws(() => stream.batches()[Symbol.asyncIterator](), taken, 'batches');
    throws(() => stream.readable(), taken, 'readable');
    throws(() => stream.stalledMonitor(), taken, 'a monitor');
    await rejects((async () => await stream.text())(), taken, 'a collector');
    writer.close();
    equal((await iterator.next()).done, true, 'the first goes on');
  }),

  test('flush resolves when all current streams have read what was written so far', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    const other = writer.stream();
    writer.writeSync('x');
    const flushed = writer.flush();
    writer.stream();
    stream.read();
    ok(!(await isSettled(flushed)), 'one has not read');
    other.cancel();
    ok(await isSettled(flushed), 'one has read, one has left, one came later');
    writer.writeSync('y');
    const controller = new AbortController();
    const given = writer.flush({ signal: controller.signal });
    controller.abort(new Error('no time'));
    await rejects(given, controller.signal.reason, 'the wait is given up');
    writer.close();
  }),

  testWith(
    'Symbol.asyncDispose',
    typeof Symbol.asyncDispose === 'symbol',
    'disposing a stream cancels it, disposing a writer ends it',
    async () => {
      const writer = new ByteWriter();
      const stream = writer.stream();
      await (stream as unknown as AsyncDisposable)[Symbol.asyncDispose]();
      equal(writer.streamCount, 0, 'the stream has left');
      await (writer as unknown as AsyncDisposable)[Symbol.asyncDispose]();
      ok(writer.state !== 'open', 'the writer has ended');
    },
  ),
];
