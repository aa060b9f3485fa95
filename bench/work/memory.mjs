/**
 * Memory that a channel holds: `heapUsed + external` (the latter includes array buffers) after a full collection, minus the
 * same before. Code is compiled by a small run beforehand, so that it does not count.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { turn } from '../tick.mjs';

async function used() {
  for (let i = 0; i < 3; i++) {
    await turn();
    globalThis.gc();
    // Array buffers are freed, and uncounted, on another thread.
    await sleep(20);
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function settle(rounds = 8) {
  for (let i = 0; i < rounds; i++) await turn();
}

/**
 * `stalled` of `readers` never read; the others follow. Everything is written with turns in between. `others` is the share of
 * all chunks that those who follow got: below 1, the stalled one held them up.
 */
async function held(peer, { readers, stalled, size, copy, writes }) {
  const channel = peer.open({ readers, copy });
  let delivered = 0;
  const count = () => {
    delivered++;
  };
  for (let i = 0; i < readers; i++) {
    if (i < stalled) peer.stall?.(channel.streams[i]);
    else peer.watch(channel.streams[i], count);
  }
  // A stalled stream stays referenced by `channel`; a stream that is read lives by its loop.
  channel.streams.length = stalled;
  await settle();
  const shared = new Uint8Array(size).fill(7);
  const before = await used();
  for (let i = 1; i <= writes; i++) {
    channel.write(copy ? shared : new Uint8Array(size).fill(7));
    if (i % 16 === 0) await turn();
  }
  await settle(64);
  const bytes = (await used()) - before;
  channel.close();
  return { bytes, written: writes * size, others: delivered / (writes * (readers - stalled)) };
}

async function perStream(peer, { readers, parked }) {
  const before = await used();
  const channel = peer.open({ readers, copy: true });
  if (parked) {
    for (const stream of channel.streams) peer.read(stream);
    channel.streams.length = 0;
  }
  await settle();
  // The array that holds the streams for us is not theirs.
  const bytes = (await used()) - before - channel.streams.length * 8;
  // Also keeps the channel alive until here.
  channel.close();
  await settle(2);
  return bytes;
}

export async function memory(peer, { kind, readers, size = 64 * 1024, copy = true, writes }) {
  switch (kind) {
    case 'reading':
    case 'stalled': {
      const stalled = kind === 'stalled' ? 1 : 0;
      await held(peer, { readers: Math.min(readers, 20), stalled, size: 1024, copy, writes: 256 });
      const { bytes, written, others } = await held(peer, { readers, stalled, size, copy, writes });
      return { bytes, ratio: bytes / written, perWrite: bytes / writes, others };
    }
    case 'open':
    case 'parked': {
      const parked = kind === 'parked';
      await perStream(peer, { readers, parked });
      // The slope, so that what a channel holds once does not count.
      const few = await perStream(peer, { readers, parked });
      const more = await perStream(peer, { readers: readers * 2, parked });
      return { bytes: (more - few) / readers };
    }
    default:
      throw new Error(`No such kind of memory: ${kind}`);
  }
}
