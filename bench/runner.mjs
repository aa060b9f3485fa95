/**
 * Runs cases in rounds. Every (peer, workload, round) is a fresh child process, so that no peer inherits another's heap or
 * its type feedback; every round runs every task, odd rounds in reverse order, so that a slow minute of the machine falls on all
 * peers alike.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const child = fileURLToPath(new URL('./child.mjs', import.meta.url));

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The value below which the share `q` of them lies. */
export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

function runChild(task, { execPath, ours, nodeFlags }) {
  const flags = ['--expose-gc', '--no-warnings', ...nodeFlags];
  if (task.peer.startsWith('iter.')) flags.push('--experimental-stream-iter');
  const env = { ...process.env, NODE_OPTIONS: '' };
  if (ours !== undefined) env.FANPIPE_BENCH_OURS = ours;
  const result = spawnSync(execPath, [...flags, child, JSON.stringify(task)], {
    encoding: 'utf8',
    env,
    timeout: 300_000,
    maxBuffer: 1 << 24,
  });
  if (result.status !== 0) {
    const lines = result.stderr.trim().split('\n');
    const why = lines.find((line) => /Error/.test(line)) ?? lines.at(-1) ?? '';
    return { error: result.signal ? `killed by ${result.signal}` : why };
  }
  return JSON.parse(result.stdout);
}

/**
 * Runs the tasks and returns their outcomes, one per number of readers: `{ ...task, readers, median: { value, … }, rounds }`,
 * where `median` has the median of every numeric field of `rounds` (what each child returned), or `{ ...task, readers, error }`. The first
 * round is always run to its end; a later one stops at the `deadline`.
 */
export function runTasks(tasks, { rounds, deadline = Number.POSITIVE_INFINITY, onProgress = () => {}, ...options }) {
  const runs = tasks.map((task) => ({
    task,
    outcomes: [task.readers].flat().map((readers) => ({ ...task, readers, rounds: [] })),
    error: undefined,
  }));
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? runs : [...runs].reverse();
    for (const [i, run] of order.entries()) {
      if (run.error !== undefined || round >= (run.task.maxRounds ?? rounds)) continue;
      if (round > 0 && Date.now() > deadline) continue;
      onProgress({ round, done: i, total: order.length, task: run.task });
      const results = runChild(run.task, options);
      run.error = results.error;
      if (run.error === undefined) for (const [k, result] of results.entries()) run.outcomes[k].rounds.push(result);
    }
  }
  return runs.flatMap(({ outcomes, error }) =>
    outcomes.map(({ rounds: all, ...outcome }) =>
      error === undefined ? { ...outcome, median: medians(all), rounds: all } : { ...outcome, error },
    ),
  );
}

function medians(all) {
  const fields = Object.keys(all[0]).filter((field) => typeof all[0][field] === 'number');
  return Object.fromEntries(fields.map((field) => [field, median(all.map((result) => result[field]))]));
}
