/**
 * One server under load, a process of its own: `node --expose-gc host.mjs KIND`. Tells its port over IPC, and answers what is asked:
 * `usage` (CPU microseconds and RSS so far, the highest RSS since `usage` was asked last) and `held` (bytes held after collections).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuMicros } from '../tick.mjs';

const kind = process.argv[2];
const folder = mkdtempSync(join(tmpdir(), 'fanpipe-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const hosts = {
  async memory() {
    return listen(undefined);
  },
  async lmdb() {
    return listen(join(folder, 'data'));
  },
  async reference() {
    return reference({});
  },
  async 'reference-files'() {
    return reference({ dataDir: join(folder, 'data') });
  },
  async bare() {
    const { bareServer } = await import('./bare.mjs');
    return bareServer();
  },
};

/** Ours, as `npm run serve` starts it. */
async function listen(data) {
  const dist = new URL('../../packages/server/dist/', import.meta.url);
  const entry = (path) => import(new URL(path, dist).href);
  const { StreamServer } = await entry('index.js');
  const { serve } = await entry('node.js');
  const backend =
    data === undefined ? undefined : await (await entry('backends/lmdb/index.js')).lmdbBackend({ path: data });
  const { port } = await serve({ server: new StreamServer(backend === undefined ? {} : { backend }), port: 0 });
  return port;
}

async function reference(options) {
  const { DurableStreamTestServer } = await import('@durable-streams/server');
  const server = new DurableStreamTestServer({ port: 0, host: '127.0.0.1', compression: false, ...options });
  return Number(new URL(await server.start()).port);
}

let highest = 0;
setInterval(() => {
  highest = Math.max(highest, process.memoryUsage.rss());
}, 10).unref();

async function held() {
  for (let round = 0; round < 4; round++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    globalThis.gc();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  // Array buffers are a part of what is external.
  return { held: heapUsed + external, rss };
}

process.on('message', async (question) => {
  if (question === 'held') return process.send(await held());
  const rss = process.memoryUsage.rss();
  process.send({ cpu: cpuMicros(), rss, highest: Math.max(highest, rss) });
  highest = 0;
});
process.on('disconnect', () => process.exit());
process.send(await hosts[kind]());
