/**
 * One round of one case of `bench/remote.mjs`, in a process of its own: takes the case as JSON, prints what it measured as
 * JSON.
 */
import { cpuMicros } from '../tick.mjs';

const task = JSON.parse(process.argv[2]);
const { RemoteByteStream } = await import(
  process.env.FANPIPE_BENCH_OURS ?? new URL('../../packages/fanpipe/dist/remote/index.js', import.meta.url).href
);
const MIB = 2 ** 20;
const url = (size) => `${task.origin}/bytes/${size}`;

/** The requests that came to the server since this was called last. */
async function countRequests() {
  return Number(await (await fetch(`${task.origin}/requests`)).text());
}

/** Reads `size` bytes in one of the ways that are compared. Returns how many came. */
const sequential = {
  async fetch(size) {
    const reader = (await fetch(url(size))).body.getReader();
    let bytes = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return bytes;
      bytes += value.length;
    }
  },
  async 'fetch, for await'(size) {
    let bytes = 0;
    for await (const chunk of (await fetch(url(size))).body) bytes += chunk.length;
    return bytes;
  },
  async remote(size) {
    const remote = new RemoteByteStream(url(size));
    let bytes = 0;
    for await (const chunk of remote) bytes += chunk.length;
    remote.close();
    return bytes;
  },
  async 'remote, one GET'(size) {
    const remote = new RemoteByteStream(url(size), { seekable: false });
    let bytes = 0;
    for await (const chunk of remote) bytes += chunk.length;
    remote.close();
    return bytes;
  },
  async 'remote, read(into)'(size) {
    const remote = new RemoteByteStream(url(size));
    const into = new Uint8Array(65_536);
    let bytes = 0;
    for (let got = -1; got !== 0; bytes += got) got = await remote.read(into);
    remote.close();
    return bytes;
  },
};

async function throughput({ how, size, warm }) {
  const read = sequential[how];
  await read(warm);
  await countRequests();
  const cpu = cpuMicros();
  const started = performance.now();
  const bytes = await read(size);
  const seconds = (performance.now() - started) / 1000;
  const cpuSeconds = (cpuMicros() - cpu) / 1e6;
  if (bytes !== size) throw new Error(`${how} got ${bytes} of ${size} bytes`);
  return { value: size / MIB / seconds, cpu: size / MIB / cpuSeconds, requests: await countRequests() };
}

/** The same reads for all, by a generator of Park and Miller: pages, or any offset, some share of them in a small part. */
function offsets({ reads, size, length, hot, hotSize, aligned }) {
  let state = 12_345;
  const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  return Array.from({ length: reads }, () => {
    const within = random() < hot ? hotSize : size;
    const at = Math.floor(random() * (within - length + 1));
    return aligned ? at - (at % length) : at;
  });
}

async function random(task) {
  const { how, size, length, width = 1 } = task;
  const places = offsets(task);
  const remote = new RemoteByteStream(url(size), { cacheSize: 16 * MIB });
  const ways = {
    fetch: async (at) => {
      const response = await fetch(url(size), { headers: { range: `bytes=${at}-${at + length - 1}` } });
      return new Uint8Array(await response.arrayBuffer());
    },
    remote: (at) => remote.readAt(at, length),
  };
  await countRequests();
  const cpu = cpuMicros();
  const started = performance.now();
  for (let i = 0; i < places.length; i += width) {
    const got = await Promise.all(places.slice(i, i + width).map(ways[how]));
    for (const bytes of got) if (bytes.length !== length) throw new Error(`${how} got ${bytes.length} bytes`);
  }
  const seconds = (performance.now() - started) / 1000;
  const cpuSeconds = (cpuMicros() - cpu) / 1e6;
  const requests = await countRequests();
  const fetched = how === 'remote' ? remote.stats().bytesFetched : places.length * length;
  remote.close();
  return { value: places.length / seconds, cpu: places.length / cpuSeconds, requests, fetched };
}

async function memory({ size, cacheSize, every }) {
  const sample = async () => {
    for (let round = 0; round < 2; round++) {
      await new Promise((resolve) => setImmediate(resolve));
      globalThis.gc();
    }
    const { heapUsed, external } = process.memoryUsage();
    // Array buffers are a part of what is external.
    return heapUsed + external;
  };
  const run = async (bytes, samples) => {
    const remote = new RemoteByteStream(url(size), { cacheSize });
    // One that only goes forward would keep a part of that.
    await remote.readAt(0, 1);
    let next = every;
    for await (const _ of remote) {
      if (remote.position < next) continue;
      next += every;
      if (samples !== undefined)
        samples.push({ at: remote.position, ...remote.stats(), held: (await sample()) - before });
      if (remote.position >= bytes) break;
    }
    const { bytesCached } = remote.stats();
    remote.close();
    return bytesCached;
  };
  let before = 0;
  // Once to warm up: what the runtime keeps for good is not ours.
  await run(size / 8);
  before = await sample();
  const samples = [];
  const started = performance.now();
  await run(size, samples);
  const seconds = (performance.now() - started) / 1000;
  // From where the cache has been full for long, in two halves.
  const full = samples.filter(({ at }) => at > 4 * cacheSize);
  const mean = (list) => list.reduce((sum, { held }) => sum + held, 0) / list.length;
  const half = full.length >> 1;
  return {
    most: Math.max(...full.map(({ held }) => held)),
    cached: Math.max(...full.map(({ bytesCached }) => bytesCached)),
    mean: mean(full),
    growth: mean(full.slice(half)) - mean(full.slice(0, half)),
    left: (await sample()) - before,
    value: size / MIB / seconds,
  };
}

const works = { throughput, random, memory };
process.stdout.write(JSON.stringify(await works[task.work](task)));
process.exit(0);
