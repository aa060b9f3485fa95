/**
 * The garbage collector as a step of a test. It promises nothing about when, so a test waits for what it expects, for a
 * generous number of rounds, and fails only then.
 */

import { settle } from './fake-clock.ts';

const ROUNDS = 200;

function runCollector(): void {
  if (globalThis.gc === undefined) throw new Error('this test needs --expose-gc');
  globalThis.gc();
}

/** One full collection, with what follows from it: finalisers run in a turn of the event loop of their own. */
export async function collect(): Promise<void> {
  await settle();
  runCollector();
  await settle();
}

/** Collects until `condition` holds; throws `what` after many rounds without it. */
export async function collectUntil(condition: () => boolean, what: string): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    if (condition()) return;
    await collect();
  }
  throw new Error(`after ${ROUNDS} collections still not: ${what}`);
}

/** What is reachable now, in bytes: the heap of the engine, and memory of array buffers. */
export async function liveMemory(): Promise<{ heap: number; buffers: number }> {
  // The second round frees what the finalisers of the first let go of.
  await collect();
  await collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { heap: heapUsed, buffers: arrayBuffers };
}

/** Counts which of many objects are still alive. */
export class Living {
  #references: WeakRef<object>[] = [];

  add<T extends object>(object: T): T {
    this.#references.push(new WeakRef(object));
    return object;
  }

  /** How many are alive after a collection. */
  async count(): Promise<number> {
    await collect();
    this.#references = this.#references.filter((reference) => reference.deref() !== undefined);
    return this.#references.length;
  }
}
