import type { AppendTable } from './append-table.ts';

export interface RetainedRange {
  readonly head: number;
  readonly tail: number;
  readonly bytes: number | undefined;
  readonly since: number | undefined;
}

/** See `Storage.retainFrom`. Takes about as long for millions of appends as for one. Times that go back are taken as they come. */
export function retainFrom(appends: AppendTable, generation: number, range: RetainedRange): number {
  const { head, tail, bytes, since } = range;
  let found = head;
  if (bytes !== undefined && tail > head) {
    const next = appends.firstFrom(generation, Math.max(head, tail - bytes)) ?? appends.lastTo(generation, tail);
    found = Math.max(found, next?.offset ?? head);
  }
  if (since === undefined) return found;
  const oldest = appends.firstFrom(generation, found);
  if (oldest === undefined) return tail;
  if (oldest.time >= since) return oldest.offset;
  // At `low` begins an append that is too old, at `high` one that is not, or it is the tail.
  let low = oldest.offset;
  let high = tail;
  for (;;) {
    const middle = Math.floor((low + high) / 2);
    let append = appends.lastTo(generation, middle);
    if (append === undefined || append.offset <= low) append = appends.firstFrom(generation, middle + 1);
    if (append === undefined || append.offset >= high) return high;
    if (append.time < since) low = append.offset;
    else if (append.offset <= middle) high = append.offset;
    // It is the first behind `low`.
    else return append.offset;
  }
}
