import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../../../../test/support/fake-clock.ts';
import { pause, startTimer } from './timer.ts';

const LONGEST_DELAY = 2 ** 31 - 1;

describe('RESUME: a timer', () => {
  test('rings once, when its time has come', async () => {
    const clock = new FakeClock();
    let rings = 0;
    startTimer(clock, 9.5, () => rings++);
    await clock.advance(9);
    expect(rings).toBe(0);
    // Runtimes would cut the half off, and be early.
    await clock.advance(0.75);
    expect(rings).toBe(0);
    await clock.advance(0.25);
    expect([rings, clock.pending]).toEqual([1, 0]);
  });

  test.each([LONGEST_DELAY, LONGEST_DELAY + 1, 3 * LONGEST_DELAY + 7])(
    'of %d ms asks the clock for no more than it can',
    async (ms) => {
      const delays: number[] = [];
      const clock = new FakeClock();
      const set = clock.setTimeout.bind(clock);
      clock.setTimeout = (callback, delay) => {
        delays.push(delay);
        return set(callback, delay);
      };
      let rings = 0;
      startTimer(clock, ms, () => rings++);
      await clock.advance(ms - 1);
      expect(rings).toBe(0);
      await clock.advance(1);
      expect([rings, clock.pending]).toEqual([1, 0]);
      expect(Math.max(...delays)).toBeLessThanOrEqual(LONGEST_DELAY);
      const stop = startTimer(clock, ms, () => rings++);
      await clock.advance(ms - 1);
      stop();
      expect([rings, clock.pending]).toEqual([1, 0]);
    },
  );
});

test('RESUME: a pause ends by the clock, or by its signal, and leaves nothing', async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  const log: string[] = [];
  void pause(10, clock, abort.signal).then(() => log.push('over'));
  await clock.advance(9);
  expect(log).toEqual([]);
  await clock.advance(1);
  expect(log).toEqual(['over']);
  expect(getEventListeners(abort.signal, 'abort')).toHaveLength(0);
  const cut = pause(10, clock, abort.signal);
  abort.abort('enough');
  await expect(cut).rejects.toBe('enough');
  await expect(pause(10, clock, abort.signal)).rejects.toBe('enough');
  await settle();
  expect(clock.pending).toBe(0);
});
