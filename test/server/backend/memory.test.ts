import { memoryBackend } from '../../../packages/server/src/backends/index.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { backendContract } from './contract.ts';
import { EPOCH, type Rig } from './rig.ts';

backendContract('memory', async (): Promise<Rig> => {
  const clock = new FakeClock();
  const time = (): number => EPOCH + clock.now();
  const backend = memoryBackend({ clock, time });
  return { backend, clock, time, close: () => backend.close() };
});
