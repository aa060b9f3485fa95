/**
 * All that a writer ever wrote, kept whole: what a model compares deliveries with. Naive on purpose.
 */

/** What a model needs to know of the past. Offsets are bytes, or for values what they count for. */
export interface Log<W> {
  readonly origin: number;
  readonly tail: number;
  /** Notes one chunk or value as written; a size of 0 is no write. */
  append(written: W): void;
  /** End of the write that holds `offset`. */
  endOfWrite(offset: number): number;
  /** `offset`, or the first place after it at which a stream may begin. */
  placeFrom(offset: number): number;
  /** `offset`, or the last place before it up to which something may be kept. */
  placeUpTo(offset: number): number;
  /** Whether `actual` is what was written between the two offsets, as one chunk. */
  isChunk(actual: unknown, from: number, to: number): boolean;
  /** Whether `actual` is what was written between the two offsets, in however many pieces. */
  isBatch(actual: readonly unknown[], from: number, to: number): boolean;
  /** What a collector's limit counts. */
  count(from: number, to: number): number;
}

/** Borders between writes, in order; the first is the origin. */
class Borders {
  readonly #borders: number[];

  constructor(origin: number) {
    this.#borders = [origin];
  }

  get last(): number {
    return this.#borders[this.#borders.length - 1] as number;
  }

  add(border: number): void {
    this.#borders.push(border);
  }

  /** Index of the last border at or before `offset`. */
  indexUpTo(offset: number): number {
    let index = this.#borders.length - 1;
    while (index > 0 && (this.#borders[index] as number) > offset) index--;
    return index;
  }

  at(index: number): number {
    return this.#borders[index] as number;
  }
}

/** The log of a writer of bytes. */
export class ByteLog implements Log<Uint8Array> {
  readonly origin: number;
  #bytes: Buffer = Buffer.alloc(256);
  #size = 0;
  readonly #borders: Borders;

  constructor(origin: number) {
    this.origin = origin;
    this.#borders = new Borders(origin);
  }

  get tail(): number {
    return this.origin + this.#size;
  }

  append(written: Uint8Array): void {
    if (written.byteLength === 0) return;
    const size = this.#size + written.byteLength;
    if (size > this.#bytes.byteLength) {
      const larger = Buffer.alloc(Math.max(size, this.#bytes.byteLength * 2));
      this.#bytes.copy(larger, 0, 0, this.#size);
      this.#bytes = larger;
    }
    this.#bytes.set(written, this.#size);
    this.#size = size;
    this.#borders.add(this.tail);
  }

  endOfWrite(offset: number): number {
    return this.#borders.at(this.#borders.indexUpTo(offset) + 1);
  }

  placeFrom(offset: number): number {
    return offset;
  }

  placeUpTo(offset: number): number {
    return offset;
  }

  isChunk(actual: unknown, from: number, to: number): boolean {
    if (!(actual instanceof Uint8Array) || actual.byteLength !== to - from) return false;
    return this.#bytes.subarray(from - this.origin, to - this.origin).equals(actual);
  }

  isBatch(actual: readonly unknown[], from: number, to: number): boolean {
    let at = from;
    for (const chunk of actual) {
      const size = chunk instanceof Uint8Array ? chunk.byteLength : 0;
      if (size === 0 || !this.isChunk(chunk, at, at + size)) return false;
      at += size;
    }
    return at === to;
  }

  count(from: number, to: number): number {
    return to - from;
  }
}

/** A value that says what it counts for. Its identity is what is compared. */
export interface SizedValue {
  readonly size: number;
}

/** The log of a writer of values. */
export class ValueLog implements Log<SizedValue> {
  readonly origin: number;
  readonly #values: SizedValue[] = [];
  readonly #borders: Borders;

  constructor(origin: number) {
    this.origin = origin;
    this.#borders = new Borders(origin);
  }

  get tail(): number {
    return this.#borders.last;
  }

  append(written: SizedValue): void {
    this.#values.push(written);
    this.#borders.add(this.tail + written.size);
  }

  endOfWrite(offset: number): number {
    return this.#borders.at(this.#borders.indexUpTo(offset) + 1);
  }

  placeFrom(offset: number): number {
    const index = this.#borders.indexUpTo(offset);
    const border = this.#borders.at(index);
    return border >= offset ? border : this.#borders.at(index + 1);
  }

  placeUpTo(offset: number): number {
    return this.#borders.at(this.#borders.indexUpTo(offset));
  }

  isChunk(actual: unknown, from: number, to: number): boolean {
    const index = this.#borders.indexUpTo(from);
    return this.#borders.at(index + 1) === to && this.#values[index] === actual;
  }

  isBatch(actual: readonly unknown[], from: number, to: number): boolean {
    const index = this.#borders.indexUpTo(from);
    return (
      this.#borders.at(index) === from &&
      this.#borders.at(index + actual.length) === to &&
      actual.every((value, i) => value === this.#values[index + i])
    );
  }

  count(from: number, to: number): number {
    return this.#borders.indexUpTo(to) - this.#borders.indexUpTo(from);
  }
}
