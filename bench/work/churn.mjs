/**
 * Join and leave: a thousand readers join one channel, then leave it in the order they came. Million joins and leaves per
 * second of CPU time; what a leave does later (a promise, the rest of a cancel) counts as leaving.
 */
import { cpuMicros, turn } from '../tick.mjs';
import { warmUp } from './warm-up.mjs';

const COUNT = 1000;

export async function churn(peer, { warmMs, targetMs }) {
  if (peer.churn === undefined) throw new Error(`${peer.id} has no churn`);
  let joining = 0;
  let leaving = 0;
  const run = async (batches) => {
    joining = 0;
    leaving = 0;
    for (let b = 0; b < batches; b++) {
      const channel = peer.churn();
      const joined = new Array(COUNT);
      const begin = cpuMicros();
      for (let i = 0; i < COUNT; i++) joined[i] = channel.join();
      const between = cpuMicros();
      for (let i = 0; i < COUNT; i++) channel.leave(joined[i]);
      await turn();
      const end = cpuMicros();
      joining += between - begin;
      leaving += end - between;
    }
    return joining + leaving;
  };
  const rate = await warmUp(run, { warmMs, targetMs, least: 1 });
  const batches = Math.max(2, Math.round(rate * targetMs * 1000));
  globalThis.gc?.();
  await run(batches);
  const joins = (batches * COUNT) / joining;
  return { value: joins, joins, leaves: (batches * COUNT) / leaving, batches };
}
