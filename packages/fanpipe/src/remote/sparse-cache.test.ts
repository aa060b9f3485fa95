import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomSeed } from '../../../../test/support/seed.ts';
import { EXTENT_OVERHEAD, EXTENT_SIZE, SparseCache } from './sparse-cache.ts';

/** What the resource holds: neighbours differ, and so do offsets that a shift by any power of two would confuse. */
const RESOURCE = Uint8Array.from({ length: 700_000 }, (_, at) => at ^ (at >>> 8) ^ (at >>> 16));
const bytes = (from: number, length: number): Uint8Array => RESOURCE.slice(from, from + length);
const areSame = (one: Uint8Array | undefined, other: Uint8Array): boolean =>
  one !== undefined && Buffer.compare(one, other) === 0;

/** A 1 for each byte below `size` that is in the cache, found by its own steps, with every byte looked at. */
function contents(cache: SparseCache, size: number): Uint8Array {
  const here = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const view = cache.view(at, size);
    if (view === undefined) {
      at = cache.gapEnd(at, size);
      continue;
    }
    if (view.length === 0 || !areSame(view, bytes(at, view.length))) throw new Error(`other bytes at ${at}`);
    here.fill(1, at, at + view.length);
    at += view.length;
  }
  return here;
}

type Step =
  | { readonly kind: 'insert'; readonly at: number; readonly length: number; readonly more: number }
  | { readonly kind: 'view'; readonly at: number; readonly to: number };

function stepsBelow(size: number, longest: number): fc.Arbitrary<Step[]> {
  const at = fc.integer({ min: 0, max: size - 1 });
  const insert = fc.record({
    kind: fc.constant('insert' as const),
    at,
    length: fc.integer({ min: 0, max: longest }),
    more: fc.constantFrom(0, 0, 10, 1000, Number.POSITIVE_INFINITY),
  });
  const view = fc.record({ kind: fc.constant('view' as const), at, to: at });
  return fc.array(fc.oneof({ weight: 3, arbitrary: insert }, view), { maxLength: 40 });
}

/** Runs the steps, and holds the cache to a plain list of what may be in it. */
function check(cache: SparseCache, budget: number, size: number, steps: readonly Step[]): void {
  const given = new Uint8Array(size);
  let cost = 0;
  for (const step of steps) {
    if (step.kind === 'view') {
      const view = cache.view(step.at, Math.max(step.to, step.at + 1));
      if (view !== undefined) expect(areSame(view, bytes(step.at, view.length))).toBe(true);
      continue;
    }
    const length = Math.min(step.length, size - step.at);
    if (cache.insert(step.at, bytes(step.at, length), step.more)) {
      // The dearest that it can be: every byte copied, with all the room that was asked for.
      cost += 2 * (length + EXTENT_SIZE) + EXTENT_OVERHEAD;
      given.fill(1, step.at, step.at + length);
      expect(cache.coveredTo(step.at, step.at + length)).toBe(step.at + length);
    } else {
      expect(length + Math.ceil(length / EXTENT_SIZE) * EXTENT_OVERHEAD).toBeGreaterThan(budget);
    }
    expect(cache.held).toBeLessThanOrEqual(budget);
  }
  const here = contents(cache, size);
  let count = 0;
  let isUnasked = false;
  let isLost = false;
  for (let at = 0; at < size; at++) {
    count += here[at] as number;
    if (here[at] === 1 && given[at] === 0) isUnasked = true;
    if (here[at] === 0 && given[at] === 1) isLost = true;
  }
  expect({ bytes: cache.bytes, isWithin: cache.bytes <= cache.held, isUnasked }).toEqual({
    bytes: count,
    isWithin: true,
    isUnasked: false,
  });
  if (isLost) expect(cost).toBeGreaterThan(budget);
  // The steps through it agree with what is in it.
  for (let at = 0; at < size; at += 1 + (size >> 6)) {
    const isHere = here[at] === 1;
    const next = here.indexOf(isHere ? 0 : 1, at);
    const end = next < 0 ? size : next;
    expect(isHere ? cache.coveredTo(at, size) : cache.gapEnd(at, size)).toBe(end);
    if (!isHere) expect(cache.coveredTo(at, size)).toBe(at);
  }
}

describe('SparseCache', () => {
  test('EXACT, WINDOW: small pieces: what is in it is right, and never more than the budget', () => {
    const size = 3000;
    const run = fc.property(stepsBelow(size, 700), fc.integer({ min: 0, max: 6000 }), (steps, budget) => {
      check(new SparseCache(budget), budget, size, steps);
    });
    fc.assert(run, { seed: randomSeed(), numRuns: 1000 });
  });

  test('EXACT, WINDOW: pieces of all sizes, some of them kept as they are', () => {
    const size = 700_000;
    const run = fc.property(stepsBelow(size, 300_000), fc.integer({ min: 0, max: 2_000_000 }), (steps, budget) => {
      check(new SparseCache(budget), budget, size, steps);
    });
    fc.assert(run, { seed: randomSeed(), numRuns: 200 });
  });

  test('WINDOW: what was used longest ago goes first', () => {
    const cache = new SparseCache(3 * (1000 + EXTENT_OVERHEAD));
    for (const at of [0, 10_000, 20_000]) cache.insert(at, bytes(at, 1000));
    cache.view(500);
    cache.insert(30_000, bytes(30_000, 1000));
    expect([0, 10_000, 20_000, 30_000].map((at) => cache.view(at)?.length)).toEqual([1000, undefined, 1000, 1000]);
  });

  test('WINDOW: until it grows it keeps to its first limit, then to the budget, and nothing is lost by that', () => {
    const kept = (): number =>
      [0, 1, 2, 3, 4].filter((n) => cache.coveredTo(n * 1000, (n + 1) * 1000) > n * 1000).length;
    const cache = new SparseCache(4 * (1000 + EXTENT_OVERHEAD), 2 * (1000 + EXTENT_OVERHEAD));
    const fill = (): void => {
      for (let n = 0; n < 5; n++) cache.insert(n * 1000, bytes(n * 1000, 1000));
    };
    fill();
    expect([kept(), cache.coveredTo(3000, 5000)]).toEqual([2, 5000]);
    expect(cache.insert(0, bytes(0, 3000))).toBe(false);
    cache.grow();
    expect(cache.coveredTo(3000, 5000)).toBe(5000);
    fill();
    expect(kept()).toBe(4);
    expect(cache.insert(0, bytes(0, 3000))).toBe(true);
    expect(new SparseCache(100, 5000).insert(0, bytes(0, 1000))).toBe(false);
  });

  test('a large chunk that is most of its buffer is kept as it is, another one is copied', () => {
    const cache = new SparseCache(2 ** 20);
    const large = bytes(0, 40_000);
    cache.insert(0, large);
    expect(cache.view(0)).toBe(large);
    const part = bytes(0, 200_000).subarray(40_000, 80_000);
    cache.insert(40_000, part);
    expect(cache.view(40_000)?.buffer).not.toBe(part.buffer);
    expect(cache.held).toBeLessThan(90_000);
  });

  test('small chunks in a row share their memory', () => {
    const cache = new SparseCache(2 ** 20);
    for (let at = 0; at < 60_000; at += 100) cache.insert(at, bytes(at, 100), 100_000);
    expect([cache.bytes, cache.held]).toEqual([60_000, EXTENT_SIZE + EXTENT_OVERHEAD]);
    expect(cache.view(0)).toEqual(bytes(0, 60_000));
  });

  test('EXACT: a view stays right when its extent grows', () => {
    const cache = new SparseCache(2 ** 20);
    cache.insert(0, bytes(0, 100), 1000);
    const view = cache.view(0);
    cache.insert(100, bytes(100, 100), 1000);
    expect(view).toEqual(bytes(0, 100));
    expect(cache.view(50)).toEqual(bytes(50, 150));
  });

  test('EXACT: a chunk whose memory was transferred away is no longer there', () => {
    const cache = new SparseCache(2 ** 20);
    const chunk = bytes(0, 40_000);
    cache.insert(0, chunk);
    structuredClone(chunk.buffer, { transfer: [chunk.buffer] });
    expect([cache.view(10), cache.coveredTo(0, 100), cache.gapEnd(0, 100)]).toEqual([undefined, 0, 100]);
    expect([cache.bytes, cache.held]).toEqual([0, 0]);
    cache.insert(0, bytes(0, 50));
    expect(cache.view(10)).toEqual(bytes(10, 40));
  });

  test('EXACT: parts that lie far apart do not meet, however many there are', () => {
    // Distances at which a table of any size that is a power of two has them in the same place, and the length of a part.
    const places = fc.tuple(
      fc.integer({ min: 0, max: 6 }),
      fc.constantFrom(0, 2 ** 18),
      fc.integer({ min: -3, max: 3 }),
    );
    const run = fc.property(fc.array(places, { maxLength: 30 }), (inserts) => {
      const cache = new SparseCache(2 ** 20);
      const given = new Map<number, number>();
      const points = new Set([0]);
      for (const [far, part, offset] of inserts) {
        const at = Math.max(0, far * 2 ** 28 + part + offset);
        const chunk = Uint8Array.from({ length: 4 }, (_, n) => far * 40 + (part >> 14) + offset + n);
        // What is here first stays.
        for (const [n, byte] of chunk.entries()) if (!given.has(at + n)) given.set(at + n, byte);
        cache.insert(at, chunk);
        for (let point = Math.max(0, at - 2); point < at + 6; point++) points.add(point);
      }
      const end = 2 ** 31;
      const starts = [...given.keys()].sort((one, other) => one - other);
      for (const at of points) {
        expect(cache.view(at)?.[0]).toBe(given.get(at));
        if (given.has(at)) {
          let to = at;
          while (given.has(to)) to++;
          expect(cache.coveredTo(at, end)).toBe(to);
        } else {
          const next = starts.find((start) => start > at) ?? end;
          expect([cache.gapEnd(at, end), cache.gapEnd(at, at + 2 ** 18)]).toEqual([next, Math.min(next, at + 2 ** 18)]);
        }
      }
    });
    fc.assert(run, { seed: randomSeed(), numRuns: 300 });
  });

  test('EXACT: the gap before the nearest of many ends there, also where one further away is found first', () => {
    const cache = new SparseCache(2 ** 20);
    const far = 2 ** 40;
    for (let n = 0; n < 600; n++) cache.insert(far + 2 * n, bytes(0, 1));
    for (const at of [2 ** 26 + 10, 5 * 2 ** 18]) cache.insert(at, bytes(0, 1));
    expect(cache.gapEnd(0, 2 ** 27)).toBe(5 * 2 ** 18);
    expect(cache.gapEnd(5 * 2 ** 18 + 1, 2 ** 27)).toBe(2 ** 26 + 10);
    expect(cache.gapEnd(2 ** 26 + 11, 2 ** 27)).toBe(2 ** 27);
  });

  test('a step costs the same far away and in a long gap', () => {
    const cache = new SparseCache(2 ** 20);
    const far = 2 ** 52;
    cache.insert(far, new Uint8Array(10).fill(1));
    expect(cache.gapEnd(0, Number.MAX_SAFE_INTEGER)).toBe(far);
    expect(cache.gapEnd(0, far - 1)).toBe(far - 1);
    expect(cache.view(far + 3)).toHaveLength(7);
  });

  test('EXACT, WINDOW: what it says to have taken is there, whatever the budget and what is to follow', () => {
    const untrue: string[] = [];
    for (let budget = 0; budget <= 700; budget++) {
      for (const length of [1, 20, 100, 400]) {
        const cache = new SparseCache(budget);
        const isKept = cache.insert(0, bytes(0, length), 100_000);
        if (isKept !== (cache.coveredTo(0, length) === length)) untrue.push(`${length} of ${budget}`);
        if (isKept !== length + EXTENT_OVERHEAD <= budget) untrue.push(`${length} of ${budget} would have been taken`);
      }
    }
    expect(untrue).toEqual([]);
  });

  test('WINDOW: a chunk that fits only alone is there, and what it lies beside is not', () => {
    const budget = EXTENT_SIZE + 2000 + 2 * EXTENT_OVERHEAD;
    const cache = new SparseCache(budget);
    // Its memory has room for some bytes of the next chunk, which needs all of the budget.
    cache.insert(0, bytes(0, 2000), 500);
    const length = EXTENT_SIZE + 2000;
    expect(cache.insert(2000, bytes(2000, length), 100_000)).toBe(true);
    expect([cache.coveredTo(2000, 2000 + length), cache.view(0)]).toEqual([2000 + length, undefined]);
    expect(cache.held).toBeLessThanOrEqual(budget);
  });

  test('a budget of nothing takes nothing', () => {
    const cache = new SparseCache(0);
    expect([cache.insert(0, bytes(0, 1)), cache.insert(0, bytes(0, 0)), cache.held]).toEqual([false, true, 0]);
  });
});
