/**
 * The monitor against two oracles, on random schedules. A failure prints the seed and the shortest schedule that fails.
 */

import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../../../../test/support/fake-clock.ts';
import { PushSource } from '../../../../test/support/push-source.ts';
import { StalledReadError } from '../errors.ts';
import { StalledReadMonitor } from './index.ts';

interface Schedule {
  /** How long the source takes for each item, from when it is asked, and how many bytes the item has. */
  items: { latency: number; bytes: number }[];
  failing: boolean;
  /** How long the reader thinks before each next(). */
  thinks: number[];
  timeout: number | undefined;
  throttle: number | undefined;
  throughput: { gracePeriod: number; window: number } | undefined;
  throttleFirst: boolean;
}

/** What a next() came to: when, and what; `told` if onStall was called for it. */
interface Step {
  at: number;
  what: string;
  told?: boolean;
}

const schedules: fc.Arbitrary<Schedule> = fc.record({
  items: fc
    .array(fc.record({ latency: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 80 })), bytes: fc.nat(120) }), {
      maxLength: 24,
    })
    // No two moments of the source coincide with each other or with a whole millisecond, so no race has to be decided.
    .map((items) =>
      items.map((item, i) => ({ ...item, latency: item.latency === 0 ? 0 : item.latency + 2 ** -(i + 1) })),
    ),
  failing: fc.boolean(),
  thinks: fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(200) }), {
    minLength: 1,
    maxLength: 60,
  }),
  timeout: fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined }),
  throttle: fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined }),
  // Windows up to 100 ms, in which arrivals a millisecond apart are told apart.
  throughput: fc.option(
    fc
      .tuple(fc.integer({ min: 1, max: 100 }), fc.nat(200))
      .map(([window, more]) => ({ window, gracePeriod: window + more })),
    { nil: undefined },
  ),
  throttleFirst: fc.boolean(),
});

const boom = new Error('boom');

/** The schedule as a calculation: no promise, no timer. The minimum is one byte a millisecond. */
function expected({ items, failing, thinks, timeout, throttle, throughput }: Schedule): Step[] {
  const log: Step[] = [];
  let now = 0;
  let asked = 0;
  let readyAt: number | undefined;
  let pacedFrom: number | undefined;
  let silent = false;
  let slow = false;
  let ended = false;
  let waited = 0;
  let arrivals: { at: number; bytes: number }[] = [];

  // The latest moment at which some window of arrivals still holds enough.
  const goodUntil = (window: number): number => {
    let latest = 0;
    for (let last = 0; last < arrivals.length; last++) {
      let bytes = 0;
      for (let first = last; first >= 0; first--) {
        const { at } = arrivals[first] as { at: number };
        if (at < (arrivals[last] as { at: number }).at - window) break;
        bytes += (arrivals[first] as { bytes: number }).bytes;
        if (bytes < window) continue;
        latest = Math.max(latest, at + window);
        break;
      }
    }
    return latest;
  };

  for (const think of thinks) {
    now += think;
    if (throttle !== undefined && !ended) {
      pacedFrom ??= now;
      const opens = pacedFrom + throttle;
      // An end that comes while the reader is held back is told at once.
      if (readyAt !== undefined && asked > items.length && readyAt > now && readyAt < opens) now = readyAt;
      else if (!(readyAt !== undefined && asked > items.length && readyAt <= now)) now = Math.max(now, opens);
    }
    if (ended) {
      log.push({ at: now, what: failing ? 'boom' : 'done' });
      continue;
    }
    if (readyAt === undefined) {
      readyAt = now + (items[asked]?.latency ?? 0);
      asked++;
    }
    const silentAt = timeout === undefined ? Number.POSITIVE_INFINITY : now + timeout;
    let slowAt = Number.POSITIVE_INFINITY;
    if (throughput) slowAt = now + Math.max(0, goodUntil(throughput.window) + throughput.gracePeriod - waited);
    const rings = now + Math.ceil(Math.min(silentAt, slowAt) - now);
    if (readyAt > now && readyAt > rings) {
      waited += rings - now;
      now = rings;
      if (silentAt <= slowAt) {
        log.push({ at: now, what: 'timeout', told: !silent });
        silent = true;
      } else {
        log.push({ at: now, what: 'throughput', told: !slow });
        slow = true;
        waited = 0;
        arrivals = [];
      }
      continue;
    }
    waited += Math.max(0, readyAt - now);
    now = Math.max(now, readyAt);
    readyAt = undefined;
    silent = false;
    const item = items[asked - 1];
    if (item === undefined) {
      ended = true;
      log.push({ at: now, what: failing ? 'boom' : 'done' });
      continue;
    }
    arrivals.push({ at: waited, bytes: item.bytes });
    if (throughput) {
      const { window } = throughput;
      const inWindow = arrivals.filter((arrival) => arrival.at >= waited - window);
      if (inWindow.reduce((sum, arrival) => sum + arrival.bytes, 0) >= window) slow = false;
    }
    pacedFrom = now;
    log.push({ at: now, what: `item ${asked - 1}` });
  }
  return log;
}

/** The same schedule, run. */
async function observed(schedule: Schedule): Promise<Step[]> {
  const { items, failing, thinks, timeout, throttle, throughput, throttleFirst } = schedule;
  const clock = new FakeClock();
  const log: Step[] = [];
  let asked = 0;
  const source: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({
      next: async (): Promise<IteratorResult<number>> => {
        const index = asked++;
        const item = items[index];
        if (item === undefined) {
          if (failing) throw boom;
          return { done: true, value: undefined };
        }
        if (item.latency > 0) await clock.sleep(item.latency);
        return { done: false, value: index };
      },
    }),
  };
  const monitor = new StalledReadMonitor(source, { clock });
  if (throttleFirst && throttle !== undefined) monitor.withThrottle(throttle);
  if (timeout !== undefined) monitor.withTimeout(timeout);
  if (throughput) monitor.minThroughput(1000, { ...throughput, size: (index) => items[index]?.bytes ?? 0 });
  if (!throttleFirst && throttle !== undefined) monitor.withThrottle(throttle);
  let told = 0;
  monitor.onStall((event) => {
    expect(event.waitedMs).toBeGreaterThanOrEqual(
      event.kind === 'timeout' ? (timeout as number) : (throughput?.gracePeriod as number),
    );
    told++;
  });

  const reading = (async (): Promise<void> => {
    for (const think of thinks) {
      if (think > 0) await clock.sleep(think);
      const before = told;
      try {
        const result = await monitor.next();
        log.push({ at: clock.now(), what: result.done ? 'done' : `item ${result.value}` });
      } catch (error) {
        if (error instanceof StalledReadError) log.push({ at: clock.now(), what: error.kind, told: told > before });
        else log.push({ at: clock.now(), what: (error as Error).message });
      }
    }
  })();
  await clock.advance(1_000_000);
  await reading;
  return log;
}

describe('StalledReadMonitor on random schedules', () => {
  test('every next() comes to what the calculation says, at its time', async () => {
    await fc.assert(
      fc.asyncProperty(schedules, async (schedule) => {
        expect(await observed(schedule)).toEqual(expected(schedule));
      }),
      { numRuns: 400 },
    );
  });

  type Command = 'next' | 'push' | 'end' | 'fail' | 'return' | 'abort' | number;

  test('CLEAN, NEXT, DETACH: whatever is called in whatever order, nothing is lost, doubled, or left behind', async () => {
    const commands: fc.Arbitrary<Command[]> = fc.array(
      fc.oneof<fc.WeightedArbitrary<Command>[]>(
        { weight: 10, arbitrary: fc.constant('next') },
        { weight: 10, arbitrary: fc.constant('push') },
        { weight: 10, arbitrary: fc.integer({ min: 1, max: 60 }) },
        { weight: 1, arbitrary: fc.constantFrom<Command[]>('end', 'fail', 'return', 'abort') },
      ),
      { maxLength: 80 },
    );
    const rules = fc.record({ timeout: fc.boolean(), throttle: fc.boolean(), throughput: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(commands, rules, async (script, { timeout, throttle, throughput }) => {
        const clock = new FakeClock();
        const controller = new AbortController();
        const { signal } = controller;
        const source = new PushSource<number>();
        const monitor = new StalledReadMonitor(source, { clock, signal });
        if (timeout) monitor.withTimeout(50);
        if (throttle) monitor.withThrottle(20);
        if (throughput) monitor.minThroughput(1000, { gracePeriod: 70, size: () => 10 });

        let pushed = 0;
        let open = true;
        let outstanding = 0;
        let calls = 0;
        let settledCalls = 0;
        const delivered: number[] = [];
        const ask = (): void => {
          const call = calls++;
          outstanding++;
          const settles = (): void => {
            outstanding--;
            expect(call).toBe(settledCalls++);
          };
          monitor.next().then(
            (result) => {
              settles();
              if (result.done) open = false;
              else delivered.push(result.value);
            },
            (error) => {
              settles();
              if (!(error instanceof StalledReadError)) open = false;
            },
          );
        };
        for (const command of script) {
          if (typeof command === 'number') await clock.advance(command);
          else if (command === 'next') ask();
          else if (command === 'push') source.push(pushed++);
          else if (command === 'end') source.end();
          else if (command === 'fail') source.fail(boom);
          else if (command === 'return') void monitor.return();
          else controller.abort();
          if (command === 'return' || command === 'abort') open = false;
          await settle();
          expect(delivered).toEqual(Array.from({ length: delivered.length }, (_, i) => i));
          expect(delivered.length).toBeLessThanOrEqual(pushed);
          expect(clock.pending).toBeLessThanOrEqual(outstanding === 0 ? 0 : 1);
          expect(source.waiting).toBeLessThanOrEqual(1);
          if (!open) expect([outstanding, clock.pending, getEventListeners(signal, 'abort').length]).toEqual([0, 0, 0]);
        }
        // While it is open all that was pushed can still be had.
        for (let i = 0; open && delivered.length < pushed && i < 1000; i++) {
          ask();
          await clock.advance(100);
        }
        if (open) expect(delivered).toHaveLength(pushed);
        await monitor.return();
        await settle();
        expect([outstanding, clock.pending, getEventListeners(signal, 'abort').length]).toEqual([0, 0, 0]);
      }),
      { numRuns: 300 },
    );
  });
});
