/** The contract, on a store that takes its time for each call, by chance: the order in which it tells what it has done is any. */
import { LocalBackend } from '../../../packages/server/src/backends/index.ts';
import { MemoryStorage } from '../../../packages/server/src/backends/memory/memory-storage.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { Random } from '../../support/random.ts';
import { randomSeed } from '../../support/seed.ts';
import { backendContract } from './contract.ts';
import { EPOCH, hops, type Rig } from './rig.ts';
import { ScriptedStorage } from './scripted-storage.ts';

const seed = randomSeed();

for (const [index, speed] of ['a little slow', 'slow', 'very slow'].entries()) {
  backendContract(`${speed}, seed ${seed}`, async (): Promise<Rig> => {
    const clock = new FakeClock();
    const time = (): number => EPOCH + clock.now();
    const random = new Random(seed + index);
    const part = [0.1, 0.5, 1][index] as number;
    const pause = (): Promise<void> | undefined => {
      if (!random.chance(part)) return undefined;
      return random.chance(0.5) ? settle() : hops(random.between(1, 12));
    };
    const storage = new ScriptedStorage(new MemoryStorage(1e9), () => ({
      before: async () => await pause(),
      after: async () => await pause(),
    }));
    const backend = new LocalBackend(storage, { clock, time });
    return { backend, clock, time, close: () => backend.close() };
  });
}
