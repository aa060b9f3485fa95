import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Repeats `run(amount)`, which resolves with the CPU microseconds it took, until the code is compiled and the heap has its
 * size: at least `warmMs` in all, the amount grown so that a run takes a third of `targetMs`, and the rate no longer
 * rising. Between runs it sleeps, so that code which V8 compiles on another thread arrives. Gives up waiting for that after six times `warmMs`. Resolves with the best rate seen, in amount per microsecond.
 */
export async function warmUp(run, { warmMs, targetMs, least }) {
  let amount = least;
  let best = 0;
  let spent = 0;
  let steady = 0;
  while (spent < warmMs * 6000) {
    const micros = await run(amount);
    await sleep(4);
    const rate = amount / micros;
    spent += micros;
    steady = rate > best * 1.08 ? 0 : steady + 1;
    best = Math.max(best, rate);
    if (micros < targetMs * 333) {
      amount *= 2;
      continue;
    }
    if (steady >= 2 && spent >= warmMs * 1000) break;
  }
  return best;
}
