/**
 * The clients of the server, in a process of their own: they are not to live from its memory and its core. Told by the first message what
 * to read; tells when all are there, how far they are, and how it came out.
 */
import { createHash } from 'node:crypto';
import { FRAME_MS } from '../screen.ts';
import { type Client, NEVER_READS } from './client.ts';
import { createClients } from './client-kinds.ts';
import { staysWithParent, tellParent } from './parent.ts';

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
  /** Milliseconds from its first request to its end; for those that were there before the upload, from its start. */
  readonly ms: number;
  /** Whether its line was to break: then there must be a note. */
  readonly isCut: boolean;
  readonly note: string | undefined;
  readonly error: string | undefined;
}

/** How far those of one kind are. */
export interface KindProgress {
  readonly kind: string;
  readonly count: number;
  /** Clients that are through. */
  readonly done: number;
  /** Bytes that all of them have got. */
  readonly bytes: number;
}

/** What they tell. */
export type ClientsMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'progress'; readonly kinds: readonly KindProgress[] }
  | { readonly type: 'results'; readonly results: readonly ClientResult[] };

staysWithParent(() => {});
process.once('message', ({ url, size }: ClientsTask) => void run(url, size));

const tell = (message: ClientsMessage): void => tellParent(message);

async function run(url: string, size: number): Promise<void> {
  let end = (): void => {};
  let halfRead = (): void => {};
  const isOver = new Promise<void>((resolve) => (end = resolve));
  const isHalfRead = new Promise<void>((resolve) => (halfRead = resolve));
  const clients = createClients(size, isOver);
  const kinds = new Map<string, { kind: string; count: number; done: number; bytes: number }>();
  for (const { kind } of clients) kinds.set(kind, { kind, count: 0, done: 0, bytes: 0 });
  let readyAt = 0;
  let missing = clients.filter((client) => client.isLate !== true).length;

  async function read(client: Client): Promise<ClientResult> {
    const { kind, isLate = false, isCut = false } = client;
    const all = kinds.get(kind) ?? { count: 0, done: 0, bytes: 0 };
    all.count++;
    if (isLate) await isHalfRead;
    const hash = createHash('sha256');
    const start = performance.now();
    let bytes = 0;
    let isOpen = isLate;
    const opened = (): void => {
      if (isOpen) return;
      isOpen = true;
      if (--missing > 0) return;
      tell({ type: 'ready' });
      readyAt = performance.now();
    };
    const take = (chunk: Uint8Array): void => {
      hash.update(chunk);
      bytes += chunk.length;
      all.bytes += chunk.length;
      if (bytes >= size / 2) halfRead();
    };
    let note: string | undefined;
    let error: string | undefined;
    try {
      note = await client.read(url, take, opened);
    } catch (reason) {
      error = String(reason);
    }
    const ms = performance.now() - Math.max(start, readyAt);
    // Whoever fails at once must not keep the others waiting.
    opened();
    halfRead();
    all.done++;
    return { kind, bytes, digest: hash.digest('hex'), ms, isCut, note, error };
  }

  const progress = (): void => tell({ type: 'progress', kinds: [...kinds.values()] });
  const timer = setInterval(progress, FRAME_MS);
  const reading = clients.map((client) => ({ client, result: read(client) }));
  await Promise.all(reading.map(({ client, result }) => (client.kind === NEVER_READS ? undefined : result)));
  end();
  const results = await Promise.all(reading.map(({ result }) => result));
  clearInterval(timer);
  progress();
  tell({ type: 'results', results });
}
