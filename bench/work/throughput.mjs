/**
 * Throughput: the writer writes the same few chunks again and again and gives the readers a turn after every `every`
 * writes. Result: million deliveries (write x reader) per second of CPU time. Every reader must have seen every byte.
 */
import { cpuMicros, turn, yields } from '../tick.mjs';
import { warmUp } from './warm-up.mjs';

async function run(peer, { readers, size, copy, every, giveTurn }, writes) {
  const pool = Array.from({ length: 16 }, (_, i) => new Uint8Array(size).fill(i));
  const channel = peer.open({ readers, copy });
  const results = channel.streams.map((stream) => peer.read(stream));
  // Until every reader waits: a fiber may need a turn to begin.
  for (let i = 0; i < 4; i++) await turn();
  const begin = cpuMicros();
  for (let i = 1; i <= writes; i++) {
    channel.write(pool[i & 15]);
    if (i % every === 0) await giveTurn();
  }
  channel.close();
  const totals = await Promise.all(results);
  const micros = cpuMicros() - begin;
  check(totals, writes * size, peer);
  return micros;
}

export function check(totals, bytes, peer) {
  for (const total of totals) {
    if (total.bytes !== bytes) throw new Error(`${peer.id} delivered ${total.bytes} of ${bytes} bytes`);
  }
}

/** The measured part: about `targetMs` of CPU time, after a warm-up. */
export async function throughput(peer, { readers, size, copy, every, yieldBy, warmMs, targetMs }) {
  const options = { readers, size, copy, every, giveTurn: yields[yieldBy] };
  const least = Math.max(32, every);
  const rate = await warmUp((writes) => run(peer, options, writes), { warmMs, targetMs, least });
  const writes = Math.max(least, Math.round((rate * targetMs * 1000) / least) * least);
  globalThis.gc?.();
  const micros = await run(peer, options, writes);
  return { value: (writes * readers) / micros, writes, micros };
}

/**
 * Before the first number of readers: compiles the code with ten of them. With one alone, most of a short run would be spent
 * in code that is not optimized yet.
 */
export async function compile(peer, { size, copy, every, yieldBy, warmMs, targetMs }) {
  const options = { readers: 10, size, copy, every, giveTurn: yields[yieldBy] };
  await warmUp((writes) => run(peer, options, writes), { warmMs: warmMs * 2, targetMs, least: Math.max(32, every) });
}

/** A burst: so much is written at once before any reader runs. 1,024 writes of 64 B are 64 KiB. */
const BURST = 1024;

export const burst = (peer, task) => throughput(peer, { ...task, every: BURST });
