/**
 * Drives a pool together with its model, step by step. After every step the counters of `stats()` and of every stream are
 * compared, and after every turn also what has settled, what was left and what was aborted.
 *
 * Within a turn any number of steps may be made that concern readers: these return nothing. What a source does ends the turn,
 * so that the order in which several sources get room is no matter of chance; such a step returns a promise of it.
 */

import type { ByteStream } from '../../packages/fanpipe/src/core/byte-stream.ts';
import { CancelledError, type FanpipeError, LimitExceededError } from '../../packages/fanpipe/src/errors.ts';
import { PoolAbandonedError, PoolSourceError } from '../../packages/fanpipe/src/pool/errors.ts';
import type { LastLeave, PoolContext, PoolSource } from '../../packages/fanpipe/src/pool/options.ts';
import { StreamPool } from '../../packages/fanpipe/src/pool/stream-pool.ts';
import { expectSame, fail } from './expect-same.ts';
import { FakeClock, settle } from './fake-clock.ts';
import { type Failure, type ModelEnding, type ModelEntry, ModelPool, ModelReader } from './pool-model.ts';
import { PushSource } from './push-source.ts';
import { noteSettled, type Settled } from './settled.ts';

/** How an opener behaves. */
export type OpenerKind = 'now' | 'late' | 'throws' | 'rejects' | 'refused';

export interface RigOpen {
  readonly key: string;
  readonly opener?: OpenerKind;
  readonly start?: number | undefined;
  readonly end?: number | undefined;
  readonly mark?: number | undefined;
  readonly onLastLeave?: LastLeave | undefined;
  readonly maxBytes?: number | undefined;
  readonly copy?: boolean;
  readonly signal?: boolean;
  /** The signal has fired already. */
  readonly aborted?: boolean;
}

export interface PoolRigOptions {
  readonly budget?: number;
  readonly maxEntries?: number;
  readonly ttl?: number | undefined;
  readonly onLastLeave?: LastLeave;
}

interface RigSource {
  readonly id: number;
  readonly entry: ModelEntry;
  readonly source: PushSource<Uint8Array>;
  readonly signal: AbortSignal;
  arrive: ((source: PoolSource) => void) | undefined;
  refuse: ((reason: unknown) => void) | undefined;
  /** Bytes that it was told to give. */
  given: number;
  isOver: boolean;
}

interface RigReader {
  readonly real: ByteStream;
  readonly model: ModelReader;
  readonly controller: AbortController | undefined;
  iterator: AsyncIterator<Uint8Array, undefined> | undefined;
  read: { actual: Settled<IteratorResult<Uint8Array, undefined>> | undefined } | undefined;
  collected: { actual: Settled<Uint8Array> | undefined } | undefined;
}

const NO_LIMIT = 1e9;

/** The byte that a source gives at an offset. */
function byteAt(source: number, offset: number): number {
  return (source * 89 + offset * 7 + (offset >> 8)) & 0xff;
}

/** What a source gives between two offsets. */
export function bytesOf(source: number, from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(to - from);
  for (let i = 0; i < bytes.length; i++) bytes[i] = byteAt(source, from + i);
  return bytes;
}

/** The pool, its model, and the steps. Readers and sources are taken modulo how many there are. */
export class PoolRig {
  readonly clock: FakeClock = new FakeClock();
  readonly pool: StreamPool;
  readonly model: ModelPool;
  readonly readers: RigReader[] = [];
  readonly sources: RigSource[] = [];
  steps = 0;
  /** How often a run met what makes it worth its time. */
  readonly seen = { joins: 0, stops: 0, evictions: 0, failures: 0, budget: 0, waits: 0, wholes: 0, cutOff: 0 };
  #openerCalls = 0;
  readonly #sourceOf: Map<ModelEntry, RigSource> = new Map();

  constructor({ budget = 1000, maxEntries = 1000, ttl, onLastLeave = 'stop' }: PoolRigOptions = {}) {
    this.pool = new StreamPool({ budget, maxEntries, ttl, onLastLeave, clock: this.clock });
    this.model = new ModelPool({ budget, maxEntries, ttl, onLastLeave });
  }

  // ---- opening

  open(options: RigOpen): void {
    const { key, opener = 'now', mark, onLastLeave, copy = false, aborted = false } = options;
    const { start = 0, end = Number.POSITIVE_INFINITY, maxBytes = Number.POSITIVE_INFINITY } = options;
    const controller = options.signal || aborted ? new AbortController() : undefined;
    const reason = new Error('aborted before it was opened');
    if (aborted) controller?.abort(reason);
    const failure = new Error(`the opener ${opener}`);
    const open = (): ByteStream =>
      this.pool.open(key, (context) => this.#opened(context, opener, failure), {
        start,
        end,
        highWaterMark: mark,
        onLastLeave,
        maxBytes,
        copy,
        signal: controller?.signal,
      });
    if (aborted && !this.model.closed) {
      const model = new ModelReader(null, { start, end, mark, onLastLeave, maxBytes });
      model.ending = { is: (error) => error === reason };
      this.#add(open(), model, controller);
      return;
    }
    const { hits } = this.model;
    const outcome = (): 'now' | 'late' | Failure => {
      if (opener === 'now' || opener === 'late') return opener;
      return opener === 'refused'
        ? (error) => error instanceof PoolSourceError && error.status === 404
        : (error) => error === failure;
    };
    const model = this.model.open(key, outcome, { start, end, mark, onLastLeave, maxBytes });
    if (typeof model === 'function') {
      let refusal: unknown;
      try {
        open();
      } catch (error) {
        refusal = error;
      }
      if (!model(refusal)) fail(`open must have been refused otherwise than with ${refusal}`);
      this.check();
      return;
    }
    this.seen.joins += this.model.hits - hits;
    this.#add(open(), model, controller);
  }

  #add(real: ByteStream, model: ModelReader, controller: AbortController | undefined): void {
    this.readers.push({ real, model, controller, iterator: undefined, read: undefined, collected: undefined });
    this.check();
  }

  #opened({ key, signal }: PoolContext, opener: OpenerKind, failure: Error): PoolSource | Promise<PoolSource> {
    this.#openerCalls++;
    // Entries are begun in the order in which their openers are called.
    const entry = this.model.entries.find(
      (each) => each.key === key && !this.#sourceOf.has(each) && !this.#skipped(each),
    );
    if (entry === undefined) fail(`the opener of ${key} was called once too often`);
    const rigSource: RigSource = {
      id: this.sources.length,
      entry,
      source: new PushSource<Uint8Array>(),
      signal,
      arrive: undefined,
      refuse: undefined,
      given: 0,
      isOver: false,
    };
    this.#sourceOf.set(entry, rigSource);
    this.sources.push(rigSource);
    switch (opener) {
      case 'now':
        return rigSource.source;
      case 'late':
        return new Promise((resolve, reject) => {
          rigSource.arrive = resolve;
          rigSource.refuse = reject;
        });
      case 'throws':
        throw failure;
      case 'rejects':
        return Promise.reject(failure);
      case 'refused':
        return new Response('not here', { status: 404 });
    }
  }

  /** Entries that were stopped before their opener was to be called. */
  #skipped(entry: ModelEntry): boolean {
    return entry.state === 'failed' && entry.source === 'unopened';
  }

  // ---- sources

  /** The source of a slow opener comes, or the opener fails. */
  arrive(which: number, fails: boolean): Promise<void> | undefined {
    const source = this.#pickSource(which);
    if (source?.arrive === undefined) return undefined;
    const { arrive, refuse } = source;
    source.arrive = undefined;
    const reason = new Error('the opener failed late');
    this.model.tasks.push(() => source.entry.arrives(fails ? (error) => error === reason : undefined));
    if (fails) refuse?.(reason);
    else arrive(source.source);
    return this.turn();
  }

  push(which: number, size: number): Promise<void> | undefined {
    const source = this.#pickSource(which);
    if (source === undefined || source.isOver) return undefined;
    const { entry } = source;
    // What a limit does takes a few microtasks, in which the source may give more or not.
    const hasLimit = [...entry.readers].some(({ collects }) => collects !== undefined && collects < NO_LIMIT);
    if (hasLimit && (entry.waitsForRoom || entry.source === 'opening')) return undefined;
    source.source.push(bytesOf(source.id, source.given, source.given + size));
    source.given += size;
    entry.events.push({ kind: 'chunk', size });
    return this.turn();
  }

  end(which: number): Promise<void> | undefined {
    const source = this.#pickSource(which);
    if (source === undefined || source.isOver) return undefined;
    source.isOver = true;
    source.source.end();
    source.entry.events.push({ kind: 'end' });
    return this.turn();
  }

  failSource(which: number): Promise<void> | undefined {
    const source = this.#pickSource(which);
    if (source === undefined || source.isOver) return undefined;
    source.isOver = true;
    const reason = new Error('the source failed');
    source.source.fail(reason);
    source.entry.events.push({ kind: 'fail', reason });
    return this.turn();
  }

  // ---- readers

  read(which: number): Promise<void> | undefined {
    const reader = this.#pick(which);
    if (reader === undefined || reader.model.collects !== undefined) return undefined;
    const { real, model } = reader;
    let actual: Uint8Array | undefined | null;
    let thrown: { error: unknown } | undefined;
    try {
      actual = real.read();
    } catch (error) {
      thrown = { error };
    }
    if (model.waits) {
      expectSame(actual, undefined, () => 'read() while a next() waits');
    } else if (model.ending === null && model.lag > 0) {
      if (!(actual instanceof Uint8Array)) fail(`read() must have given bytes, but gave ${thrown?.error ?? actual}`);
      this.#took(reader, actual);
    } else {
      const ending = model.arrive();
      if (ending === null) expectSame(actual, undefined, () => 'read()');
      else if (typeof ending === 'string') expectSame(actual, null, () => 'read() at the end');
      else if (thrown === undefined || !ending.is(thrown.error)) fail(`read() must have failed, not ${thrown?.error}`);
    }
    this.check();
    return this.#turnIfBlocking(reader);
  }

  next(which: number): Promise<void> | undefined {
    const reader = this.#pick(which);
    if (reader === undefined || reader.model.collects !== undefined || reader.read !== undefined) return undefined;
    const { model } = reader;
    reader.iterator ??= reader.real[Symbol.asyncIterator]();
    const { position } = reader.real;
    const read: RigReader['read'] = { actual: undefined };
    reader.read = read;
    noteSettled(reader.iterator.next(), read);
    model.answer = undefined;
    if (model.ending === null && model.lag > 0) {
      // Where one chunk ends is the pool's affair; the bytes are compared when it comes.
      const size = reader.real.position - position;
      if (size <= 0 || size > model.lag) fail(`next() moved by ${size} of ${model.lag} bytes`);
      model.answerFrom = model.position;
      model.answer = size;
      model.took(size);
    } else {
      const ending = model.arrive();
      if (ending === null) model.waits = true;
      else model.answer = ending;
    }
    this.check();
    return this.#turnIfBlocking(reader);
  }

  collect(which: number, limit: number | undefined): Promise<void> | undefined {
    const reader = this.#pick(which);
    if (reader === undefined || reader.iterator !== undefined || reader.model.collects !== undefined) return undefined;
    const { real, model } = reader;
    if (model.mark !== Number.POSITIVE_INFINITY) return undefined;
    const { entry } = model;
    if (limit !== undefined && entry !== null && (entry.waitsForRoom || entry.events.length > 0)) return undefined;
    const collected: RigReader['collected'] = { actual: undefined };
    reader.collected = collected;
    noteSettled(real.bytes({ limit }), collected);
    model.collects = limit ?? NO_LIMIT;
    model.collectsFrom = model.position;
    model.collect();
    return this.turn();
  }

  leave(which: number, how: 'cancel' | 'abort' | 'return'): Promise<void> | undefined {
    const reader = this.#pick(which);
    // One that asked for nothing belongs to no entry.
    if (reader === undefined || reader.model.entry === null) return undefined;
    const { real, model } = reader;
    if (how === 'abort') {
      if (reader.controller === undefined || reader.controller.signal.aborted) return undefined;
      const reason = new Error('aborted');
      model.detach({ is: (error) => error === reason });
      reader.controller.abort(reason);
    } else if (how === 'cancel') {
      model.detach('left');
      real.cancel();
    } else {
      if (model.collects !== undefined) return undefined;
      reader.iterator ??= real[Symbol.asyncIterator]();
      model.detach('left');
      model.ending = 'left';
      void reader.iterator.return?.();
    }
    this.check();
    return this.#turnIfBlocking(reader);
  }

  // ---- the pool

  delete(key: string): void {
    expectSame(this.pool.delete(key), this.model.delete(key), () => `delete(${key})`);
    this.check();
  }

  close(): void {
    this.pool.close();
    this.model.close();
    this.check();
  }

  async advance(ms: number): Promise<void> {
    this.model.advance(ms);
    await this.clock.advance(ms);
    this.compareTurn();
  }

  // ---- the laws

  async turn(): Promise<void> {
    this.model.turn();
    await settle();
    this.compareTurn();
  }

  compareTurn(): void {
    this.check();
    expectSame(this.#openerCalls, this.model.openerCalls, () => 'how many sources were opened');
    for (const source of this.sources) this.#compareSource(source);
    for (const [i, reader] of this.readers.entries()) {
      this.#compareRead(`next() of reader ${i}`, reader);
      this.#compareCollected(`bytes() of reader ${i}`, reader);
    }
    this.seen.evictions = this.model.evictions;
    this.seen.failures = this.model.failures;
  }

  /** Holds everything that can be seen at once to the model. */
  check(): void {
    this.steps++;
    const actual = this.pool.stats();
    const expected = this.model.stats();
    if (actual.bytes > actual.budget) fail(`${actual.bytes} bytes are more than the budget of ${actual.budget}`);
    for (const name of ['bytes', 'budget', 'readers', 'hits', 'misses', 'evictions', 'failures'] as const) {
      expectSame(actual[name], expected[name], () => name);
    }
    expectSame(actual.entries.length, expected.entries.length, () => 'how many entries there are');
    for (const [i, entry] of expected.entries.entries()) {
      for (const name of ['key', 'state', 'bytes', 'readers', 'hits'] as const) {
        expectSame(actual.entries[i]?.[name], entry[name], () => `${name} of entry ${i}`);
      }
    }
    for (const [i, { real, model }] of this.readers.entries()) {
      expectSame(real.position, model.position, () => `position of reader ${i}`);
      expectSame(real.lag, model.lag, () => `lag of reader ${i}`);
      expectSame(real.missed, 0, () => `missed of reader ${i}`);
    }
  }

  /** Nothing is under way any more: no reader, no source and no timer is left. */
  expectIdle(): void {
    for (const reader of this.readers) {
      if (reader.read !== undefined || reader.collected !== undefined) fail('a read still waits');
    }
    expectSame(this.pool.stats().readers, 0, () => 'readers');
    expectSame(this.pool.stats().bytes, 0, () => 'bytes');
    expectSame(this.clock.pending, 0, () => 'timers');
    for (const { entry } of this.sources) if (entry.source === 'open') fail('a source is still read');
  }

  // ---- parts of the steps

  #pick(which: number): RigReader | undefined {
    return this.readers[which % this.readers.length];
  }

  #pickSource(which: number): RigSource | undefined {
    return this.sources[which % this.sources.length];
  }

  /** What wakes a source ends the turn. */
  #turnIfBlocking({ model }: RigReader): Promise<void> | undefined {
    return model.mark === Number.POSITIVE_INFINITY ? undefined : this.turn();
  }

  #took({ model }: RigReader, chunk: Uint8Array): void {
    if (chunk.length === 0 || chunk.length > model.lag)
      fail(`a chunk of ${chunk.length} where ${model.lag} are waiting`);
    this.#compareBytes(model, chunk, model.position);
    model.took(chunk.length);
  }

  #compareBytes({ entry }: ModelReader, bytes: Uint8Array, from: number): void {
    const source = this.#sourceOf.get(entry as ModelEntry)?.id as number;
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] !== byteAt(source, from + i)) fail(`byte ${from + i} is not what source ${source} gave`);
    }
  }

  #compareSource({ id, entry, source, signal }: RigSource): void {
    expectSame(source.returned, entry.source === 'left' ? 1 : 0, () => `how often source ${id} was left`);
    expectSame(signal.aborted, entry.aborted, () => `whether the signal of source ${id} fired`);
    if (signal.aborted && signal.reason instanceof PoolAbandonedError) this.seen.stops++;
    if (entry.state === 'complete' && entry.source !== 'ended') fail(`source ${id} has not ended, but looks complete`);
  }

  #compareRead(label: string, reader: RigReader): void {
    const { model, read } = reader;
    if (read === undefined) return;
    const { actual } = read;
    if (model.answer === undefined) {
      if (actual !== undefined) fail(`${label} settled, but must wait`);
      this.seen.waits++;
      return;
    }
    if (actual === undefined) fail(`${label} must have settled, but waits`);
    reader.read = undefined;
    const { answer } = model;
    if (typeof answer === 'number') {
      if (!('value' in actual) || actual.value.done) fail(`${label} must have given bytes`);
      expectSame(actual.value.value.length, answer, () => `how many bytes ${label} gave`);
      this.#compareBytes(model, actual.value.value, model.answerFrom);
    } else this.#compareEnding(label, answer, actual);
  }

  #compareEnding(label: string, ending: ModelEnding, actual: Settled<IteratorResult<unknown>>): void {
    if (typeof ending === 'string') {
      if (!('value' in actual) || actual.value.done !== true) fail(`${label} must have been the end`);
    } else if (!('error' in actual) || !ending.is(actual.error)) {
      fail(`${label} must have failed, but ${'error' in actual ? `did so with ${actual.error}` : 'did not'}`);
    } else this.seen.cutOff++;
  }

  #compareCollected(label: string, reader: RigReader): void {
    const { model, collected } = reader;
    if (collected === undefined) return;
    const { actual } = collected;
    if (model.ending === null) {
      if (actual !== undefined) fail(`${label} settled, but must wait`);
      return;
    }
    if (actual === undefined) fail(`${label} must have settled, but waits`);
    reader.collected = undefined;
    if ('value' in actual) {
      if (model.ending !== 'done' || model.isOverLimit) fail(`${label} must have failed`);
      const { entry, collectsFrom } = model;
      const wanted = entry === null ? 0 : Math.min(model.end, entry.tail) - collectsFrom;
      expectSame(actual.value.length, wanted, () => `how many bytes ${label} collected`);
      if (entry === null) return;
      if (model.position < model.end && entry.state !== 'complete') fail(`${label} is a part, taken for whole`);
      this.#compareBytes(model, actual.value, collectsFrom);
      this.seen.wholes++;
      return;
    }
    const { error } = actual;
    const code = (error as FanpipeError | undefined)?.code;
    if (code === 'ERR_FANPIPE_POOL_BUDGET') this.seen.budget++;
    const isRight = model.isOverLimit
      ? error instanceof LimitExceededError
      : model.ending === 'left'
        ? error instanceof CancelledError
        : model.ending !== 'done' && model.ending.is(error);
    if (!isRight) fail(`${label} rejected with ${error}`);
    this.seen.cutOff++;
  }
}
