/**
 * What every call does in every state, as a table. A cell says how the call comes out, and after the bar how many streams
 * are attached then. A promise that is still pending once everything else has run "waits".
 */

import { describe, expect, test } from 'vitest';
import type { ByteStream, ByteStreamOptions } from '../../packages/fanpipe/src/core/byte-stream.ts';
import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import { FanpipeError } from '../../packages/fanpipe/src/errors.ts';
import { settle } from '../support/fake-clock.ts';

/** Reasons are told apart by identity. */
const FAILURE = new Error('the writer failed');
const ABORT = new Error('the signal fired');
const THROWN = new Error('thrown in');
const CANCEL = new Error('cancelled');
const NAMES = new Map<unknown, string>([
  [FAILURE, 'FAILURE'],
  [ABORT, 'ABORT'],
  [THROWN, 'THROWN'],
]);

function nameOf(error: unknown): string {
  const name = NAMES.get(error);
  if (name !== undefined) return name;
  if (!(error instanceof FanpipeError)) return String(error);
  const cause = error.cause === undefined ? '' : `(${error.cause === CANCEL ? 'CANCEL' : nameOf(error.cause)})`;
  return error.code.replace('ERR_FANPIPE_', '') + cause;
}

function show(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  if (Array.isArray(value)) return `[${value.map(show).join('')}]`;
  if (typeof value === 'object' && value !== null && 'done' in value) {
    return value.done ? 'done' : show((value as unknown as { value: unknown }).value);
  }
  return value === '' ? "''" : String(value);
}

/** How a call comes out. */
async function outcomeOf(call: () => unknown): Promise<string> {
  let outcome = 'waits';
  try {
    const result = call();
    if (Array.isArray(result)) {
      return (await Promise.all(result.map((each) => outcomeOf(() => each)))).join(', ');
    }
    if (!(result instanceof Promise)) return show(result);
    result.then(
      (value) => {
        outcome = show(value);
      },
      (error) => {
        outcome = `rejects ${nameOf(error)}`;
      },
    );
  } catch (error) {
    return `throws ${nameOf(error)}`;
  }
  await settle();
  return outcome;
}

type Table = Record<string, Record<string, string>>;

/** A table as it is written below: a head, and a row for each call. */
function parse(text: string): Table {
  const [head, ...rows] = text
    .trim()
    .split('\n')
    .map((line) => line.split('│').map((cell) => cell.trim()));
  const table: Table = {};
  for (const [call, ...cells] of rows) {
    table[call as string] = Object.fromEntries(cells.map((cell, i) => [head?.[i + 1] as string, cell]));
  }
  return table;
}

describe('state table of a writer', () => {
  interface Scene {
    readonly writer: ByteWriter;
    readonly streams: ByteStream[];
  }

  const states: Record<string, () => Scene> = {
    open: () => {
      const writer = new ByteWriter({ replay: 'all' });
      const streams = [writer.stream(), writer.stream({ highWaterMark: 10 })];
      writer.writeSync('ab');
      return { writer, streams };
    },
    blocked: () => {
      const scene = (states.open as () => Scene)();
      scene.writer.writeSync('more than ten');
      return scene;
    },
    closed: () => {
      const scene = (states.open as () => Scene)();
      scene.writer.close();
      return scene;
    },
    'closed, blocked': () => {
      const scene = (states.blocked as () => Scene)();
      scene.writer.close();
      return scene;
    },
    'closed, drained': () => drained((states.closed as () => Scene)()),
    failed: () => {
      const scene = (states.open as () => Scene)();
      scene.writer.fail(FAILURE);
      return scene;
    },
    'failed, drained': () => drained((states.failed as () => Scene)()),
  };

  function drained(scene: Scene): Scene {
    for (const stream of scene.streams) {
      try {
        while (stream.read() instanceof Uint8Array);
      } catch (error) {
        expect(error).toBe(FAILURE);
      }
    }
    return scene;
  }

  const fired = AbortSignal.abort(ABORT);
  const calls: Record<string, (writer: ByteWriter) => unknown> = {
    write: (writer) => writer.write('x'),
    'write nothing': (writer) => writer.write(''),
    'write, aborted': (writer) => writer.write('x', { signal: fired }),
    writev: (writer) => writer.writev(['x', 'y']),
    'writev nothing': (writer) => writer.writev([]),
    writeSync: (writer) => writer.writeSync('x'),
    'writeSync nothing': (writer) => writer.writeSync(''),
    writevSync: (writer) => writer.writevSync(['x', 'y']),
    flush: (writer) => writer.flush(),
    'flush, aborted': (writer) => writer.flush({ signal: fired }),
    close: (writer) => writer.close(),
    fail: (writer) => writer.fail(new Error('another')),
    end: (writer) => writer.end(),
    endSync: (writer) => writer.endSync(),
    'stream, now': (writer) => writer.stream().read(),
    'stream, start': (writer) => writer.stream({ from: 'start' }).read(),
    'stream, start, to its end': async (writer) => {
      const stream = writer.stream({ from: 'start' });
      stream.read();
      if (writer.bytesWritten > 2) stream.read();
      return stream.read();
    },
    state: (writer) => writer.state,
    desiredSize: (writer) => writer.desiredSize,
    bytesWritten: (writer) => writer.bytesWritten,
  };

  // After the bar: bytesWritten, and the state after the call.
  const table = parse(`
                            │ open             │ blocked            │ closed                          │ closed, blocked                  │ closed, drained                 │ failed                                   │ failed, drained
  write                     │ undefined|3 open │ waits|16 open      │ rejects WRITER_ENDED|2 closed   │ rejects WRITER_ENDED|15 closed   │ rejects WRITER_ENDED|2 closed   │ rejects WRITER_ENDED(FAILURE)|2 failed   │ rejects WRITER_ENDED(FAILURE)|2 failed
  write nothing             │ undefined|2 open │ waits|15 open      │ rejects WRITER_ENDED|2 closed   │ rejects WRITER_ENDED|15 closed   │ rejects WRITER_ENDED|2 closed   │ rejects WRITER_ENDED(FAILURE)|2 failed   │ rejects WRITER_ENDED(FAILURE)|2 failed
  write, aborted            │ rejects ABORT|2 open │ rejects ABORT|15 open │ rejects WRITER_ENDED|2 closed │ rejects WRITER_ENDED|15 closed │ rejects WRITER_ENDED|2 closed   │ rejects WRITER_ENDED(FAILURE)|2 failed   │ rejects WRITER_ENDED(FAILURE)|2 failed
  writev                    │ undefined|4 open │ waits|17 open      │ rejects WRITER_ENDED|2 closed   │ rejects WRITER_ENDED|15 closed   │ rejects WRITER_ENDED|2 closed   │ rejects WRITER_ENDED(FAILURE)|2 failed   │ rejects WRITER_ENDED(FAILURE)|2 failed
  writev nothing            │ undefined|2 open │ waits|15 open      │ rejects WRITER_ENDED|2 closed   │ rejects WRITER_ENDED|15 closed   │ rejects WRITER_ENDED|2 closed   │ rejects WRITER_ENDED(FAILURE)|2 failed   │ rejects WRITER_ENDED(FAILURE)|2 failed
  writeSync                 │ true|3 open      │ false|15 open      │ false|2 closed                  │ false|15 closed                  │ false|2 closed                  │ false|2 failed                           │ false|2 failed
  writeSync nothing         │ true|2 open      │ false|15 open      │ false|2 closed                  │ false|15 closed                  │ false|2 closed                  │ false|2 failed                           │ false|2 failed
  writevSync                │ true|4 open      │ false|15 open      │ false|2 closed                  │ false|15 closed                  │ false|2 closed                  │ false|2 failed                           │ false|2 failed
  flush                     │ waits|2 open     │ waits|15 open      │ waits|2 closed                  │ waits|15 closed                  │ undefined|2 closed              │ waits|2 failed                           │ undefined|2 failed
  flush, aborted            │ rejects ABORT|2 open │ rejects ABORT|15 open │ rejects ABORT|2 closed       │ rejects ABORT|15 closed          │ rejects ABORT|2 closed          │ rejects ABORT|2 failed                   │ rejects ABORT|2 failed
  close                     │ undefined|2 closed │ undefined|15 closed │ undefined|2 closed            │ undefined|15 closed              │ undefined|2 closed              │ undefined|2 failed                       │ undefined|2 failed
  fail                      │ undefined|2 failed │ undefined|15 failed │ undefined|2 closed            │ undefined|15 closed              │ undefined|2 closed              │ undefined|2 failed                       │ undefined|2 failed
  end                       │ 2|2 closed       │ 15|15 closed       │ 2|2 closed                      │ 15|15 closed                     │ 2|2 closed                      │ rejects WRITER_ENDED(FAILURE)|2 failed   │ rejects WRITER_ENDED(FAILURE)|2 failed
  endSync                   │ 2|2 closed       │ 15|15 closed       │ 2|2 closed                      │ 15|15 closed                     │ 2|2 closed                      │ -1|2 failed                              │ -1|2 failed
  stream, now               │ undefined|2 open │ undefined|15 open  │ null|2 closed                   │ null|15 closed                   │ null|2 closed                   │ throws FAILURE|2 failed                  │ throws FAILURE|2 failed
  stream, start             │ ab|2 open        │ ab|15 open         │ ab|2 closed                     │ ab|15 closed                     │ ab|2 closed                     │ ab|2 failed                              │ ab|2 failed
  stream, start, to its end │ undefined|2 open │ undefined|15 open  │ null|2 closed                   │ null|15 closed                   │ null|2 closed                   │ rejects FAILURE|2 failed                 │ rejects FAILURE|2 failed
  state                     │ open|2 open      │ open|15 open       │ closed|2 closed                 │ closed|15 closed                 │ closed|2 closed                 │ failed|2 failed                          │ failed|2 failed
  desiredSize               │ 8|2 open         │ 0|15 open          │ null|2 closed                   │ null|15 closed                   │ null|2 closed                   │ null|2 failed                            │ null|2 failed
  bytesWritten              │ 2|2 open         │ 15|15 open         │ 2|2 closed                      │ 15|15 closed                     │ 2|2 closed                      │ 2|2 failed                               │ 2|2 failed
`);

  test('the table names every call in every state', () => {
    for (const call of Object.keys(calls)) {
      expect(Object.keys(table[call] ?? {}), call).toEqual(Object.keys(states));
    }
  });

  for (const [call, row] of Object.entries(table)) {
    test.for(Object.entries(row))(`END FAIL WAIT COUNT: ${call}, when %s`, async ([state, expected]) => {
      const { writer, streams } = (states[state] as () => Scene)();
      const outcome = await outcomeOf(() => calls[call]?.(writer));
      expect(`${outcome}|${writer.bytesWritten} ${writer.state}`).toBe(expected);
      // Whatever waits settles once all have gone.
      for (const stream of streams) stream.cancel();
      await settle();
    });
  }

  test('END FAIL: what the first end was is what it stays, and readers get its reason', async () => {
    const { writer, streams } = (states.open as () => Scene)();
    const collected = streams.map((stream) => stream.text());
    writer.fail(FAILURE);
    writer.fail(new Error('another'));
    writer.close();
    for (const text of collected) await expect(text).rejects.toBe(FAILURE);
    const other = (states.open as () => Scene)();
    other.writer.close();
    other.writer.fail(FAILURE);
    for (const stream of other.streams) expect(await stream.text()).toBe('ab');
  });

  test('END FAIL: disposing of an open writer fails it, of an ended one does nothing', async () => {
    for (const symbol of [Symbol.dispose, Symbol.asyncDispose].filter((each) => each !== undefined)) {
      const dispose = async (writer: ByteWriter): Promise<void> =>
        await (writer as unknown as Record<symbol, () => Promise<void>>)[symbol]?.();
      const { writer, streams } = (states.open as () => Scene)();
      await dispose(writer);
      expect(writer.state).toBe('failed');
      for (const stream of streams) {
        await expect(stream.text()).rejects.toMatchObject({ code: 'ERR_FANPIPE_WRITER_FAILED' });
      }
      const closed = (states.closed as () => Scene)();
      await dispose(closed.writer);
      expect(closed.writer.state).toBe('closed');
    }
  });

  test('END WAIT: writes and flushes that wait when the writer ends settle as the readers go on', async () => {
    for (const end of ['close', 'fail'] as const) {
      const { writer, streams } = (states.open as () => Scene)();
      const waits = [writer.write('more than ten'), writer.write('and more'), writer.flush()];
      let settled = 0;
      for (const wait of waits) void wait.then(() => settled++);
      writer[end]();
      await settle();
      expect(settled).toBe(0);
      streams[1]?.cancel();
      await settle();
      expect(settled).toBe(2);
      streams[0]?.cancel();
      await Promise.all(waits);
    }
  });
});

describe('state table of a stream', () => {
  interface Scene {
    readonly writer: ByteWriter;
    readonly stream: ByteStream;
  }

  const kinds: Record<string, ByteStreamOptions> = {
    plain: {},
    block: { overflow: 'block', highWaterMark: 100 },
    'drop-oldest': { overflow: 'drop-oldest', highWaterMark: 100 },
    'drop-newest': { overflow: 'drop-newest', highWaterMark: 100 },
    disconnect: { overflow: 'disconnect', highWaterMark: 100 },
    copy: { copy: true },
    signal: { signal: new AbortController().signal },
    'in the middle of a chunk': { from: 1 },
  };

  function scene(options: ByteStreamOptions): Scene {
    const writer = new ByteWriter({ replay: 2 });
    if (options.from === 1) {
      writer.writeSync('__');
      const stream = writer.stream({ ...options, from: 1 });
      stream.read();
      return { writer, stream };
    }
    return { writer, stream: writer.stream(options) };
  }

  const states: Record<string, (options: ByteStreamOptions) => Scene> = {
    empty: scene,
    data: (options) => {
      const made = scene(options);
      made.writer.writeSync('ab');
      return made;
    },
    'closed+data': (options) => {
      const made = states.data?.(options) as Scene;
      made.writer.close();
      return made;
    },
    closed: (options) => {
      const made = scene(options);
      made.writer.close();
      return made;
    },
    ended: (options) => {
      const made = states.closed?.(options) as Scene;
      expect(made.stream.read()).toBe(null);
      return made;
    },
    'failed+data': (options) => {
      const made = states.data?.(options) as Scene;
      made.writer.fail(FAILURE);
      return made;
    },
    failed: (options) => {
      const made = scene(options);
      made.writer.fail(FAILURE);
      return made;
    },
    told: (options) => {
      const made = states.failed?.(options) as Scene;
      expect(() => made.stream.read()).toThrow(FAILURE);
      return made;
    },
    cancelled: (options) => {
      const made = states.data?.(options) as Scene;
      made.stream.cancel(CANCEL);
      return made;
    },
    aborted: (options) => {
      const controller = new AbortController();
      const made = states.data?.({ ...options, signal: controller.signal }) as Scene;
      controller.abort(ABORT);
      return made;
    },
    disconnected: (options) => {
      const made = scene({ ...options, overflow: 'disconnect', highWaterMark: 1 });
      made.writer.writeSync('ab');
      return made;
    },
  };

  const calls: Record<string, (stream: ByteStream, writer: ByteWriter) => unknown> = {
    next: (stream) => stream[Symbol.asyncIterator]().next(),
    'next next': (stream) => {
      const iterator = stream[Symbol.asyncIterator]();
      return [iterator.next(), iterator.next()];
    },
    read: (stream) => stream.read(),
    'read read': async (stream) => {
      const first = await outcomeOf(() => stream.read());
      return `${first}, ${await outcomeOf(() => stream.read())}`;
    },
    batch: (stream) => stream.batches().next(),
    text: (stream) => stream.text(),
    bytes: (stream) => stream.bytes(),
    return: (stream) => stream[Symbol.asyncIterator]().return?.(),
    throw: (stream) => stream[Symbol.asyncIterator]().throw?.(THROWN),
    'return, next': (stream) => {
      const iterator = stream[Symbol.asyncIterator]();
      void iterator.return?.();
      return iterator.next();
    },
    'return, read': (stream) => {
      void stream[Symbol.asyncIterator]().return?.();
      return stream.read();
    },
    'throw, next': (stream) => {
      const iterator = stream[Symbol.asyncIterator]();
      iterator.throw?.(THROWN).catch(() => {});
      return iterator.next();
    },
    'cancel, next': (stream) => {
      stream.cancel(CANCEL);
      return stream[Symbol.asyncIterator]().next();
    },
    'cancel, read': (stream) => {
      stream.cancel(CANCEL);
      return stream.read();
    },
    'cancel, text': (stream) => {
      stream.cancel(CANCEL);
      return stream.text();
    },
    'next, cancel': (stream) => {
      const next = stream[Symbol.asyncIterator]().next();
      stream.cancel(CANCEL);
      return next;
    },
    'text, cancel': (stream) => {
      const text = stream.text();
      stream.cancel(CANCEL);
      return text;
    },
    'next, write': (stream, writer) => {
      const next = stream[Symbol.asyncIterator]().next();
      writer.writeSync('cd');
      return next;
    },
  };

  const table = parse(`
                │ empty           │ data          │ closed+data      │ closed       │ ended        │ failed+data               │ failed                           │ told                             │ cancelled                    │ aborted                      │ disconnected
   next         │ waits|1         │ ab|1          │ ab|1             │ done|0       │ done|0       │ ab|1                      │ rejects FAILURE|0                │ rejects FAILURE|0                │ done|0                       │ rejects ABORT|0              │ rejects DISCONNECTED|0
   next next    │ waits, waits|1  │ ab, waits|1   │ ab, done|0       │ done, done|0 │ done, done|0 │ ab, rejects FAILURE|0     │ rejects FAILURE, rejects FAILURE|0 │ rejects FAILURE, rejects FAILURE|0 │ done, done|0             │ rejects ABORT, rejects ABORT|0 │ rejects DISCONNECTED, rejects DISCONNECTED|0
   read         │ undefined|1     │ ab|1          │ ab|1             │ null|0       │ null|0       │ ab|1                      │ throws FAILURE|0                 │ throws FAILURE|0                 │ null|0                       │ throws ABORT|0               │ throws DISCONNECTED|0
   read read    │ undefined, undefined|1 │ ab, undefined|1 │ ab, null|0 │ null, null|0 │ null, null|0 │ ab, throws FAILURE|0      │ throws FAILURE, throws FAILURE|0 │ throws FAILURE, throws FAILURE|0 │ null, null|0                 │ throws ABORT, throws ABORT|0 │ throws DISCONNECTED, throws DISCONNECTED|0
   batch        │ waits|1         │ [ab]|1        │ [ab]|1           │ done|0       │ done|0       │ [ab]|1                    │ rejects FAILURE|0                │ rejects FAILURE|0                │ done|0                       │ rejects ABORT|0              │ rejects DISCONNECTED|0
   text         │ waits|1         │ waits|1       │ ab|0             │ ''|0         │ ''|0         │ rejects FAILURE|0         │ rejects FAILURE|0                │ rejects FAILURE|0                │ rejects CANCELLED(CANCEL)|0  │ rejects ABORT|0              │ rejects DISCONNECTED|0
   bytes        │ waits|1         │ waits|1       │ ab|0             │ |0           │ |0           │ rejects FAILURE|0         │ rejects FAILURE|0                │ rejects FAILURE|0                │ rejects CANCELLED(CANCEL)|0  │ rejects ABORT|0              │ rejects DISCONNECTED|0
   return       │ done|0          │ done|0        │ done|0           │ done|0       │ done|0       │ done|0                    │ done|0                           │ done|0                           │ done|0                       │ done|0                       │ done|0
   throw        │ rejects THROWN|0 │ rejects THROWN|0 │ rejects THROWN|0 │ rejects THROWN|0 │ rejects THROWN|0 │ rejects THROWN|0    │ rejects THROWN|0                 │ rejects THROWN|0                 │ rejects THROWN|0             │ rejects THROWN|0             │ rejects THROWN|0
   return, next │ done|0          │ done|0        │ done|0           │ done|0       │ done|0       │ done|0                    │ done|0                           │ done|0                           │ done|0                       │ done|0                       │ done|0
   return, read │ null|0          │ null|0        │ null|0           │ null|0       │ null|0       │ null|0                    │ null|0                           │ null|0                           │ null|0                       │ null|0                       │ null|0
   throw, next  │ done|0          │ done|0        │ done|0           │ done|0       │ done|0       │ done|0                    │ done|0                           │ rejects FAILURE|0                │ done|0                       │ rejects ABORT|0              │ rejects DISCONNECTED|0
   cancel, next │ done|0          │ done|0        │ done|0           │ done|0       │ done|0       │ done|0                    │ done|0                           │ rejects FAILURE|0                │ done|0                       │ rejects ABORT|0              │ rejects DISCONNECTED|0
   cancel, read │ null|0          │ null|0        │ null|0           │ null|0       │ null|0       │ null|0                    │ null|0                           │ throws FAILURE|0                 │ null|0                       │ throws ABORT|0               │ throws DISCONNECTED|0
   cancel, text │ rejects CANCELLED(CANCEL)|0 │ rejects CANCELLED(CANCEL)|0 │ rejects CANCELLED(CANCEL)|0 │ rejects CANCELLED(CANCEL)|0 │ ''|0 │ rejects CANCELLED(CANCEL)|0 │ rejects CANCELLED(CANCEL)|0 │ rejects FAILURE|0 │ rejects CANCELLED(CANCEL)|0 │ rejects ABORT|0 │ rejects DISCONNECTED|0
   next, cancel │ done|0          │ ab|0          │ ab|0             │ done|0       │ done|0       │ ab|0                      │ rejects FAILURE|0                │ rejects FAILURE|0                │ done|0                       │ rejects ABORT|0              │ rejects DISCONNECTED|0
   text, cancel │ rejects CANCELLED(CANCEL)|0 │ rejects CANCELLED(CANCEL)|0 │ rejects CANCELLED(CANCEL)|0 │ ''|0 │ ''|0 │ rejects CANCELLED(CANCEL)|0 │ rejects FAILURE|0 │ rejects FAILURE|0 │ rejects CANCELLED(CANCEL)|0 │ rejects ABORT|0 │ rejects DISCONNECTED|0
   next, write  │ cd|1            │ ab|1          │ ab|1             │ done|0       │ done|0       │ ab|1                      │ rejects FAILURE|0                │ rejects FAILURE|0                │ done|0                       │ rejects ABORT|0              │ rejects DISCONNECTED|0
`);

  test('the table names every call in every state', () => {
    expect(Object.keys(table)).toEqual(Object.keys(calls));
    for (const [call, row] of Object.entries(table)) expect(Object.keys(row), call).toEqual(Object.keys(states));
  });

  for (const [call, row] of Object.entries(table)) {
    test.for(Object.entries(row))(`END FAIL DETACH NEXT: ${call}, when %s`, async ([state, expected]) => {
      for (const [kind, options] of Object.entries(kinds)) {
        const { writer, stream } = (states[state] as (options: ByteStreamOptions) => Scene)(options);
        const outcome = await outcomeOf(() => calls[call]?.(stream, writer));
        expect(`${outcome}|${writer.streamCount}`, `a stream that is ${kind}`).toBe(expected);
        stream.cancel();
        expect(writer.streamCount).toBe(0);
      }
      await settle();
    });
  }
});
