/**
 * How a writer gives its readers a turn. One turn of the event loop (`setImmediate`) is the only yield that lets the
 * readers of every peer drain: microtasks, `process.nextTick` and the immediates queued before it all run first. It
 * costs 0.8 to 1.0 us of CPU, the same for every peer. After a microtask turn (`await null`) no reader has drained: each got one step.
 */

export const turn = () => new Promise((resolve) => setImmediate(resolve));

/** The yields that `--yield` knows. `microtask` is for comparison: with it everything but one step per reader queues up. */
export const yields = { immediate: turn, microtask: () => Promise.resolve() };

/** CPU microseconds of this process so far, all its threads (so also the collector's and the compiler's). */
export const cpuMicros = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
