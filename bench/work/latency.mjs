/**
 * Wake-up latency: all readers are parked, one chunk is written, each notes when it runs. Wall clock, in microseconds.
 * One reader in ten, spread evenly over the order of joining, reads the clock: reading it costs as much as a wake-up.
 */
import { turn } from '../tick.mjs';

export async function latency(peer, { readers, copy = false, warmMs, targetMs }) {
  const chunk = new Uint8Array(1024);
  const channel = peer.open({ readers, copy });
  let samples = [];
  let begin = 0;
  let seen = 0;
  channel.streams.forEach((stream, i) => {
    const stamped = i % 10 === 5 || readers < 10;
    peer.watch(
      stream,
      stamped
        ? () => {
            seen++;
            samples.push(performance.now() - begin);
          }
        : () => {
            seen++;
          },
    );
  });
  for (let i = 0; i < 8; i++) await turn();

  async function writeFor(ms) {
    const until = performance.now() + ms;
    let writes = 0;
    while (performance.now() < until || writes < 100) {
      begin = performance.now();
      channel.write(chunk);
      writes++;
      // Effect needs two turns, the others one.
      await turn();
      await turn();
    }
    return writes;
  }

  await writeFor(warmMs * 2);
  globalThis.gc?.();
  samples = [];
  seen = 0;
  const writes = await writeFor(targetMs * 2);
  if (seen !== writes * readers) throw new Error(`${peer.id} woke ${seen} of ${writes * readers} times`);
  samples.sort((a, b) => a - b);
  const at = (q) => samples[Math.min(samples.length - 1, Math.floor(samples.length * q))] * 1000;
  return { value: at(0.5), p50: at(0.5), p99: at(0.99), writes };
}
