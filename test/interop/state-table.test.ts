/**
 * What every call gives in every state, for the four shapes in which a writer or a stream goes out into the world. Each
 * table is compared as a whole, as text: a cell that changes shows with its row and column.
 */

import type { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { ByteWriter, FanpipeError } from '../../packages/fanpipe/src/index.ts';
import { toReadable, toWritable } from '../../packages/fanpipe/src/node.ts';
import { settle } from '../support/fake-clock.ts';

const reason = new Error('reason');
const mine = new Error('mine');

/** A value or an error in one word. */
function word(value: unknown): string {
  if (value === reason) return 'reason';
  if (value === mine) return 'mine';
  if (value instanceof FanpipeError) return value.code.slice('ERR_FANPIPE_'.length).toLowerCase();
  // Its codes differ between the versions of Node.
  if (value instanceof Error) return 'platform';
  if (value instanceof Uint8Array) return value.byteLength === 0 ? 'empty' : 'data';
  if (typeof value === 'object' && value !== null && 'done' in value) {
    return value.done ? 'done' : word((value as { value?: unknown }).value);
  }
  return value === undefined ? 'ok' : String(value);
}

/** How a promise settles, in one word, or that it does not. */
async function outcome(promise: Promise<unknown> | unknown): Promise<string> {
  const waits = settle()
    .then(settle)
    .then(settle)
    .then(settle)
    .then(() => 'waits');
  const settled = Promise.resolve(promise).then(word, (error) => `!${word(error)}`);
  return Promise.race([settled, waits]);
}

async function attempt(call: () => unknown): Promise<string> {
  try {
    return await outcome(call());
  } catch (error) {
    return `!${word(error)}`;
  }
}

/** Runs every call in a fresh thing of every state, and gives the table. */
async function tableOf<T>(
  states: Record<string, () => T | Promise<T>>,
  calls: Record<string, (thing: T) => unknown>,
  after: (thing: T) => string = () => '',
): Promise<string> {
  const rows: string[][] = [['', ...Object.keys(calls)]];
  for (const [state, make] of Object.entries(states)) {
    const row = [state];
    for (const call of Object.values(calls)) {
      const thing = await make();
      row.push(`${await attempt(() => call(thing))}${after(thing)}`);
    }
    rows.push(row);
  }
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join(' | ')
      .trimEnd(),
  );
  return `\n${lines.join('\n')}\n`;
}

/** The states of a stream, for what is made from it. */
function streamStates<T>(
  from: (writer: ByteWriter, stream: ReturnType<ByteWriter['stream']>) => T,
): Record<string, () => Promise<T>> {
  const state =
    (
      act: (writer: ByteWriter, stream: ReturnType<ByteWriter['stream']>, controller: AbortController) => void,
      mark?: number,
    ) =>
    async (): Promise<T> => {
      const writer = new ByteWriter();
      const controller = new AbortController();
      const stream = writer.stream(
        mark === undefined ? { signal: controller.signal } : { highWaterMark: mark, overflow: 'disconnect' },
      );
      const made = from(writer, stream);
      act(writer, stream, controller);
      await settle();
      return made;
    };
  return {
    open: state(() => {}),
    'open, data': state((writer) => writer.writeSync('data')),
    closed: state((writer) => writer.close()),
    'closed, data': state((writer) => {
      writer.writeSync('data');
      writer.close();
    }),
    failed: state((writer) => writer.fail(reason)),
    'failed, data': state((writer) => {
      writer.writeSync('data');
      writer.fail(reason);
    }),
    cancelled: state((_, stream) => stream.cancel(reason)),
    'cancelled, data': state((writer, stream) => {
      writer.writeSync('data');
      stream.cancel(reason);
    }),
    aborted: state((_, __, controller) => controller.abort(reason)),
    disconnected: state((writer) => writer.writeSync('data'), 1),
  };
}

/** Nothing here shall count as unhandled: `closed` and `ready` are not what is looked at. */
function quiet<T extends { closed: Promise<unknown>; ready?: Promise<unknown> }>(handle: T): T {
  handle.closed.catch(() => {});
  handle.ready?.catch(() => {});
  return handle;
}

/** A Node stream, with what it has emitted. */
class Heard<S extends NodeJS.EventEmitter> {
  readonly stream: S;
  readonly events: string[] = [];

  constructor(stream: S) {
    this.stream = stream;
    for (const event of ['end', 'finish', 'close']) stream.on(event, () => this.events.push(event));
    stream.on('error', (error) => this.events.push(`!${word(error)}`));
  }

  async after(): Promise<string> {
    for (let i = 0; i < 3; i++) await settle();
    return this.events.join(' ') || 'nothing';
  }
}

describe('state × call', () => {
  // The number is that of the attached streams after the call.
  test('readable()', async () => {
    const table = await tableOf(
      streamStates((writer, stream) => ({ writer, stream, readable: stream.readable() })),
      {
        read: ({ readable }) => quiet(readable.getReader()).read(),
        'read twice': async ({ readable }) => {
          const reader = quiet(readable.getReader());
          await reader.read();
          return reader.read();
        },
        'read byob': ({ readable }) => quiet(readable.getReader({ mode: 'byob' })).read(new Uint8Array(9)),
        closed: ({ readable }) => readable.getReader().closed,
        cancel: ({ readable }) => readable.cancel(mine),
        'stream.read': ({ stream }) => stream.read(),
      },
      ({ writer }) => ` ${writer.streamCount}`,
    );
    expect(table).toBe(`
                | read            | read twice      | read byob       | closed          | cancel          | stream.read
open            | waits 1         | waits 1         | waits 1         | waits 1         | ok 0            | ok 1
open, data      | data 1          | waits 1         | data 1          | waits 1         | ok 0            | data 1
closed          | done 0          | done 0          | done 0          | ok 0            | ok 0            | null 0
closed, data    | data 0          | done 0          | data 0          | waits 1         | ok 0            | data 1
failed          | !reason 0       | !reason 0       | !reason 0       | !reason 0       | !reason 0       | !reason 0
failed, data    | data 0          | !reason 0       | data 0          | waits 1         | ok 0            | data 1
cancelled       | !cancelled 0    | !cancelled 0    | !cancelled 0    | !cancelled 0    | !cancelled 0    | null 0
cancelled, data | !cancelled 0    | !cancelled 0    | !cancelled 0    | !cancelled 0    | !cancelled 0    | null 0
aborted         | !reason 0       | !reason 0       | !reason 0       | !reason 0       | !reason 0       | !reason 0
disconnected    | !disconnected 0 | !disconnected 0 | !disconnected 0 | !disconnected 0 | !disconnected 0 | !disconnected 0
`);
  });

  // After the call stands the state of the writer.
  test('writable()', async () => {
    interface Made {
      readonly writer: ByteWriter;
      readonly sink: WritableStreamDefaultWriter<string>;
    }
    const state =
      (act: (made: Made) => unknown, mark = 1000) =>
      async (): Promise<Made> => {
        const writer = new ByteWriter();
        writer.stream({ highWaterMark: mark, overflow: 'block' });
        const made = { writer, sink: quiet((writer.writable() as WritableStream<string>).getWriter()) };
        await made.sink.ready;
        act(made);
        await settle();
        return made;
      };
    const swallow = (promise: Promise<unknown>): void => void promise.catch(() => {});
    const table = await tableOf<Made>(
      {
        open: state(() => {}),
        'held up': state(({ sink }) => swallow(sink.write('data')), 1),
        closing: state(({ sink }) => {
          swallow(sink.write('data'));
          swallow(sink.close());
        }, 1),
        closed: state(({ sink }) => sink.close()),
        aborted: state(({ sink }) => sink.abort(reason)),
        refused: state(({ sink }) => swallow(sink.write(5 as never))),
        'writer closed': state(({ writer }) => writer.close()),
        'writer failed': state(({ writer }) => writer.fail(reason)),
      },
      {
        write: ({ sink }) => sink.write('more'),
        'bad write': ({ sink }) => sink.write(5 as never),
        close: ({ sink }) => sink.close(),
        abort: ({ sink }) => sink.abort(mine),
        ready: ({ sink }) => sink.ready,
        closed: ({ sink }) => sink.closed,
      },
      ({ writer }) => `, ${writer.state}`,
    );
    expect(table).toBe(`
              | write                  | bad write              | close             | abort      | ready                  | closed
open          | ok, open               | !invalid_chunk, failed | ok, closed        | ok, failed | ok, open               | waits, open
held up       | waits, open            | waits, open            | waits, open       | ok, failed | waits, open            | waits, open
closing       | !platform, open        | !platform, open        | !platform, open   | ok, failed | ok, open               | waits, open
closed        | !platform, closed      | !platform, closed      | !platform, closed | ok, closed | ok, closed             | ok, closed
aborted       | !reason, failed        | !reason, failed        | !platform, failed | ok, failed | !reason, failed        | !reason, failed
refused       | !invalid_chunk, failed | !invalid_chunk, failed | !platform, failed | ok, failed | !invalid_chunk, failed | !invalid_chunk, failed
writer closed | !writer_ended, closed  | !writer_ended, closed  | !platform, closed | ok, closed | !writer_ended, closed  | !writer_ended, closed
writer failed | !writer_ended, failed  | !writer_ended, failed  | !platform, failed | ok, failed | !writer_ended, failed  | !writer_ended, failed
`);
  });

  // What it emits, and the number of attached streams.
  test('toReadable()', async () => {
    const table = await tableOf(
      streamStates((writer, stream) => ({ writer, heard: new Heard(toReadable(stream)) })),
      {
        nothing: ({ heard }) => heard.after(),
        'read()': ({ heard }) => {
          heard.stream.read();
          return heard.after();
        },
        'resume()': ({ heard }) => {
          heard.stream.on('data', (chunk) => heard.events.push(word(chunk)));
          return heard.after();
        },
        'destroy()': ({ heard }) => {
          heard.stream.destroy();
          return heard.after();
        },
        'destroy(error)': ({ heard }) => {
          heard.stream.destroy(mine);
          return heard.after();
        },
      },
      ({ writer }) => `, ${writer.streamCount}`,
    );
    expect(table).toBe(`
                | nothing    | read()                 | resume()               | destroy() | destroy(error)
open            | nothing, 1 | nothing, 1             | nothing, 1             | close, 0  | !mine close, 0
open, data      | nothing, 1 | nothing, 1             | data, 1                | close, 0  | !mine close, 0
closed          | nothing, 1 | nothing, 0             | end close, 0           | close, 0  | !mine close, 0
closed, data    | nothing, 1 | nothing, 0             | data end close, 0      | close, 0  | !mine close, 0
failed          | nothing, 1 | !reason close, 0       | !reason close, 0       | close, 0  | !mine close, 0
failed, data    | nothing, 1 | nothing, 0             | data !reason close, 0  | close, 0  | !mine close, 0
cancelled       | nothing, 0 | !cancelled close, 0    | !cancelled close, 0    | close, 0  | !mine close, 0
cancelled, data | nothing, 0 | !cancelled close, 0    | !cancelled close, 0    | close, 0  | !mine close, 0
aborted         | nothing, 0 | !reason close, 0       | !reason close, 0       | close, 0  | !mine close, 0
disconnected    | nothing, 0 | !disconnected close, 0 | !disconnected close, 0 | close, 0  | !mine close, 0
`);
  });

  // What it emits, and the state of the writer.
  test('toWritable()', async () => {
    interface Made {
      readonly writer: ByteWriter;
      readonly heard: Heard<Writable>;
    }
    const state =
      (act: (made: Made) => unknown, mark = 1000) =>
      async (): Promise<Made> => {
        const writer = new ByteWriter();
        writer.stream({ highWaterMark: mark, overflow: 'block' });
        const made = { writer, heard: new Heard(toWritable(writer)) };
        act(made);
        await made.heard.after();
        made.heard.events.length = 0;
        return made;
      };
    const called = async ({ heard }: Made, call: (done: (error?: unknown) => void) => void): Promise<string> => {
      call((error) => heard.events.push(`called ${word(error ?? undefined)}`));
      return heard.after();
    };
    const table = await tableOf<Made>(
      {
        open: state(() => {}),
        'held up': state(({ heard }) => heard.stream.write('data'), 1),
        ending: state(({ heard }) => heard.stream.end('data'), 1),
        finished: state(({ heard }) => heard.stream.end()),
        destroyed: state(({ heard }) => heard.stream.destroy()),
        'writer closed': state(({ writer }) => writer.close()),
        'writer failed': state(({ writer }) => writer.fail(reason)),
      },
      {
        write: (made) => called(made, (done) => made.heard.stream.write('more', done)),
        end: (made) => called(made, (done) => made.heard.stream.end(done)),
        'destroy()': ({ heard }) => {
          heard.stream.destroy();
          return heard.after();
        },
        'destroy(error)': ({ heard }) => {
          heard.stream.destroy(mine);
          return heard.after();
        },
      },
      ({ writer }) => `, ${writer.state}`,
    );
    expect(table).toBe(`
              | write                                   | end                            | destroy()       | destroy(error)
open          | called ok, open                         | called ok finish close, closed | close, failed   | !mine close, failed
held up       | nothing, open                           | nothing, open                  | close, failed   | !mine close, failed
ending        | called platform !platform close, failed | nothing, open                  | close, failed   | !mine close, failed
finished      | called platform, closed                 | called platform, closed        | nothing, closed | nothing, closed
destroyed     | called platform, failed                 | nothing, failed                | nothing, failed | nothing, failed
writer closed | called platform, closed                 | called platform, closed        | nothing, closed | nothing, closed
writer failed | called platform, failed                 | called platform, failed        | nothing, failed | nothing, failed
`);
  });
});
