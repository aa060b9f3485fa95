import { type ChildProcess, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { StreamServer } from '@fanpipe/server';
import { lmdbBackend } from '@fanpipe/server/lmdb';
import { serve } from '@fanpipe/server/node';
import type { ClientResult, ClientsMessage, ClientsTask } from './clients.ts';

/** How a relay is coming along. */
export interface RelayProgress {
  /** Milliseconds since the upload began. */
  readonly elapsed: number;
  /** Bytes that the server has been sent. */
  readonly uploaded: number;
  /** Bytes that clients have taken. */
  readonly delivered: number;
  /** Clients that are through. */
  readonly done: number;
}

/** How it came out. */
export interface RelayResult {
  /** Bytes and SHA-256 of what was uploaded. */
  readonly bytes: number;
  readonly digest: string;
  /** Milliseconds from the start of the upload to its last acknowledgement, and until all clients were through. */
  readonly uploadMs: number;
  readonly ms: number;
  readonly clients: readonly ClientResult[];
  /** Resident memory of the server's process in bytes, before the upload and at its highest. */
  readonly rssBefore: number;
  readonly rssPeak: number;
}

export interface RelayOptions {
  /** What is uploaded: the first `size` bytes of this file. */
  readonly path: string;
  readonly size: number;
  /** Where the server keeps it. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: RelayProgress) => void;
}

const PROGRESS_MS = 100;
const NAME = 'demo';

/** Starts a server and its clients, uploads a file in one request, and waits until all clients have read it. Leaves nothing running. */
export async function relay(options: RelayOptions): Promise<RelayResult> {
  const { size, folder, signal } = options;
  signal.throwIfAborted();
  const serving = await serve({ server: new StreamServer({ backend: lmdbBackend({ path: folder }) }), port: 0 });
  const clients = fork(fileURLToPath(new URL('clients.ts', import.meta.url)), { execArgv: ['--import', 'tsx'] });
  try {
    const url = `${serving.url}/v1/stream/${NAME}`;
    const created = await fetch(url, {
      method: 'PUT',
      headers: { 'content-type': 'application/octet-stream' },
      signal,
    });
    if (created.status !== 201)
      throw new Error(`The server answers with status ${created.status}: ${await created.text()}`);
    return await uploadTo(url, new Clients(clients, { url, size }, signal), options);
  } finally {
    if (clients.connected) clients.disconnect();
    await serving.close({ grace: 0 });
  }
}

async function uploadTo(
  url: string,
  clients: Clients,
  { path, size, signal, onProgress }: RelayOptions,
): Promise<RelayResult> {
  await clients.ready;
  const rssBefore = process.memoryUsage.rss();
  const start = performance.now();
  const hash = createHash('sha256');
  let rssPeak = rssBefore;
  let uploaded = 0;
  const timer = setInterval(() => {
    rssPeak = Math.max(rssPeak, process.memoryUsage.rss());
    onProgress({ elapsed: performance.now() - start, uploaded, ...clients.progress });
  }, PROGRESS_MS);
  try {
    await upload(url, path, size, signal, (chunk) => {
      hash.update(chunk);
      uploaded += chunk.length;
    });
    const uploadMs = performance.now() - start;
    const results = await clients.results;
    const ms = performance.now() - start;
    onProgress({ elapsed: ms, uploaded, ...clients.progress });
    return { bytes: uploaded, digest: hash.digest('hex'), uploadMs, ms, clients: results, rssBefore, rssPeak };
  } finally {
    clearInterval(timer);
  }
}

/** One POST of unknown length: what comes is there for readers at once, and the stream is closed behind it. */
async function upload(
  url: string,
  path: string,
  size: number,
  signal: AbortSignal,
  onChunk: (chunk: Uint8Array) => void,
): Promise<void> {
  const headers = { 'content-type': 'application/octet-stream', 'stream-closed': 'true' };
  const post = request(url, { method: 'POST', headers: { ...headers, 'transfer-encoding': 'chunked' }, signal });
  const answered = new Promise<number>((resolve, reject) => {
    post.on('response', (response) => resolve(response.resume().statusCode ?? 0)).on('error', reject);
  });
  answered.catch(() => {});
  await pipeline(
    size === 0 ? Readable.from([]) : createReadStream(path, { end: size - 1, highWaterMark: 256 * 1024 }),
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        onChunk(chunk);
        yield chunk;
      }
    },
    post,
    { signal },
  );
  const status = await answered;
  if (status !== 204) throw new Error(`The server refuses the upload with status ${status}`);
}

/** The process of the clients, as it tells of itself. Whatever ends it too early ends what is waited for. */
class Clients {
  readonly ready: Promise<void>;
  readonly results: Promise<readonly ClientResult[]>;
  progress = { delivered: 0, done: 0 };

  constructor(child: ChildProcess, task: ClientsTask, signal: AbortSignal) {
    let isReady = (): void => {};
    const failed = new Promise<never>((_, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`The clients ended too early, with code ${code}`)));
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    this.ready = Promise.race([new Promise<void>((resolve) => (isReady = resolve)), failed]);
    const told = new Promise<readonly ClientResult[]>((resolve) => {
      child.on('message', (message: ClientsMessage) => {
        if (message.type === 'ready') isReady();
        else if (message.type === 'results') resolve(message.results);
        else this.progress = { delivered: message.bytes, done: message.done };
      });
    });
    this.results = Promise.race([told, failed]);
    // Whoever does not come to wait for them has failed before.
    this.ready.catch(() => {});
    this.results.catch(() => {});
    child.send(task);
  }
}
