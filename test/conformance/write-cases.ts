/** Writing: what is taken, what is refused, and when it can be read. */
import { ByteWriter } from 'fanpipe';
import { equal, ok, rejects, same, sameText, throws } from './assert.ts';
import { chunksOf, decode, encode } from './bytes.ts';
import { test, testWith } from './case.ts';
import type { Case } from './harness.ts';

export const writeCases: readonly Case[] = [
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

  test('strings are UTF-8; a lone surrogate becomes U+FFFD, as TextEncoder does', async () => {
    const writer = new ByteWriter({ replay: 'all' });
    const texts = ['plain', 'é€😀', '\ud800', '\udc00x', 'a'.repeat(70_000), '😀'.repeat(20_000)];
    for (const text of texts) await writer.write(text);
    writer.close();
    const expected = texts.map((text) => decode(encode(text))).join('');
    const actual = await writer.stream({ from: 'start' }).text();
    ok(actual === expected, `texts differ: ${actual.length} and ${expected.length} characters`);
  }),
];
