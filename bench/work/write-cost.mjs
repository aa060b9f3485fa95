/**
 * What one write costs beside `extra` streams that do not read. One stream follows; nanoseconds of CPU time per write,
 * its delivery included. `kind`: `idle` was opened and never read, `stalled` stopped after its first chunk, `gone` was cancelled,
 * the others are policies of streams that never read and are over their mark.
 */
import { cpuMicros, turn } from '../tick.mjs';
import { warmUp } from './warm-up.mjs';

const POLICIES = new Set(['drop-oldest', 'drop-newest', 'disconnect']);

async function stopAfterFirst(stream) {
  for await (const _chunk of stream) await new Promise(() => {});
}

async function run(peer, { kind, extra }, writes) {
  const stream = POLICIES.has(kind) ? { overflow: kind, highWaterMark: 16 * 1024 } : undefined;
  const chunk = new Uint8Array(1024);
  const channel = peer.open({ readers: extra, copy: false, stream });
  const { writer, streams } = channel;
  const reading = peer.read(writer.stream());
  if (kind === 'gone') for (const gone of streams) gone.cancel();
  else if (kind === 'stalled') for (const stalled of streams) stopAfterFirst(stalled);
  await turn();
  for (let i = 0; i < 32; i++) channel.write(chunk);
  await turn();
  // What was built so far is moved to the old generation now rather than in the measured part.
  globalThis.gc?.();
  const begin = cpuMicros();
  for (let i = 1; i <= writes; i++) {
    channel.write(chunk);
    if (i % 16 === 0) await turn();
  }
  await turn();
  const micros = cpuMicros() - begin;
  channel.close();
  const { chunks } = await reading;
  if (chunks !== writes + 32) throw new Error(`Read ${chunks} of ${writes + 32} chunks`);
  for (const each of streams) each.cancel();
  return micros;
}

export async function writeCost(peer, { kind, extra, warmMs, targetMs }) {
  const rate = await warmUp((writes) => run(peer, { kind, extra }, writes), { warmMs, targetMs, least: 1024 });
  const writes = Math.max(1024, Math.round(rate * targetMs * 1000));
  globalThis.gc?.();
  const micros = await run(peer, { kind, extra }, writes);
  return { value: (micros * 1000) / writes, writes };
}
