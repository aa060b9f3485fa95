import type { Clock } from '../monitor/index.ts';

/** Runtimes take a longer delay for none at all, so a longer wait is made of several. */
const LONGEST_DELAY = 2 ** 31 - 1;

/** Calls back once, `ms` milliseconds from now, however long that is. Returns what takes it back. */
export function startTimer(clock: Clock, ms: number, callback: () => void): () => void {
  let handle: unknown;
  const wait = (left: number): void => {
    const part = Math.min(left, LONGEST_DELAY);
    handle = clock.setTimeout(() => (left > part ? wait(left - part) : callback()), part);
  };
  // Rounded up, since timers count whole milliseconds.
  wait(Math.ceil(ms));
  return () => clock.clearTimeout(handle);
}

/** Waits, unless `signal` fires: then rejects with its reason. Leaves neither a timer nor a listener. */
export function pause(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const aborted = (): void => {
      stop();
      reject(signal.reason);
    };
    const stop = startTimer(clock, ms, () => {
      signal.removeEventListener('abort', aborted);
      resolve();
    });
    signal.addEventListener('abort', aborted, { once: true });
  });
}
