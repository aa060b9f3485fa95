/** Offsets from `from` up to and not including `to`. */
export interface Interval {
  readonly from: number;
  readonly to: number;
}

/** The intervals, which are in order and do not touch, with one more. */
export function withInterval(intervals: readonly Interval[], { from, to }: Interval): readonly Interval[] {
  if (from >= to) return intervals;
  const before = intervals.filter((other) => other.to < from);
  const after = intervals.filter((other) => other.from > to);
  const touched = intervals.slice(before.length, intervals.length - after.length);
  const first = touched[0];
  const last = touched.at(-1);
  if (first !== undefined && last !== undefined && first === last && first.from <= from && to <= first.to) {
    return intervals;
  }
  return [...before, { from: Math.min(from, first?.from ?? from), to: Math.max(to, last?.to ?? to) }, ...after];
}

/** How many offsets of the intervals lie from `low` up to `high`. */
export function coveredBetween(intervals: readonly Interval[], low: number, high: number): number {
  let covered = 0;
  for (const { from, to } of intervals) covered += Math.max(0, Math.min(to, high) - Math.max(from, low));
  return covered;
}
