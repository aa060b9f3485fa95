/**
 * Drives streams of ranges of one entry together with models of them, step by step.
 *
 * The model of a range is a writer of its own that was given just the bytes of that range, and closed where it ends: a range
 * must behave as if nothing else had ever been written. What is added to that is when it is over: a stream is detached
 * together with its last byte.
 */

import { channelOf } from '../../packages/fanpipe/src/core/base-writer.ts';
import { ByteStream } from '../../packages/fanpipe/src/core/byte-stream.ts';
import type { Cursor } from '../../packages/fanpipe/src/core/cursor.ts';
import type { OverflowPolicy } from '../../packages/fanpipe/src/core/policies.ts';
import { OffsetNotWrittenError } from '../../packages/fanpipe/src/errors.ts';
import { EntryWriter } from '../../packages/fanpipe/src/pool/entry-writer.ts';
import { openRange } from '../../packages/fanpipe/src/pool/open-range.ts';
import { ByteLog } from './core-log.ts';
import {
  exactly,
  type Gap,
  ModelChannel,
  ModelCollector,
  type ModelStream,
  type NowOutcome,
  type Outcome,
} from './core-model.ts';
import { expectSame, fail } from './expect-same.ts';
import { settle } from './fake-clock.ts';
import { noteSettled, type Settled } from './settled.ts';

export interface RangeOptions {
  readonly start: number;
  readonly length: number | undefined;
  readonly policy?: OverflowPolicy | undefined;
  readonly mark?: number | undefined;
  readonly copy?: boolean;
  readonly signal?: boolean;
  /** `onMissed` throws. */
  readonly throws?: boolean;
}

interface PendingRead {
  readonly label: string;
  readonly stream: RangeStream;
  expected: Outcome | undefined;
  actual: Settled | undefined;
}

interface RangeStream {
  readonly index: number;
  readonly start: number;
  readonly end: number;
  readonly cursor: Cursor<Uint8Array>;
  readonly real: ByteStream;
  readonly channel: ModelChannel<Uint8Array>;
  readonly model: ModelStream<Uint8Array>;
  readonly controller: AbortController | undefined;
  readonly copy: boolean;
  readonly told: Gap[];
  readonly expectedTold: Gap[];
  /** Nothing that is written from now on is in its range. */
  sealed: boolean;
  mode: 'free' | 'next' | 'batch' | 'collector';
  detached: number;
  collector: { readonly model: ModelCollector<Uint8Array>; actual: Settled | undefined } | undefined;
}

/** The writer of an entry, its ranges, and the steps. Streams are taken modulo how many there are. */
export class RangeRig {
  readonly writer: EntryWriter = new EntryWriter(() => {});
  readonly streams: RangeStream[] = [];
  steps = 0;
  /** How often a run met what makes it worth its time. */
  readonly seen = { parked: 0, gaps: 0, ahead: 0, cut: 0, blocked: 0, over: 0, failures: 0 };
  #bytes: Uint8Array = new Uint8Array(0);
  /** Where chunks begin. */
  readonly #borders: number[] = [];
  #tail = 0;
  /** What of the last write is not written yet: the source has to wait at a border. */
  #rest: Uint8Array = new Uint8Array(0);
  #waitsForRoom = false;
  #isWriting = false;
  #reads: PendingRead[] = [];
  #seed = 0;

  // ---- the writer

  /** Writes as a source does, that waits for each write. */
  write(size: number, byReference: boolean): void {
    if (this.#isWriting || this.writer.state !== 'open') return;
    const seed = ++this.#seed;
    const chunk = Uint8Array.from({ length: size }, (_, i) => seed * 31 + i * 7);
    this.#rest = chunk.slice();
    this.writer.takesOver = byReference;
    this.#isWriting = true;
    const done = (): void => {
      this.#isWriting = false;
    };
    this.writer.write(chunk).then(done, done);
    if (!byReference) chunk.fill(0xff);
    this.#writePart();
    this.#check();
  }

  /** Up to the next place at which a range with a policy begins or ends. */
  #writePart(): void {
    if (this.#rest.length === 0) return;
    const from = this.#tail;
    let size = this.#rest.length;
    for (const stream of this.streams) {
      if (!stream.model.attached || stream.model.policy === undefined || stream.sealed) continue;
      if (stream.end <= from) stream.sealed = true;
      else size = Math.min(size, (stream.start > from ? stream.start : stream.end) - from);
    }
    const part = this.#rest.subarray(0, size);
    if (size < this.#rest.length) this.seen.cut++;
    this.#rest = this.#rest.subarray(size);
    this.#borders.push(from);
    this.#tail = from + size;
    this.#bytes = Uint8Array.from([...this.#bytes, ...part]);
    for (const stream of this.streams) this.#give(stream, from, this.#tail);
    this.#waitsForRoom = this.#isBlocked;
  }

  #give(stream: RangeStream, from: number, to: number): void {
    const { start, end, channel, model } = stream;
    if (to <= start || from >= end) return;
    const { delivered } = model;
    channel.write([this.#bytes.slice(Math.max(from, start), Math.min(to, end))]);
    // Streams of an entry have a seat, and so are served within the write.
    if (model.sleeps) model.serve();
    this.#endIfOver(stream, delivered);
    if (to >= end) channel.end('closed', undefined);
  }

  /** The last byte was handed out by this step. */
  #endIfOver({ model, end }: RangeStream, deliveredBefore: number): void {
    if (model.delivered === deliveredBefore || model.position < end || !model.attached) return;
    model.detach({ kind: 'done' });
    this.seen.over++;
  }

  get #isBlocked(): boolean {
    const isBlocked = this.streams.some(
      ({ model, sealed }) => !sealed && model.attached && model.policy === 'block' && model.lag > model.mark,
    );
    if (isBlocked) this.seen.blocked++;
    return isBlocked;
  }

  close(): void {
    if (this.#isWriting) return;
    this.writer.close();
    for (const { channel, start } of this.streams) {
      if (start <= this.#tail || channel.state !== 'open') channel.end('closed', undefined);
      else this.#failAhead(channel, start);
    }
    this.#check();
  }

  #failAhead(channel: ModelChannel<Uint8Array>, start: number): void {
    const tail = this.#tail;
    channel.state = 'failed';
    channel.failure = (error) =>
      error instanceof OffsetNotWrittenError && error.offset === start && error.tail === tail;
    for (const stream of channel.attached) stream.writerEnded();
  }

  fail(): void {
    if (this.writer.state !== 'open') return;
    const reason = new Error('the source failed');
    this.#rest = new Uint8Array(0);
    this.writer.fail(reason);
    for (const { channel } of this.streams) channel.end('failed', reason);
    this.#check();
  }

  // ---- streams

  open({ start, length, policy, mark, copy = false, signal = false, throws = false }: RangeOptions): void {
    if (this.writer.state === 'failed') return;
    const controller = signal ? new AbortController() : undefined;
    const told: Gap[] = [];
    const isClosed = this.writer.state === 'closed';
    const asked = length === undefined ? Number.POSITIVE_INFINITY : start + length;
    let detached = 0;
    const open = (): Cursor<Uint8Array> =>
      openRange(
        this.writer,
        {
          start,
          end: asked,
          overflow: policy,
          highWaterMark: mark,
          onMissed: (missed, from) => {
            told.push({ missed, from });
            if (throws) throw new Error('onMissed');
          },
          copy,
          signal: controller?.signal,
          onLastLeave: undefined,
          maxBytes: 0,
        },
        () => {
          detached++;
        },
      );
    if (isClosed && start > this.#tail) {
      let refusal: unknown;
      try {
        open();
      } catch (error) {
        refusal = error;
      }
      if (!(refusal instanceof OffsetNotWrittenError))
        fail(`opening beyond the end was not refused but gave ${refusal}`);
      this.#check();
      return;
    }
    const cursor = open();
    const end = isClosed ? Math.min(asked, this.#tail) : asked;
    const channel = new ModelChannel<Uint8Array>(new ByteLog(start), Number.POSITIVE_INFINITY);
    for (const [i, border] of this.#borders.entries()) {
      const to = Math.min(this.#borders[i + 1] ?? this.#tail, end);
      const from = Math.max(border, start);
      if (from < to) channel.log.append(this.#bytes.slice(from, to));
    }
    const hasPolicy = policy !== undefined || mark !== undefined;
    const defaultMark = 1024 * 1024;
    const model = channel.open(start, {
      policy: policy ?? (hasPolicy ? 'block' : undefined),
      mark: hasPolicy ? (mark ?? defaultMark) : undefined,
      throws,
    });
    if (end <= this.#tail || isClosed) channel.end('closed', undefined);
    if (start > this.#tail) this.seen.ahead++;
    const stream: RangeStream = {
      index: this.streams.length,
      start,
      end,
      cursor,
      real: new ByteStream(cursor),
      channel,
      model,
      controller,
      copy,
      told,
      expectedTold: [],
      sealed: end <= this.#tail,
      mode: 'free',
      get detached() {
        return detached;
      },
      collector: undefined,
    };
    this.streams.push(stream);
    this.#check();
  }

  next(which: number): void {
    this.#ask(which, 'next');
  }

  batch(which: number): void {
    this.#ask(which, 'batch');
  }

  #ask(which: number, mode: 'next' | 'batch'): void {
    const stream = this.#pick(which);
    if (stream === undefined || (stream.mode !== 'free' && stream.mode !== mode)) return;
    stream.mode = mode;
    const { model, cursor } = stream;
    const { delivered } = model;
    const pending: PendingRead = {
      label: `${mode} of ${stream.index}`,
      stream,
      expected: undefined,
      actual: undefined,
    };
    this.#reads.push(pending);
    model.next(mode === 'batch', (outcome) => {
      pending.expected = outcome;
    });
    const promise: Promise<IteratorResult<unknown>> = mode === 'batch' ? cursor.nextBatch() : cursor.next();
    noteSettled(promise, pending);
    this.#endIfOver(stream, delivered);
    this.#check();
  }

  read(which: number): void {
    const stream = this.#pick(which);
    if (stream === undefined || stream.mode === 'collector') return;
    const { model, real } = stream;
    const { delivered } = model;
    const expected = model.read();
    this.#now('read()', stream, expected, () => real.read());
    this.#endIfOver(stream, delivered);
    this.#check();
  }

  fill(which: number, size: number): void {
    const stream = this.#pick(which);
    if (stream === undefined || stream.mode === 'collector' || stream.model.waiters.length > 0) return;
    const { model, cursor } = stream;
    const { delivered } = model;
    const target = new Uint8Array(size).fill(0xa5);
    const { from, filled, outcome } = model.fill(size);
    if (outcome.kind === 'nothing') {
      expectSame(cursor.fill(target), filled, () => `fill of ${stream.index}`);
      this.#compareBytes(stream, target.subarray(0, filled), from, from + filled);
      if (target.subarray(filled).some((byte) => byte !== 0xa5)) fail('fill wrote beyond what it counted');
    } else {
      this.#now('fill', stream, outcome, () => cursor.fill(target));
    }
    this.#endIfOver(stream, delivered);
    this.#check();
  }

  collect(which: number, limit: number | undefined): Promise<void> | undefined {
    const stream = this.#pick(which);
    if (stream === undefined || stream.mode !== 'free' || stream.model.throws) return undefined;
    // The same is true of a limit that is exceeded, and of a policy that acts while a collector is about to ask again.
    if (limit !== undefined && this.#isWriting) return undefined;
    if (stream.model.policy !== undefined && stream.model.policy !== 'block') return undefined;
    stream.mode = 'collector';
    const { model } = stream;
    const { delivered } = model;
    const promise = stream.real.bytes({ limit });
    const collector: RangeStream['collector'] = {
      model: new ModelCollector(model, limit ?? Number.POSITIVE_INFINITY),
      actual: undefined,
    };
    stream.collector = collector;
    noteSettled(promise, collector);
    this.#endIfOver(stream, delivered);
    this.#check();
    // How many microtasks the limit takes must not matter.
    return limit === undefined ? undefined : this.turn();
  }

  leave(which: number, how: 'cancel' | 'abort' | 'return' | 'throw'): void {
    const stream = this.#any(which);
    if (stream === undefined) return;
    const { real, cursor, model, controller } = stream;
    const reason = new Error(how);
    if (how === 'abort') {
      if (controller === undefined || controller.signal.aborted) return;
      model.detach({ kind: 'failed', is: exactly(reason) });
      controller.abort(reason);
    } else if (how === 'cancel') {
      model.detach({ kind: 'cancelled', reason });
      real.cancel(reason);
    } else if (stream.mode === 'next' || stream.mode === 'batch') {
      if (how === 'return') {
        model.return();
        void cursor.return();
      } else {
        model.detach({ kind: 'cancelled', reason });
        cursor.throw(reason).catch(() => {});
      }
    }
    this.#check();
  }

  // ---- the turn

  async turn(): Promise<void> {
    this.#modelTurn();
    await settle();
    this.#check();
    this.#reads = this.#reads.filter((read) => !this.#compareRead(read));
    for (const stream of this.streams) {
      this.#compareCollector(stream);
      if (stream.told.length !== stream.expectedTold.length) {
        fail(
          `stream ${stream.index} was told ${JSON.stringify(stream.told)}, not ${JSON.stringify(stream.expectedTold)}`,
        );
      }
      for (const [i, gap] of stream.expectedTold.entries()) {
        expectSame(stream.told[i]?.from, gap.from, () => 'where the gap begins');
        expectSame(stream.told[i]?.missed, gap.missed, () => 'what onMissed was told');
      }
    }
    expectSame(this.#isWriting, this.#rest.length > 0 || this.#waitsForRoom, () => 'whether the write waits');
  }

  #modelTurn(): void {
    for (;;) {
      for (let moved = true; moved; ) {
        moved = false;
        for (const stream of this.streams) {
          const { model, expectedTold, collector } = stream;
          const { delivered } = model;
          const told = model.report();
          expectedTold.push(...told);
          this.seen.gaps += told.length;
          if (told.length > 0 || collector?.model.step()) moved = true;
          this.#endIfOver(stream, delivered);
        }
      }
      if (this.#waitsForRoom && !this.#isBlocked) this.#waitsForRoom = false;
      if (this.#waitsForRoom || this.#rest.length === 0) return;
      this.#writePart();
    }
  }

  /** All streams are detached and a turn has passed: nothing may wait any more. */
  expectIdle(): void {
    expectSame(this.#reads.length, 0, () => 'reads that still wait');
    expectSame(this.writer.streamCount, 0, () => 'streamCount');
    expectSame(this.writer.borders.next, Number.POSITIVE_INFINITY, () => 'borders that are left');
    expectSame(this.writer.desiredSize ?? Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, () => 'desiredSize');
    for (const { detached, index } of this.streams) {
      expectSame(detached, 1, () => `how often it was told that stream ${index} is detached`);
    }
  }

  // ---- the laws

  #check(): void {
    this.steps++;
    if (this.#waitsForRoom && !this.#isBlocked) this.#waitsForRoom = false;
    expectSame(channelOf(this.writer).tail.start, this.#tail, () => 'tail');
    for (const { index, real, model, start, cursor } of this.streams) {
      expectSame(real.position, model.position, () => `position of stream ${index}`);
      expectSame(real.lag, model.lag, () => `lag of stream ${index}`);
      expectSame(real.missed, model.missed, () => `missed of stream ${index}`);
      expectSame(model.delivered + real.missed + real.lag, model.tail - start, () => `the sum of stream ${index}`);
      expectSame(cursor.ending?.kind, model.ending?.kind, () => `the ending of stream ${index}`);
    }
  }

  #pick(which: number): RangeStream | undefined {
    const stream = this.#any(which);
    // What a callback that throws does comes in a microtask, as does the rest of a write: which is first is left open.
    return stream?.model.throws && stream.model.policy !== 'block' && this.#rest.length > 0 ? undefined : stream;
  }

  #any(which: number): RangeStream | undefined {
    return this.streams[which % this.streams.length];
  }

  #now(label: string, stream: RangeStream, expected: NowOutcome, read: () => unknown): void {
    let actual: unknown;
    try {
      actual = read();
    } catch (error) {
      if (expected.kind !== 'failed' || !expected.is(error)) fail(`${label} threw ${error}, expected ${expected.kind}`);
      this.seen.failures++;
      return;
    }
    if (expected.kind === 'failed') fail(`${label} must have thrown, but gave ${actual}`);
    else if (expected.kind === 'end') expectSame(actual, null, () => label);
    else if (expected.kind === 'nothing') expectSame(actual, undefined, () => label);
    else this.#compareBytes(stream, actual, expected.from, expected.to);
  }

  #compareBytes({ copy, index }: RangeStream, actual: unknown, from: number, to: number): void {
    const expected = this.#bytes.subarray(from, to);
    const isSame =
      actual instanceof Uint8Array && actual.length === to - from && expected.every((byte, i) => byte === actual[i]);
    if (!isSame) fail(`stream ${index} did not give what was written from ${from} to ${to}`);
    // Memory of its own: nobody else may see what becomes of it.
    if (copy) actual.fill(0xc3);
  }

  #compareRead({ label, stream, expected, actual }: PendingRead): boolean {
    if (expected === undefined) {
      if (actual !== undefined) fail(`${label} settled, but must wait`);
      this.seen.parked++;
      return false;
    }
    if (actual === undefined) fail(`${label} must have settled as ${expected.kind}, but waits`);
    if ('error' in actual) {
      if (expected.kind !== 'failed' || !expected.is(actual.error)) fail(`${label} rejected with ${actual.error}`);
      this.seen.failures++;
      return true;
    }
    const { value, done } = actual.value as IteratorResult<unknown>;
    if (expected.kind === 'failed') fail(`${label} must have failed`);
    expectSame(done, expected.kind === 'end', () => `${label}: done`);
    if (expected.kind === 'chunk') this.#compareBytes(stream, value, expected.from, expected.to);
    if (expected.kind === 'batch') {
      let at = expected.from;
      for (const chunk of value as Uint8Array[]) {
        if (chunk.length === 0) fail(`${label} holds an empty chunk`);
        this.#compareBytes(stream, chunk, at, (at += chunk.length));
      }
      expectSame(at, expected.to, () => `the end of ${label}`);
    }
    return true;
  }

  #compareCollector(stream: RangeStream): void {
    const { collector, index } = stream;
    if (collector === undefined) return;
    const { outcome, parts } = collector.model;
    const { actual } = collector;
    if (outcome === undefined) {
      if (actual !== undefined) fail(`collector ${index} settled, but must wait`);
      return;
    }
    if (actual === undefined) fail(`collector ${index} must have settled, but waits`);
    stream.collector = undefined;
    if (outcome !== 'collected') {
      if (!('error' in actual) || !outcome(actual.error)) fail(`collector ${index} settled otherwise than expected`);
      return;
    }
    if (!('value' in actual)) fail(`collector ${index} failed: ${actual.error}`);
    const collected = actual.value as Uint8Array;
    let at = 0;
    for (const { from, to } of parts) this.#compareBytes(stream, collected.subarray(at, (at += to - from)), from, to);
    expectSame(collected.length, at, () => `how much collector ${index} has`);
  }
}
