import { Alarm, type Clock } from '../monitor/index.ts';

/** Calls back once, `ms` milliseconds from now and never earlier, however long that is. Returns what takes it back. */
export function startTimer(clock: Clock, ms: number, callback: () => void): () => void {
  const alarm = new Alarm(clock, callback);
  alarm.setIn(ms);
  return () => alarm.clear();
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
