import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomSeed } from '../../../../test/support/seed.ts';
import { OffsetHeap } from './offset-heap.ts';

describe('OffsetHeap', () => {
  test('has the lowest at hand, whatever came and went', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 50 }), { freq: 2 }), { maxLength: 200 }), (steps) => {
        const heap = new OffsetHeap();
        let model: number[] = [];
        for (const offset of steps) {
          if (offset === null) {
            heap.removeLowest();
            model = model.slice(1);
          } else {
            heap.add(offset);
            model = [...model, offset].sort((a, b) => a - b);
          }
          expect([heap.lowest, heap.size]).toEqual([model[0] ?? Number.POSITIVE_INFINITY, model.length]);
        }
        const rest = new OffsetHeap(model);
        for (const offset of [...model]) {
          expect([heap.lowest, rest.lowest]).toEqual([offset, offset]);
          heap.removeLowest();
          rest.removeLowest();
        }
        expect([heap.size, rest.size]).toEqual([0, 0]);
      }),
      { seed: randomSeed(), numRuns: 300 },
    );
  });
});
