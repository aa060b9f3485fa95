/** What feeds a writer: web streams, responses, iterables. */
import { ByteWriter, TypedWriter } from 'fanpipe';
import { equal, isSettled, ok, rejects, same, sameText, throws } from './assert.ts';
import { chunksOf, decode, encode, readNow } from './bytes.ts';
import { test } from './case.ts';
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

export const sourceCases: readonly Case[] = [
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

  test('writable: an abort while a write waits fails the writer at once', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream({ highWaterMark: 0, overflow: 'block' });
    const sink = writer.writable().getWriter();
    const reason = new Error('gave up');
    const closed = rejects(sink.closed, reason, 'closed');
    const write = sink.write(encode('x')).catch(() => {});
    await turn();
    await sink.abort(reason);
    await closed;
    await write;
    equal(writer.state, 'failed', 'state');
    sameText(stream.read(), 'x', 'what was taken');
    throws(() => stream.read(), reason, 'then the reason');
  }),

  test('writable: a writer that ends otherwise errors it, a refused chunk fails the writer', async () => {
    const ended = new ByteWriter();
    const idle = ended.writable().getWriter();
    const closed = rejects(idle.closed, 'ERR_FANPIPE_WRITER_ENDED', 'closed');
    ended.close();
    await closed;
    await rejects(idle.write(encode('x')), 'ERR_FANPIPE_WRITER_ENDED', 'a later write');
    const writer = new ByteWriter();
    const stream = writer.stream();
    const sink = writer.writable().getWriter();
    sink.closed.catch(() => {});
    await rejects(sink.write(42 as never), 'ERR_FANPIPE_INVALID_CHUNK', 'the write');
    equal(writer.state, 'failed', 'state');
    throws(() => stream.read(), 'ERR_FANPIPE_INVALID_CHUNK', 'its readers learn why');
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

  test('the symbols of the iterable streams API are there on every runtime', async () => {
    const writer = new ByteWriter();
    const streamable = writer.stream() as unknown as Record<symbol, () => AsyncIterable<Uint8Array[]>>;
    const batches = streamable[Symbol.for('Stream.toAsyncStreamable')]?.();
    ok(batches !== undefined, 'Stream.toAsyncStreamable');
    writer.writev(['a', 'b']);
    writer.close();
    let text = '';
    for await (const batch of batches) for (const chunk of batch) text += decode(chunk);
    equal(text, 'ab', 'bytes');
    for (const name of ['drainableProtocol', 'broadcastProtocol', 'shareProtocol']) {
      ok(Symbol.for(`Stream.${name}`) in writer, name);
    }
  }),
];
