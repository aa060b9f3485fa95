import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { joinSignal, leaveSignal } from './signals.ts';

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

function watchAbort(signal: AbortSignal, callback: () => void): () => void {
  const member = { aborted: callback };
  joinSignal(signal, member);
  return () => leaveSignal(signal, member);
}

describe('joinSignal', () => {
  test('CLEAN: one listener however many watch, none once the last has stopped', () => {
    const { signal } = new AbortController();
    const stops = Array.from({ length: 50 }, () => watchAbort(signal, () => {}));
    expect(listeners(signal)).toBe(1);
    for (const stop of stops.slice(1)) stop();
    expect(listeners(signal)).toBe(1);
    stops[0]?.();
    expect(listeners(signal)).toBe(0);
  });

  test('calls each once, except those that stopped, and takes its listener away', () => {
    const controller = new AbortController();
    const calls: string[] = [];
    watchAbort(controller.signal, () => calls.push('a'));
    const stop = watchAbort(controller.signal, () => calls.push('b'));
    watchAbort(controller.signal, () => calls.push('c'));
    stop();
    controller.abort();
    expect(calls).toEqual(['a', 'c']);
    expect(listeners(controller.signal)).toBe(0);
  });

  test('one that is called may stop another', () => {
    const controller = new AbortController();
    const calls: string[] = [];
    let stopB = (): void => {};
    watchAbort(controller.signal, () => {
      calls.push('a');
      stopB();
    });
    stopB = watchAbort(controller.signal, () => calls.push('b'));
    controller.abort();
    expect(calls).toEqual(['a']);
  });

  test('stopping twice does not stop others that came later', () => {
    const controller = new AbortController();
    const stop = watchAbort(controller.signal, () => {});
    stop();
    let calls = 0;
    watchAbort(controller.signal, () => calls++);
    stop();
    expect(listeners(controller.signal)).toBe(1);
    controller.abort();
    expect(calls).toBe(1);
  });
});
