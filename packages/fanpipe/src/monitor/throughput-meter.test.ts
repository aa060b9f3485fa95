import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ThroughputMeter } from './throughput-meter.ts';

interface Step {
  wait: number;
  bytes: number;
}

/**
 * The same judgement by looking at every millisecond: when, in waiting time, the last window has held less than one byte a
 * millisecond for a whole grace period.
 */
function slowestMoment(steps: readonly Step[], gracePeriod: number, window: number, end: number): number | undefined {
  const arrivals: { at: number; bytes: number }[] = [];
  let at = 0;
  for (const { wait, bytes } of steps) {
    at += wait;
    arrivals.push({ at, bytes });
  }
  let good = 0;
  for (let now = 0; now <= end; now++) {
    const seen = arrivals.filter((arrival) => arrival.at <= now && arrival.at >= now - window);
    const bytes = seen.reduce((sum, arrival) => sum + arrival.bytes, 0);
    if (bytes >= window) good = now;
    if (now - good >= gracePeriod) return now;
  }
  return undefined;
}

/** The same from the meter, as its owner drives it. */
function measured(meter: ThroughputMeter, steps: readonly Step[], end: number): number | undefined {
  let now = 0;
  for (const { wait, bytes } of steps) {
    if (meter.remaining < wait) return now + meter.remaining;
    meter.waited(wait);
    now += wait;
    meter.received(bytes);
  }
  return now + meter.remaining <= end ? now + meter.remaining : undefined;
}

describe('ThroughputMeter', () => {
  test('a silent source has the grace period, from the start', () => {
    const meter = new ThroughputMeter(1000, 5000, 1000);
    expect(meter.remaining).toBe(5000);
    meter.waited(4999);
    expect(meter.remaining).toBe(1);
    expect(meter.slowFor).toBe(4999);
    expect(meter.rate).toBe(0);
  });

  test('exactly the minimum is enough for ever', () => {
    const meter = new ThroughputMeter(1000, 2000, 1000);
    for (let i = 0; i < 1000; i++) {
      meter.waited(100);
      meter.received(100);
      expect(meter.remaining).toBeGreaterThan(0);
    }
    expect(meter.rate).toBeGreaterThanOrEqual(1000);
  });

  test('nine tenths of it are not', () => {
    const meter = new ThroughputMeter(1000, 2000, 1000);
    let waited = 0;
    while (meter.remaining > 0 && waited < 100_000) {
      meter.waited(100);
      waited += 100;
      meter.received(90);
    }
    expect(waited).toBe(2000);
    expect(meter.rate).toBe(900);
  });

  test('after a burst: until it leaves the window, and then the grace period', () => {
    const meter = new ThroughputMeter(1000, 5000, 1000);
    meter.waited(300);
    expect(meter.received(1_000_000)).toBe(true);
    expect(meter.remaining).toBe(1000 + 5000);
    meter.waited(1000);
    expect(meter.slowFor).toBe(0);
    meter.waited(2000);
    expect(meter.slowFor).toBe(2000);
    expect(meter.rate).toBe(0);
  });

  test('reaching the minimum for a moment begins the grace period anew', () => {
    const meter = new ThroughputMeter(1000, 5000, 1000);
    meter.waited(4900);
    expect(meter.remaining).toBe(100);
    expect(meter.received(999)).toBe(false);
    expect(meter.remaining).toBe(100);
    expect(meter.received(1)).toBe(true);
    expect(meter.remaining).toBe(1000 + 5000);
  });

  test('no waiting, no slowness', () => {
    const meter = new ThroughputMeter(1_000_000, 10, 10);
    expect(meter.remaining).toBe(10);
    for (let i = 0; i < 9_999; i++) expect(meter.received(1)).toBe(false);
    expect(meter.remaining).toBe(10);
    expect(meter.received(1)).toBe(true);
    expect(meter.remaining).toBe(20);
  });

  test('the shortest run of arrivals that is enough counts', () => {
    const meter = new ThroughputMeter(1000, 5000, 1000);
    for (let i = 0; i < 3; i++) {
      meter.waited(100);
      meter.received(500);
    }
    // Those at 200 and 300; that at 200 leaves the window at 1,200.
    expect(meter.remaining).toBe(1200 + 5000 - 300);
  });

  test('an arrival counts until a whole window after it', () => {
    const meter = new ThroughputMeter(1000, 5000, 1000);
    meter.waited(100);
    meter.received(500);
    meter.waited(1000);
    expect(meter.received(500)).toBe(true);
    expect(meter.remaining).toBe(5000);
    meter.waited(1);
    expect(meter.received(499)).toBe(false);
  });

  test('arrivals within a hundredth of the window are dated by the last', () => {
    const meter = new ThroughputMeter(1000, 5000, 1000);
    meter.waited(100);
    meter.received(999);
    meter.waited(9);
    meter.received(1);
    expect(meter.remaining).toBe(1000 + 5000);
    meter.waited(1);
    meter.received(500);
    meter.waited(1);
    meter.received(500);
    meter.waited(1000);
    expect(meter.slowFor).toBe(0);
    expect(meter.remaining).toBe(5000);
  });

  test('restarted, it knows nothing', () => {
    const meter = new ThroughputMeter(1000, 5000, 1000);
    meter.received(10_000);
    meter.waited(30_000);
    meter.restart();
    expect(meter.remaining).toBe(5000);
    expect(meter.rate).toBe(0);
    meter.waited(100);
    expect(meter.received(100)).toBe(false);
    expect(meter.rate).toBe(1000);
  });

  test('any number of arrivals in a window costs a bounded memory and at most one part in a hundred of precision', () => {
    const meter = new ThroughputMeter(1000, 5000, 1000);
    for (let i = 0; i < 200_000; i++) {
      meter.waited(0.01);
      meter.received(0.0105);
    }
    // 1,050 bytes a second: the newest 1,000 of them came in the last 952 ms.
    expect(meter.remaining).toBeGreaterThanOrEqual(5000 + 1000 - 952.5);
    expect(meter.remaining).toBeLessThanOrEqual(5000 + 1000 - 952.5 + 10);
  });

  test('judges as a look at every millisecond does', () => {
    const step = fc.record({ wait: fc.nat(60), bytes: fc.nat(90) });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 1, max: 100 }),
        (steps, gracePeriod, window) => {
          const end = 5000;
          const meter = new ThroughputMeter(1000, gracePeriod, window);
          expect(measured(meter, steps, end)).toBe(slowestMoment(steps, gracePeriod, window, end));
        },
      ),
      { numRuns: 500 },
    );
  });
});
