/** Reading: what is delivered, and where a stream starts. */
import { ByteWriter } from 'fanpipe';
import { equal, ok, rejects, same, sameText, throws } from './assert.ts';
import { Checksum, chunksOf, decode, encode, noise, readNow } from './bytes.ts';
import { test } from './case.ts';
import { type Case, turn } from './harness.ts';

export const readCases: readonly Case[] = [
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
      await turn();
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
];
