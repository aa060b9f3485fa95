/**
 * One round: one peer, one workload, one fresh process. Takes its task as JSON, prints its results as JSON: one per number
 * of readers, measured in turn, fewest first.
 */
import { loadPeer } from './peers/index.mjs';
import { churn } from './work/churn.mjs';
import { latency } from './work/latency.mjs';
import { memory } from './work/memory.mjs';
import { burst, compile, throughput } from './work/throughput.mjs';
import { writeCost } from './work/write-cost.mjs';

const works = { throughput, burst, memory, latency, churn, 'write-cost': writeCost };

const { work, peer: id, readers, ...task } = JSON.parse(process.argv[2]);
const peer = await loadPeer(id);
const results = [];
if (work === 'throughput' || work === 'burst') await compile(peer, task);
for (const count of [readers].flat()) results.push(await works[work](peer, { ...task, readers: count }));
// Readers that never end keep nothing alive, but the timers of some peers do.
process.stdout.write(`${JSON.stringify(results)}\n`, () => process.exit(0));
