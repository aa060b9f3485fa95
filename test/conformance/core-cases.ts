/** Writing and reading: what is delivered, where a stream starts, and how it all ends. */
import { ByteWriter } from 'fanpipe';
import { equal, isSettled, ok, rejects, same, sameText, throws } from './assert.ts';
import { Checksum, chunksOf, decode, encode, noise, readNow } from './bytes.ts';
import { test, testWith } from './case.ts';
import type { Case } from './harness.ts';

export const coreCases: readonly Case[] = [
  test('ORD: three streams each yield one chunk per write, the same bytes in the same order', async () => {
    const writer = new ByteWriter();
    const readers = [writer.stream(), writer.stream(), writer.stream()].map(chunksOf);
    for (const text of ['Hello, ', 'streaming ', 'world!']) await writer.write(text);
    writer.close();
    for (const chunks of await Promise.all(readers)) same(chunks, ['Hello, ', 'streaming ', 'world!'], 'chunks');
    equal(writer.bytesWritten, 23, 'bytesWritten');
  }),

  test('ORD: batches carry the same bytes, however they are merged', async () => {
    const writer = new ByteWriter();
    const all = (async () => {
      let text = '';
      let wakeUps = 0;
      for await (const batch of writer.stream().batches()) {
        wakeUps++;
        for (const chunk of batch) text += decode(chunk);
      }
      return { text, wakeUps };
    })();
    let expected = '';
    for (let burst = 0; burst < 5; burst++) {
      for (let i = 0; i < 40; i++) {
        writer.writeSync(`${burst}.${i} `);
        expected += `${burst}.${i} `;
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    writer.close();
    const { text, wakeUps } = await all;
    equal(text, expected, 'bytes');
    ok(wakeUps <= 6, `one wake-up per burst, got ${wakeUps} for 5`);
  }),

  test('ORD: a megabyte in odd pieces reaches ten readers byte for byte', async () => {
    const writer = new ByteWriter();
    const data = noise(1 << 20, 42);
    const readers = Array.from({ length: 10 }, async (_, index) => {
      const sum = new Checksum();
      const stream = writer.stream();
      if (index % 2 === 0) for await (const chunk of stream) sum.add(chunk);
      else for await (const batch of stream.batches()) for (const chunk of batch) sum.add(chunk);
      return sum.value;
    });
    for (let at = 0, size = 1; at < data.length; at += size, size = 1 + ((size * 7) % 9973)) {
      await writer.write(data.subarray(at, at + size));
    }
    writer.close();
    const expected = new Checksum();
    expected.add(data);
    for (const value of await Promise.all(readers)) equal(value, expected.value, 'checksum');
  }),

  test('ORD: a thousand parked readers all wake', async () => {
    const writer = new ByteWriter();
    const streams = Array.from({ length: 1000 }, () => writer.stream());
    const parked = streams.map((stream) => stream[Symbol.asyncIterator]().next());
    equal(writer.streamCount, 1000, 'streamCount');
    writer.writeSync('ping');
    for (const { value } of await Promise.all(parked)) sameText(value, 'ping', 'chunk');
    writer.close();
  }),

  test('ACC: delivered + missed + lag = written, at every moment; the counters freeze with the stream', () => {
    const writer = new ByteWriter();
    writer.writeSync('before');
    const stream = writer.stream();
    const start = writer.bytesWritten;
    let delivered = 0;
    const check = () => equal(delivered + stream.missed + stream.lag, writer.bytesWritten - start, 'the sum');
    for (let i = 1; i <= 20; i++) {
      writer.writeSync(new Uint8Array(i));
      check();
      if (i % 3 === 0) delivered += stream.read()?.byteLength ?? 0;
      check();
      equal(stream.position, start + delivered, 'position');
    }
    stream.cancel();
    const frozen = [stream.position, stream.lag, stream.missed];
    writer.writeSync('more');
    same([stream.position, stream.lag, stream.missed], frozen, 'the counters after cancel');
  }),

  test('START: now, start, offset and { last }, while the writer is open', () => {
    const writer = new ByteWriter({ replay: 'all' });
    writer.writev(['abc', 'def', 'ghi']);
    equal(readNow(writer.stream({ from: 'now' })), '', 'now');
    equal(readNow(writer.stream()), '', 'the default');
    equal(readNow(writer.stream({ from: 'start' })), 'abcdefghi', 'start');
    equal(readNow(writer.stream({ from: 4 })), 'efghi', 'an offset inside a chunk');
    equal(readNow(writer.stream({ from: 9 })), '', 'the tail');
    equal(readNow(writer.stream({ from: { last: 2 } })), 'hi', 'the last 2');
    equal(readNow(writer.stream({ from: { last: 99 } })), 'abcdefghi', 'the last 99, clipped');
    writer.close();
  }),

  test('START: a stream opened after the end yields what is retained and completes', async () => {
    const writer = new ByteWriter({ replay: 5 });
    await writer.write('0123456789');
    writer.close();
    same(await chunksOf(writer.stream({ from: 'start' })), ['56789'], 'exactly the last 5');
    same(await chunksOf(writer.stream()), [], 'now');
  }),

  test('START: an offset that is gone or not there yet is refused', () => {
    const writer = new ByteWriter({ replay: 4 });
    writer.writeSync('0123456789');
    throws(() => writer.stream({ from: 5 }), 'ERR_FANPIPE_OFFSET_EVICTED', 'evicted');
    throws(() => writer.stream({ from: 11 }), 'ERR_FANPIPE_OFFSET_NOT_WRITTEN', 'not written');
    throws(() => writer.stream({ from: -1 }), 'ERR_FANPIPE_INVALID_ARGUMENT', 'negative');
    throws(() => writer.stream({ from: 1.5 }), 'ERR_FANPIPE_INVALID_ARGUMENT', 'fractional');
    equal(writer.streamCount, 0, 'no stream was opened');
    equal(readNow(writer.stream({ from: 6 })), '6789', 'the oldest that is retained');
  }),

  test('START: a writer may begin at another offset than 0', () => {
    const writer = new ByteWriter({ offset: 1000, replay: 'all' });
    writer.writeSync('abc');
    const stream = writer.stream({ from: 1001 });
    equal(stream.position, 1001, 'position');
    equal(readNow(stream), 'bc', 'bytes');
    throws(() => writer.stream({ from: 999 }), 'ERR_FANPIPE_OFFSET_EVICTED', 'before the origin');
  }),

  test('EMPTY: an empty write does nothing', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    await writer.write('');
    await writer.write(new Uint8Array(0));
    writer.writeSync(new ArrayBuffer(0));
    equal(writer.bytesWritten, 0, 'bytesWritten');
    equal(stream.read(), undefined, 'nothing is there');
    writer.close();
    equal(stream.read(), null, 'and then the end');
  }),

  test('COUNT: bytesWritten is exact with and without streams; ids are unique and grow', async () => {
    const first = new ByteWriter();
    const second = new ByteWriter();
    ok(Number.isSafeInteger(first.id) && first.id >= 1, 'an id from 1');
    ok(second.id > first.id, 'the next writer has a larger id');
    await first.write('nobody listens');
    first.writeSync('é€😀');
    equal(first.bytesWritten, 14 + 9, 'bytes, not characters');
    equal(await first.end(), 23, 'end() resolves with it');
  }),

  test('NOW: when write returns every stream can read the bytes', () => {
    const writer = new ByteWriter();
    const streams = [writer.stream(), writer.stream({ highWaterMark: 10, overflow: 'drop-oldest' })];
    void writer.write('now');
    for (const stream of streams) sameText(stream.read(), 'now', 'read');
  }),

  test('NOW: writing, opening and closing from a reader’s loop is safe', async () => {
    const writer = new ByteWriter();
    const opened: Promise<string[]>[] = [];
    const seen: string[] = [];
    const loop = (async () => {
      for await (const chunk of writer.stream()) {
        const text = decode(chunk);
        seen.push(text);
        if (text === 'a') {
          opened.push(chunksOf(writer.stream()));
          writer.writeSync('b');
        }
        if (text === 'b') writer.close();
      }
    })();
    writer.writeSync('a');
    await loop;
    same(seen, ['a', 'b'], 'the loop');
    same(await Promise.all(opened), [['b']], 'the stream opened within it');
  }),

  test('COPY: the caller may reuse its buffer once write has returned', () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    const buffer = encode('good');
    writer.writeSync(buffer);
    buffer.fill(0x21);
    sameText(stream.read(), 'good', 'small');
    const large = new Uint8Array(300_000).fill(7);
    writer.writeSync(large);
    large.fill(9);
    let sum = 0;
    let chunk = stream.read();
    while (chunk instanceof Uint8Array) {
      ok(
        chunk.every((byte) => byte === 7),
        'every byte of the large one',
      );
      sum += chunk.byteLength;
      chunk = stream.read();
    }
    equal(sum, 300_000, 'size');
  }),

  test('COPY: { copy: false } hands the memory over; stream({ copy: true }) gives private memory', () => {
    const writer = new ByteWriter();
    const shared = [writer.stream(), writer.stream()];
    const own = writer.stream({ copy: true });
    const buffer = encode('mine');
    void writer.write(buffer, { copy: false });
    const [a, b] = shared.map((stream) => stream.read());
    ok(a instanceof Uint8Array && a.buffer === buffer.buffer, 'the very memory');
    equal(a, b, 'one chunk for both');
    const copy = own.read();
    ok(copy instanceof Uint8Array && copy.buffer !== buffer.buffer, 'memory of its own');
    copy.fill(0);
    sameText(a, 'mine', 'scribbling on the copy changes nothing');
  }),

  test('every kind of chunk is written as its bytes', async () => {
    const writer = new ByteWriter({ replay: 'all' });
    const buffer = new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7]).buffer;
    await writer.write(new Uint8Array(buffer, 1, 2));
    await writer.write(new DataView(buffer, 3, 1));
    await writer.write(new Uint16Array(buffer, 4, 1));
    await writer.write(new Uint8ClampedArray(buffer, 6, 1));
    await writer.write(new Float64Array(buffer, 0, 1));
    await writer.write(buffer);
    await writer.write('\u00ff');
    writer.close();
    const bytes = await writer.stream({ from: 'start' }).bytes();
    same([...bytes], [1, 2, 3, 4, 5, 6, ...new Uint8Array(buffer), ...new Uint8Array(buffer), 0xc3, 0xbf], 'bytes');
  }),

  testWith('SharedArrayBuffer', typeof SharedArrayBuffer === 'function', 'shared memory is copied', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    const shared = new Uint8Array(new SharedArrayBuffer(4));
    shared.set([1, 2, 3, 4]);
    await writer.write(shared);
    await writer.write(shared.buffer);
    shared.fill(0);
    for (let i = 0; i < 2; i++) {
      const chunk = stream.read();
      ok(chunk instanceof Uint8Array && chunk.buffer instanceof ArrayBuffer, 'memory of its own');
      same([...chunk], [1, 2, 3, 4], 'bytes');
    }
  }),

  test('a chunk of no known kind, or whose memory is gone, is refused and nothing is taken', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    for (const wrong of [1, null, undefined, {}, [1, 2], true, Symbol('x')]) {
      await rejects(writer.write(wrong as never), 'ERR_FANPIPE_INVALID_CHUNK', String(wrong));
      throws(() => writer.writeSync(wrong as never), 'ERR_FANPIPE_INVALID_CHUNK', String(wrong));
    }
    const gone = new Uint8Array([1, 2, 3]);
    structuredClone(gone, { transfer: [gone.buffer] });
    await rejects(writer.write(gone), 'ERR_FANPIPE_DETACHED_BUFFER', 'a detached buffer');
    await rejects(writer.writev(['fine', gone]), 'ERR_FANPIPE_DETACHED_BUFFER', 'within a writev');
    equal(writer.bytesWritten, 0, 'nothing was taken');
    equal(stream.read(), undefined, 'nothing is there');
    writer.writeSync('on');
    sameText(stream.read(), 'on', 'the writer goes on');
  }),

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

  test('bytes and text collect to the end, within a limit', async () => {
    const writer = new ByteWriter({ replay: 'all' });
    const euro = encode('10 €');
    for (const byte of euro) writer.writeSync(new Uint8Array([byte]));
    writer.close();
    const open = () => writer.stream({ from: 'start' });
    equal(await open().text(), '10 €', 'a character cut in three');
    same([...(await open().bytes({ limit: 6 }))], [...euro], 'exactly at the limit');
    await rejects(open().bytes({ limit: 5 }), 'ERR_FANPIPE_LIMIT_EXCEEDED', 'bytes over the limit');
    await rejects(open().text({ limit: 5 }), 'ERR_FANPIPE_LIMIT_EXCEEDED', 'text over the limit');
    equal(writer.streamCount, 0, 'all have left');
  }),

  test('strings are UTF-8; a lone surrogate becomes U+FFFD, as TextEncoder does', async () => {
    const writer = new ByteWriter({ replay: 'all' });
    const texts = ['plain', 'é€😀', '\ud800', '\udc00x', 'a'.repeat(70_000), '😀'.repeat(20_000)];
    for (const text of texts) await writer.write(text);
    writer.close();
    const expected = texts.map((text) => decode(encode(text))).join('');
    const actual = await writer.stream({ from: 'start' }).text();
    ok(actual === expected, `texts differ: ${actual.length} and ${expected.length} characters`);
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
