import { describe, expect, test } from 'vitest';
import { InvalidArgumentError } from '../errors.ts';
import { checkClock, systemClock } from './clock.ts';

function block(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

/** A timer set after another rings after it. */
function later(ms: number): Promise<void> {
  return new Promise((resolve) => systemClock.setTimeout(resolve, ms));
}

describe('systemClock', () => {
  test('tells milliseconds and never runs backwards', () => {
    const first = systemClock.now();
    block(5);
    const passed = systemClock.now() - first;
    expect(passed).toBeGreaterThanOrEqual(5);
    expect(passed).toBeLessThan(5000);
  });

  test('calls back once, after the time', async () => {
    const set = systemClock.now();
    let calls = 0;
    await new Promise<void>((resolve) => {
      systemClock.setTimeout(() => {
        calls++;
        resolve();
      }, 10);
    });
    // Timers count whole milliseconds of a clock of their own, so they may be early by one.
    expect(systemClock.now() - set).toBeGreaterThanOrEqual(9);
    expect(calls).toBe(1);
  });

  test('a timer that is cleared does not call back', async () => {
    let calls = 0;
    const handle = systemClock.setTimeout(() => calls++, 1);
    systemClock.clearTimeout(handle);
    await later(5);
    expect(calls).toBe(0);
  });

  test('a timer that comes late lets what waited meanwhile go first', async () => {
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      // All in one turn of the loop: the thread is busy, a message comes in, and the timer has long been due.
      setTimeout(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = (): void => {
          order.push('data');
          port1.close();
        };
        systemClock.setTimeout(() => {
          order.push('timer');
          resolve();
        }, 1);
        port2.postMessage('data');
        setTimeout(() => block(60), 0);
      }, 0);
    });
    expect(order).toEqual(['data', 'timer']);
  });

  test('a timer that stepped back once can still be cleared', async () => {
    let calls = 0;
    const handle = systemClock.setTimeout(() => calls++, 1);
    block(60);
    // Set later, due later: it runs after the late one has stepped back, and before that comes again.
    await new Promise<void>((resolve) => {
      setTimeout(() => {
        systemClock.clearTimeout(handle);
        resolve();
      }, 1);
      block(5);
    });
    await later(5);
    expect(calls).toBe(0);
  });
});

describe('checkClock', () => {
  const clock = { now: () => 0, setTimeout: () => 0, clearTimeout: () => {} };

  test('takes what has the three methods, its own or inherited', () => {
    for (const good of [clock, systemClock, Object.create(clock), Object.assign(() => {}, clock)]) checkClock(good);
  });

  test.each([
    undefined,
    null,
    0,
    'clock',
    {},
    Date,
    { ...clock, now: 0 },
    { ...clock, setTimeout: undefined },
    { ...clock, clearTimeout: null },
  ])('refuses anything else: case %#', (bad) => {
    expect(() => checkClock(bad)).toThrow(InvalidArgumentError);
    expect(() => checkClock(bad)).toThrow(expect.objectContaining({ argument: 'clock', value: bad }));
  });
});
