/**
 * `fanpipe/node` where there are Node's streams: on every Node, and on Bun and Deno, which have made their own. What they
 * have in common with a browser is in the conformance suite.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ByteWriter, TypedWriter } from 'fanpipe';
import { fromReadable, pipeToResponse, toReadable, toWritable } from 'fanpipe/node';

export const nodeCases = [];
const addCase = (title, run) => nodeCases.push({ title, run, need: undefined });
const reason = new Error('broken');

/** Serves with `handle` while `ask` runs, which is given the address. */
async function serving(handle, ask) {
  const server = createServer(handle);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  try {
    return await ask(`http://127.0.0.1:${server.address().port}/`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** What a Readable gives, and the error that it ends with. */
async function outcome(readable) {
  let text = '';
  try {
    for await (const chunk of readable) text += chunk;
    return { text };
  } catch (error) {
    return { text, error };
  }
}

addCase('toReadable: all bytes and the end, in a loop and through a pipeline', async () => {
  const writer = new ByteWriter();
  const through = new PassThrough();
  const texts = [outcome(toReadable(writer.stream())), outcome(through)];
  const piped = pipeline(toReadable(writer.stream(), { highWaterMark: 100 }), through);
  let expected = '';
  for (let i = 0; i < 1000; i++) {
    expected += `${i},`;
    await writer.write(`${i},`);
  }
  writer.close();
  await piped;
  for (const text of texts) assert.deepEqual(await text, { text: expected });
});

addCase('toReadable: a failure comes after all bytes', async () => {
  for (const early of [false, true]) {
    const writer = new ByteWriter();
    const readable = toReadable(writer.stream(), { highWaterMark: 10 });
    const result = early ? outcome(readable) : undefined;
    writer.writeSync('x'.repeat(100));
    writer.fail(reason);
    assert.deepEqual(await (result ?? outcome(readable)), { text: 'x'.repeat(100), error: reason });
  }
});

addCase('toReadable: destroying it detaches the stream', async () => {
  const writer = new ByteWriter();
  const readable = toReadable(writer.stream({ highWaterMark: 5 }));
  readable.resume();
  const write = writer.write('much more than its mark');
  readable.destroy();
  await write;
  assert.equal(writer.streamCount, 0);
});

addCase('toReadable: values', async () => {
  const writer = new TypedWriter();
  const values = toReadable(writer.stream()).toArray();
  for (const value of [{ a: 1 }, 0, 'text']) await writer.write(value);
  writer.close();
  assert.deepEqual(await values, [{ a: 1 }, 0, 'text']);
});

addCase('toWritable: a pipeline into a writer, its end and its backpressure', async () => {
  const writer = new ByteWriter();
  const texts = [writer.stream({ highWaterMark: 3 }), writer.stream()].map((stream) => stream.text());
  await pipeline(Readable.from(['one ', 'two ', 'three']), toWritable(writer));
  assert.deepEqual(await Promise.all(texts), ['one two three', 'one two three']);
});

addCase('toWritable: destroyed before its finish it fails the writer', async () => {
  for (const [error, expected] of [
    [reason, (each) => each === reason],
    [undefined, { code: 'ERR_FANPIPE_PREMATURE_CLOSE' }],
  ]) {
    const writer = new ByteWriter();
    const text = writer.stream().text();
    const writable = toWritable(writer);
    writable.on('error', () => {});
    writable.write('half');
    writable.destroy(error);
    await assert.rejects(text, expected);
  }
});

addCase('fromReadable: all bytes to readers of different speed', async () => {
  const chunks = Array.from({ length: 100 }, (_, i) => Buffer.alloc(1000, i));
  const writer = fromReadable(Readable.from(chunks, { objectMode: false }));
  const read = [writer.stream({ highWaterMark: 2000 }), writer.stream()].map((stream) => stream.bytes());
  for (const bytes of await Promise.all(read)) assert.equal(Buffer.compare(bytes, Buffer.concat(chunks)), 0);
});

addCase('fromReadable: an error, and a close without an end, fail the writer', async () => {
  for (const [error, expected] of [
    [reason, (each) => each === reason],
    [undefined, { code: 'ERR_FANPIPE_PREMATURE_CLOSE' }],
  ]) {
    const readable = new PassThrough();
    readable.write('some');
    const stream = fromReadable(readable).stream()[Symbol.asyncIterator]();
    assert.equal(Buffer.from((await stream.next()).value).toString(), 'some');
    readable.destroy(error);
    await assert.rejects(stream.next(), expected);
  }
});

addCase('pipeToResponse: all bytes, the end and the count', async () => {
  const writer = new ByteWriter({ replay: 'all' });
  for (let i = 0; i < 100_000; i++) writer.writeSync('0123456789');
  writer.close();
  let piped;
  const handle = (_, res) => {
    piped = pipeToResponse(writer.stream({ from: 'start' }), res, { headers: { 'x-header': 'set' } });
  };
  await serving(handle, async (url) => {
    const response = await fetch(url);
    assert.equal(response.headers.get('x-header'), 'set');
    assert.equal((await response.arrayBuffer()).byteLength, 1_000_000);
    assert.equal(await piped, 1_000_000);
  });
});

addCase('pipeToResponse: a failure is no clean end for the client', async () => {
  const writer = new ByteWriter();
  let piped;
  const handle = (_, res) => {
    piped = pipeToResponse(writer.stream(), res);
  };
  await serving(handle, async (url) => {
    const response = await fetch(url);
    const reader = response.body.getReader();
    writer.writeSync('before');
    assert.equal(Buffer.from((await reader.read()).value).toString(), 'before');
    writer.fail(reason);
    await assert.rejects(reader.read());
    reader.closed.catch(() => {});
    await assert.rejects(piped, (error) => error === reason);
  });
});

addCase('pipeToResponse: a client that goes away detaches the stream', async () => {
  const writer = new ByteWriter();
  let piped;
  const handle = (_, res) => {
    piped = pipeToResponse(writer.stream(), res);
  };
  await serving(handle, async (url) => {
    const controller = new AbortController();
    const response = await fetch(url, { signal: controller.signal });
    const text = response.text();
    text.catch(() => {});
    controller.abort();
    await assert.rejects(text);
    await assert.rejects(piped, { code: 'ERR_FANPIPE_PREMATURE_CLOSE' });
    assert.equal(writer.streamCount, 0);
  });
});
