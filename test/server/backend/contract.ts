/**
 * The laws of the port, as tests that any backend is put through. Each gets a backend of its own, in a time that stands still
 * until the test moves it.
 */
import { afterEach, beforeEach, describe } from 'vitest';
import type { Backend } from '../../../packages/server/src/backends/backend.ts';
import { appendLaws } from './contract/appends.ts';
import { closeLaws } from './contract/close.ts';
import { cursorLaws } from './contract/cursors.ts';
import { deletionLaws } from './contract/deletion.ts';
import { endLaws } from './contract/ends.ts';
import { expiryLaws } from './contract/expiry.ts';
import { fenceLaws } from './contract/fences.ts';
import { forkLaws } from './contract/forks.ts';
import { nameLaws } from './contract/names.ts';
import { retentionLaws } from './contract/retention.ts';
import type { MakeRig, Rig } from './rig.ts';

/** What a law is tested on, made anew for each test. */
export interface Subject {
  readonly rig: Rig;
  readonly backend: Backend;
  /** Moves the time on. */
  pass(ms: number): Promise<void>;
}

const LAWS = [
  appendLaws,
  cursorLaws,
  endLaws,
  fenceLaws,
  deletionLaws,
  retentionLaws,
  expiryLaws,
  forkLaws,
  nameLaws,
  closeLaws,
];

/** Registers the tests. `reopens` says that what is closed can be opened again. */
export function backendContract(name: string, make: MakeRig, { reopens = false } = {}): void {
  describe(`the contract of backends: ${name}`, () => {
    let rig: Rig | undefined;
    beforeEach(async () => {
      rig = await make();
    });
    afterEach(async () => {
      await rig?.close();
      rig = undefined;
    });
    const subject: Subject = {
      get rig() {
        return rig as Rig;
      },
      get backend() {
        return (rig as Rig).backend;
      },
      pass: (ms) => (rig as Rig).clock.advance(ms),
    };
    for (const laws of LAWS) laws(subject, { reopens });
  });
}
