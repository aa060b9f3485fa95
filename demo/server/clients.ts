/**
 * The clients of the server, in a process of their own: they are not to live from its memory and its core. Told by the first message what
 * to read; tells when all are there, how far they are, and how it came out.
 */
import { createHash } from 'node:crypto';
import { type Client, createClients } from './client-kinds.ts';

/** What they are told. */
export interface ClientsTask {
  readonly url: string;
  /** Bytes that the stream is going to have. */
  readonly size: number;
}

/** How one of them came out. */
export interface ClientResult {
  readonly kind: string;
  readonly bytes: number;
  /** SHA-256 of what it got. */
  readonly digest: string;
  /** Milliseconds from its first request to its end. */
  readonly ms: number;
  readonly note: string | undefined;
  readonly error: string | undefined;
}

/** What they tell. */
export type ClientsMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'progress'; readonly bytes: number; readonly done: number }
  | { readonly type: 'results'; readonly results: readonly ClientResult[] };

const PROGRESS_MS = 100;

// Whoever is in front of the terminal stops the demo, and the demo stops these.
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
process.once('disconnect', () => process.exit());
process.once('message', ({ url, size }: ClientsTask) => void run(url, size));

const tell = (message: ClientsMessage): void => void process.send?.(message);

async function run(url: string, size: number): Promise<void> {
  let bytes = 0;
  let done = 0;
  let end = (): void => {};
  let halfRead = (): void => {};
  const isOver = new Promise<void>((resolve) => (end = resolve));
  const isHalfRead = new Promise<void>((resolve) => (halfRead = resolve));
  const clients = createClients(size, isOver);
  let missing = clients.filter((client) => client.isLate !== true).length;

  async function read(client: Client): Promise<ClientResult> {
    if (client.isLate) await isHalfRead;
    const hash = createHash('sha256');
    const start = performance.now();
    let own = 0;
    let isOpen = false;
    const opened = (): void => {
      if (isOpen || client.isLate) return;
      isOpen = true;
      if (--missing === 0) tell({ type: 'ready' });
    };
    const take = (chunk: Uint8Array): void => {
      hash.update(chunk);
      own += chunk.length;
      bytes += chunk.length;
      if (own >= size / 2) halfRead();
    };
    let note: string | undefined;
    let error: string | undefined;
    try {
      note = await client.read(url, take, opened);
    } catch (reason) {
      error = String(reason);
    }
    opened();
    halfRead();
    done++;
    return { kind: client.kind, bytes: own, digest: hash.digest('hex'), ms: performance.now() - start, note, error };
  }

  const timer = setInterval(() => tell({ type: 'progress', bytes, done }), PROGRESS_MS);
  const reading = clients.map((client) => ({ client, result: read(client) }));
  await Promise.all(reading.map(({ client, result }) => (client.kind === 'never reads' ? undefined : result)));
  end();
  const results = await Promise.all(reading.map(({ result }) => result));
  clearInterval(timer);
  tell({ type: 'results', results });
}
