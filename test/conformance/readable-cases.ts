/** A stream as a web stream: chunks, memory the reader brings, and every way to end. */
import { ByteWriter } from 'fanpipe';
import { equal, isSettled, ok, rejects, same, sameText } from './assert.ts';
import { Checksum, decode, drain, encode, noise, readNow } from './bytes.ts';
import { test, testWith } from './case.ts';
import type { Case } from './harness.ts';
import { turn } from './harness.ts';

export const readableCases: readonly Case[] = [
  test('readable: a default reader gets the bytes and the end', async () => {
    const writer = new ByteWriter();
    const text = drain(writer.stream().readable());
    await writer.write('over ');
    await writer.write('the web');
    writer.close();
    equal(await text, 'over the web', 'text');
  }),

  test('readable: a BYOB reader fills the memory it brings, whatever the size of the chunks', async () => {
    const writer = new ByteWriter();
    const data = noise(10_000, 7);
    const reader = writer.stream().readable().getReader({ mode: 'byob' });
    const sums = [new Checksum(), new Checksum()] as const;
    sums[0].add(data);
    const reading = (async () => {
      let buffer = new ArrayBuffer(333);
      for (;;) {
        const { value, done } = await reader.read(new Uint8Array(buffer, 3, 300));
        if (done) return;
        ok(value.byteOffset === 3 && value.byteLength > 0 && value.byteLength <= 300, 'a view of that memory');
        sums[1].add(value);
        buffer = value.buffer as ArrayBuffer;
        equal(buffer.byteLength, 333, 'the memory comes back');
      }
    })();
    for (let at = 0; at < data.length; at += 1000) {
      // Every other chunk finds a read waiting.
      if (at % 2000 === 0) await turn();
      await writer.write(data.subarray(at, at + 1000));
    }
    writer.close();
    await reading;
    equal(sums[1].value, sums[0].value, 'checksum');
  }),

  test('readable: a BYOB read that waits for the first byte gets it, or the end', async () => {
    const writer = new ByteWriter();
    const reader = writer.stream().readable().getReader({ mode: 'byob' });
    const first = reader.read(new Uint8Array(8));
    ok(!(await isSettled(first)), 'waits');
    writer.writeSync('abc');
    sameText((await first).value, 'abc', 'what there is');
    const last = reader.read(new Uint8Array(8));
    await turn();
    writer.close();
    const { value, done } = await last;
    equal(done, true, 'the end');
    equal(value?.byteLength, 0, 'with the memory');
  }),

  test('COPY: readable gives private memory', async () => {
    const writer = new ByteWriter();
    const other = writer.stream();
    const readers = [writer.stream().readable(), writer.stream().readable()].map((each) => each.getReader());
    const mine = encode('shared');
    await writer.write(mine, { copy: false });
    for (const reader of readers) {
      const { value } = await reader.read();
      sameText(value, 'shared', 'chunk');
      value?.fill(0);
      if (value !== undefined) structuredClone(value, { transfer: [value.buffer as ArrayBuffer] });
    }
    sameText(other.read(), 'shared', 'the others are not touched');
    equal(decode(mine), 'shared', 'nor is the writer');
  }),

  test('readable: closed settles when the writer ends, though nobody reads', async () => {
    const writer = new ByteWriter();
    const reader = writer.stream().readable().getReader();
    writer.close();
    equal(await reader.closed, undefined, 'closed resolves');
    const failing = new ByteWriter();
    const reason = new Error('broken');
    const other = failing.stream().readable().getReader();
    failing.fail(reason);
    await rejects(other.closed, reason, 'closed rejects');
    await rejects(other.read(), reason, 'and so does read');
  }),

  test('readable: a failure comes after the bytes written before it', async () => {
    const writer = new ByteWriter();
    const reason = new Error('broken');
    const reader = writer.stream().readable().getReader();
    const first = reader.read();
    await writer.write('before');
    sameText((await first).value, 'before', 'bytes');
    const second = reader.read();
    writer.fail(reason);
    await rejects(second, reason, 'then the reason');
  }),

  test('DETACH: cancelling a readable detaches its stream alone', async () => {
    const writer = new ByteWriter();
    const other = writer.stream();
    const readable = writer.stream().readable();
    await readable.cancel('enough');
    equal(writer.streamCount, 1, 'streamCount');
    writer.writeSync('on');
    equal(readNow(other), 'on', 'the other stream');
    const failed = new ByteWriter();
    const reason = new Error('broken');
    const broken = failed.stream().readable();
    failed.fail(reason);
    await rejects(broken.cancel(), reason, 'cancel of a failed one');
  }),

  test('readable: backpressure reaches a blocking stream, so the writer waits for the consumer', async () => {
    const writer = new ByteWriter();
    const reader = writer.stream({ highWaterMark: 10, overflow: 'block' }).readable().getReader();
    const chunk = new Uint8Array(10);
    let accepted = 0;
    const writing = (async () => {
      for (let i = 0; i < 50; i++) {
        await writer.write(chunk);
        accepted++;
      }
      writer.close();
    })();
    for (let i = 0; i < 5; i++) await turn();
    ok(accepted < 10, `a consumer that does not read held ${accepted} writes`);
    let size = 0;
    for (let result = await reader.read(); !result.done; result = await reader.read()) size += result.value.byteLength;
    await writing;
    equal(size, 500, 'all bytes');
  }),

  test('readable: tee, pipeTo and pipeThrough work on it', async () => {
    const writer = new ByteWriter();
    const [left, right] = writer.stream().readable().tee();
    const upper = new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => controller.enqueue(encode(decode(chunk).toUpperCase())),
    });
    const collected: string[] = [];
    const sink = new WritableStream<Uint8Array>({ write: (chunk) => void collected.push(decode(chunk)) });
    const piped = right.pipeThrough(upper).pipeTo(sink);
    const text = drain(left);
    await writer.write('abc');
    await writer.write('def');
    writer.close();
    equal(await text, 'abcdef', 'one branch');
    await piped;
    equal(collected.join(''), 'ABCDEF', 'the other, transformed');
  }),

  test('readable: is a body of a Response', async () => {
    const writer = new ByteWriter();
    const text = new Response(writer.stream().readable()).text();
    await writer.write('as a ');
    await writer.write('body');
    writer.close();
    equal(await text, 'as a body', 'text');
  }),

  testWith(
    'CompressionStream',
    typeof CompressionStream === 'function',
    'readable: through the platform’s gzip and back',
    async () => {
      const writer = new ByteWriter();
      const data = noise(50_000, 3);
      // The DOM types know only one kind of buffer here.
      const gzip = () => new CompressionStream('gzip') as unknown as ReadableWritablePair<Uint8Array, Uint8Array>;
      const gunzip = () => new DecompressionStream('gzip') as unknown as ReadableWritablePair<Uint8Array, Uint8Array>;
      const out = writer.stream().readable().pipeThrough(gzip()).pipeThrough(gunzip());
      const sum = new Checksum();
      const reading = (async () => {
        const reader = out.getReader();
        for (let result = await reader.read(); !result.done; result = await reader.read()) sum.add(result.value);
      })();
      for (let at = 0; at < data.length; at += 4096) await writer.write(data.subarray(at, at + 4096));
      writer.close();
      await reading;
      const expected = new Checksum();
      expected.add(data);
      equal(sum.value, expected.value, 'checksum');
    },
  ),

  testWith(
    'ReadableStream.from',
    typeof (ReadableStream as { from?: unknown }).from === 'function',
    'a stream is taken by ReadableStream.from',
    async () => {
      const writer = new ByteWriter();
      const { from } = ReadableStream as unknown as { from(source: object): ReadableStream<Uint8Array> };
      const text = drain(from.call(ReadableStream, writer.stream()));
      await writer.write('from');
      writer.close();
      equal(await text, 'from', 'text');
    },
  ),

  test('readable: a view of wider elements is filled whole', async () => {
    const writer = new ByteWriter();
    const reader = writer.stream().readable().getReader({ mode: 'byob' });
    const first = reader.read(new Uint32Array(4));
    await writer.write(new Uint8Array([1, 0, 0]));
    await writer.write(new Uint8Array([0, 2, 0, 0, 0, 3]));
    const { value } = await first;
    ok(value instanceof Uint32Array, 'a view of the same kind');
    let elements = [...value];
    const second = reader.read(new Uint32Array(4));
    await writer.write(new Uint8Array([0, 0, 0]));
    writer.close();
    elements = elements.concat([...((await second).value ?? [])]);
    same(elements, [1, 2, 3], 'no element is cut');
  }),

  test('readable: a default reader and a BYOB reader may take turns', async () => {
    const writer = new ByteWriter();
    const readable = writer.stream().readable();
    await writer.write('abcdef');
    const byob = readable.getReader({ mode: 'byob' });
    sameText((await byob.read(new Uint8Array(2))).value, 'ab', 'two bytes');
    byob.releaseLock();
    const reader = readable.getReader();
    sameText((await reader.read()).value, 'cdef', 'the rest');
    const waiting = rejects(reader.read(), TypeError, 'a read that waits when the lock is released');
    reader.releaseLock();
    await waiting;
    const last = readable.getReader({ mode: 'byob' });
    await writer.write('gh');
    sameText((await last.read(new Uint8Array(9))).value, 'gh', 'nothing is lost');
    writer.close();
  }),

  test('DETACH: cancelling or aborting the stream behind a readable errors the readable', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    const cancelled = stream.readable().getReader();
    const read = rejects(cancelled.read(), 'ERR_FANPIPE_CANCELLED', 'the read that waits');
    const closed = rejects(cancelled.closed, 'ERR_FANPIPE_CANCELLED', 'closed');
    stream.cancel('enough');
    await read;
    await closed;
    const controller = new AbortController();
    const aborted = writer.stream({ signal: controller.signal }).readable().getReader();
    const reason = new Error('stop');
    // Nobody reads from this one.
    const failed = rejects(aborted.closed, reason, 'closed of the other');
    await turn();
    controller.abort(reason);
    await failed;
    equal(writer.streamCount, 0, 'both have left');
  }),

  testWith(
    'ReadableStream[Symbol.asyncIterator]',
    Symbol.asyncIterator in ReadableStream.prototype,
    'readable: a loop over it that breaks detaches its stream',
    async () => {
      const writer = new ByteWriter();
      const readable = writer.stream().readable();
      await writer.write('abc');
      for await (const chunk of readable) {
        sameText(chunk, 'abc', 'chunk');
        break;
      }
      equal(writer.streamCount, 0, 'streamCount');
    },
  ),

  testWith(
    'TextDecoderStream',
    typeof TextDecoderStream === 'function',
    'readable: through TextDecoderStream, with a character cut in three',
    async () => {
      const writer = new ByteWriter();
      // The DOM types know only one kind of buffer here.
      const decoder = new TextDecoderStream() as unknown as ReadableWritablePair<string, Uint8Array>;
      const reader = writer.stream().readable().pipeThrough(decoder).getReader();
      const reading = (async () => {
        let text = '';
        for (let result = await reader.read(); !result.done; result = await reader.read()) text += result.value;
        return text;
      })();
      for (const byte of encode('1 €')) await writer.write(new Uint8Array([byte]));
      writer.close();
      equal(await reading, '1 €', 'text');
    },
  ),
];
