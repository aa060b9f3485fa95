/**
 * The pool against the model, on random commands: `stats()` and every reader after every command, every promise, source and
 * signal at every turn.
 *
 * FANPIPE_MODEL_RUNS is the number of commands (default 200,000), FANPIPE_SEED the seed. A failure prints the seed and the
 * shortest commands that were found.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LastLeave } from '../../packages/fanpipe/src/pool/options.ts';
import { type OpenerKind, PoolRig } from '../support/pool-rig.ts';
import { RigStep } from '../support/rig-step.ts';
import { randomSeed } from '../support/seed.ts';

const COMMANDS = Number(process.env.FANPIPE_MODEL_RUNS ?? 200_000);
/** Readers that are attached at a time; from then on commands on readers get their turn. */
const READERS = 8;

class Step extends RigStep<PoolRig> {}

const key = fc.constantFrom('a', 'a', 'b', 'c');
const which = fc.nat(1000);
const opener = fc.constantFrom<OpenerKind>('now', 'now', 'now', 'now', 'late', 'late', 'throws', 'rejects', 'refused');
const lastLeave = fc.constantFrom<LastLeave>('stop', 'keep', { stopAfter: 0 }, { stopAfter: 30 });
const range = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.record({ start: fc.integer({ min: 0, max: 40 }) }) },
  { weight: 1, arbitrary: fc.record({ end: fc.integer({ min: 0, max: 40 }) }) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 30 }))
      .map(([start, length]) => ({ start, end: start + length })),
  },
);

function commands(): fc.Arbitrary<Iterable<fc.AsyncCommand<Record<string, never>, PoolRig>>> {
  const open = fc
    .tuple(
      range,
      fc.record({
        key,
        opener,
        mark: fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined, freq: 1 }),
        onLastLeave: fc.option(lastLeave, { nil: undefined }),
        maxBytes: fc.constantFrom(undefined, undefined, undefined, 25),
        copy: fc.constantFrom(false, false, false, true),
        signal: fc.constantFrom(false, false, true),
        aborted: fc.constantFrom(...Array<boolean>(19).fill(false), true),
      }),
    )
    .map(([between, rest]) => {
      const options = { ...between, ...rest, mark: rest.mark === undefined ? undefined : rest.mark };
      return new Step('open', [options], (rig) => {
        if (rig.readers.filter(({ model }) => model.ending === null).length < READERS) rig.open(options);
      });
    });
  const push = fc
    .tuple(which, fc.integer({ min: 1, max: 20 }))
    .map((args) => new Step('push', args, (rig) => rig.push(...args)));
  const end = which.map((i) => new Step('end', [i], (rig) => rig.end(i)));
  const failSource = which.map((i) => new Step('failSource', [i], (rig) => rig.failSource(i)));
  const arrive = fc
    .tuple(which, fc.constantFrom(false, false, false, true))
    .map((args) => new Step('arrive', args, (rig) => rig.arrive(...args)));
  const read = which.map((i) => new Step('read', [i], (rig) => rig.read(i)));
  const next = which.map((i) => new Step('next', [i], (rig) => rig.next(i)));
  const collect = fc
    .tuple(which, fc.option(fc.integer({ min: 0, max: 40 }), { nil: undefined, freq: 1 }))
    .map((args) => new Step('collect', args, (rig) => rig.collect(...args)));
  const leave = fc
    .tuple(which, fc.constantFrom<'cancel' | 'abort' | 'return'>('cancel', 'abort', 'return'))
    .map((args) => new Step('leave', args, (rig) => rig.leave(...args)));
  const remove = key.map((k) => new Step('delete', [k], (rig) => rig.delete(k)));
  const close = fc.constant(new Step('close', [], (rig) => rig.close()));
  const advance = fc.integer({ min: 0, max: 60 }).map((ms) => new Step('advance', [ms], (rig) => rig.advance(ms)));
  const turn = fc.constant(new Step('turn', [], (rig) => rig.turn()));
  const rarely = (step: fc.Arbitrary<Step>, weight = 9): fc.Arbitrary<Step> =>
    fc.oneof({ weight: 1, arbitrary: step }, { weight, arbitrary: push });
  return fc.commands(
    [
      ...[open, open, open, push, push, push, end, rarely(failSource, 3), arrive, arrive],
      ...[read, read, next, next, collect, leave, leave, turn, turn, turn, advance],
      ...[rarely(remove, 4), rarely(close, 60)],
    ],
    { maxCommands: 120, size: 'max' },
  );
}

const options = fc.record({
  budget: fc.constantFrom(1000, 60, 60, 40),
  maxEntries: fc.constantFrom(1000, 1000, 1, 0),
  ttl: fc.constantFrom(undefined, undefined, 50, 0),
  onLastLeave: lastLeave,
});

describe('the pool against the model', () => {
  test('ONCE WHOLE GROUP KEEP RANGE: random readers, sources, limits and clocks', {
    timeout: COMMANDS * 3 + 60_000,
  }, async () => {
    const seed = randomSeed();
    let steps = 0;
    const seen: Record<string, number> = {};
    for (let round = 0; steps < COMMANDS; round++) {
      await fc.assert(
        fc.asyncProperty(options, commands(), async (rigOptions, list) => {
          const rig = new PoolRig(rigOptions);
          for (const command of list) {
            const running = command.run({}, rig);
            if (running !== undefined) await running;
          }
          await rig.turn();
          // Everything that still waits must settle, and everything must be let go.
          rig.close();
          await rig.turn();
          for (let i = 0; i < rig.readers.length; i++) await rig.leave(i, 'cancel');
          await rig.advance(1000);
          rig.expectIdle();
          steps += rig.steps;
          for (const [what, count] of Object.entries(rig.seen)) seen[what] = (seen[what] ?? 0) + count;
        }),
        { seed: seed + round, numRuns: 100, endOnFailure: false },
      );
    }
    // Random commands could also be such that nothing ever happens.
    for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(steps / 5000);
  });
});
