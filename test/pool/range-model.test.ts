/**
 * Ranges against the model, on random commands: every counter after every command, every promise at every turn. Random chunks,
 * starts ahead of the tail, several reads outstanding, all ways to read, all policies, and leaving in between.
 *
 * FANPIPE_MODEL_RUNS is the number of commands (default 200,000), FANPIPE_SEED the seed. A failure prints the seed and the
 * shortest commands that were found.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OVERFLOW_POLICIES } from '../../packages/fanpipe/src/core/policies.ts';
import { RangeRig } from '../support/range-rig.ts';
import { RigStep } from '../support/rig-step.ts';
import { randomSeed } from '../support/seed.ts';

const COMMANDS = Number(process.env.FANPIPE_MODEL_RUNS ?? 200_000);
/** Streams that are open at a time. */
const STREAMS = 5;

class Step extends RigStep<RangeRig> {}

const which = fc.nat(1000);

function commands(): fc.Arbitrary<Iterable<fc.AsyncCommand<Record<string, never>, RangeRig>>> {
  const write = fc
    .tuple(
      fc.oneof(
        { weight: 20, arbitrary: fc.integer({ min: 1, max: 15 }) },
        { weight: 1, arbitrary: fc.constantFrom(100, 8193) },
      ),
      fc.boolean(),
    )
    .map((args) => new Step('write', args, (rig) => rig.write(...args)));
  const open = fc
    .record({
      start: fc.integer({ min: 0, max: 80 }),
      length: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined, freq: 4 }),
      policy: fc.constantFrom(undefined, undefined, ...OVERFLOW_POLICIES),
      mark: fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined, freq: 2 }),
      copy: fc.constantFrom(false, false, true),
      signal: fc.constantFrom(false, false, true),
      throws: fc.constantFrom(false, false, false, true),
    })
    .map((options) => {
      return new Step('open', [options], (rig) => {
        if (rig.streams.filter(({ model }) => model.attached).length < STREAMS) rig.open(options);
      });
    });
  const on = (name: 'next' | 'batch' | 'read'): fc.Arbitrary<Step> =>
    which.map((i) => new Step(name, [i], (rig) => rig[name](i)));
  const fill = fc
    .tuple(which, fc.integer({ min: 1, max: 20 }))
    .map((args) => new Step('fill', args, (rig) => rig.fill(...args)));
  const collect = fc
    .tuple(which, fc.option(fc.integer({ min: 0, max: 40 }), { nil: undefined, freq: 2 }))
    .map((args) => new Step('collect', args, (rig) => rig.collect(...args)));
  const leave = fc
    .tuple(which, fc.constantFrom<'cancel' | 'abort' | 'return' | 'throw'>('cancel', 'abort', 'return', 'throw'))
    .map((args) => new Step('leave', args, (rig) => rig.leave(...args)));
  const close = fc.constant(new Step('close', [], (rig) => rig.close()));
  const fail = fc.constant(new Step('fail', [], (rig) => rig.fail()));
  const turn = fc.constant(new Step('turn', [], (rig) => rig.turn()));
  const rarely = (step: fc.Arbitrary<Step>, weight: number): fc.Arbitrary<Step> =>
    fc.oneof({ weight: 1, arbitrary: step }, { weight, arbitrary: write });
  return fc.commands(
    [
      ...[write, write, write, write, write, open, open, open, on('next'), on('next'), on('batch'), on('batch')],
      ...[on('read'), on('read'), fill, fill, turn, turn, turn, rarely(collect, 3), rarely(leave, 3)],
      rarely(fc.oneof(close, fail), 9),
    ],
    { maxCommands: 120, size: 'max' },
  );
}

describe('ranges against the model', () => {
  test('RANGE ACC ORD POLICY LOSS NEXT DETACH END FAIL: random commands', {
    timeout: COMMANDS * 3 + 60_000,
  }, async () => {
    const seed = randomSeed();
    let steps = 0;
    const seen: Record<string, number> = {};
    for (let round = 0; steps < COMMANDS; round++) {
      await fc.assert(
        fc.asyncProperty(commands(), async (list) => {
          const rig = new RangeRig();
          for (const command of list) {
            const running = command.run({}, rig);
            if (running !== undefined) await running;
          }
          await rig.turn();
          for (let i = 0; i < rig.streams.length; i++) rig.leave(i, 'cancel');
          await rig.turn();
          rig.close();
          await rig.turn();
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
