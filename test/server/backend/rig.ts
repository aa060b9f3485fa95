/** What the tests of a backend are given, and what they read and write with. */
import { expect } from 'vitest';
import type {
  Backend,
  BackendCursor,
  BackendStream,
  BackendWriter,
  CreateOptions,
  CursorResult,
  StreamConfig,
} from '../../../packages/server/src/backends/backend.ts';
import { APPEND_COST, STREAM_COST } from '../../../packages/server/src/backends/memory/memory-storage.ts';
import type { ServerErrorCode } from '../../../packages/server/src/errors.ts';
import { type FakeClock, settle } from '../../support/fake-clock.ts';

/** A backend in a time that stands still. */
export interface Rig {
  /** The one that is open: another one after `reopen`. */
  readonly backend: Backend;
  readonly clock: FakeClock;
  /** Milliseconds since 1970, as the backend has it. Goes with the clock. */
  time(): number;
  /** Closes it and opens again what it kept; absent where it keeps nothing. */
  readonly reopen?: () => Promise<Backend>;
  /** Closes it and removes what it left. */
  close(): Promise<void>;
}

export type MakeRig = () => Promise<Rig>;

/** The time at which the clocks of all rigs begin. */
export const EPOCH = 1_700_000_000_000;
/** Turns of the event loop that a condition has at most. */
const PATIENCE = 20_000;

const encoder = new TextEncoder();

export const bytes = (text: string): Uint8Array => encoder.encode(text);
export const textOf = (chunks: readonly Uint8Array[]): string => Buffer.concat([...chunks]).toString('latin1');

/** A result as text: what came, or how it ended. */
export function shown(result: CursorResult): string {
  if (result.end === undefined) return textOf(result.chunks);
  return result.end.kind === 'closed' ? '<closed>' : `<failed: ${result.end.reason}>`;
}

/** What a limit of memory must be to hold these streams, and so many appends and bytes. */
export function memoryFor(
  names: readonly string[],
  appends: number,
  bytes: number,
  contentType = 'text/plain',
): number {
  const streams = names.reduce((sum, { length }) => sum + STREAM_COST + length + contentType.length, 0);
  return streams + appends * APPEND_COST + bytes;
}

/** A new stream. */
export async function created(
  backend: Backend,
  name: string,
  config: Partial<StreamConfig> = {},
  options: Omit<CreateOptions, 'chunks'> & { readonly text?: string } = {},
): Promise<BackendStream> {
  const { text, ...rest } = options;
  const { isNew, stream } = await backend.create(
    name,
    { contentType: 'text/plain', ...config },
    { ...rest, ...(text === undefined ? {} : { chunks: [bytes(text)] }) },
  );
  expect(isNew, `${name} is new`).toBe(true);
  return stream;
}

/** A new stream and its writer. */
export async function writing(
  backend: Backend,
  name: string,
  config: Partial<StreamConfig> = {},
  text?: string,
): Promise<{ stream: BackendStream; writer: BackendWriter }> {
  const stream = await created(backend, name, config, text === undefined ? {} : { text });
  const { writer } = await stream.acquire();
  return { stream, writer };
}

/** A fork of what is there. */
export async function forked(
  source: BackendStream,
  backend: Backend,
  name: string,
  offset: number,
  config: Partial<StreamConfig> = {},
): Promise<BackendStream> {
  return await created(backend, name, {
    ...config,
    fork: { source: source.name, generation: source.generation, offset },
  });
}

export async function opened(backend: Backend, name: string): Promise<BackendStream> {
  const stream = await backend.open(name);
  if (stream === undefined) throw new Error(`There is no stream ${name}`);
  return stream;
}

export const append = (writer: BackendWriter, ...texts: string[]): ReturnType<BackendWriter['append']> =>
  writer.append(texts.map(bytes));

/** The next step of a cursor: the position must be that of the result. */
export async function nextOf(cursor: BackendCursor, maxBytes?: number): Promise<string> {
  const before = cursor.position;
  const result = await cursor.next(maxBytes === undefined ? {} : { maxBytes });
  expect(cursor.position).toBe(result.next);
  if (result.end === undefined) {
    expect(result.offset).toBe(before);
    expect(result.chunks.length).toBeGreaterThan(0);
    expect(result.chunks.every(({ length }) => length > 0)).toBe(true);
    expect(result.next - result.offset).toBe(result.chunks.reduce((sum, { length }) => sum + length, 0));
  } else expect(result.next).toBe(before);
  return shown(result);
}

/** Exactly `count` bytes from where the cursor stands. */
export async function readBytes(cursor: BackendCursor, count: number): Promise<string> {
  let text = '';
  while (text.length < count) text += await nextOf(cursor, count - text.length);
  return text;
}

/** All that is there now from an offset on. Default the oldest. */
export async function contents(stream: BackendStream, from?: number): Promise<string> {
  const { head, tail } = await stream.state();
  const start = from ?? head;
  const cursor = stream.cursor(start);
  const text = await readBytes(cursor, tail - start);
  cursor.close();
  return text;
}

/** Until the end, which it shows too. */
export async function readToEnd(cursor: BackendCursor): Promise<string> {
  for (let text = ''; ; ) {
    const more = await nextOf(cursor);
    text += more;
    if (more.startsWith('<')) return text;
  }
}

/** That it rejects with an error of that code. */
export async function refused(promise: Promise<unknown>, code: ServerErrorCode, fields: object = {}): Promise<void> {
  await expect(promise).rejects.toMatchObject({ code, ...fields });
}

export const outcome = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: { code?: string }) => error.code ?? String(error),
  );

/** Whether it has settled by now: after all that can happen without anything from outside. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let isDone = false;
  const note = (): void => {
    isDone = true;
  };
  promise.then(note, note);
  for (let turn = 0; turn < 5; turn++) await settle();
  return isDone;
}

/** Waits, for as long as the event loop needs, but not for ever. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < PATIENCE; turn++) {
    if (await condition()) return;
    await settle();
  }
  throw new Error(`It did not come to this: ${what}`);
}

/** Lets so many microtasks run. */
export async function hops(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await undefined;
}

export async function listed(backend: Backend, options?: Parameters<Backend['list']>[0]): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of backend.list(options)) names.push(name);
  return names;
}
