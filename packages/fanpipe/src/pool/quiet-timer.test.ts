import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../../../test/support/fake-clock.ts';
import { QuietTimer } from './quiet-timer.ts';

describe('QuietTimer', () => {
  test('rings once, at the time that was set last', async () => {
    const clock = new FakeClock();
    let rings = 0;
    const timer = new QuietTimer(clock, () => rings++);
    timer.set(10);
    await clock.advance(9);
    timer.set(10);
    await clock.advance(9);
    expect([rings, clock.pending]).toEqual([0, 1]);
    await clock.advance(1);
    expect([rings, clock.pending]).toEqual([1, 0]);
    timer.clear();
    await clock.advance(100);
    expect(rings).toBe(1);
  });

  test('does not ring when it was taken back, even if the clock calls back', () => {
    let ring = (): void => {};
    let rings = 0;
    const timer = new QuietTimer(
      { now: () => 0, setTimeout: (callback) => (ring = callback), clearTimeout() {} },
      () => rings++,
    );
    timer.set(10);
    timer.clear();
    timer.clear();
    ring();
    expect(rings).toBe(0);
    timer.set(10);
    ring();
    ring();
    expect(rings).toBe(1);
  });

  test('CLEAN: tells a clock that it need not keep the process alive, if that wants to know', () => {
    let quiet = 0;
    for (const handle of [{ unref: () => quiet++ }, {}, 5, null, undefined]) {
      new QuietTimer({ now: () => 0, setTimeout: () => handle, clearTimeout() {} }, () => {}).set(10);
    }
    expect(quiet).toBe(1);
  });
});
