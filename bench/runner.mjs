/**
 * Runs cases in rounds. Every (case, round) is a fresh child process, so that no peer inherits another's heap or its
 * type feedback; every round runs every case, odd rounds in reverse order, so that a slow minute of the machine falls on all
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

function runChild(task, { execPath, ours }) {
  const flags = ['--expose-gc', '--no-warnings'];
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
 * Resolves with the cases, each with `rounds` (what each child returned) and, per numeric field of these, the median:
 * `{ ...case, median: { value, … }, rounds }`, or `{ ...case, error }`.
 */
export function runCases(cases, { rounds, onProgress = () => {}, ...options }) {
  const outcomes = cases.map((task) => ({ ...task, rounds: [] }));
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? outcomes : [...outcomes].reverse();
    for (const [i, outcome] of order.entries()) {
      if (outcome.error !== undefined) continue;
      if (round >= (outcome.maxRounds ?? rounds)) continue;
      onProgress({ round, rounds, done: i, total: order.length, outcome });
      const { rounds: _rounds, ...task } = outcome;
      const result = runChild(task, options);
      if (result.error !== undefined) outcome.error = result.error;
      else outcome.rounds.push(result);
    }
  }
  for (const outcome of outcomes) {
    if (outcome.error !== undefined) continue;
    const fields = Object.keys(outcome.rounds[0]).filter((field) => typeof outcome.rounds[0][field] === 'number');
    outcome.median = Object.fromEntries(fields.map((field) => [field, median(outcome.rounds.map((r) => r[field]))]));
  }
  return outcomes;
}
