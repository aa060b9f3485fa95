/** Streams, responses and bodies of the web platform. */
import { ByteWriter, TypedWriter } from 'fanpipe';
import { equal, isSettled, ok, rejects, same, sameText } from './assert.ts';
import { Checksum, chunksOf, decode, encode, noise, readNow } from './bytes.ts';
import { test, testWith } from './case.ts';
import type { Case } from './harness.ts';
import { turn } from './harness.ts';

/** A web stream of these chunks. */
function source(...chunks: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

async function drain(stream: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stream.getReader();
  const bytes: number[] = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return decode(new Uint8Array(bytes));
    bytes.push(...value);
  }
}

export const webCases: readonly Case[] = [
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
    for (let at = 0; at < data.length; at += 1000) await writer.write(data.subarray(at, at + 1000));
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

  test('writable: writes arrive, closing it closes the writer', async () => {
    const writer = new ByteWriter();
    const text = writer.stream().text();
    await source(encode('pip'), encode('ed')).pipeTo(writer.writable());
    equal(await text, 'piped', 'text');
    equal(writer.state, 'closed', 'state');
  }),

  test('writable: aborting it fails the writer with the reason', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    const sink = writer.writable().getWriter();
    await sink.write(encode('half'));
    const reason = new Error('gave up');
    await sink.abort(reason);
    equal(writer.state, 'failed', 'state');
    const iterator = stream[Symbol.asyncIterator]();
    sameText((await iterator.next()).value, 'half', 'what was written');
    await rejects(iterator.next(), reason, 'then the reason');
  }),

  test('writable: waits for a blocking stream', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream({ highWaterMark: 1, overflow: 'block' });
    const sink = writer.writable().getWriter();
    const write = sink.write(encode('12'));
    for (let i = 0; i < 3; i++) await turn();
    ok(!(await isSettled(write)), 'waits');
    equal(readNow(stream), '12', 'bytes');
    await write;
    await sink.close();
  }),

  test('from: a web stream, a response, an async and a plain iterable', async () => {
    async function* generate() {
      yield encode('async ');
      yield 'iterable';
    }
    const sources: [string, Parameters<typeof ByteWriter.from>[0]][] = [
      ['web stream', source(encode('web '), encode('stream'))],
      ['response', new Response('response')],
      ['async iterable', generate()],
      ['plain iterable', [encode('plain '), 'iterable']],
    ];
    for (const [expected, from] of sources) {
      const writer = ByteWriter.from(from, { replay: 'all' });
      equal(await writer.stream({ from: 'start' }).text(), expected, expected);
      equal(writer.state, 'closed', 'its end closes');
    }
  }),

  test('from: the error of the source is the writer’s, after what came before', async () => {
    const reason = new Error('source broke');
    async function* generate() {
      yield encode('some');
      throw reason;
    }
    const writer = ByteWriter.from(generate(), { replay: 'all' });
    const iterator = writer.stream({ from: 'start' })[Symbol.asyncIterator]();
    sameText((await iterator.next()).value, 'some', 'bytes');
    await rejects(iterator.next(), reason, 'then the reason');
  }),

  test('from: reads no faster than the blocking streams allow', async () => {
    let pulled = 0;
    async function* generate() {
      while (pulled < 100) {
        pulled++;
        yield new Uint8Array(10);
      }
    }
    const writer = ByteWriter.from(generate());
    const stream = writer.stream({ highWaterMark: 30, overflow: 'block' });
    for (let i = 0; i < 10; i++) await turn();
    ok(pulled < 10, `pulled ${pulled} chunks ahead of a reader that sleeps`);
    equal((await stream.bytes()).byteLength, writer.bytesWritten, 'nothing is lost');
    equal(pulled, 100, 'and the source is read to its end');
  }),

  test('from: an abort fails the writer and lets go of the source', async () => {
    let cancelled: unknown;
    const endless = new ReadableStream<Uint8Array>({
      cancel(reason) {
        cancelled = reason ?? 'no reason';
      },
    });
    const controller = new AbortController();
    const writer = ByteWriter.from(endless, { signal: controller.signal });
    const next = writer.stream()[Symbol.asyncIterator]().next();
    const reason = new Error('stop');
    await turn();
    controller.abort(reason);
    await rejects(next, reason, 'its streams');
    await turn();
    ok(cancelled !== undefined, 'the source is cancelled');
  }),

  test('typed: readable gives the values, writable takes them', async () => {
    const writer = new TypedWriter<{ n: number }>();
    const reader = writer.stream().readable().getReader();
    const sink = writer.writable().getWriter();
    const value = { n: 1 };
    const first = reader.read();
    await sink.write(value);
    equal((await first).value, value, 'the very value');
    await sink.close();
    equal((await reader.read()).done, true, 'the end');
  }),

  test('two transfers in a chain: from a readable of another writer', async () => {
    const first = new ByteWriter();
    const second = ByteWriter.from(first.stream().readable());
    const reading = [second.stream(), second.stream()].map(chunksOf);
    for (const text of ['a', 'b', 'c']) await first.write(text);
    first.close();
    for (const chunks of await Promise.all(reading)) equal(chunks.join(''), 'abc', 'bytes');
    same([first.bytesWritten, second.bytesWritten], [3, 3], 'counts');
  }),
];
