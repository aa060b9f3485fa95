/** Backends do what a simple model says, whatever is done with them in whatever order. */
import { test } from 'vitest';
import { LocalBackend, memoryBackend } from '../../../packages/server/src/backends/index.ts';
import { MemoryStorage } from '../../../packages/server/src/backends/memory/memory-storage.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { Random } from '../../support/random.ts';
import { randomSeed } from '../../support/seed.ts';
import { lmdbRig } from './lmdb-rig.ts';
import { ModelRun } from './model-run.ts';
import { EPOCH, hops, type Rig } from './rig.ts';
import { ScriptedStorage } from './scripted-storage.ts';

const seed = randomSeed();

/** Runs of so many steps, each with a backend of its own. */
async function play(runs: number, steps: number, make: (random: Random) => Rig | Promise<Rig>): Promise<void> {
  for (let i = 0; i < runs; i++) {
    const random = new Random(seed + i);
    const rig = await make(random);
    try {
      await new ModelRun(rig, random).run(steps);
    } finally {
      await rig.close();
    }
  }
}

function memoryRig(): Rig {
  const clock = new FakeClock();
  const time = (): number => EPOCH + clock.now();
  const backend = memoryBackend({ clock, time });
  return { backend, clock, time, close: () => backend.close() };
}

/** On a store that takes its time, and tells what it has done in any order; what it keeps can be opened again. */
function slowRig(chance: Random): Rig {
  const clock = new FakeClock();
  const time = (): number => EPOCH + clock.now();
  const random = new Random(chance.between(0, 2 ** 31));
  const memory = new MemoryStorage(1e9);
  memory.close = async () => {};
  const pause = async (): Promise<void> => {
    if (random.chance(0.3)) await hops(random.between(1, 9));
    else if (random.chance(0.2)) await settle();
  };
  const open = (): LocalBackend =>
    new LocalBackend(new ScriptedStorage(memory, () => ({ before: pause, after: pause })), { clock, time });
  let backend = open();
  return {
    get backend() {
      return backend;
    },
    clock,
    time,
    reopen: async () => {
      await backend.close();
      backend = open();
      return backend;
    },
    close: () => backend.close(),
  };
}

test(`memory, ${40 * 250} steps, seed ${seed}`, () => play(40, 250, memoryRig));
test(`a slow store that is opened again and again, ${20 * 200} steps, seed ${seed}`, () => play(20, 200, slowRig));
test(`LMDB, ${4 * 150} steps, seed ${seed}`, () => play(4, 150, () => lmdbRig()));
