/**
 * How a writer gives its readers a turn.
 *
 * `await`: a microtask, as in a loop that awaits its writes. It costs 0.03 us. Each reader gets one step, so a reader that
 * takes one chunk per step falls behind a writer that writes sixteen, and its backlog is a part of what is measured.
 * `immediate`: a turn of the event loop, as between two reads of a socket. The readers of every peer drain. It costs 0.8 to
 * 1.0 us of CPU, for all alike, which is most of what is measured where one reader is woken after every write.
 */

export const turn = () => new Promise((resolve) => setImmediate(resolve));

/** The yields that `--yield` knows. */
export const yields = { immediate: turn, await: () => Promise.resolve() };

/** CPU microseconds of this process so far, all its threads (so also the collector's and the compiler's). */
export const cpuMicros = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
