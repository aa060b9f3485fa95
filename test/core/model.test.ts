/**
 * The core against the model, on random commands: every counter after every command, every promise at every turn.
 *
 * FANPIPE_MODEL_RUNS is the number of commands (default 500,000; a release runs 10,000,000), FANPIPE_SEED the seed. A
 * failure prints the seed and the shortest commands that were found.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { StreamStart } from '../../packages/fanpipe/src/core/open-cursor.ts';
import { Rig, type RigKind, type RigOptions, type Shape } from '../support/core-rig.ts';
import { RigStep } from '../support/rig-step.ts';
import { randomSeed } from '../support/seed.ts';

const COMMANDS = Number(process.env.FANPIPE_MODEL_RUNS ?? 500_000);
const SHARE: Record<RigKind, number> = { bytes: 0.6, values: 0.15, sized: 0.25 };
/** Streams that are open at a time; from then on commands on streams get their turn. */
const STREAMS = 6;

class Step extends RigStep<Rig> {}

const policy = fc.constantFrom('block', 'drop-oldest', 'drop-newest', 'disconnect', undefined) as fc.Arbitrary<
  'block' | 'drop-oldest' | 'drop-newest' | 'disconnect' | undefined
>;
// Sizes about the marks, and marks about the sizes; the large ones leave a slab, or need memory of their own.
const mark = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 12 }) },
  { weight: 1, arbitrary: fc.constantFrom(100, 8191, 8193, 100_000) },
);
const size = fc.oneof(
  { weight: 30, arbitrary: fc.integer({ min: 0, max: 12 }) },
  { weight: 3, arbitrary: fc.integer({ min: 90, max: 110 }) },
  { weight: 1, arbitrary: fc.constantFrom(1024, 8192, 8193, 30_000) },
);
const shape = fc.constantFrom<Shape>('view', 'view', 'reference', 'text', 'buffer', 'words');
const which = fc.nat(1000);
const from: fc.Arbitrary<StreamStart | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.constantFrom<StreamStart>('now', 'start'),
  fc.record({ last: fc.integer({ min: 0, max: 30 }) }),
  fc.integer({ min: 0, max: 60 }),
  fc.integer({ min: 1000, max: 1060 }),
);

function commands(): fc.Arbitrary<Iterable<fc.AsyncCommand<Record<string, never>, Rig>>> {
  const turn = fc.constant(new Step('turn', [], (rig) => rig.turn()));
  const write = fc
    .tuple(size, shape, fc.record({ signal: fc.boolean(), aborted: fc.constantFrom(false, false, false, true) }))
    .map((args) => new Step('write', args, (rig) => rig.write(...args)));
  const writev = fc
    .tuple(fc.array(size, { maxLength: 4 }), shape)
    .map((args) => new Step('writev', args, (rig) => rig.writev(...args)));
  const writeSync = fc.tuple(size, shape).map((args) => new Step('writeSync', args, (rig) => rig.writeSync(...args)));
  const writevSync = fc
    .tuple(fc.array(size, { maxLength: 4 }), shape)
    .map((args) => new Step('writevSync', args, (rig) => rig.writevSync(...args)));
  const open = fc
    .record({
      from,
      policy,
      mark: fc.option(mark, { nil: undefined, freq: 4 }),
      copy: fc.constantFrom(false, false, true),
      throws: fc.constantFrom(false, false, false, true),
      signal: fc.constantFrom(false, false, true),
      aborted: fc.constantFrom(...Array<boolean>(15).fill(false), true),
    })
    .map((options) => {
      return new Step('open', [options], (rig) => {
        if (rig.streams.filter(({ model }) => model.attached).length < STREAMS) rig.open(options);
      });
    });
  const on = (
    name: 'read' | 'next' | 'batch' | 'cancel' | 'abort' | 'return' | 'throw' | 'abortWait',
  ): fc.Arbitrary<Step> => which.map((i) => new Step(name, [i], (rig) => rig[name](i)));
  const fill = fc
    .tuple(which, fc.integer({ min: 1, max: 20 }))
    .map((args) => new Step('fill', args, (rig) => rig.fill(...args)));
  const collect = fc
    .tuple(which, fc.option(fc.integer({ min: 0, max: 60 }), { nil: undefined }))
    .map((args) => new Step('collect', args, (rig) => rig.collect(...args)));
  const flush = fc.boolean().map((withSignal) => new Step('flush', [withSignal], (rig) => rig.flush(withSignal)));
  const close = fc.constant(new Step('close', [], (rig) => rig.close()));
  const fail = fc.boolean().map((withReason) => new Step('fail', [withReason], (rig) => rig.fail(withReason)));
  const rarely = (step: fc.Arbitrary<Step>): fc.Arbitrary<Step> =>
    fc.oneof({ weight: 1, arbitrary: step }, { weight: 9, arbitrary: write });
  return fc.commands(
    [
      ...[write, write, write, writev, writeSync, writevSync],
      ...[open, open, open, on('read'), on('read'), on('next'), on('next'), on('next'), on('batch'), on('batch'), fill],
      ...[turn, turn, turn, flush, rarely(collect), rarely(on('cancel')), rarely(on('abort')), rarely(on('return'))],
      ...[rarely(on('throw')), rarely(on('abortWait')), rarely(fc.oneof(close, fail))],
    ],
    { maxCommands: 160, size: 'max' },
  );
}

const options = (kind: RigKind): fc.Arbitrary<RigOptions> =>
  fc.record({
    kind: fc.constant(kind),
    replay: fc.oneof(
      fc.constant(0),
      fc.constantFrom<number | 'all'>('all', 1, 50_000),
      fc.integer({ min: 0, max: 40 }),
    ),
    offset: fc.constantFrom(0, 0, 1000),
  });

describe('the core against the model', () => {
  for (const kind of ['bytes', 'values', 'sized'] as const) {
    test(`ACC ORD START COUNT POLICY LOSS WAIT NEXT DETACH END FAIL: random commands on ${kind}`, {
      timeout: COMMANDS * 3 + 60_000,
    }, async () => {
      const seed = randomSeed();
      let steps = 0;
      const seen = { parkedReads: 0, waits: 0, gaps: 0, failures: 0 };
      for (let round = 0; steps < COMMANDS * SHARE[kind]; round++) {
        await fc.assert(
          fc.asyncProperty(options(kind), commands(), async (rigOptions, list) => {
            const rig = new Rig(rigOptions);
            const state = {};
            for (const command of list) {
              const running = command.run(state, rig);
              if (running !== undefined) await running;
            }
            await rig.turn();
            // Everything that still waits must settle once the writer ends and all is read.
            rig.close();
            for (let i = 0; i < rig.streams.length; i++) rig.cancel(i);
            await rig.turn();
            rig.expectIdle();
            steps += rig.steps;
            for (const key of Object.keys(seen) as (keyof typeof seen)[]) seen[key] += rig.seen[key];
          }),
          { seed: seed + round, numRuns: 200, endOnFailure: false },
        );
      }
      // Random commands could also be such that nothing ever happens.
      for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(steps / 1000);
    });
  }
});
