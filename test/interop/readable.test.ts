/** readable() of both kinds of stream, in every state that a stream of the web platform can be in. */

import { describe, expect, test } from 'vitest';
import { ByteWriter, type StreamOptions, TypedWriter } from '../../packages/fanpipe/src/index.ts';
import {
  closedRules,
  erroredRules,
  type Made,
  rejection,
  twoChunksEndRules,
  twoChunksRules,
  waitingRules,
} from './readable-rules.ts';

const reason = new Error('broken');

interface Writer<T> {
  writeSync(chunk: T): boolean;
  close(): void;
  fail(reason?: unknown): void;
  stream(options?: StreamOptions): { readable(): ReadableStream<T>; cancel(reason?: unknown): void };
}

/** A kind of writer, its options for `replay`, and chunks that come one by one though a reader may merge neighbours. */
interface Kind<T> {
  readonly name: string;
  readonly chunks: readonly [T, T];
  open(): Writer<T>;
}

// A default reader gets at most 64 KiB at once, so these two can be told apart.
const large = (byte: number): Uint8Array<ArrayBuffer> => new Uint8Array(64 * 1024).fill(byte);

const kinds: readonly [Kind<Uint8Array<ArrayBuffer>>, Kind<object>] = [
  { name: 'bytes', chunks: [large(1), large(2)], open: () => new ByteWriter({ replay: 'all' }) as never },
  {
    name: 'values',
    chunks: [{ first: true }, { second: true }],
    open: () => new TypedWriter<object>({ replay: 'all' }),
  },
];

const streamKinds: Record<string, StreamOptions> = {
  'a plain stream': {},
  'a stream with a policy': { highWaterMark: 1_000_000, overflow: 'drop-oldest' },
};

for (const kind of kinds as readonly Kind<unknown>[]) {
  for (const [streamKind, options] of Object.entries(streamKinds)) {
    describe(`readable() of ${kind.name}, ${streamKind}`, () => {
      /** Makes a stream; `before` and `after` it is opened something happens to the writer. */
      const making =
        (
          before: (writer: Writer<unknown>) => void,
          after: (writer: Writer<unknown>, made: Made<unknown>) => void,
          withReader: boolean,
        ) =>
        (): Made<unknown> => {
          const writer = kind.open();
          before(writer);
          const stream = writer.stream({ ...options, from: 'start' }).readable();
          const made = withReader ? { stream, reader: stream.getReader() } : { stream };
          made.reader?.closed.catch(() => {});
          after(writer, made);
          return made;
        };
      const nothing = (): void => {};
      const write = (writer: Writer<unknown>): void => {
        for (const chunk of kind.chunks) writer.writeSync(chunk);
      };
      const close = (writer: Writer<unknown>): void => writer.close();
      const fail = (writer: Writer<unknown>): void => writer.fail(reason);
      const both = (...steps: ((writer: Writer<unknown>) => void)[]) => {
        return (writer: Writer<unknown>): void => {
          for (const step of steps) step(writer);
        };
      };

      for (const withReader of [false, true]) {
        describe(withReader ? 'a reader got before' : 'a reader got after', () => {
          describe('nothing written', () => waitingRules(making(nothing, nothing, withReader)));
          describe('closed before readable()', () => closedRules(making(close, nothing, withReader)));
          describe('closed after readable()', () => closedRules(making(nothing, close, withReader)));
          describe('FAIL: failed before readable()', () => erroredRules(reason, making(fail, nothing, withReader)));
          describe('FAIL: failed after readable()', () => erroredRules(reason, making(nothing, fail, withReader)));
          describe('two chunks', () => {
            describe('before readable()', () => twoChunksRules(kind.chunks, making(write, nothing, withReader)));
            describe('after readable()', () => twoChunksRules(kind.chunks, making(nothing, write, withReader)));
          });
          describe('END: two chunks, then closed', () => {
            const rules = (make: () => Made<unknown>): void => twoChunksEndRules(kind.chunks, null, make);
            describe('before readable()', () => rules(making(both(write, close), nothing, withReader)));
            describe('around readable()', () => rules(making(write, close, withReader)));
            describe('after readable()', () => rules(making(nothing, both(write, close), withReader)));
          });
          describe('FAIL: two chunks, then failed', () => {
            const rules = (make: () => Made<unknown>): void => twoChunksEndRules(kind.chunks, { reason }, make);
            describe('before readable()', () => rules(making(both(write, fail), nothing, withReader)));
            describe('around readable()', () => rules(making(write, fail, withReader)));
            describe('after readable()', () => rules(making(nothing, both(write, fail), withReader)));
          });
        });
      }

      describe('cancelled', () => {
        closedRules(
          making(
            nothing,
            (_, { stream, reader }) => {
              void (reader ?? stream).cancel();
            },
            false,
          ),
        );
      });

      test('a failure without a reason, or with a falsy one, is a failure', async () => {
        for (const falsy of [null, 0, '', false]) {
          const writer = kind.open();
          const reader = writer.stream(options).readable().getReader();
          writer.fail(falsy);
          expect(await rejection(reader.closed)).toBe(falsy);
          expect(await rejection(reader.read())).toBe(falsy);
        }
        const writer = kind.open();
        const reader = writer.stream(options).readable().getReader();
        writer.fail();
        expect(await rejection(reader.closed)).toMatchObject({ code: 'ERR_FANPIPE_WRITER_FAILED' });
      });
    });
  }
}

describe('tee() of a readable', () => {
  test('cancelling both branches cancels the stream with both reasons', async () => {
    for (const reverse of [false, true]) {
      const writer = new ByteWriter();
      const branches = writer.stream().readable().tee();
      const order = reverse ? [...branches].reverse() : branches;
      const cancels = order.map((branch, index) => branch.cancel(index));
      await Promise.all(cancels);
      expect(writer.streamCount).toBe(0);
    }
  });

  test('FAIL: both branches fail with the reason', async () => {
    const writer = new ByteWriter();
    const readers = writer
      .stream()
      .readable()
      .tee()
      .map((branch) => branch.getReader());
    writer.fail(reason);
    for (const reader of readers) expect(await rejection(reader.closed)).toBe(reason);
  });
});
