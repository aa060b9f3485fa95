/**
 * Drives a writer and its streams together with the model, step by step, and holds them to the laws after every step.
 *
 * Steps are synchronous, so that any number of them falls between two microtasks; `turn` lets the microtasks run and then
 * looks at every promise: what must have settled has, as expected and in order, and what must wait does.
 */

import { cursorOf } from '../../packages/fanpipe/src/core/base-stream.ts';
import { channelOf } from '../../packages/fanpipe/src/core/base-writer.ts';
import type { ByteStream } from '../../packages/fanpipe/src/core/byte-stream.ts';
import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import type { StreamStart } from '../../packages/fanpipe/src/core/open-cursor.ts';
import type { OverflowPolicy } from '../../packages/fanpipe/src/core/policies.ts';
import type { TypedStream } from '../../packages/fanpipe/src/core/typed-stream.ts';
import { TypedWriter } from '../../packages/fanpipe/src/core/typed-writer.ts';
import { type FanpipeError, IteratorTakenError, WriterEndedError } from '../../packages/fanpipe/src/errors.ts';
import { ByteLog, type Log, type SizedValue, ValueLog } from './core-log.ts';
import {
  exactly,
  type Failure,
  type Gap,
  ModelChannel,
  ModelCollector,
  type ModelStream,
  type ModelWait,
  type NowOutcome,
  type Outcome,
} from './core-model.ts';
import { expectSame, fail } from './expect-same.ts';
import { settle } from './fake-clock.ts';
import { noteSettled, type Settled } from './settled.ts';

/** Bytes; values that count 1 each; values with a size. */
export type RigKind = 'bytes' | 'values' | 'sized';

export interface RigOptions {
  readonly kind: RigKind;
  readonly replay?: number | 'all';
  readonly offset?: number;
}

export interface OpenOptions {
  readonly from?: StreamStart | undefined;
  readonly policy?: OverflowPolicy | undefined;
  readonly mark?: number | undefined;
  readonly copy?: boolean;
  readonly throws?: boolean;
  /** The signal has fired already. */
  readonly aborted?: boolean;
  readonly signal?: boolean;
}

/** How a chunk of bytes is given. */
export type Shape = 'view' | 'reference' | 'text' | 'buffer' | 'words';

type AnyWriter = ByteWriter | TypedWriter<SizedValue>;
type AnyStream = ByteStream | TypedStream<SizedValue>;

interface PendingRead {
  readonly label: string;
  readonly stream: RigStream;
  readonly index: number;
  expected: Outcome | undefined;
  actual: Settled<IteratorResult<unknown>> | undefined;
}

interface PendingWait {
  readonly label: string;
  readonly model: ModelWait;
  readonly controller: AbortController | undefined;
  actual: 'resolved' | { readonly error: unknown } | undefined;
}

interface PendingCollector {
  readonly stream: RigStream;
  readonly model: ModelCollector<unknown>;
  actual: Settled | undefined;
}

interface RigStream {
  readonly real: AnyStream;
  readonly model: ModelStream<unknown>;
  readonly controller: AbortController | undefined;
  readonly copy: boolean;
  /** Who has taken the iterator. */
  mode: 'free' | 'next' | 'batch' | 'collector';
  iterator: AsyncIterator<unknown> | undefined;
  /** How many reads were asked for since the iterator was last left; they settle in order. */
  reads: number;
  /** Index of the last of them that was seen to settle. */
  settled: number;
  /** How often the iterator was left. */
  left: number;
  readonly told: Gap[];
  readonly expectedTold: Gap[];
}

/** The two sides, and the steps. Stream numbers are taken modulo how many there are. */
export class Rig {
  readonly kind: RigKind;
  readonly writer: AnyWriter;
  readonly model: ModelChannel<unknown>;
  readonly streams: RigStream[] = [];
  /** How many steps were made. */
  steps = 0;
  /** How often a turn met what makes a run worth its time. */
  readonly seen = { parkedReads: 0, waits: 0, gaps: 0, failures: 0 };
  #seed = 0;
  #written = 0;
  #reads: PendingRead[] = [];
  #waits: PendingWait[] = [];
  #collectors: PendingCollector[] = [];
  #disorder: string | undefined;

  constructor(options: RigOptions) {
    const { kind, replay = 0, offset = 0 } = options;
    this.kind = kind;
    const log = kind === 'bytes' ? new ByteLog(offset) : new ValueLog(offset);
    this.model = new ModelChannel(log as Log<unknown>, replay === 'all' ? Number.POSITIVE_INFINITY : replay);
    if (kind === 'bytes') this.writer = new ByteWriter({ replay, offset });
    else if (kind === 'values') this.writer = new TypedWriter<SizedValue>({ replay, offset });
    else this.writer = new TypedWriter<SizedValue>({ replay, offset, size: (value) => value.size });
  }

  // ---- the writer

  write(size: number, shape: Shape, options: { signal?: boolean; aborted?: boolean } = {}): void {
    const chunk = this.#make(size, shape);
    const controller = options.signal || options.aborted ? new AbortController() : undefined;
    const reason = new Error('aborted before the write');
    if (options.aborted) controller?.abort(reason);
    const ended = this.model.state !== 'open';
    const promise = (this.writer as ByteWriter).write(chunk.given as Uint8Array, {
      copy: shape !== 'reference',
      signal: controller?.signal,
    });
    chunk.scribble();
    this.#afterWrite(promise, [chunk.written], ended, options.aborted ? exactly(reason) : undefined, controller);
  }

  writev(sizes: readonly number[], shape: Shape): void {
    const chunks = sizes.map((size) => this.#make(size, shape));
    const ended = this.model.state !== 'open';
    const given = chunks.map((chunk) => chunk.given as Uint8Array);
    const promise = (this.writer as ByteWriter).writev(given, { copy: shape !== 'reference' });
    for (const chunk of chunks) chunk.scribble();
    this.#afterWrite(
      promise,
      chunks.map((chunk) => chunk.written),
      ended,
      undefined,
      undefined,
    );
  }

  writeSync(size: number, shape: Shape): void {
    const chunk = this.#make(size, shape);
    const expected = this.model.state === 'open' && !this.model.blocked;
    const taken = (this.writer as ByteWriter).writeSync(chunk.given as Uint8Array, { copy: shape !== 'reference' });
    chunk.scribble();
    expectSame(taken, expected, () => 'writeSync');
    if (taken) this.#modelWrite([chunk.written]);
    this.#check();
  }

  writevSync(sizes: readonly number[], shape: Shape): void {
    const chunks = sizes.map((size) => this.#make(size, shape));
    const expected = this.model.state === 'open' && !this.model.blocked;
    const given = chunks.map((chunk) => chunk.given as Uint8Array);
    const taken = (this.writer as ByteWriter).writevSync(given, { copy: shape !== 'reference' });
    for (const chunk of chunks) chunk.scribble();
    expectSame(taken, expected, () => 'writevSync');
    if (taken) this.#modelWrite(chunks.map((chunk) => chunk.written));
    this.#check();
  }

  close(): void {
    this.writer.close();
    this.model.end('closed', undefined);
    this.#check();
  }

  fail(withReason: boolean): void {
    const reason = withReason ? new Error('the reason') : undefined;
    this.writer.fail(reason);
    this.model.end('failed', reason);
    this.#check();
  }

  flush(withSignal: boolean): void {
    const controller = withSignal ? new AbortController() : undefined;
    const promise = this.writer.flush({ signal: controller?.signal });
    this.#trackWait('flush', promise, this.model.flush(), controller);
    this.#check();
  }

  /** Fires the signal of one write or flush that waits. */
  abortWait(which: number): void {
    const pending = this.#waits.filter((wait) => wait.controller !== undefined && wait.model.outcome === undefined);
    const wait = pending[which % pending.length];
    if (wait === undefined) return;
    const reason = new Error('aborted while it waited');
    wait.controller?.abort(reason);
    wait.model.outcome = exactly(reason);
    this.#check();
  }

  // ---- streams

  open(options: OpenOptions): void {
    const { policy, mark, copy = false, throws = false, aborted = false } = options;
    const controller = options.signal || aborted ? new AbortController() : undefined;
    const reason = new Error('aborted before it was opened');
    if (aborted) controller?.abort(reason);
    const told: Gap[] = [];
    const start = this.#resolve(options.from);
    let real: AnyStream;
    try {
      real = this.writer.stream({
        from: options.from,
        overflow: policy,
        highWaterMark: mark,
        ...(this.kind === 'bytes' ? { copy } : {}),
        signal: controller?.signal,
        onMissed: (missed, from) => {
          told.push({ missed, from });
          if (throws) throw new Error('onMissed');
        },
      }) as AnyStream;
    } catch (error) {
      expectSame((error as FanpipeError).code, start, () => `opening from ${JSON.stringify(options.from)}`);
      this.#check();
      return;
    }
    if (typeof start === 'string') fail(`opening from ${JSON.stringify(options.from)} was not refused with ${start}`);
    const effective = policy ?? (mark === undefined ? undefined : 'block');
    const defaultMark = this.kind === 'bytes' ? 1024 * 1024 : 1024;
    const model = this.model.open(start, {
      policy: effective,
      mark: effective === undefined ? undefined : (mark ?? defaultMark),
      throws,
    });
    if (aborted) model.detach({ kind: 'failed', is: exactly(reason) });
    this.streams.push({
      real,
      model,
      controller,
      copy: copy && this.kind === 'bytes',
      mode: 'free',
      iterator: undefined,
      reads: 0,
      settled: -1,
      left: 0,
      told,
      expectedTold: [],
    });
    this.#check();
  }

  read(which: number): void {
    const stream = this.#pick(which);
    if (stream === undefined) return;
    const expected = stream.model.read();
    let actual: unknown;
    try {
      actual = stream.real.read();
    } catch (error) {
      if (expected.kind !== 'failed' || !expected.is(error)) fail(`read() threw ${error}, expected ${expected.kind}`);
      this.#check();
      return;
    }
    if (this.kind !== 'bytes' && actual != null) actual = (actual as { value: unknown }).value;
    this.#compareNow('read()', stream, actual, expected);
    this.#check();
  }

  fill(which: number, size: number): void {
    const stream = this.#pick(which);
    // What uses this has the stream for itself and asks once at a time.
    if (stream === undefined || this.kind !== 'bytes' || stream.model.waiters.length > 0) return;
    const target = new Uint8Array(size).fill(0xa5);
    const { from, filled, outcome } = stream.model.fill(size);
    let actual: number | null;
    try {
      actual = cursorOf(stream.real as ByteStream).fill(target);
    } catch (error) {
      if (outcome.kind !== 'failed' || !outcome.is(error)) fail(`fill threw ${error}, expected ${outcome.kind}`);
      this.#check();
      return;
    }
    const expected = outcome.kind === 'end' ? null : outcome.kind === 'nothing' ? filled : Number.NaN;
    expectSame(actual, expected, () => 'fill');
    if (!this.model.log.isBatch(filled === 0 ? [] : [target.subarray(0, filled)], from, from + filled)) {
      fail('fill gave other bytes than were written');
    }
    if (target.subarray(filled).some((byte) => byte !== 0xa5)) fail('fill wrote beyond what it counted');
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
    if (stream === undefined) return;
    if (stream.mode === 'free') {
      stream.mode = mode;
      stream.iterator = mode === 'batch' ? stream.real.batches() : stream.real[Symbol.asyncIterator]();
    } else if (stream.mode !== mode) {
      let refusal: unknown;
      try {
        if (mode === 'batch') stream.real.batches();
        else stream.real[Symbol.asyncIterator]();
      } catch (error) {
        refusal = error;
      }
      if (!(refusal instanceof IteratorTakenError)) fail(`a second iterator was not refused but gave ${refusal}`);
      this.#check();
      return;
    }
    const promise = (stream.iterator as AsyncIterator<unknown>).next();
    const pending = this.#trackRead(stream, `${mode} ${stream.reads}`, promise);
    stream.model.next(mode === 'batch', (outcome) => {
      pending.expected = outcome;
    });
    this.#check();
  }

  collect(which: number, limit: number | undefined): void {
    const stream = this.#pick(which);
    if (stream === undefined || stream.mode !== 'free' || stream.model.throws) return;
    stream.mode = 'collector';
    const { real } = stream;
    const promise: Promise<unknown> =
      this.kind === 'bytes'
        ? (real as ByteStream).bytes({ limit })
        : (real as TypedStream<SizedValue>).array({ limit });
    const model = new ModelCollector(stream.model, limit ?? Number.POSITIVE_INFINITY);
    const pending: PendingCollector = { stream, model, actual: undefined };
    noteSettled(promise, pending);
    this.#collectors.push(pending);
    this.#check();
  }

  cancel(which: number): void {
    const stream = this.#pick(which);
    if (stream === undefined) return;
    const reason = new Error('cancelled');
    stream.real.cancel(reason);
    stream.model.detach({ kind: 'cancelled', reason });
    this.#check();
  }

  abort(which: number): void {
    const stream = this.#pick(which);
    if (stream?.controller === undefined) return;
    const reason = new Error('aborted');
    if (!stream.controller.signal.aborted) stream.model.detach({ kind: 'failed', is: exactly(reason) });
    stream.controller.abort(reason);
    this.#check();
  }

  return(which: number): void {
    const stream = this.#pick(which);
    if (stream?.iterator === undefined) return;
    const pending = this.#trackRead(stream, 'return()', stream.iterator.return?.() as Promise<IteratorResult<unknown>>);
    stream.model.return();
    leave(stream);
    pending.expected = { kind: 'end' };
    this.#check();
  }

  throw(which: number): void {
    const stream = this.#pick(which);
    if (stream?.iterator === undefined) return;
    const reason = new Error('thrown');
    const promise = stream.iterator.throw?.(reason) as Promise<IteratorResult<unknown>>;
    const pending = this.#trackRead(stream, 'throw()', promise);
    stream.model.detach({ kind: 'cancelled', reason });
    leave(stream);
    pending.expected = { kind: 'failed', is: exactly(reason) };
    this.#check();
  }

  // ---- the turn

  /** Lets everything settle, and compares all that has. */
  async turn(): Promise<void> {
    await settle();
    this.compareTurn();
  }

  /** The second half of `turn`, for rigs that share one turn. */
  compareTurn(): void {
    this.#modelTurn();
    this.#check();
    if (this.#disorder !== undefined) fail(this.#disorder);
    this.#reads = this.#reads.filter((read) => !this.#compareRead(read));
    this.#waits = this.#waits.filter((wait) => !compareWait(wait));
    this.seen.waits += this.#waits.length;
    this.#collectors = this.#collectors.filter((collector) => !this.#compareCollector(collector));
    for (const stream of this.streams) {
      if (stream.told.length !== stream.expectedTold.length) {
        fail(`onMissed was told ${JSON.stringify(stream.told)}, expected ${JSON.stringify(stream.expectedTold)}`);
      }
      for (const [i, gap] of stream.expectedTold.entries()) {
        expectSame(stream.told[i]?.from, gap.from, () => 'where the gap begins');
        expectSame(stream.told[i]?.missed, gap.missed, () => 'what onMissed was told');
      }
    }
  }

  /** All streams are detached and two turns have passed: nothing may wait any more. */
  expectIdle(): void {
    expectSame(this.#reads.length, 0, () => 'reads that still wait');
    expectSame(this.#waits.length, 0, () => 'writes and flushes that still wait');
    expectSame(this.#collectors.length, 0, () => 'collectors that still wait');
    expectSame(this.writer.streamCount, 0, () => 'streamCount');
  }

  #modelTurn(): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (const { model, expectedTold } of this.streams) {
        if (model.sleeps) model.serve();
        const told = model.report();
        expectedTold.push(...told);
        this.seen.gaps += told.length;
        if (told.length > 0) moved = true;
      }
      for (const { model } of this.#collectors) if (model.step()) moved = true;
      this.model.settleWaits();
    }
  }

  #compareRead(read: PendingRead): boolean {
    const { expected, actual, stream, label } = read;
    if (expected === undefined) {
      if (actual !== undefined) fail(`${label} settled, but must wait`);
      this.seen.parkedReads++;
      return false;
    }
    if (actual === undefined) fail(`${label} must have settled as ${expected.kind}, but waits`);
    if ('error' in actual) {
      if (expected.kind !== 'failed' || !expected.is(actual.error)) {
        fail(`${label} rejected with ${actual.error}, expected ${expected.kind}`);
      }
      this.seen.failures++;
      return true;
    }
    const { value, done } = actual.value;
    switch (expected.kind) {
      case 'failed':
        return fail(`${label} must have failed, but gave ${value}`);
      case 'end':
        if (done !== true || value !== undefined) fail(`${label} must have been the end, but gave ${value}`);
        return true;
      case 'chunk':
      case 'batch':
        if (done !== false) fail(`${label} must have given data, but said done: ${done}`);
        this.#compareData(label, stream, value, expected);
        return true;
    }
  }

  #compareNow(label: string, stream: RigStream, actual: unknown, expected: NowOutcome): void {
    if (expected.kind === 'failed') fail(`${label} must have thrown, but gave ${actual}`);
    else if (expected.kind === 'end') expectSame(actual, null, () => label);
    else if (expected.kind === 'nothing') expectSame(actual, undefined, () => label);
    else this.#compareData(label, stream, actual, expected);
  }

  #compareData(
    label: string,
    stream: RigStream,
    value: unknown,
    { kind, from, to }: { kind: 'chunk' | 'batch'; from: number; to: number },
  ): void {
    const same =
      kind === 'chunk'
        ? this.model.log.isChunk(value, from, to)
        : Array.isArray(value) && this.model.log.isBatch(value, from, to);
    if (!same) fail(`${label} is not what was written from ${from} to ${to}`);
    if (!stream.copy) return;
    // Memory of its own: nobody else may see what becomes of it.
    for (const chunk of kind === 'chunk' ? [value] : (value as Uint8Array[])) (chunk as Uint8Array).fill(0xc3);
  }

  #compareCollector({ stream, model, actual }: PendingCollector): boolean {
    if (model.outcome === undefined) {
      if (actual !== undefined) fail('a collector settled, but must wait');
      return false;
    }
    if (actual === undefined) fail('a collector must have settled, but waits');
    if (model.outcome !== 'collected') {
      if (!('error' in actual) || !model.outcome(actual.error)) {
        fail(`a collector settled otherwise than expected: ${'error' in actual ? actual.error : actual.value}`);
      }
      return true;
    }
    if (!('value' in actual)) fail(`a collector failed: ${actual.error}`);
    const collected = actual.value as Uint8Array | SizedValue[];
    let at = 0;
    for (const { from, to } of model.parts) {
      const count = this.model.log.count(from, to);
      const part = collected.slice(at, at + count);
      const pieces = part instanceof Uint8Array ? [part] : part;
      if (!this.model.log.isBatch(pieces, from, to)) fail(`collected other than was written from ${from} to ${to}`);
      at += count;
    }
    expectSame(collected.length, at, () => `how much stream ${stream.model.start} collected`);
    return true;
  }

  // ---- the laws

  #check(): void {
    this.steps++;
    const { writer, model } = this;
    for (const { real, model: stream } of this.streams) {
      if (stream.sleeps) stream.follow(real.position);
    }
    model.settleWaits();
    const { tail } = model.log;
    const written =
      this.kind === 'bytes' ? (writer as ByteWriter).bytesWritten : (writer as TypedWriter<unknown>).valuesWritten;
    expectSame(written, this.#written, () => 'how much is written');
    expectSame(writer.state, model.state, () => 'state');
    expectSame(channelOf(writer as ByteWriter).tail.start, tail, () => 'tail');
    expectSame(channelOf(writer as ByteWriter).head, model.head, () => 'head');
    expectSame(writer.streamCount, model.attached.length, () => 'streamCount');
    expectSame(writer.desiredSize, model.desiredSize, () => 'desiredSize');
    for (let i = 0; i < this.streams.length; i++) {
      const { real, model: stream } = this.streams[i] as RigStream;
      expectSame(real.position, stream.position, () => `position of stream ${i}`);
      expectSame(real.lag, stream.lag, () => `lag of stream ${i}`);
      expectSame(real.missed, stream.missed, () => `missed of stream ${i}`);
      expectSame(stream.delivered + real.missed + real.lag, stream.tail - stream.start, () => `the sum of stream ${i}`);
      if (!(stream.start <= real.position && real.position + real.lag <= stream.tail)) fail(`the order of stream ${i}`);
    }
  }

  // ---- parts of the steps

  #pick(which: number): RigStream | undefined {
    return this.streams[which % this.streams.length];
  }

  #resolve(from: StreamStart = 'now'): number | string {
    const { head, log } = this.model;
    if (from === 'now') return log.tail;
    if (from === 'start') return head;
    if (typeof from === 'object') return log.placeFrom(Math.max(head, log.tail - from.last));
    if (from > log.tail) return 'ERR_FANPIPE_OFFSET_NOT_WRITTEN';
    if (from < head) return 'ERR_FANPIPE_OFFSET_EVICTED';
    return log.placeFrom(from) === from ? from : 'ERR_FANPIPE_INVALID_ARGUMENT';
  }

  #afterWrite(
    promise: Promise<void>,
    written: readonly unknown[],
    ended: boolean,
    refusal: Failure | undefined,
    controller: AbortController | undefined,
  ): void {
    let wait: ModelWait;
    if (ended) wait = { outcome: (error) => error instanceof WriterEndedError && error.state === this.model.state };
    else if (refusal !== undefined) wait = { outcome: refusal };
    else {
      this.#modelWrite(written);
      wait = this.model.room();
    }
    this.#trackWait('write', promise, wait, controller);
    this.#check();
  }

  #modelWrite(written: readonly unknown[]): void {
    if (this.kind === 'bytes') for (const chunk of written as Uint8Array[]) this.#written += chunk.byteLength;
    else this.#written += written.length;
    this.model.write(written);
  }

  #trackRead(stream: RigStream, label: string, promise: Promise<IteratorResult<unknown>>): PendingRead {
    const pending: PendingRead = { label, stream, index: stream.reads++, expected: undefined, actual: undefined };
    const { left } = stream;
    const settled = (): void => {
      if (left !== stream.left) return;
      // To throw here would tell nobody.
      if (pending.index !== stream.settled + 1) this.#disorder ??= `${label} settled before an earlier read`;
      stream.settled = pending.index;
    };
    promise.then(
      (value) => {
        settled();
        pending.actual = { value };
      },
      (error) => {
        settled();
        pending.actual = { error };
      },
    );
    this.#reads.push(pending);
    return pending;
  }

  #trackWait(label: string, promise: Promise<void>, model: ModelWait, controller: AbortController | undefined): void {
    const pending: PendingWait = { label, model, controller, actual: undefined };
    promise.then(
      () => {
        pending.actual = 'resolved';
      },
      (error) => {
        pending.actual = { error };
      },
    );
    this.#waits.push(pending);
  }

  /** A chunk as it is given, what it means, and what its owner does to it afterwards. */
  #make(size: number, shape: Shape): { given: unknown; written: unknown; scribble(): void } {
    const nothing = (): void => {};
    if (this.kind !== 'bytes') {
      const value: SizedValue = { size: this.kind === 'values' ? 1 : Math.max(1, size) };
      return { given: value, written: value, scribble: nothing };
    }
    const seed = ++this.#seed;
    if (shape === 'text') {
      let text = '';
      for (let i = 0; i < size; i++) text += letters[(seed + i * 7) % letters.length];
      return { given: text, written: Buffer.from(text), scribble: nothing };
    }
    const even = shape === 'words' ? size & ~1 : size;
    // Each lies at an offset of its own in a larger buffer.
    const memory = new Uint8Array(even + 4);
    const bytes = memory.subarray(2, 2 + even);
    for (let i = 0; i < even; i++) bytes[i] = seed * 31 + i * 7;
    const written = bytes.slice();
    switch (shape) {
      case 'reference':
        return { given: bytes, written, scribble: nothing };
      case 'buffer': {
        const { buffer } = bytes.slice();
        return { given: buffer, written, scribble: () => new Uint8Array(buffer).fill(0xff) };
      }
      case 'words':
        return { given: new Uint16Array(memory.buffer, 2, even / 2), written, scribble: () => memory.fill(0xff) };
      case 'view':
        return { given: bytes, written, scribble: () => memory.fill(0xff) };
    }
  }
}

// One to four bytes of UTF-8 each.
const letters = ['a', 'é', '€', '😀', 'z', '\n'];

/** The order of reads is promised among `next()` calls; leaving begins anew. */
function leave(stream: RigStream): void {
  stream.left++;
  stream.reads = 0;
  stream.settled = -1;
}

function compareWait({ label, model, actual }: PendingWait): boolean {
  const { outcome } = model;
  if (outcome === undefined) {
    if (actual !== undefined) fail(`${label} settled, but must wait`);
    return false;
  }
  if (actual === undefined) fail(`${label} must have settled, but waits`);
  if (outcome === 'resolved') {
    if (actual !== 'resolved') fail(`${label} rejected with ${actual.error}, but must resolve`);
  } else if (actual === 'resolved' || !outcome(actual.error)) {
    fail(`${label} settled otherwise than expected: ${actual === 'resolved' ? actual : actual.error}`);
  }
  return true;
}
