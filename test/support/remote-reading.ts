/** Ways to read a remote resource to its end, and what a test looks at. */

import { createHash } from 'node:crypto';
import type { RemoteByteStream } from '../../packages/fanpipe/src/remote/index.ts';

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** What the promise rejects with; an error if it does not. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error as Error;
  }
  const what = value instanceof Uint8Array ? `${value.length} bytes` : String(value);
  throw new Error(`it did not reject, but gave ${what}`);
}

/** What the call throws; an error if it does not. */
export function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('it was not refused');
}

/** All from the position on, by `for await`. */
export async function iterated(remote: RemoteByteStream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of remote) chunks.push(chunk.slice());
  return Buffer.concat(chunks);
}

/** All from the position on, by `read(n)`. */
export async function readInPieces(remote: RemoteByteStream, size: () => number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const wanted = size();
    const chunk = await remote.read(wanted);
    chunks.push(chunk);
    if (chunk.length < wanted) return Buffer.concat(chunks);
  }
}

/** All from the position on, by `read(into)`, over the same memory again and again. */
export async function readInto(remote: RemoteByteStream, size: number): Promise<Uint8Array> {
  const into = new Uint8Array(size);
  const chunks: Uint8Array[] = [];
  for (;;) {
    const got = await remote.read(into);
    chunks.push(into.slice(0, got));
    if (got < size) return Buffer.concat(chunks);
  }
}
