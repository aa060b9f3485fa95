import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FRAME_MS } from '../screen.ts';
import { Child } from './child.ts';
import type { ClientResult, ClientsMessage, ClientsTask, KindProgress } from './clients.ts';
import type { HostCost, HostMessage, HostTask } from './host.ts';

/** How a relay is coming along. */
export interface RelayProgress {
  /** Milliseconds since the upload began. */
  readonly elapsed: number;
  /** Bytes that the server has been sent. */
  readonly uploaded: number;
  /** Whether it has acknowledged all of them. */
  readonly isUploaded: boolean;
  /** The clients, by kind. */
  readonly kinds: readonly KindProgress[];
}

/** How it came out. */
export interface RelayResult {
  /** The path of the stream at the server. */
  readonly path: string;
  /** Bytes and SHA-256 of what was uploaded. */
  readonly bytes: number;
  readonly digest: string;
  /** Milliseconds from the start of the upload to its acknowledgement, and until all clients were through. */
  readonly uploadMs: number;
  readonly ms: number;
  readonly clients: readonly ClientResult[];
  /** What the server cost before the upload, and the highest of each since then. */
  readonly before: HostCost;
  readonly peak: HostCost;
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

const READ_SIZE = 256 * 1024;

/** Starts a server and its clients, uploads a file in one request, and waits until all clients have read it. Leaves nothing running. */
export async function relay(options: RelayOptions): Promise<RelayResult> {
  const { size, folder, signal } = options;
  signal.throwIfAborted();
  const host = new Child<HostTask, HostMessage>('host.ts', signal);
  const clients = new Child<ClientsTask, ClientsMessage>('clients.ts', signal);
  try {
    const { url, cost } = await listening(host, folder);
    const path = await createStream(url, signal);
    return { path, ...(await deliver(`${url}${path}`, size, host, cost, clients, options)) };
  } finally {
    await clients.stop();
    await host.stop();
  }
}

/** Where the server listens, and what it costs just then. */
function listening(
  host: Child<HostTask, HostMessage>,
  folder: string,
): Promise<{ readonly url: string; readonly cost: HostCost }> {
  const told = new Promise<{ url: string; cost: HostCost }>((resolve, reject) => {
    let url: string | undefined;
    host.onMessage((message) => {
      if (message.type === 'failed') reject(new Error(`The server does not start: ${message.message}`));
      else if (message.type === 'listening') url = message.url;
      else if (url !== undefined) resolve({ url, cost: message });
    });
  });
  host.tell({ folder });
  return Promise.race([told, host.failed]);
}

/** Creates a stream of a name that is free: the folder may have those of earlier runs. */
async function createStream(url: string, signal: AbortSignal): Promise<string> {
  const headers = { 'content-type': 'application/octet-stream' };
  for (let n = 1; ; n++) {
    const path = `/v1/stream/demo${n === 1 ? '' : `-${n}`}`;
    const { status } = await fetch(`${url}${path}`, { method: 'PUT', headers, signal });
    if (status === 201) return path;
    // One like it, or one that has ended.
    if (status !== 200 && status !== 409) throw new Error(`The server answers with status ${status}`);
  }
}

async function deliver(
  url: string,
  size: number,
  host: Child<HostTask, HostMessage>,
  before: HostCost,
  clients: Child<ClientsTask, ClientsMessage>,
  { path, signal, onProgress }: RelayOptions,
): Promise<Omit<RelayResult, 'path'>> {
  let kinds: readonly KindProgress[] = [];
  const failed = Promise.race([host.failed, clients.failed]);
  let isReady = (): void => {};
  let end = (_: readonly ClientResult[]): void => {};
  const ready = new Promise<void>((resolve) => (isReady = resolve));
  const results = new Promise<readonly ClientResult[]>((resolve) => (end = resolve));
  clients.onMessage((message) => {
    if (message.type === 'ready') isReady();
    else if (message.type === 'results') end(message.results);
    else kinds = message.kinds;
  });
  clients.tell({ url, size });
  await Promise.race([ready, failed]);

  let peak = before;
  host.onMessage((message) => {
    if (message.type === 'cost') peak = highest(peak, message);
  });
  const start = performance.now();
  const hash = createHash('sha256');
  let uploaded = 0;
  let uploadMs: number | undefined;
  const elapsed = (): number => performance.now() - start;
  const show = (): void => onProgress({ elapsed: elapsed(), uploaded, isUploaded: uploadMs !== undefined, kinds });
  const timer = setInterval(show, FRAME_MS);
  try {
    const uploading = upload(url, path, size, signal, (chunk) => {
      hash.update(chunk);
      uploaded += chunk.length;
    });
    await Promise.race([uploading, failed]);
    uploadMs = elapsed();
    const all = await Promise.race([results, failed]);
    const ms = elapsed();
    show();
    return { bytes: uploaded, digest: hash.digest('hex'), uploadMs, ms, clients: all, before, peak };
  } finally {
    clearInterval(timer);
  }
}

function highest(a: HostCost, b: HostCost): HostCost {
  return {
    memory: Math.max(a.memory, b.memory),
    mapped: a.mapped === undefined || b.mapped === undefined ? undefined : Math.max(a.mapped, b.mapped),
    held: Math.max(a.held, b.held),
  };
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
    size === 0 ? Readable.from([]) : createReadStream(path, { end: size - 1, highWaterMark: READ_SIZE }),
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
