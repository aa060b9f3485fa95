import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../../../test/support/fake-clock.ts';
import { Alarm } from './alarm.ts';
import type { Clock } from './clock.ts';

function ringing(clock: Clock): { alarm: Alarm; rings: number[] } {
  const rings: number[] = [];
  const alarm = new Alarm(clock, () => rings.push(clock.now()));
  return { alarm, rings };
}

describe('Alarm', () => {
  test('rings once, at its time', async () => {
    const clock = new FakeClock(7);
    const { alarm, rings } = ringing(clock);
    alarm.set(17, clock.now());
    await clock.advance(9);
    expect(rings).toEqual([]);
    await clock.advance(100);
    expect(rings).toEqual([17]);
    expect(clock.pending).toBe(0);
  });

  test('CLEAN: cleared, it leaves no timer and may be set again', async () => {
    const clock = new FakeClock();
    const { alarm, rings } = ringing(clock);
    alarm.set(10, clock.now());
    alarm.clear();
    alarm.clear();
    expect(clock.pending).toBe(0);
    alarm.set(20, clock.now());
    await clock.advance(100);
    expect(rings).toEqual([20]);
  });

  test('waits on when the timer of the runtime comes too early', async () => {
    const real = new FakeClock();
    const early: Clock = {
      now: () => real.now(),
      setTimeout: (callback, ms) => real.setTimeout(callback, ms > 1 ? ms - 0.5 : ms),
      clearTimeout: (handle) => real.clearTimeout(handle),
    };
    const { alarm, rings } = ringing(early);
    alarm.set(10, 0);
    await real.advance(9.9);
    expect(rings).toEqual([]);
    await real.advance(1);
    expect(rings).toHaveLength(1);
    expect(rings[0]).toBeGreaterThanOrEqual(10);
  });

  test('asks for whole milliseconds, rounded up', () => {
    const delays: number[] = [];
    const alarm = new Alarm({ now: () => 0, setTimeout: (_, ms) => delays.push(ms), clearTimeout: () => {} }, () => {});
    alarm.set(10.2, 0);
    alarm.clear();
    alarm.set(1, 5);
    expect(delays).toEqual([11, 0]);
  });

  test('a wait longer than the longest timer of the runtimes is made of several', async () => {
    const month = 30 * 24 * 3600 * 1000;
    const clock = new FakeClock();
    const delays: number[] = [];
    const { alarm, rings } = ringing({
      now: () => clock.now(),
      setTimeout: (callback, ms) => {
        delays.push(ms);
        return clock.setTimeout(callback, ms);
      },
      clearTimeout: (handle) => clock.clearTimeout(handle),
    });
    alarm.set(month, 0);
    await clock.advance(month - 1);
    expect(rings).toEqual([]);
    await clock.advance(1);
    expect(rings).toEqual([month]);
    expect(delays).toEqual([2 ** 31 - 1, month - (2 ** 31 - 1)]);
  });

  test('a clock that calls back though the timer was cleared is not believed', () => {
    const kept: (() => void)[] = [];
    const { alarm, rings } = ringing({
      now: () => 50,
      setTimeout: (callback) => kept.push(callback),
      clearTimeout() {},
    });
    alarm.set(10, 0);
    alarm.clear();
    for (const callback of kept) callback();
    expect(rings).toEqual([]);
  });

  test('rings in so many milliseconds, and not at the time that was set before', async () => {
    const clock = new FakeClock(100);
    const { alarm, rings } = ringing(clock);
    alarm.setIn(10);
    await clock.advance(9);
    alarm.setIn(10);
    expect(clock.pending).toBe(1);
    await clock.advance(5);
    alarm.set(130);
    expect(clock.pending).toBe(1);
    await clock.advance(100);
    expect([rings, clock.pending]).toEqual([[130], 0]);
  });

  test('rings once for a clock that calls back twice', () => {
    let fire = (): void => {};
    const { alarm, rings } = ringing({ now: () => 50, setTimeout: (callback) => (fire = callback), clearTimeout() {} });
    alarm.set(10);
    fire();
    fire();
    expect(rings).toEqual([50]);
  });

  test('may be set again while it rings', async () => {
    const clock = new FakeClock();
    const rings: number[] = [];
    const alarm: Alarm = new Alarm(clock, () => {
      if (rings.push(clock.now()) < 3) alarm.setIn(7);
    });
    alarm.setIn(7);
    await clock.advance(100);
    expect([rings, clock.pending]).toEqual([[7, 14, 21], 0]);
  });

  test('CLEAN: a quiet one tells each timer that it need not keep the process alive, if that wants to know', () => {
    let quiet = 0;
    let late = (): void => {};
    const clockWith = (handle: unknown): Clock => ({
      now: () => 0,
      setTimeout: (callback) => {
        late = callback;
        return handle;
      },
      clearTimeout() {},
    });
    for (const handle of [{}, 5, null, undefined]) new Alarm(clockWith(handle), () => {}, 'quiet').set(10);
    new Alarm(clockWith({ unref: () => quiet++ }), () => {}).set(10);
    expect(quiet).toBe(0);
    new Alarm(clockWith({ unref: () => quiet++ }), () => {}, 'quiet').set(10);
    expect(quiet).toBe(1);
    // It came too early, so the rest is waited for with another one.
    late();
    expect(quiet).toBe(2);
  });
});
