/** Groups of ranges against the plainest way to make them: sort, and merge what lies near. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomSeed } from '../../../../test/support/seed.ts';
import { PendingRanges } from './pending-ranges.ts';
import { RangeWaiter } from './range-waiter.ts';

const GAP = 3;

class Waiter extends RangeWaiter {
  override receive(): void {}
  override finish(): void {}
  override fail(): void {}
}

interface Plain {
  readonly from: number;
  readonly to: number;
  readonly waiters: readonly Waiter[];
}

/** What is to be handed out, the oldest first. `waiters` are in the order in which they came. */
function groupsOf(waiters: readonly Waiter[]): Plain[] {
  const groups: { from: number; to: number; waiters: Waiter[] }[] = [];
  for (const waiter of [...waiters].sort((one, other) => one.from - other.from)) {
    const last = groups.at(-1);
    if (last === undefined || waiter.from > last.to + GAP) {
      groups.push({ from: waiter.from, to: waiter.to, waiters: [waiter] });
    } else {
      last.to = Math.max(last.to, waiter.to);
      last.waiters.push(waiter);
    }
  }
  const age = (group: Plain): number => Math.min(...group.waiters.map((waiter) => waiters.indexOf(waiter)));
  return groups.sort((one, other) => age(one) - age(other));
}

const index = fc.nat(1000);
type Step = { readonly from: number; readonly length: number } | { readonly leaves: number } | 'take' | 'clear';
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ from: fc.nat(150), length: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 3, arbitrary: fc.record({ leaves: index }) },
  { weight: 2, arbitrary: fc.constant('take' as const) },
  { weight: 1, arbitrary: fc.constant('clear' as const) },
);

describe('PendingRanges', () => {
  test('SEEK: one request for what lies near, none for who has left, the oldest first', () => {
    const property = fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const pending = new PendingRanges(GAP);
      let waiters: Waiter[] = [];
      const take = (): void => {
        const [expected] = groupsOf(waiters);
        const group = pending.take();
        expect(group && { ...group, waiters: new Set(group.waiters.keys()) }).toEqual(
          expected && expect.objectContaining({ ...expected, waiters: new Set(expected.waiters) }),
        );
        waiters = waiters.filter((waiter) => !group?.waiters.has(waiter));
      };
      for (const each of steps) {
        if (each === 'take') take();
        else if (each === 'clear') {
          expect(new Set(pending.clear())).toEqual(new Set(waiters));
          waiters = [];
        } else if ('leaves' in each) {
          const [gone] = waiters.splice(each.leaves % Math.max(1, waiters.length), 1);
          gone?.leave();
          // Once more, and one that was never in.
          gone?.leave();
          pending.leave(new Waiter(5, 8));
        } else {
          const waiter = new Waiter(each.from, each.from + each.length);
          pending.add(waiter);
          waiters.push(waiter);
        }
        expect(pending.size > 0).toBe(waiters.length > 0);
        expect(pending.size).toBeLessThanOrEqual(waiters.length);
      }
      while (waiters.length > 0) take();
      expect([pending.size, pending.take()]).toEqual([0, undefined]);
    });
    fc.assert(property, { seed: randomSeed(), numRuns: 3000 });
  });

  test('SEEK: what has left counts no more in a group that became part of another', () => {
    const pending = new PendingRanges(GAP);
    const gone = new Waiter(0, 5);
    const waiters = [new Waiter(30, 35), gone, new Waiter(7, 10), new Waiter(13, 20), new Waiter(23, 27)];
    for (const waiter of waiters.slice(0, 3)) pending.add(waiter);
    gone.leave();
    for (const waiter of waiters.slice(3)) pending.add(waiter);
    expect(pending.take()).toMatchObject({ from: 7, to: 35 });
    expect(pending.size).toBe(0);
  });

  test('one that waits for everything from its place on takes all that lies behind with it', () => {
    const pending = new PendingRanges(GAP);
    const waiters = [
      new Waiter(50, 60),
      new Waiter(0, 5),
      new Waiter(20, Number.POSITIVE_INFINITY),
      new Waiter(90, 91),
    ];
    for (const waiter of waiters) pending.add(waiter);
    expect(pending.take()).toMatchObject({ from: 20, to: Number.POSITIVE_INFINITY });
    expect(pending.take()).toMatchObject({ from: 0, to: 5 });
    expect(pending.size).toBe(0);
  });
});
