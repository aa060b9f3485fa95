import { expect, test } from 'vitest';
import { Random } from '../../support/random.ts';
import { randomSeed } from '../../support/seed.ts';
import { appendOf, LOADED, loadedName } from './load.ts';
import { makeScratch } from './scratch.ts';

const ROUNDS = 10;
const scratch = makeScratch();
const seed = randomSeed();

/** Reads all streams and compares them with what was appended; says how many appends each has. */
async function check(path: string, acknowledged: readonly number[]): Promise<number[]> {
  const backend = scratch.open(path);
  const counts: number[] = [];
  for (let stream = 0; stream < LOADED; stream++) {
    const opened = await backend.open(loadedName(stream));
    const { facts = new Map<string, string>() } = (await opened?.acquire()) ?? {};
    const count = Number(facts.get('next') ?? 0);
    expect(count, `appends of stream ${stream}`).toBeGreaterThanOrEqual(acknowledged[stream] as number);
    counts.push(count);
    if (opened === undefined) continue;
    const { tail } = await opened.state();
    const cursor = opened.cursor(0);
    const chunks: Uint8Array[] = [];
    while (cursor.position < tail) {
      const result = await cursor.next({ maxBytes: 100_000 });
      if (result.end === undefined) chunks.push(...result.chunks);
    }
    const expected = Array.from({ length: count }, (_, append) => Buffer.concat(appendOf(seed, stream, append)));
    expect(Buffer.concat(chunks).equals(Buffer.concat(expected)), `bytes of stream ${stream}`).toBe(true);
  }
  await backend.close();
  return counts;
}

test(`a process that is killed with 64 appends in flight loses nothing that it acknowledged, and halves nothing (seed ${seed})`, async () => {
  const path = scratch.folder();
  const random = new Random(seed);
  const acknowledged = Array.from({ length: LOADED }, () => 0);
  let total = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const process = scratch.process();
    await process.call('open', path);
    const enough = new Promise<void>((resolve) => {
      let left = random.between(1, 1500);
      process.onAcknowledged = (stream, append) => {
        // One after the other: no number may be left out.
        expect(append).toBe(acknowledged[stream]);
        acknowledged[stream] = append + 1;
        total++;
        if (--left === 0) resolve();
      };
    });
    await process.call('load', seed);
    await Promise.race([enough, process.exited.then(() => Promise.reject(new Error(process.stderr)))]);
    await process.kill();
    const counts = await check(path, acknowledged);
    for (const [stream, count] of counts.entries()) acknowledged[stream] = count;
  }
  expect(total).toBeGreaterThan(ROUNDS);
});
