/** Runs as a process of its own: see `StoreProcess`. */

import { statfsSync } from 'node:fs';
import type { BackendWriter, StreamConfig } from '../../../packages/server/src/backends/backend.ts';
import type { Backend } from '../../../packages/server/src/backends/index.ts';
import { type LmdbBackendOptions, lmdbBackend } from '../../../packages/server/src/backends/lmdb/index.ts';
import { appendOf, LOADED, loadedName } from './load.ts';

export interface StoreRequest {
  readonly id: number;
  readonly op: keyof typeof ops;
  readonly args: readonly unknown[];
}

export interface StoreFailure {
  readonly code: string;
  readonly message: string;
  readonly isFull: boolean;
}

export type StoreReply =
  | { readonly id: number; readonly value?: unknown; readonly error?: StoreFailure }
  | { readonly acknowledged: readonly [stream: number, append: number] };

let backend: Backend | undefined;
const writers = new Map<string, BackendWriter>();

function open(): Backend {
  if (backend === undefined) throw new Error('The store is not open');
  return backend;
}

async function streamOf(name: string) {
  const stream = await open().open(name);
  if (stream === undefined) throw new Error(`There is no stream ${name}`);
  return stream;
}

async function writerOf(name: string): Promise<BackendWriter> {
  let writer = writers.get(name);
  if (writer === undefined) {
    ({ writer } = await (await streamOf(name)).acquire());
    writers.set(name, writer);
  }
  return writer;
}

const ops = {
  async open(path: string, options: Omit<LmdbBackendOptions, 'path'> = {}) {
    backend = lmdbBackend({ path, ...options });
  },
  async close() {
    await backend?.close();
    backend = undefined;
    writers.clear();
  },
  /** Says whether it is new. */
  async create(name: string, config: Partial<StreamConfig> = {}) {
    return (await open().create(name, { contentType: 'text/plain', ...config })).isNew;
  },
  async delete(name: string) {
    writers.delete(name);
    return await open().delete(name);
  },
  /** A writer that appended before `open` of another one is acquired anew. */
  async append(name: string, size: number, byte: number) {
    return (await (await writerOf(name)).append([Buffer.alloc(size, byte)])).tail;
  },
  /** As many appends as fit, of so many bytes; says how many, and how the last one failed. */
  async fill(name: string, size: number, byte: number) {
    const writer = await writerOf(name);
    for (let count = 0; ; count++) {
      try {
        await writer.append([Buffer.alloc(size, byte)]);
      } catch (error) {
        return { count, error: failureOf(error) };
      }
    }
  },
  /** Bytes that the disk has left. */
  async free(path: string) {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  },
  async state(name: string) {
    const { head, tail, end } = await (await streamOf(name)).state();
    return { head, tail, end };
  },
  /** The text from the head to the tail. */
  async read(name: string) {
    const stream = await streamOf(name);
    const { head, tail } = await stream.state();
    const cursor = stream.cursor(head);
    const chunks: Uint8Array[] = [];
    while (cursor.position < tail) {
      const result = await cursor.next({ maxBytes: 1024 * 1024 });
      if (result.end !== undefined) break;
      chunks.push(...result.chunks);
    }
    return Buffer.concat(chunks).toString('latin1');
  },
  /** Appends without end, 64 at a time, and tells each acknowledgement. */
  async load(seed: number) {
    for (let stream = 0; stream < LOADED; stream++) {
      const { stream: opened } = await open().create(loadedName(stream), { contentType: 'text/plain' });
      const { writer, facts } = await opened.acquire();
      let next = Number(facts.get('next') ?? 0);
      const run = async (): Promise<void> => {
        for (;;) {
          const append = next++;
          await writer.append(appendOf(seed, stream, append), { facts: new Map([['next', String(append + 1)]]) });
          process.send?.({ acknowledged: [stream, append] } satisfies StoreReply);
        }
      };
      for (let i = 0; i < 64 / LOADED; i++) run().catch(fail);
    }
  },
};

function failureOf(error: unknown): StoreFailure {
  const { code = '', message, isFull = false } = error as { code?: string; message: string; isFull?: boolean };
  return { code, message, isFull };
}

function fail(error: unknown): void {
  console.error(error);
  process.exit(1);
}

process.on('message', ({ id, op, args }: StoreRequest) => {
  const run = ops[op] as (...args: readonly unknown[]) => Promise<unknown>;
  run(...args).then(
    (value) => process.send?.({ id, value } satisfies StoreReply),
    (error) => process.send?.({ id, error: failureOf(error) } satisfies StoreReply),
  );
});
// It goes with whoever started it.
process.on('disconnect', () => process.exit(0));
