import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function ownerOf(folder) {
  try {
    return Number(readFileSync(join(folder, 'pid'), 'utf8'));
  } catch {
    return 0;
  }
}

/**
 * Runs the synchronous `work` while this process alone holds the lock `folder`; others wait. The lock of a process that
 * died is broken. `onWait(pid)` is called once when there is somebody to wait for. Released also by `process.exit`.
 */
export function withFolderLock(folder, work, onWait) {
  mkdirSync(dirname(folder), { recursive: true });
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let round = 0; ; round++) {
    try {
      mkdirSync(folder);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const owner = ownerOf(folder);
    // Without a pid the owner is between its two steps, or died there: five seconds are enough for the former.
    if (owner > 0 ? !isAlive(owner) : round > 50) {
      const broken = `${folder}-broken-${process.pid}`;
      try {
        renameSync(folder, broken);
        rmSync(broken, { recursive: true, force: true });
      } catch {
        // Another waiter was faster.
      }
      continue;
    }
    if (round === 0) onWait(owner);
    Atomics.wait(pause, 0, 0, 100);
  }
  const release = () => rmSync(folder, { recursive: true, force: true });
  process.on('exit', release);
  try {
    writeFileSync(join(folder, 'pid'), String(process.pid));
    return work();
  } finally {
    process.off('exit', release);
    release();
  }
}
