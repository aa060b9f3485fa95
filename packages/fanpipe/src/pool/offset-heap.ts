/** Offsets, of which the lowest is at hand: a binary heap. */
export class OffsetHeap {
  readonly #offsets: number[];

  /** `sorted` begins it, and is taken over. */
  constructor(sorted: number[] = []) {
    this.#offsets = sorted;
  }

  get size(): number {
    return this.#offsets.length;
  }

  /** Infinity without any. */
  get lowest(): number {
    return this.#offsets[0] ?? Number.POSITIVE_INFINITY;
  }

  add(offset: number): void {
    const offsets = this.#offsets;
    let index = offsets.length;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = offsets[parentIndex] as number;
      if (parent <= offset) break;
      offsets[index] = parent;
      index = parentIndex;
    }
    offsets[index] = offset;
  }

  removeLowest(): void {
    const offsets = this.#offsets;
    const last = offsets.pop();
    if (last === undefined || offsets.length === 0) return;
    let index = 0;
    for (;;) {
      let childIndex = 2 * index + 1;
      if (childIndex >= offsets.length) break;
      if ((offsets[childIndex + 1] ?? Number.POSITIVE_INFINITY) < (offsets[childIndex] as number)) childIndex++;
      const child = offsets[childIndex] as number;
      if (child >= last) break;
      offsets[index] = child;
      index = childIndex;
    }
    offsets[index] = last;
  }
}
