/**
 * Small scopes, exhaustively: a writer, a bounded reader and a third party, with three operations each. Every sequence of
 * them up to a length, and every way to interleave three programs of three, under every policy, with and without a turn of
 * the event loop in between. Most faults show in a small case, and here none is left out.
 *
 * Many small worlds share a turn, which is what takes the time.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OVERFLOW_POLICIES, type OverflowPolicy } from '../../packages/fanpipe/src/core/policies.ts';
import { Rig, type RigKind } from '../support/core-rig.ts';
import { settle } from '../support/fake-clock.ts';

/** Length of the sequences; FANPIPE_SCOPE=5 takes minutes. */
const LENGTH = Number(process.env.FANPIPE_SCOPE ?? 4);
/** The mark of the bounded reader: two small writes fill it to the last byte, and each other write is beyond. */
const MARK = 4;
const BOUNDED = 0;
const OTHER = 1;
const POLICIES: readonly (OverflowPolicy | undefined)[] = [undefined, ...OVERFLOW_POLICIES];

type Operation = (rig: Rig) => void;

const operations = {
  write: (rig) => rig.write(2, 'view'),
  'write much': (rig) => rig.write(5, 'view'),
  writev: (rig) => rig.writev([2, 2], 'view'),
  writeSync: (rig) => rig.writeSync(2, 'view'),
  close: (rig) => rig.close(),
  fail: (rig) => rig.fail(true),
  flush: (rig) => rig.flush(false),
  next: (rig) => rig.next(BOUNDED),
  read: (rig) => rig.read(BOUNDED),
  fill: (rig) => rig.fill(BOUNDED, 1),
  batch: (rig) => rig.batch(BOUNDED),
  return: (rig) => rig.return(BOUNDED),
  cancel: (rig) => rig.cancel(BOUNDED),
  abort: (rig) => rig.abort(BOUNDED),
  'other next': (rig) => rig.next(OTHER),
  'other batch': (rig) => rig.batch(OTHER),
  'other cancel': (rig) => rig.cancel(OTHER),
  'open late': (rig) => rig.open({ from: 'start', policy: 'drop-oldest', mark: 1 }),
} satisfies Record<string, Operation>;

type Name = keyof typeof operations;

interface World {
  readonly rig: Rig;
  readonly sequence: readonly Name[];
}

/** Runs worlds side by side, with a turn after the steps in `turns` and at the end. */
class Universe {
  readonly #kind: RigKind;
  readonly #policy: OverflowPolicy | undefined;
  readonly #turns: ReadonlySet<number>;
  #worlds: World[] = [];
  /** How many worlds have come to their end. */
  count = 0;

  constructor(kind: RigKind, policy: OverflowPolicy | undefined, turns: readonly number[]) {
    this.#kind = kind;
    this.#policy = policy;
    this.#turns = new Set(turns);
  }

  async add(sequence: readonly Name[]): Promise<void> {
    const rig = new Rig({ kind: this.#kind, replay: 4 });
    const mark = this.#policy === undefined ? undefined : MARK;
    // Without a signal that nobody fires, so that the fast path is what most worlds are about.
    rig.open({ policy: this.#policy, mark, signal: sequence.includes('abort') });
    rig.open({});
    this.#worlds.push({ rig, sequence });
    if (this.#worlds.length >= 1000) await this.run();
  }

  async run(): Promise<void> {
    const worlds = this.#worlds;
    this.#worlds = [];
    const length = Math.max(0, ...worlds.map(({ sequence }) => sequence.length));
    for (let step = 0; step < length; step++) {
      this.#each(worlds, ({ rig, sequence }) => {
        const name = sequence[step];
        if (name !== undefined) operations[name](rig);
      });
      if (this.#turns.has(step)) await this.#turn(worlds);
    }
    await this.#turn(worlds);
    this.#each(worlds, ({ rig }) => {
      rig.close();
      for (let i = 0; i < rig.streams.length; i++) rig.cancel(i);
    });
    await this.#turn(worlds);
    this.#each(worlds, ({ rig }) => rig.expectIdle());
    this.count += worlds.length;
  }

  async #turn(worlds: readonly World[]): Promise<void> {
    await settle();
    this.#each(worlds, ({ rig }) => rig.compareTurn());
  }

  #each(worlds: readonly World[], run: (world: World) => void): void {
    for (const world of worlds) {
      try {
        run(world);
      } catch (error) {
        const turns = [...this.#turns].join(', ') || 'none';
        const where = `${this.#kind}, ${this.#policy}, turns after: ${turns}, ${world.sequence.join(' → ')}`;
        throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
      }
    }
  }
}

/** Every sequence of `length` over `alphabet`. */
function* sequences(alphabet: readonly Name[], length: number): Generator<Name[]> {
  if (length === 0) {
    yield [];
    return;
  }
  for (const rest of sequences(alphabet, length - 1)) for (const name of alphabet) yield [...rest, name];
}

/** Every way to interleave the programs, each in its own order. */
function* interleavings(programs: readonly (readonly Name[])[]): Generator<Name[]> {
  const left = programs.filter((program) => program.length > 0);
  if (left.length === 0) yield [];
  for (const program of left) {
    const [first, ...others] = program;
    const rest = left.map((each) => (each === program ? others : each));
    for (const following of interleavings(rest)) yield [first as Name, ...following];
  }
}

describe('small scopes', { timeout: 60_000 * 9 ** Math.max(0, LENGTH - 4) }, () => {
  const { stackTraceLimit } = Error;
  // Refusals and reasons are made by the million here, and their traces would take half of the time.
  beforeAll(() => {
    Error.stackTraceLimit = 0;
  });
  afterAll(() => {
    Error.stackTraceLimit = stackTraceLimit;
  });

  const actors: Record<string, readonly Name[]> = {
    'a writer that closes, a reader, a flusher': [
      ...(['write', 'write much', 'close'] as const),
      ...(['next', 'read', 'cancel'] as const),
      ...(['flush', 'other batch', 'abort'] as const),
    ],
    'a writer that fails, a reader of batches, a late stream': [
      ...(['writev', 'writeSync', 'fail'] as const),
      ...(['batch', 'read', 'return'] as const),
      ...(['open late', 'other next', 'flush'] as const),
    ],
  };
  for (const [name, alphabet] of Object.entries(actors)) {
    for (const policy of POLICIES) {
      test(`ACC ORD POLICY DETACH NEXT WAIT: every sequence: ${name}, ${policy}`, async () => {
        const runs: [RigKind, readonly number[]][] = [
          ['bytes', []],
          ['bytes', [0, 1, 2, 3]],
          ['sized', [1]],
        ];
        for (const [kind, turns] of runs) {
          const universe = new Universe(kind, policy, turns);
          for (const sequence of sequences(alphabet, LENGTH)) await universe.add(sequence);
          await universe.run();
          expect(universe.count).toBe(9 ** LENGTH);
        }
      });
    }
  }

  const programs: [Name, Name, Name][][] = [
    [
      ['write', 'write much', 'close'],
      ['next', 'next', 'next'],
      ['flush', 'other next', 'other cancel'],
    ],
    [
      ['write much', 'writeSync', 'fail'],
      ['read', 'fill', 'next'],
      ['other batch', 'flush', 'abort'],
    ],
    [
      ['writev', 'write', 'write much'],
      ['batch', 'batch', 'return'],
      ['open late', 'flush', 'flush'],
    ],
  ];
  for (const policy of POLICIES) {
    test(`ACC ORD POLICY DETACH NEXT WAIT: every interleaving of three programs of three, ${policy}`, async () => {
      for (const program of programs) {
        for (const turns of [[], [0, 1, 2, 3, 4, 5, 6, 7]]) {
          const universe = new Universe('bytes', policy, turns);
          for (const sequence of interleavings(program)) await universe.add(sequence);
          await universe.run();
          expect(universe.count).toBe(1680);
        }
      }
    });
  }
});
