/**
 * Concurrent actors under a scheduler that decides who runs next: writers that wait or do not, readers of every kind, some
 * that leave, somebody who cancels and aborts. Whatever the order, all come to an end and the promises hold.
 *
 * FANPIPE_SCHEDULES is how many orders are tried (default 20,000; a release tries 1,000,000), FANPIPE_SEED the seed.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cursorOf } from '../../packages/fanpipe/src/core/base-stream.ts';
import type { ByteStream } from '../../packages/fanpipe/src/core/byte-stream.ts';
import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import { OVERFLOW_POLICIES, type OverflowPolicy } from '../../packages/fanpipe/src/core/policies.ts';
import type { TypedStream } from '../../packages/fanpipe/src/core/typed-stream.ts';
import { TypedWriter } from '../../packages/fanpipe/src/core/typed-writer.ts';
import { CancelledError, DisconnectedError } from '../../packages/fanpipe/src/errors.ts';
import { settle } from '../support/fake-clock.ts';
import { randomSeed } from '../support/seed.ts';

const SCHEDULES = Number(process.env.FANPIPE_SCHEDULES ?? 20_000);
const FAILURE = new Error('the writer failed');
const ABORT = new Error('aborted');
const CANCEL = new Error('cancelled');

/** A value that knows where it lies. A byte does too, since fewer than 256 are written. */
interface Placed {
  readonly offset: number;
  readonly size: number;
}

interface WriterStep {
  readonly kind: 'write' | 'writev' | 'writeSync' | 'flush' | 'open';
  readonly size: number;
  /** Waits for the promise before it goes on. */
  readonly waits: boolean;
}

interface ReaderPlan {
  readonly policy: OverflowPolicy | undefined;
  readonly mark: number;
  readonly from: 'now' | 'start';
  readonly mode: 'next' | 'two' | 'batches' | 'read' | 'collect';
  /** After how many reads it leaves by itself, and how. */
  readonly leaves: { readonly after: number; readonly how: 'return' | 'throw' | 'cancel' } | undefined;
}

interface Plan {
  readonly typed: boolean;
  readonly replay: number | 'all';
  readonly steps: readonly WriterStep[];
  readonly ends: 'close' | 'fail';
  readonly readers: readonly ReaderPlan[];
  /** What others do to readers meanwhile. */
  readonly meddlers: readonly { readonly reader: number; readonly does: 'cancel' | 'abort'; readonly after: number }[];
}

const plans: fc.Arbitrary<Plan> = fc.record({
  typed: fc.boolean(),
  replay: fc.constantFrom<number | 'all'>(0, 4, 'all'),
  steps: fc.array(
    fc.record({
      kind: fc.constantFrom('write', 'write', 'write', 'writev', 'writeSync', 'flush', 'open'),
      size: fc.integer({ min: 1, max: 5 }),
      waits: fc.boolean(),
    }),
    { minLength: 1, maxLength: 7 },
  ),
  ends: fc.constantFrom('close', 'close', 'fail'),
  readers: fc.array(
    fc.record({
      policy: fc.constantFrom(undefined, ...OVERFLOW_POLICIES),
      mark: fc.integer({ min: 0, max: 8 }),
      from: fc.constantFrom('now', 'start'),
      mode: fc.constantFrom('next', 'two', 'batches', 'read', 'collect'),
      leaves: fc.option(
        fc.record({ after: fc.integer({ min: 0, max: 3 }), how: fc.constantFrom('return', 'throw', 'cancel') }),
        { nil: undefined, freq: 3 },
      ),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  meddlers: fc.array(
    fc.record({
      reader: fc.nat(3),
      does: fc.constantFrom('cancel', 'abort'),
      after: fc.integer({ min: 0, max: 5 }),
    }),
    { maxLength: 1 },
  ),
});

/** One reader: what it got, and how it ended. */
class Reader {
  readonly plan: ReaderPlan;
  readonly stream: ByteStream | TypedStream<Placed>;
  readonly controller: AbortController = new AbortController();
  readonly start: number;
  /** Where what it got lies, neighbours joined. */
  readonly got: { from: number; to: number }[] = [];
  told = 0;
  how: 'done' | 'left' | { readonly error: unknown } | undefined;

  constructor(plan: ReaderPlan, writer: ByteWriter | TypedWriter<Placed>, watch: boolean) {
    this.plan = plan;
    const options = {
      from: plan.from,
      ...(plan.policy === undefined ? {} : { overflow: plan.policy, highWaterMark: plan.mark }),
      ...(watch ? { signal: this.controller.signal } : {}),
      onMissed: (missed: number, from: number): void => {
        this.told += missed;
        expect(from).toBeGreaterThanOrEqual(this.start);
      },
    };
    this.stream = writer.stream(options);
    this.start = this.stream.position;
  }

  get delivered(): number {
    return this.got.reduce((sum, { from, to }) => sum + to - from, 0);
  }

  take(value: unknown): void {
    if (value instanceof Uint8Array) {
      for (const byte of value) this.#add(byte, byte + 1);
    } else {
      const { offset, size } = value as Placed;
      this.#add(offset, offset + size);
    }
  }

  #add(from: number, to: number): void {
    const last = this.got.at(-1);
    const end = last?.to ?? this.start;
    // ORD: never backwards, never twice.
    if (from < end) throw new Error(`got offset ${from} after ${end}`);
    if (last !== undefined && from === end) last.to = to;
    else this.got.push({ from, to });
  }

  async run(step: () => Promise<void>): Promise<void> {
    try {
      this.how = (await this.#read(step)) ? 'left' : 'done';
    } catch (error) {
      this.how = { error };
    }
  }

  /** True if it left by itself. */
  async #read(step: () => Promise<void>): Promise<boolean> {
    const { stream, plan } = this;
    if (plan.mode === 'collect') {
      const all = 'bytes' in stream ? await stream.bytes() : await stream.array();
      if (all instanceof Uint8Array) this.take(all);
      else for (const value of all) this.take(value);
      return false;
    }
    const iterator: AsyncIterator<unknown> =
      plan.mode === 'batches' ? stream.batches() : stream[Symbol.asyncIterator]();
    for (let reads = 0; ; reads++) {
      await step();
      if (plan.leaves !== undefined && plan.leaves.after === reads) return this.#leave(iterator, plan.leaves.how);
      if (plan.mode === 'read') {
        // read() and next() mixed: what read() does not get, next() waits for.
        const now = stream.read();
        if (now === null) return false;
        if (now !== undefined) {
          this.take('value' in now ? now.value : now);
          continue;
        }
      }
      const asked = plan.mode === 'two' ? [iterator.next(), iterator.next()] : [iterator.next()];
      // Who asks twice hears of a failure twice.
      for (const next of asked) next.catch(() => {});
      for (const next of asked) {
        const { value, done } = await next;
        if (done) return false;
        if (plan.mode === 'batches') for (const each of value as unknown[]) this.take(each);
        else this.take(value);
      }
    }
  }

  async #leave(iterator: AsyncIterator<unknown>, how: 'return' | 'throw' | 'cancel'): Promise<boolean> {
    if (how === 'return') await iterator.return?.();
    else if (how === 'throw') await iterator.throw?.(CANCEL).catch(() => {});
    else this.stream.cancel(CANCEL);
    return true;
  }
}

function isAttached(stream: Reader['stream']): boolean {
  return cursorOf<unknown>(stream as TypedStream<unknown>).ending === null;
}

/** What came about in all orders together. */
const seen = { disconnected: 0, aborted: 0, cancelled: 0, left: 0, missed: 0, failed: 0, done: 0 };

async function runPlan(plan: Plan, scheduler: fc.Scheduler): Promise<void> {
  const writer = plan.typed
    ? new TypedWriter<Placed>({ size: ({ size }) => size, replay: plan.replay })
    : new ByteWriter({ replay: plan.replay });
  const step = (label: string) => (): Promise<void> => scheduler.schedule(Promise.resolve(), label);
  const watched = new Set(plan.meddlers.map(({ reader }) => reader % plan.readers.length));
  const readers: Reader[] = [];
  const running: Promise<void>[] = [];
  const waits: Promise<void>[] = [];
  let finished = 0;
  let actors = 0;
  let tail = 0;
  const start = (actor: Promise<void>): void => {
    actors++;
    running.push(actor.then(() => void finished++));
  };
  const open = (readerPlan: ReaderPlan, watch: boolean): void => {
    const reader = new Reader(readerPlan, writer, watch);
    readers.push(reader);
    start(reader.run(step(`reader ${readers.length - 1}`)));
  };
  const make = (size: number): Placed | Uint8Array => {
    const offset = tail;
    tail += size;
    return plan.typed ? { offset, size } : Uint8Array.from({ length: size }, (_, i) => offset + i);
  };
  const untake = (size: number): void => {
    tail -= size;
  };

  async function write(): Promise<void> {
    const turn = step('writer');
    for (const { kind, size, waits: patient } of plan.steps) {
      await turn();
      let wait: Promise<void> | undefined;
      if (kind === 'write') wait = writer.write(make(size) as never);
      else if (kind === 'writev') wait = writer.writev([make(size), make(1)] as never);
      else if (kind === 'writeSync') {
        if (!writer.writeSync(make(size) as never)) untake(size);
      } else if (kind === 'open') {
        open({ policy: undefined, mark: 0, from: 'start', mode: 'next', leaves: undefined }, false);
      } else {
        const target = tail;
        const waited = readers.filter(({ stream }) => isAttached(stream) && stream.position < target);
        wait = writer.flush().then(() => {
          for (const { stream } of waited) expect(stream.position >= target || !isAttached(stream)).toBe(true);
        });
      }
      if (wait === undefined) continue;
      waits.push(wait);
      if (patient) await wait;
    }
    await turn();
    if (plan.ends === 'close') writer.close();
    else writer.fail(FAILURE);
  }

  async function meddle({ reader, does, after }: Plan['meddlers'][number]): Promise<void> {
    const turn = step('meddler');
    for (let i = 0; i <= after; i++) await turn();
    const target = readers[reader % plan.readers.length];
    if (does === 'cancel') target?.stream.cancel(CANCEL);
    else target?.controller.abort(ABORT);
  }

  for (const [i, readerPlan] of plan.readers.entries()) open(readerPlan, watched.has(i));
  start(write());
  for (const meddler of plan.meddlers) start(meddle(meddler));
  await scheduler.waitIdle();
  // Nothing that could still be scheduled: who has not finished now waits for ever.
  await settle();
  if (finished !== actors) throw new Error(`${actors - finished} of ${actors} actors are stuck`);
  await Promise.all([...running, ...waits]);

  expect(writer.streamCount).toBe(0);
  expect(writer.state).toBe(plan.ends === 'close' ? 'closed' : 'failed');
  for (const [i, reader] of readers.entries()) checkReader(reader, plan, tail, watched.has(i));
}

function checkReader(reader: Reader, plan: Plan, tail: number, meddled: boolean): void {
  const { stream, how, start, delivered } = reader;
  const { policy } = reader.plan;
  const error = typeof how === 'object' ? how.error : undefined;
  if (stream.missed > 0) seen.missed++;
  if (how === 'done' || how === 'left') seen[how]++;
  else if (error instanceof DisconnectedError) seen.disconnected++;
  else if (error instanceof CancelledError) seen.cancelled++;
  else if (error === ABORT) seen.aborted++;
  else seen.failed++;
  if (error !== undefined) {
    if (error instanceof DisconnectedError) expect(policy).toBe('disconnect');
    else if (error instanceof CancelledError) expect([meddled, error.cause]).toEqual([true, CANCEL]);
    else if (error === ABORT) expect(meddled).toBe(true);
    else expect([error, plan.ends]).toEqual([FAILURE, 'fail']);
  }
  // What a collector had got when it failed is dropped.
  const dropped = error !== undefined && reader.plan.mode === 'collect';
  const whole = (how === 'done' && !meddled) || error === FAILURE;
  if (how === 'done' && plan.ends === 'fail') expect(meddled).toBe(true);
  if (policy === undefined || policy === 'block') {
    expect(stream.missed).toBe(0);
    // One piece without a gap, and to the very end for who has read to the end.
    if (!dropped) expect(reader.got).toEqual(delivered === 0 ? [] : [{ from: start, to: start + delivered }]);
    if (whole && !dropped) expect(start + delivered).toBe(tail);
    expect(stream.position + stream.lag).toBeLessThanOrEqual(tail);
  }
  if (whole) {
    expect([stream.position, stream.lag]).toEqual([tail, 0]);
    if (!dropped) expect(delivered + stream.missed).toBe(tail - start);
    // LOSS: who reads on is told of every gap.
    expect(reader.told).toBe(stream.missed);
  } else {
    expect(reader.told).toBeLessThanOrEqual(stream.missed);
    if (!dropped) expect(start + delivered + stream.missed + stream.lag).toBeLessThanOrEqual(tail);
  }
}

describe('schedules', () => {
  test(`ORD ACC ALONE DETACH WAIT NEXT FAIL LOSS CLEAN: ${SCHEDULES} orders`, {
    timeout: SCHEDULES * 10 + 60_000,
  }, async () => {
    await fc.assert(fc.asyncProperty(plans, fc.scheduler(), runPlan), { seed: randomSeed(), numRuns: SCHEDULES });
    for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(SCHEDULES / 200);
  });
});
