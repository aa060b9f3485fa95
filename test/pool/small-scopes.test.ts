/**
 * Small scopes, exhaustively: two readers of one key and a source, for every policy of the last leave. Every sequence of what they
 * may do up to a length, with and without turns in between, held to the model at every step.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LastLeave } from '../../packages/fanpipe/src/pool/options.ts';
import { type OpenerKind, PoolRig } from '../support/pool-rig.ts';

/** Length of the sequences; FANPIPE_SCOPE=5 takes minutes. */
const LENGTH = Number(process.env.FANPIPE_SCOPE ?? 4);
const STOP_AFTER = 30;
/** Worlds that run side by side, since turns take most of the time. */
const SIDE_BY_SIDE = 500;

type Operation = (world: World) => Promise<void> | undefined | void;

/** Two readers by name, each with the stream that it opened last. */
class World {
  readonly rig: PoolRig;
  readonly #opener: OpenerKind;
  readonly #numbers: Map<'A' | 'B', number> = new Map();

  constructor(onLastLeave: LastLeave, opener: OpenerKind) {
    this.rig = new PoolRig({ onLastLeave, budget: 20 });
    this.#opener = opener;
  }

  open(name: 'A' | 'B'): void {
    this.#numbers.set(name, this.rig.readers.length);
    this.rig.open({ key: 'k', opener: this.#opener, ...(name === 'B' ? { start: 1, end: 5 } : {}) });
  }

  on(name: 'A' | 'B', act: (index: number) => Promise<void> | undefined): Promise<void> | undefined {
    const index = this.#numbers.get(name);
    // An open may have been refused.
    return index !== undefined && index < this.rig.readers.length ? act(index) : undefined;
  }
}

const operations = {
  'A opens': (world) => world.open('A'),
  'B opens': (world) => world.open('B'),
  'A leaves': (world) => world.on('A', (i) => world.rig.leave(i, 'cancel')),
  'B leaves': (world) => world.on('B', (i) => world.rig.leave(i, 'return')),
  'A waits': (world) => world.on('A', (i) => world.rig.next(i)),
  'B reads': (world) => world.on('B', (i) => world.rig.read(i)),
  gives: (world) => world.rig.push(world.rig.sources.length - 1, 3),
  ends: (world) => world.rig.end(world.rig.sources.length - 1),
  fails: (world) => world.rig.failSource(world.rig.sources.length - 1),
  arrives: (world) => world.rig.arrive(world.rig.sources.length - 1, false),
  'time passes': (world) => world.rig.advance(STOP_AFTER),
} satisfies Record<string, Operation>;

type Name = keyof typeof operations;

/** Every sequence of `length` over `alphabet`. */
function* sequences(alphabet: readonly Name[], length: number): Generator<Name[]> {
  if (length === 0) {
    yield [];
    return;
  }
  for (const rest of sequences(alphabet, length - 1)) for (const name of alphabet) yield [...rest, name];
}

async function live(
  sequence: readonly Name[],
  onLastLeave: LastLeave,
  opener: OpenerKind,
  turns: boolean,
): Promise<void> {
  const world = new World(onLastLeave, opener);
  const { rig } = world;
  try {
    world.open('A');
    if (turns) await rig.turn();
    for (const name of sequence) {
      // Nothing to wait for is nothing to wait for: else the steps would not fall into one turn.
      const running = operations[name](world);
      if (running !== undefined) await running;
      if (turns) await rig.turn();
    }
    await rig.turn();
    // Whoever comes now gets a whole, or a source of its own.
    rig.open({ key: 'k' });
    await rig.collect(rig.readers.length - 1, undefined);
    const { entry } = rig.readers[rig.readers.length - 1]?.model ?? {};
    if (entry?.state === 'failed') throw new Error('an entry that has failed was joined');
    rig.close();
    await rig.turn();
    for (let i = 0; i < rig.readers.length; i++) await rig.leave(i, 'cancel');
    await rig.advance(1000);
    rig.expectIdle();
  } catch (error) {
    const where = `${JSON.stringify(onLastLeave)}, ${opener}, ${turns ? 'with' : 'without'} turns, ${sequence.join(' → ')}`;
    throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
  }
}

describe('small scopes of the pool', { timeout: 120_000 * 11 ** Math.max(0, LENGTH - 4) }, () => {
  const { stackTraceLimit } = Error;
  // Reasons are made by the ten thousand here, and their traces would take much of the time.
  beforeAll(() => {
    Error.stackTraceLimit = 0;
  });
  afterAll(() => {
    Error.stackTraceLimit = stackTraceLimit;
  });

  const openers: Partial<Record<OpenerKind, readonly Name[]>> = {
    now: ['A opens', 'B opens', 'A leaves', 'B leaves', 'A waits', 'B reads', 'gives', 'ends', 'fails', 'time passes'],
    late: ['A opens', 'B opens', 'A leaves', 'B leaves', 'A waits', 'gives', 'ends', 'arrives', 'time passes'],
  };
  for (const onLastLeave of ['stop', 'keep', { stopAfter: STOP_AFTER }] as const) {
    for (const [opener, alphabet] of Object.entries(openers) as [OpenerKind, readonly Name[]][]) {
      test(`ONCE WHOLE GROUP RANGE: every sequence, ${JSON.stringify(onLastLeave)}, source ${opener}`, async () => {
        let count = 0;
        for (const turns of [false, true]) {
          let worlds: Promise<void>[] = [];
          for (const sequence of sequences(alphabet, LENGTH)) {
            worlds.push(live(sequence, onLastLeave, opener, turns));
            count++;
            if (worlds.length < SIDE_BY_SIDE) continue;
            await Promise.all(worlds);
            worlds = [];
          }
          await Promise.all(worlds);
        }
        expect(count).toBe(2 * alphabet.length ** LENGTH);
      });
    }
  }
});
