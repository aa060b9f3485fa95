/**
 * The server, in a process of its own, so that its memory is its own. Told by the first message where to keep its streams; tells where it
 * listens, and what it costs.
 */
import { subscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { StreamServer } from '@fanpipe/server';
import { lmdbBackend } from '@fanpipe/server/lmdb';
import { type Serving, serve } from '@fanpipe/server/node';
import { NEVER_HEADER } from './client.ts';
import { staysWithParent, tellParent } from './parent.ts';

/** What it is told. */
export interface HostTask {
  readonly folder: string;
}

/** What a server costs at a moment, in bytes. */
export interface HostCost {
  /** Resident memory, without files that are mapped where the system tells them apart. */
  readonly memory: number;
  /** Resident parts of files that are mapped: programs, and its store. Undefined where the system does not tell. */
  readonly mapped: number | undefined;
  /** What waits in this process for the client that never reads. */
  readonly held: number;
}

/** What it tells. */
export type HostMessage =
  | { readonly type: 'listening'; readonly url: string }
  | { readonly type: 'failed'; readonly message: string }
  | ({ readonly type: 'cost' } & HostCost);

const SAMPLE_MS = 50;
let starting: Promise<Serving | undefined> | undefined;

staysWithParent(async () => {
  await (await starting)?.close({ grace: 0 });
});
process.once('message', ({ folder }: HostTask) => {
  starting = start(folder);
});

const tell = (message: HostMessage): void => tellParent(message);

/** Undefined: it cannot be started, which is told. */
async function start(folder: string): Promise<Serving | undefined> {
  let idle: Socket | undefined;
  subscribe('http.server.request.start', (message) => {
    const { request, socket } = message as { request: IncomingMessage; socket: Socket };
    if (request.headers[NEVER_HEADER] !== undefined) idle = socket;
  });
  try {
    const serving = await serve({ server: new StreamServer({ backend: lmdbBackend({ path: folder }) }), port: 0 });
    tell({ type: 'listening', url: serving.url });
    setInterval(() => tell({ type: 'cost', ...memory(), held: idle?.writableLength ?? 0 }), SAMPLE_MS);
    return serving;
  } catch (error) {
    tell({ type: 'failed', message: (error as Error).message });
    return undefined;
  }
}

function memory(): { memory: number; mapped: number | undefined } {
  const rss = process.memoryUsage.rss();
  try {
    const kib = /^RssFile:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
    if (kib !== undefined) return { memory: rss - Number(kib) * 1024, mapped: Number(kib) * 1024 };
  } catch {
    // No Linux.
  }
  return { memory: rss, mapped: undefined };
}
