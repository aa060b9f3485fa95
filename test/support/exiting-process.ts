/**
 * Uses the library and comes to its end without `process.exit`: what the library left running would keep it alive. Run by
 * `test/core/leaks.test.ts`.
 */

import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import { OVERFLOW_POLICIES } from '../../packages/fanpipe/src/core/policies.ts';

const before = process.getActiveResourcesInfo();
const { signal } = new AbortController();
const writer = new ByteWriter({ replay: 'all', signal });
// Some read to the end, some wait for ever, some are left in mid-air.
const text = writer.stream({ signal }).text();
const abandoned = new ByteWriter({ signal });
for (const overflow of OVERFLOW_POLICIES) {
  void abandoned.stream({ overflow, highWaterMark: 1, signal })[Symbol.asyncIterator]().next();
  void abandoned.stream().batches().next();
  void abandoned.stream({ overflow, highWaterMark: 0 });
}
void abandoned.write('nobody reads this').catch(() => {});
void abandoned.flush({ signal }).catch(() => {});
void abandoned.stream().stalledMonitor().withTimeout(60_000).withThrottle(60_000);
await writer.write('x');
writer.close();
if ((await text) !== 'x') throw new Error('not what was written');

const after = process.getActiveResourcesInfo();
for (const resource of before) {
  const index = after.indexOf(resource);
  if (index >= 0) after.splice(index, 1);
}
console.log(`finished, new resources: ${after.join(', ') || 'none'}`);
