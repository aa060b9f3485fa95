/**
 * Random writes, read in every way out of the package at once: each gives the same bytes, then the same end.
 *
 * FANPIPE_INTEROP_RUNS is the number of runs (default 300), FANPIPE_SEED the seed, which a failure prints.
 */

import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { type ByteStream, type ByteStreamOptions, ByteWriter } from '../../packages/fanpipe/src/index.ts';
import { fromReadable, pipeToResponse, toReadable, toWritable } from '../../packages/fanpipe/src/node.ts';
import { settle } from '../support/fake-clock.ts';
import { randomSeed } from '../support/seed.ts';

const RUNS = Number(process.env.FANPIPE_INTEROP_RUNS ?? 300);

/** Whole numbers from 0 to below `limit`, the same for the same seed. */
type Random = (limit: number) => number;

function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** What a reader got: all bytes, and how it ended. */
type Got = (chunk: Uint8Array) => void;
type Reader = (stream: ByteStream, got: Got, random: Random) => Promise<unknown>;

const pause = async (random: Random): Promise<void> => {
  for (let turns = random(4) - 1; turns > 0; turns--) await settle();
};

const readers: Record<string, Reader> = {
  'for await': async (stream, got, random) => {
    for await (const chunk of stream) {
      got(chunk);
      await pause(random);
    }
  },
  'a default reader, now and then another one': async (stream, got, random) => {
    const readable = stream.readable();
    let reader = readable.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      got(value);
      await pause(random);
      if (random(5) > 0) continue;
      reader.closed.catch(() => {});
      reader.releaseLock();
      reader = readable.getReader();
    }
  },
  'a BYOB reader': async (stream, got, random) => {
    const reader = stream.readable().getReader({ mode: 'byob' });
    for (;;) {
      const { value, done } = await reader.read(new Uint8Array(1 + random(random(2) === 0 ? 10 : 100_000)));
      if (done) return;
      got(value);
      await pause(random);
    }
  },
  'a BYOB reader of several reads at once': async (stream, got, random) => {
    const reader = stream.readable().getReader({ mode: 'byob' });
    for (;;) {
      const reads = Array.from({ length: 1 + random(3) }, () => reader.read(new Uint8Array(1 + random(1000))));
      for (const read of reads) read.catch(() => {});
      for (const read of reads) {
        const { value, done } = await read;
        if (done) return;
        got(value);
      }
    }
  },
  'both branches of a tee': async (stream, got) => {
    const [left, right] = stream.readable().tee();
    const other = right.pipeTo(new WritableStream());
    other.catch(() => {});
    await left.pipeTo(new WritableStream({ write: got }));
    await other;
  },
  'a pipe into the writable() of another writer': async (stream, got) => {
    const other = new ByteWriter();
    const reading = (async () => {
      for await (const chunk of other.stream({ highWaterMark: 1000 })) got(chunk);
    })();
    reading.catch(() => {});
    await Promise.all([stream.readable().pipeTo(other.writable()), reading]);
  },
  'toReadable in a loop': async (stream, got, random) => {
    for await (const chunk of toReadable(stream, { highWaterMark: 1 + random(1000) })) {
      got(chunk);
      await pause(random);
    }
  },
  'toReadable by read(n)': (stream, got, random) =>
    new Promise((resolve, reject) => {
      const readable = toReadable(stream, { highWaterMark: 1 + random(1000) });
      readable.on('end', resolve).on('error', reject);
      readable.on('readable', () => {
        for (let chunk = readable.read(1 + random(100)) ?? readable.read(); chunk !== null; chunk = readable.read())
          got(chunk);
      });
    }),
  'toReadable, paused now and then': (stream, got, random) =>
    new Promise((resolve, reject) => {
      const readable = toReadable(stream, { highWaterMark: 1 + random(1000) });
      readable.on('end', resolve).on('error', reject);
      readable.on('data', (chunk) => {
        got(chunk);
        readable.pause();
        void pause(random).then(() => readable.resume());
      });
    }),
  'toReadable piped into toWritable': async (stream, got) => {
    const other = new ByteWriter();
    const readable = toReadable(stream);
    const writable = toWritable(other);
    writable.on('error', () => {});
    // A Writable drops what it buffers when it is destroyed, so what was piped into it has to pass first.
    readable.on('error', (error) => writable.write('', () => writable.destroy(error))).pipe(writable);
    for await (const chunk of other.stream({ highWaterMark: 1000 })) got(chunk);
  },
  'fromReadable of toReadable': async (stream, got) => {
    for await (const chunk of fromReadable(toReadable(stream)).stream({ highWaterMark: 1000 })) got(chunk);
  },
  'pipeToResponse into a slow Writable': async (stream, got, random) => {
    const slow = new Writable({
      highWaterMark: 1 + random(1000),
      write(chunk, _, callback) {
        got(chunk);
        void pause(random).then(() => callback());
      },
    });
    slow.on('error', () => {});
    await pipeToResponse(stream, slow);
  },
  'batches of the iterable streams API': async (stream, got) => {
    const source = stream as unknown as Record<symbol, () => AsyncIterable<Uint8Array[]>>;
    for await (const batch of source[Symbol.for('Stream.toAsyncStreamable')]?.() ?? []) batch.forEach(got);
  },
};

async function run(seed: number): Promise<void> {
  const random = randomFrom(seed);
  const writer = new ByteWriter({ copy: random(2) === 0 });
  const failure = random(2) === 0 ? new Error('the writer failed') : null;
  const outcomes = Object.entries(readers).map(async ([name, read]) => {
    const options: ByteStreamOptions[] = [{}, { highWaterMark: random(5000), overflow: 'block' }, { copy: true }];
    const chunks: Uint8Array[] = [];
    let error: unknown = null;
    try {
      const stream = writer.stream(options[random(options.length)]);
      // A copy at once: memory that changed later would show only by chance.
      await read(stream, (chunk) => void chunks.push(Uint8Array.from(chunk)), randomFrom(seed + name.length));
    } catch (reason) {
      error = reason;
    }
    return { name, bytes: Buffer.concat(chunks), error };
  });
  const written: Buffer[] = [];
  for (let writes = random(40); writes > 0; writes--) {
    const size = random(3) === 0 ? random(50_000) : random(200);
    const chunk = Buffer.alloc(size, random(256));
    if (size > 0) chunk[0] = random(256);
    written.push(Buffer.from(chunk));
    const waits = writer.write(chunk);
    if (random(3) === 0) await waits;
    if (random(3) === 0) await pause(random);
  }
  if (failure === null) writer.close();
  else writer.fail(failure);
  const expected = Buffer.concat(written);
  for (const { name, bytes, error } of await Promise.all(outcomes)) {
    expect(error, `${name}: how it ended`).toBe(failure);
    expect(bytes.length, `${name}: how much`).toBe(expected.length);
    expect(Buffer.compare(bytes, expected), `${name}: which bytes`).toBe(0);
  }
  expect(writer.streamCount).toBe(0);
}

test(`ORD, END, FAIL: every way out gives the same bytes and the same end, ${RUNS} runs`, async () => {
  const first = randomSeed();
  for (let seed = first; seed < first + RUNS; seed++) {
    try {
      await run(seed);
    } catch (cause) {
      throw new Error(`with FANPIPE_SEED=${seed}`, { cause });
    }
  }
});
