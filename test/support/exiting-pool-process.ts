/**
 * Uses a pool and comes to its end without `process.exit`: timers that the pool left running would keep it alive. Run by
 * `test/pool/leaks.test.ts`.
 */

import { StreamPool } from '../../packages/fanpipe/src/pool/stream-pool.ts';

const before = process.getActiveResourcesInfo();
const pool = new StreamPool({ ttl: 600_000, onLastLeave: { stopAfter: 600_000 } });
// One is complete and waits for its time to be over, one was left and waits to be stopped, one is read for ever.
const text = await pool.open('complete', () => ['x'], { end: 10 }).text();
if (text !== 'x') throw new Error('not what the source gave');
const silent = (): AsyncIterable<Uint8Array> => ({
  [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }),
});
pool.open('left', silent).cancel();
void pool.open('read', silent, { start: 100, highWaterMark: 5, signal: new AbortController().signal }).bytes();
pool.open('failed', () => Promise.reject(new Error('nobody is told')));
await new Promise((resolve) => setImmediate(resolve));

// Timers that do not keep the process alive are not counted; what else is active belongs to the loader of this script.
const timers = (resources: readonly string[]): number => resources.filter((resource) => resource === 'Timeout').length;
console.log(`finished, new timers: ${timers(process.getActiveResourcesInfo()) - timers(before)}`);
