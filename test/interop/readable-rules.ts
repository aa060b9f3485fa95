/**
 * What any readable stream of the web platform does in each of its states, whatever it was made from: the demands that
 * the web-platform-tests put to streams of every origin, as rules of our own.
 *
 * `make` gives a fresh stream in the state that is named. A rule that needs a reader takes one, or takes the one that was
 * got before the stream came into its state.
 */

import { expect, test } from 'vitest';
import { settle } from '../support/fake-clock.ts';

export interface Made<T> {
  readonly stream: ReadableStream<T>;
  /** A reader that was got before the stream came into its state. */
  readonly reader?: ReadableStreamDefaultReader<T>;
}

const DONE = { value: undefined, done: true };

/** Settles with the error that a promise rejects with. */
export function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => {
      throw new Error(`expected a rejection, it resolved with ${String(value)}`);
    },
    (reason) => reason,
  );
}

/** Whether a promise is settled after everything that is on its way has happened. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  promise.then(note, note);
  await settle();
  return settled;
}

/** A chunk in short: comparing many bytes one by one takes long. */
function brief(chunk: unknown): unknown {
  return chunk instanceof Uint8Array ? `${chunk.byteLength} bytes, ${chunk[0]} to ${chunk.at(-1)}` : chunk;
}

/** Checks that a read gives `chunk`. */
async function expectChunk(
  read: Promise<ReadableStreamReadResult<unknown>> | undefined,
  chunk: unknown,
): Promise<void> {
  const result = await read;
  expect({ value: brief(result?.value), done: result?.done }).toEqual({ value: brief(chunk), done: false });
}

const readerOf = <T>({ stream, reader }: Made<T>): ReadableStreamDefaultReader<T> => reader ?? stream.getReader();

/** Rules for every state: how locking works. */
function lockingRules<T>(make: () => Made<T>): void {
  test('getReader() refuses a mode that does not exist', () => {
    const { stream, reader } = make();
    reader?.releaseLock();
    for (const options of [{ mode: '' }, { mode: null }, { mode: 'bytes' }, 5]) {
      expect(() => stream.getReader(options as never), JSON.stringify(options)).toThrow(TypeError);
    }
    expect(stream.locked).toBe(false);
  });

  test('one reader at a time, any number in succession', () => {
    const made = make();
    const first = readerOf(made);
    expect(made.stream.locked).toBe(true);
    expect(() => made.stream.getReader()).toThrow(TypeError);
    first.closed.catch(() => {});
    first.releaseLock();
    expect(made.stream.locked).toBe(false);
    const second = made.stream.getReader();
    second.closed.catch(() => {});
    second.releaseLock();
    made.stream.getReader().closed.catch(() => {});
  });

  test('after releaseLock() its reads and its closed reject with a TypeError', async () => {
    const reader = readerOf(make());
    reader.closed.catch(() => {});
    reader.releaseLock();
    expect(await rejection(reader.read())).toBeInstanceOf(TypeError);
    expect(await rejection(reader.closed)).toBeInstanceOf(TypeError);
  });

  test('a locked stream refuses cancel()', async () => {
    const made = make();
    readerOf(made).closed.catch(() => {});
    expect(await rejection(made.stream.cancel())).toBeInstanceOf(TypeError);
  });
}

/** A stream that is open and has nothing to read. */
export function waitingRules<T>(make: () => Made<T>): void {
  lockingRules(make);

  test('reads wait, each with a promise of its own', async () => {
    const reader = readerOf(make());
    const reads = [reader.read(), reader.read()] as const;
    expect(reads[0]).not.toBe(reads[1]);
    expect(await isSettled(Promise.race([...reads, reader.closed]))).toBe(false);
  });

  test('releaseLock() rejects the reads that wait, and a later reader goes on', async () => {
    const made = make();
    const reader = readerOf(made);
    const waiting = [reader.read(), reader.read(), reader.closed];
    reader.releaseLock();
    for (const promise of waiting) expect(await rejection(promise)).toBeInstanceOf(TypeError);
    expect(await isSettled(made.stream.getReader().read())).toBe(false);
  });

  test('cancel() makes the reader act closed', async () => {
    const reader = readerOf(make());
    const read = reader.read();
    expect(await reader.cancel()).toBe(undefined);
    expect(await read).toEqual(DONE);
    expect(await reader.read()).toEqual(DONE);
    expect(await reader.closed).toBe(undefined);
  });
}

/** A stream at whose end nothing is left to read. */
export function closedRules<T>(make: () => Made<T>): void {
  lockingRules(make);

  test('closed resolves, though nobody reads', async () => {
    expect(await readerOf(make()).closed).toBe(undefined);
  });

  test('every read is done, also from within another', async () => {
    const reader = readerOf(make());
    expect(await Promise.all([reader.read(), reader.read()])).toEqual([DONE, DONE]);
    expect(await reader.read().then(() => reader.read())).toEqual(DONE);
  });

  test('cancel() resolves with undefined, each time with a promise of its own', async () => {
    const made = make();
    const target = made.reader ?? made.stream;
    const cancels = [target.cancel(), target.cancel()] as const;
    expect(cancels[0]).not.toBe(cancels[1]);
    expect(await Promise.all(cancels)).toEqual([undefined, undefined]);
  });

  test('releaseLock() gives closed another promise, which rejects', async () => {
    const reader = readerOf(make());
    const before = reader.closed;
    reader.releaseLock();
    expect(reader.closed).not.toBe(before);
    expect(await before).toBe(undefined);
    expect(await rejection(reader.closed)).toBeInstanceOf(TypeError);
  });
}

/** A stream that has failed with `reason`, with nothing left to read before it. */
export function erroredRules<T>(reason: unknown, make: () => Made<T>): void {
  lockingRules(make);

  test('closed rejects with the reason, though nobody reads', async () => {
    expect(await rejection(readerOf(make()).closed)).toBe(reason);
  });

  test('a second reader sees it too', async () => {
    const made = make();
    const first = readerOf(made);
    expect(await rejection(first.closed)).toBe(reason);
    first.releaseLock();
    expect(await rejection(first.closed)).toBeInstanceOf(TypeError);
    expect(await rejection(made.stream.getReader().closed)).toBe(reason);
  });

  test('every read rejects with the reason', async () => {
    const reader = readerOf(make());
    reader.closed.catch(() => {});
    expect(await rejection(reader.read())).toBe(reason);
    expect(await rejection(reader.read())).toBe(reason);
  });

  test('cancel() rejects with the reason, each time with a promise of its own', async () => {
    for (const withReader of [true, false]) {
      const made = make();
      if (!withReader && made.reader !== undefined) continue;
      const target = withReader ? readerOf(made) : made.stream;
      if (withReader) (target as ReadableStreamDefaultReader<T>).closed.catch(() => {});
      const cancels = [target.cancel(), target.cancel()] as const;
      expect(cancels[0]).not.toBe(cancels[1]);
      for (const cancelled of cancels) expect(await rejection(cancelled)).toBe(reason);
    }
  });
}

/** A stream that is open, with two chunks to read. */
export function twoChunksRules<T>(chunks: readonly [T, T], make: () => Made<T>): void {
  lockingRules(make);

  test('both chunks come, read at once or one after the other', async () => {
    const atOnce = readerOf(make());
    const reads = [atOnce.read(), atOnce.read()];
    for (const [index, chunk] of chunks.entries()) await expectChunk(reads[index], chunk);
    const after = readerOf(make());
    for (const chunk of chunks) await expectChunk(after.read(), chunk);
    expect(await isSettled(after.read())).toBe(false);
  });

  test('cancel() after a read still gives that read, and no more', async () => {
    const reader = readerOf(make());
    // The standard pulls nothing before a stream has started, a microtask after it was made.
    await settle();
    const read = reader.read();
    await reader.cancel();
    await expectChunk(read, chunks[0]);
    expect(await reader.read()).toEqual(DONE);
    expect(await reader.closed).toBe(undefined);
  });

  test('closed is one and the same promise until the lock is released', async () => {
    const reader = readerOf(make());
    const { closed } = reader;
    expect(reader.closed).toBe(closed);
    await reader.read();
    expect(reader.closed).toBe(closed);
    closed.catch(() => {});
    reader.releaseLock();
    expect(reader.closed).toBe(closed);
  });
}

/** A stream that ends after two chunks: well, or with a reason in a box. */
export function twoChunksEndRules<T>(
  chunks: readonly [T, T],
  end: null | { reason: unknown },
  make: () => Made<T>,
): void {
  lockingRules(make);
  const ended = async (promise: Promise<unknown>, value: unknown): Promise<void> => {
    if (end === null) expect(await promise).toEqual(value);
    else expect(await rejection(promise)).toBe(end.reason);
  };

  test('the end follows the chunks, read at once or one after the other', async () => {
    for (const atOnce of [true, false]) {
      const reader = readerOf(make());
      reader.closed.catch(() => {});
      const reads: Promise<ReadableStreamReadResult<T>>[] = [];
      for (let i = 0; i < 3; i++) {
        reads.push(reader.read());
        if (!atOnce) await reads[i]?.catch(() => {});
      }
      reads[2]?.catch(() => {});
      await expectChunk(reads[0], chunks[0]);
      await expectChunk(reads[1], chunks[1]);
      await ended(reads[2] as Promise<unknown>, DONE);
    }
  });

  test('closed settles together with the last chunk, without a further read, and not before', async () => {
    const made = make();
    const reader = readerOf(made);
    expect(await isSettled(reader.closed)).toBe(false);
    await reader.read();
    expect(await isSettled(reader.closed)).toBe(false);
    await reader.read();
    await ended(reader.closed, undefined);
    expect(made.stream.locked).toBe(true);
    reader.releaseLock();
    expect(made.stream.locked).toBe(false);
  });

  test('a second reader gets what the first left', async () => {
    const made = make();
    const first = readerOf(made);
    first.closed.catch(() => {});
    await expectChunk(first.read(), chunks[0]);
    first.releaseLock();
    const second = made.stream.getReader();
    second.closed.catch(() => {});
    await expectChunk(second.read(), chunks[1]);
    await ended(second.read(), DONE);
  });
}
