/**
 * A resource of 100 bytes behind a fetcher that answers as it is told: request by request, chunk by chunk, without a network and
 * by a clock that stands still.
 */

import {
  type RemoteOptions,
  type RetryEvent,
  resolveRemoteOptions,
} from '../../packages/fanpipe/src/remote/options.ts';
import { RemoteResource } from '../../packages/fanpipe/src/remote/remote-resource.ts';
import type { Transfer } from '../../packages/fanpipe/src/remote/transfer.ts';
import { FakeClock } from './fake-clock.ts';

export const SIZE = 100;
export const BYTES = Uint8Array.from({ length: SIZE }, (_, n) => n);

/** A request as the fetcher got it; `from` and `to` are its range, within the resource. */
export interface Asked {
  readonly url: string;
  readonly init: RequestInit;
  readonly headers: Headers;
  readonly from: number;
  readonly to: number;
}

export type Reply = (asked: Asked) => Response | Promise<Response>;

/** What a body does: gives chunks, fails, or says nothing more. Without `fail` and `silent` it ends. */
export interface Course {
  readonly chunks: readonly unknown[];
  readonly fail?: Error;
  readonly silent?: boolean;
  readonly onCancel?: () => void;
}

/** A body that takes this course, a step with each pull. */
export function bodyOf({ chunks, fail, silent = false, onCancel }: Course): ReadableStream<Uint8Array> {
  let next = 0;
  return new ReadableStream(
    {
      pull(controller): Promise<void> | void {
        if (next < chunks.length) controller.enqueue(chunks[next++] as Uint8Array);
        else if (silent) return new Promise(() => {});
        else if (fail) controller.error(fail);
        else controller.close();
      },
      cancel: () => onCancel?.(),
    },
    { highWaterMark: 0 },
  ) as ReadableStream<Uint8Array>;
}

export const strong = { etag: '"v1"' };

/** A 206 with these bytes in two chunks, unless told otherwise. */
export function part(
  from: number,
  to: number,
  headers: Record<string, string> = strong,
  course?: Partial<Course>,
): Response {
  const chunks = [BYTES.slice(from, (from + to) >> 1), BYTES.slice((from + to) >> 1, to)];
  return new Response(bodyOf({ chunks, ...course }), {
    status: 206,
    headers: { 'content-range': `bytes ${from}-${to - 1}/${SIZE}`, ...headers },
  });
}

export const honest: Reply = ({ from, to }) => part(from, to);

export interface Scene {
  readonly remote: RemoteResource;
  readonly asked: Asked[];
  readonly clock: FakeClock;
  readonly told: RetryEvent[];
}

/** A resource whose n-th request is answered by the n-th reply, and all that follow by the last. */
export function scene(replies: readonly Reply[], options: RemoteOptions = {}): Scene {
  const asked: Asked[] = [];
  const told: RetryEvent[] = [];
  const clock = new FakeClock();
  const fetcher = async (url: string, init: RequestInit): Promise<Response> => {
    const headers = new Headers(init.headers);
    const [, first = '0', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(headers.get('range') ?? '') ?? [];
    const one = { url, init, headers, from: Number(first), to: last === '' ? SIZE : Math.min(Number(last) + 1, SIZE) };
    asked.push(one);
    return (replies[Math.min(asked.length, replies.length) - 1] as Reply)(one);
  };
  const resolved = resolveRemoteOptions({
    fetcher,
    clock,
    random: () => 0,
    onRetry: (event) => told.push(event),
    ...options,
  });
  return { remote: new RemoteResource(new URL('http://origin.test/file'), resolved), asked, clock, told };
}

/** What came of a transfer so far. */
export interface Outcome {
  bytes: number[];
  /** Set if one was given. */
  empty?: boolean;
  done?: boolean;
  error?: { code?: string; cause?: unknown; message?: string };
}

/** Reads on until the end or an error; moves no clock. */
export function readAll(transfer: Transfer): Outcome {
  const outcome: Outcome = { bytes: [] };
  const read = async (): Promise<void> => {
    try {
      for (let result = await transfer.next(); !result.done; result = await transfer.next()) {
        outcome.bytes.push(...result.value);
        if (result.value.length === 0) outcome.empty = true;
      }
      outcome.done = true;
    } catch (error) {
      outcome.error = error as NonNullable<Outcome['error']>;
    }
  };
  void read();
  return outcome;
}

export const range = (from: number, to: number): number[] => [...BYTES.subarray(from, to)];
