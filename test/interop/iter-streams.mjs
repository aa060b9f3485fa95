/**
 * Our writers and streams in the hands of `node:stream/iter`, unadapted. Runs on a Node that has that module, with the
 * flag `--experimental-stream-iter`; prints its report as one line, as the conformance suite does.
 */
import assert from 'node:assert/strict';
import * as iter from 'node:stream/iter';
import { ByteWriter, TypedWriter } from 'fanpipe';
import { runCases, turn } from '../../.cache/conformance/harness.js';

const { Broadcast, Share } = iter;
const decode = (batch) => Buffer.concat(batch).toString();
const KIB = 1024;

/** Nothing happens for as long as the event loop turns a few times. */
async function stays(promise, what) {
  let settled = false;
  const note = () => {
    settled = true;
  };
  promise.then(note, note);
  for (let i = 0; i < 5; i++) await turn();
  assert.equal(settled, false, what);
}

async function batchesOf(source) {
  const batches = [];
  for await (const batch of source) batches.push(batch);
  return batches;
}

const cases = [];
const test = (title, run) => cases.push({ title, run, need: undefined });

// ---- streams as sources

for (const [name, collect] of [
  ['text', iter.text],
  ['bytes', async (source) => decode([await iter.bytes(source)])],
  ['arrayBuffer', async (source) => decode([Buffer.from(await iter.arrayBuffer(source))])],
  ['array', async (source) => decode(await iter.array(source))],
  ['from', async (source) => decode((await batchesOf(iter.from(source))).flat())],
  ['pull', async (source) => decode((await batchesOf(iter.pull(source))).flat())],
  ['merge', async (source) => decode((await batchesOf(iter.merge(source, []))).flat())],
  ['share', async (source) => iter.text(iter.share(source).pull())],
  ['Share.from', async (source) => iter.text(Share.from(source).pull())],
  ['Broadcast.from', async (source) => iter.text(Broadcast.from(source).broadcast.push())],
  ['toReadable', async (source) => decode(await iter.toReadable(iter.from(source)).toArray())],
]) {
  test(`ORD: ${name}(stream) gets all bytes in their order`, async () => {
    const writer = new ByteWriter();
    const result = collect(writer.stream());
    let expected = '';
    for (let i = 0; i < 100; i++) {
      expected += `${i},`;
      await writer.write(`${i},`);
      if (i % 10 === 0) await turn();
    }
    writer.close();
    assert.equal(await result, expected);
  });

  test(`FAIL: ${name}(stream) rejects with the writer's reason, unchanged`, async () => {
    const reason = new Error('broken');
    const writer = new ByteWriter();
    const result = collect(writer.stream());
    result.catch(() => {});
    await writer.write('before');
    await turn();
    writer.fail(reason);
    await assert.rejects(result, (error) => error === reason);
  });

  test(`END: ${name}(stream) rejects when the stream is cancelled, which is no end of file`, async () => {
    const writer = new ByteWriter();
    const stream = writer.stream();
    const result = collect(stream);
    result.catch(() => {});
    await writer.write('before');
    await turn();
    stream.cancel('enough');
    await assert.rejects(result, { code: 'ERR_FANPIPE_CANCELLED', cause: 'enough' });
  });
}

test('a burst of writes is one batch', async () => {
  const writer = new ByteWriter({ copy: false });
  const batches = batchesOf(iter.from(writer.stream()));
  await turn();
  for (const chunk of ['a', 'b', 'c']) writer.writeSync(Buffer.from(chunk));
  await turn();
  writer.close();
  assert.deepEqual(
    (await batches).map((batch) => batch.map(String)),
    [['a', 'b', 'c']],
  );
});

test('COPY: a batch is an array of its own, which may be changed', async () => {
  const writer = new ByteWriter({ copy: false });
  const streams = [writer.stream(), writer.stream()];
  for (const chunk of ['a', 'b', 'c']) writer.writeSync(Buffer.from(chunk));
  writer.close();
  for (const stream of streams) {
    const [batch] = await batchesOf(iter.from(stream));
    assert.deepEqual(batch.splice(0).map(String), ['a', 'b', 'c']);
  }
});

test('DETACH: leaving a pull detaches the stream, with transforms too', async () => {
  const upper = (batch) => batch?.map((chunk) => decode([chunk]).toUpperCase()) ?? null;
  for (const transforms of [[], [upper]]) {
    const writer = new ByteWriter();
    const source = iter.pull(writer.stream(), ...transforms);
    writer.writeSync('x');
    for await (const batch of source) {
      assert.equal(decode(batch), transforms.length === 0 ? 'x' : 'X');
      break;
    }
    assert.equal(writer.streamCount, 0);
  }
});

test('a second source from one stream is a typed error', async () => {
  const stream = new ByteWriter().stream();
  iter.from(stream);
  assert.throws(() => iter.from(stream), { code: 'ERR_FANPIPE_ITERATOR_TAKEN' });
});

test('a typed stream of chunks is a source too', async () => {
  const writer = new TypedWriter();
  const text = iter.text(writer.stream());
  await writer.write(Buffer.from('bytes '));
  await writer.write('text');
  writer.close();
  assert.equal(await text, 'bytes text');
});

// ---- writers as destinations

test('pipeTo(source, writer) writes everything, closes the writer and tells the count', async () => {
  const writer = new ByteWriter();
  const texts = [writer.stream(), writer.stream()].map((stream) => stream.text());
  assert.equal(await iter.pipeTo(['one ', Buffer.from('two '), [Buffer.from('three')]], writer), 13);
  assert.equal(writer.state, 'closed');
  assert.deepEqual(await Promise.all(texts), ['one two three', 'one two three']);
});

test('pipeTo(stream, writer) from one of ours to another', async () => {
  const first = new ByteWriter();
  const second = new ByteWriter();
  const text = second.stream().text();
  const piped = iter.pipeTo(first.stream(), second);
  for (const chunk of ['a', 'b', 'c']) await first.write(chunk);
  first.close();
  assert.equal(await piped, 3);
  assert.equal(await text, 'abc');
});

test('FAIL: pipeTo fails the writer with the error of its source, after what came before', async () => {
  const reason = new Error('source broke');
  const writer = new ByteWriter();
  const stream = writer.stream();
  async function* source() {
    yield 'some';
    throw reason;
  }
  await assert.rejects(iter.pipeTo(source(), writer), (error) => error === reason);
  assert.equal(writer.state, 'failed');
  assert.equal(String(Buffer.from(stream.read())), 'some');
  assert.throws(
    () => stream.read(),
    (error) => error === reason,
  );
});

test('POLICY block: pipeTo waits for a blocking stream', async () => {
  let pulled = 0;
  function* source() {
    for (; pulled < 100; pulled++) yield [Buffer.alloc(10)];
  }
  const writer = new ByteWriter();
  const stream = writer.stream({ highWaterMark: 30, overflow: 'block' });
  const piped = iter.pipeTo(source(), writer);
  await stays(piped, 'waits');
  assert.ok(pulled < 10, `pulled ${pulled} ahead`);
  assert.equal((await stream.bytes()).byteLength, 1000);
  assert.equal(await piped, 1000);
});

test('pipeTo with preventClose and preventFail leaves the writer open', async () => {
  const writer = new ByteWriter();
  await iter.pipeTo(['a'], writer, { preventClose: true });
  async function* source() {
    yield 'b';
    throw new Error('source broke');
  }
  await assert.rejects(iter.pipeTo(source(), writer, { preventFail: true }));
  assert.equal(writer.state, 'open');
  assert.equal(writer.bytesWritten, 2);
});

test('pipeTo to a writer that has ended rejects with a typed error', async () => {
  const writer = new ByteWriter();
  writer.close();
  await assert.rejects(iter.pipeTo(['a'], writer), { code: 'ERR_FANPIPE_WRITER_ENDED' });
});

test('WAIT: the signal of pipeTo ends a write that waits and fails the writer', async () => {
  const writer = new ByteWriter();
  writer.stream({ highWaterMark: 1, overflow: 'block' });
  const controller = new AbortController();
  const piped = iter.pipeTo(['aa', 'bb', 'cc'], writer, { signal: controller.signal });
  await stays(piped, 'waits');
  const reason = new Error('stop');
  controller.abort(reason);
  await assert.rejects(piped, (error) => error === reason);
  assert.equal(writer.state, 'failed');
});

test('pipeToSync(source, writer)', async () => {
  const writer = new ByteWriter();
  const text = writer.stream().text();
  assert.equal(iter.pipeToSync(['a', 'b'], writer), 2);
  assert.equal(await text, 'ab');
  const full = new ByteWriter();
  full.stream({ highWaterMark: 1, overflow: 'block' });
  assert.throws(() => iter.pipeToSync(['aa', 'bb'], full), { code: 'ERR_OUT_OF_RANGE' });
  assert.equal(full.state, 'failed');
});

test('the writer has every member of their writers', () => {
  const theirs = iter.broadcast().writer;
  const ours = new ByteWriter();
  for (const key of Reflect.ownKeys(Object.getPrototypeOf(theirs))) {
    if (key === 'constructor' || (typeof key === 'symbol' && !/^Symbol\(Stream|^Symbol\(Symbol\./.test(String(key))))
      continue;
    assert.ok(key in ours, `${String(key)} is missing`);
    assert.equal(typeof ours[key], typeof theirs[key], String(key));
  }
});

test('canWrite and writeSync agree with theirs, also after the end', async () => {
  const { writer: theirs, broadcast } = iter.broadcast({ budget: 16 * KIB });
  const ours = new ByteWriter();
  const blocking = ours.stream({ highWaterMark: 16 * KIB - 1, overflow: 'block' });
  broadcast.push();
  for (const writer of [theirs, ours]) {
    assert.equal(writer.canWrite, true);
    assert.equal(writer.writeSync(Buffer.alloc(16 * KIB)), true);
    assert.equal(writer.canWrite, false);
    assert.equal(writer.writeSync('more'), false);
    assert.equal(writer.writevSync(['more']), false);
    writer.fail(new Error('over'));
    assert.equal(writer.canWrite, null);
    assert.equal(writer.writeSync('more'), false);
    assert.equal(writer.endSync(), -1);
    await assert.rejects(writer.write('more'));
    await assert.rejects(writer.end());
  }
  blocking.cancel();
});

test('dispose fails an open writer and leaves an ended one, as theirs', async () => {
  for (const make of [() => iter.push(), () => new ByteWriter()]) {
    for (const symbol of [Symbol.dispose, Symbol.asyncDispose]) {
      const open = make();
      const openWriter = open.writer ?? open;
      await openWriter[symbol]();
      assert.equal(openWriter.canWrite, null);
      await assert.rejects(openWriter.end());
      const ended = make();
      const endedWriter = ended.writer ?? ended;
      assert.equal(endedWriter.endSync(), 0);
      await endedWriter[symbol]();
      assert.equal(await endedWriter.end(), 0);
    }
  }
});

test('a classic Writable over our writer', async () => {
  const writer = new ByteWriter();
  const text = writer.stream().text();
  const writable = iter.toWritable(writer);
  writable.write('classic ');
  writable.end('node');
  assert.equal(await text, 'classic node');
});

// ---- ondrain

test('ondrain(writer): true when there is room, or when there is again', async () => {
  const writer = new ByteWriter();
  assert.equal(await iter.ondrain(writer), true);
  const stream = writer.stream({ highWaterMark: 1, overflow: 'block' });
  writer.writeSync('aa');
  const drained = iter.ondrain(writer);
  await stays(drained, 'waits for the stream');
  stream.read();
  assert.equal(await drained, true);
});

test('ondrain(writer): false if it closes before, a rejection if it fails, null after the end', async () => {
  const full = () => {
    const writer = new ByteWriter();
    writer.stream({ highWaterMark: 1, overflow: 'block' });
    writer.writeSync('aa');
    return writer;
  };
  const closing = full();
  const closed = iter.ondrain(closing);
  closing.close();
  assert.equal(await closed, false);
  const reason = new Error('broken');
  const failing = full();
  const failed = iter.ondrain(failing);
  iter.ondrain(failing);
  failing.fail(reason);
  await assert.rejects(failed, (error) => error === reason);
  assert.equal(iter.ondrain(failing), null);
  assert.equal(iter.ondrain(closing), null);
});

test('ondrain(writer) of a typed writer', async () => {
  const writer = new TypedWriter();
  const stream = writer.stream({ highWaterMark: 1, overflow: 'block' });
  writer.writeSync({});
  writer.writeSync({});
  const drained = iter.ondrain(writer);
  stream.read();
  assert.equal(await drained, true);
});

// ---- the writer as a Broadcast and a Share

for (const [name, open] of [
  [
    'Broadcast.from(writer).push',
    (writer, options) => {
      const { broadcast } = Broadcast.from(writer, options);
      return { fanOut: broadcast, consume: (...args) => broadcast.push(...args) };
    },
  ],
  [
    'Share.from(writer).pull',
    (writer, options) => {
      const share = Share.from(writer, options);
      return { fanOut: share, consume: (...args) => share.pull(...args) };
    },
  ],
]) {
  test(`${name}: every consumer gets every byte`, async () => {
    const writer = new ByteWriter();
    const { fanOut, consume } = open(writer);
    const texts = [consume(), consume(), consume()].map((consumer) => iter.text(consumer));
    assert.equal(fanOut.consumerCount, 3);
    for (const chunk of ['a', 'b', 'c']) await writer.write(chunk);
    writer.close();
    assert.deepEqual(await Promise.all(texts), ['abc', 'abc', 'abc']);
    assert.equal(fanOut.consumerCount, 0);
  });

  test(`${name}: a late consumer gets what the writer replays`, async () => {
    const writer = new ByteWriter({ replay: 'all' });
    const { consume } = open(writer);
    await writer.write('early ');
    const text = iter.text(consume());
    await writer.write('late');
    writer.close();
    assert.equal(await text, 'early late');
  });

  test(`${name}: the budget makes the writer wait, as theirs does`, async () => {
    const writer = new ByteWriter();
    const consumer = open(writer, { budget: 16 * KIB }).consume();
    await writer.write(Buffer.alloc(16 * KIB));
    const write = writer.write('more');
    await stays(write, 'waits');
    await consumer[Symbol.asyncIterator]().next();
    await write;
  });

  test(`${name}: drop-oldest and drop-newest`, async () => {
    for (const [backpressure, first] of [
      ['drop-oldest', 2],
      ['drop-newest', 1],
    ]) {
      const writer = new ByteWriter();
      const consumer = open(writer, { budget: 16 * KIB, backpressure }).consume();
      for (const byte of [1, 2]) await writer.write(Buffer.alloc(16 * KIB, byte));
      writer.close();
      const bytes = await iter.bytes(consumer);
      assert.deepEqual([bytes.length, bytes[0], bytes.at(-1)], [16 * KIB, first, first], backpressure);
    }
  });

  test(`${name}: bad options are typed errors`, () => {
    const writer = new ByteWriter();
    const code = 'ERR_FANPIPE_INVALID_ARGUMENT';
    assert.throws(() => open(writer, { budget: -1 }), { code });
    assert.throws(() => open(writer, { backpressure: 'explode' }), { code });
    assert.throws(() => open(writer).consume(5, (batch) => batch), { code });
    assert.equal(writer.streamCount, 0);
  });

  test(`DETACH: ${name}: a consumer that leaves is gone, the others go on`, async () => {
    const writer = new ByteWriter();
    const { fanOut, consume } = open(writer);
    const text = iter.text(consume());
    const leaving = consume()[Symbol.asyncIterator]();
    const parked = leaving.next();
    await leaving.return();
    assert.deepEqual(await parked, { value: undefined, done: true });
    assert.equal(fanOut.consumerCount, 1);
    writer.writeSync('on');
    writer.close();
    assert.equal(await text, 'on');
  });

  test(`${name}: cancel ends the consumers, with a reason as an error; the writer goes on`, async () => {
    const reason = new Error('stop');
    for (const args of [[], [reason]]) {
      const writer = new ByteWriter();
      const { fanOut, consume } = open(writer);
      const [waiting, idle] = [consume(), consume()].map((consumer) => consumer[Symbol.asyncIterator]());
      const parked = waiting.next();
      fanOut.cancel(...args);
      for (const result of [parked, idle.next(), consume()[Symbol.asyncIterator]().next()]) {
        if (args.length === 0) assert.deepEqual(await result, { value: undefined, done: true });
        else await assert.rejects(result, (error) => error === reason);
      }
      assert.deepEqual([writer.state, writer.streamCount, fanOut.consumerCount], ['open', 0, 0]);
    }
    const writer = new ByteWriter();
    const { fanOut, consume } = open(writer);
    consume();
    fanOut[Symbol.dispose]();
    assert.equal(writer.streamCount, 0);
  });

  test(`${name}: signals, of all consumers and of one`, async () => {
    const writer = new ByteWriter();
    const [all, one] = [new AbortController(), new AbortController()];
    const { consume } = open(writer, { signal: all.signal });
    const first = consume({ signal: one.signal })[Symbol.asyncIterator]().next();
    const second = consume()[Symbol.asyncIterator]().next();
    const reason = new Error('stop');
    one.abort(reason);
    await assert.rejects(first, (error) => error === reason);
    await stays(second, 'goes on');
    all.abort(reason);
    await assert.rejects(second, (error) => error === reason);
    await assert.rejects(consume()[Symbol.asyncIterator]().next(), (error) => error === reason);
    assert.equal(writer.streamCount, 0);
  });

  // The same transforms over their own broadcast: what they give is what ours must give.
  const transforms = {
    'a function': [(batch) => batch?.map((chunk) => Buffer.from(String(chunk).toUpperCase())) ?? null],
    'one that flushes text': [(batch) => (batch === null ? 'end' : batch)],
    'one that drops': [(batch) => (batch !== null && decode(batch).includes('b') ? null : batch)],
    'an async one': [async (batch) => batch],
    'one that gives nested iterables': [
      (batch) =>
        batch === null
          ? null
          : (function* () {
              yield ['<', new Set(batch)];
              yield '>';
            })(),
    ],
    'one that gives views': [(batch) => (batch === null ? new ArrayBuffer(2) : new DataView(new ArrayBuffer(1)))],
    'a stateful one': [
      {
        async *transform(batches) {
          let count = 0;
          for await (const batch of batches) {
            if (batch === null) yield `${count} bytes`;
            else for (const chunk of batch) count += chunk.length;
          }
        },
      },
    ],
    'a chain': [
      (batch) => (batch === null ? '!' : batch),
      {
        async *transform(batches) {
          for await (const batch of batches) if (batch !== null) yield* batch.map((chunk) => [chunk, '-']);
        },
      },
      (batch) => (batch === null ? '?' : batch),
    ],
  };
  for (const [what, chain] of Object.entries(transforms)) {
    test(`${name} with transforms gives what theirs gives: ${what}`, async () => {
      const writer = new ByteWriter({ copy: false });
      const ours = iter.text(open(writer).consume(...chain));
      const { writer: theirWriter, broadcast } = iter.broadcast();
      const theirs = iter.text(broadcast.push(...chain));
      for (const each of [writer, theirWriter]) {
        for (const chunk of ['a', 'b', 'c']) {
          await each.write(Buffer.from(chunk));
          await turn();
        }
        await each.end();
      }
      assert.equal(await ours, await theirs);
    });
  }

  test(`${name}: a transform that throws, or gives what holds no bytes, detaches its stream alone`, async () => {
    const reason = new Error('transform broke');
    for (const [transform, expected] of [
      [() => Promise.reject(reason), (error) => error === reason],
      [() => 5, { code: 'ERR_FANPIPE_INVALID_CHUNK' }],
    ]) {
      const writer = new ByteWriter();
      const other = writer.stream();
      let signal;
      const result = iter.text(
        open(writer).consume((batch, options) => {
          ({ signal } = options);
          return transform(batch);
        }),
      );
      writer.writeSync('a');
      await assert.rejects(result, expected);
      assert.equal(signal.aborted, true);
      assert.equal(writer.streamCount, 1);
      assert.equal(String(Buffer.from(other.read())), 'a');
    }
  });

  test(`DETACH: ${name}: leaving with transforms settles a read that waits and aborts their signal`, async () => {
    const writer = new ByteWriter();
    let signal;
    const consumer = open(writer)
      .consume((batch, options) => {
        ({ signal } = options);
        return batch;
      })
      [Symbol.asyncIterator]();
    writer.writeSync('a');
    assert.equal(decode((await consumer.next()).value), 'a');
    const parked = consumer.next();
    parked.catch(() => {});
    assert.equal((await consumer.return()).done, true);
    await assert.rejects(parked, { code: 'ERR_FANPIPE_CANCELLED' });
    assert.equal(signal.aborted, true);
    assert.equal(writer.streamCount, 0);
  });
}

console.log(`report ${JSON.stringify(await runCases('here', cases))}`);
