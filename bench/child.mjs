/** One round: one peer, one workload, one fresh process. Takes its task as JSON, prints its result as JSON. */
import { loadPeer } from './peers/index.mjs';
import { churn } from './work/churn.mjs';
import { latency } from './work/latency.mjs';
import { memory } from './work/memory.mjs';
import { burst, throughput } from './work/throughput.mjs';
import { writeCost } from './work/write-cost.mjs';

const works = { throughput, burst, memory, latency, churn, 'write-cost': writeCost };

const task = JSON.parse(process.argv[2]);
const peer = await loadPeer(task.peer);
const result = await works[task.work](peer, task);
// Readers that never end would keep nothing alive, but some peers' timers do.
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
