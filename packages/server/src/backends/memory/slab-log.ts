import { coveredBetween, type Interval } from '../local/intervals.ts';

/** Largest slab that small appends share. */
const SLAB = 64 * 1024;
/** First slab of a stream: most streams are small. */
const FIRST_SLAB = 512;
/** From this size on a chunk that fills its buffer is kept as it is. */
const BY_REFERENCE_FROM = 16 * 1024;
/** Borders that there is room for. */
const LEAST_BORDERS = 8;
/** Times of appends are kept no closer than this, in milliseconds. */
const TIME_STEP = 1000;

interface Block {
  /** Offset of its first byte. */
  readonly start: number;
  readonly memory: Uint8Array;
  size: number;
}

/**
 * Bytes of one stream, in order. Small appends are packed into slabs; large ones that fill their buffer are kept as they are.
 *
 * ```text
 *   blocks   [start 0 | ▓▓▓▓▓▓▓▓][start 65536 | ▓▓▓▓][start 70000 | ▓▓▓░░░░]
 *   borders   0  100  200  …                     where each append begins
 *   times     (0, t0)            (52000, t1)     where a later second begins
 * ```
 */
export class SlabLog {
  #blocks: Block[] = [];
  #borders = new Float64Array(LEAST_BORDERS);
  #firstBorder = 0;
  #lastBorder = 0;
  #timeOffsets: number[] = [];
  #times: number[] = [];
  /** What is kept below the head. */
  #held: readonly Interval[] = [];
  #start: number;
  #head: number;
  #tail: number;

  constructor(start: number) {
    this.#start = this.#head = this.#tail = start;
  }

  /** How many are kept. */
  get bytes(): number {
    return this.#tail - this.#head + coveredBetween(this.#held, this.#start, this.#head);
  }

  /** How many appends of which the beginning is kept. */
  get appends(): number {
    return this.#lastBorder - this.#firstBorder;
  }

  get tail(): number {
    return this.#tail;
  }

  get head(): number {
    return this.#head;
  }

  append(chunks: readonly Uint8Array[], time: number): void {
    if (chunks.length === 0) return;
    this.#addBorder(this.#tail);
    const last = this.#times.at(-1);
    if (last !== undefined && time < last) this.#turnBack(time);
    else if (last === undefined || time - last >= TIME_STEP) {
      this.#times.push(time);
      this.#timeOffsets.push(this.#tail);
    }
    for (const chunk of chunks) this.#add(chunk);
  }

  /** Views of the bytes from `from` on, at most `maxBytes`, up to `to`. */
  read(from: number, to: number, maxBytes: number): Uint8Array[] {
    const end = Math.min(to, from + maxBytes, this.#tail);
    const chunks: Uint8Array[] = [];
    for (let index = this.#blockAt(from), at = from; at < end; index++) {
      const { start, memory, size } = this.#blocks[index] as Block;
      const stop = Math.min(end - start, size);
      chunks.push(memory.subarray(at - start, stop));
      at = start + stop;
    }
    return chunks;
  }

  /** See `Storage.retainFrom`. */
  retainFrom(bytes: number | undefined, since: number | undefined): number {
    let head = this.#head;
    if (bytes !== undefined && this.#lastBorder > this.#firstBorder) {
      const least = Math.min(this.#tail - bytes, this.#borders[this.#lastBorder - 1] as number);
      head = Math.max(head, this.#borderFrom(least));
    }
    if (since !== undefined) {
      let index = 0;
      while (index < this.#times.length && (this.#times[index] as number) + TIME_STEP <= since) index++;
      head = Math.max(head, index === 0 ? head : (this.#timeOffsets[index] ?? this.#tail));
    }
    return head;
  }

  /** Forgets what is below `head` and in none of the intervals. */
  trim(head: number, held: readonly Interval[] = []): void {
    this.#head = head;
    this.#held = held;
    const isKept = ({ start, size }: Block): boolean =>
      start + size > head || held.some(({ from, to }) => start < to && from < start + size);
    let blocks = 0;
    while (blocks < this.#blocks.length && !isKept(this.#blocks[blocks] as Block)) blocks++;
    if (blocks > 0) this.#blocks.splice(0, blocks);
    if (held.length > 0) this.#blocks = this.#blocks.filter(isKept);
    this.#trimBorders();
    this.#trimTimes();
  }

  /** The clock was put back: what seems to be of the future is of now, so that it does not stay until then. */
  #turnBack(time: number): void {
    for (let i = this.#times.length - 1; i >= 0 && (this.#times[i] as number) > time; i--) this.#times[i] = time;
  }

  #trimBorders(): void {
    while (this.#firstBorder < this.#lastBorder && (this.#borders[this.#firstBorder] as number) < this.#head) {
      this.#firstBorder++;
    }
    const count = this.#lastBorder - this.#firstBorder;
    if (this.#borders.length <= LEAST_BORDERS || count * 4 > this.#borders.length) return;
    this.#moveBorders(new Float64Array(Math.max(LEAST_BORDERS, count * 2)));
  }

  #trimTimes(): void {
    let times = 0;
    while (times + 1 < this.#times.length && (this.#timeOffsets[times + 1] as number) <= this.#head) times++;
    if (times === 0) return;
    this.#times.splice(0, times);
    this.#timeOffsets.splice(0, times);
  }

  #add(chunk: Uint8Array): void {
    if (chunk.length >= BY_REFERENCE_FROM && chunk.buffer.byteLength <= chunk.length * 1.125) {
      this.#blocks.push({ start: this.#tail, memory: chunk, size: chunk.length });
      this.#tail += chunk.length;
      return;
    }
    for (let at = 0; at < chunk.length; ) {
      let block = this.#blocks.at(-1);
      // The last one may be from before what was let go of, and kept for a fork.
      if (block === undefined || block.size === block.memory.length || block.start + block.size < this.#tail) {
        const size = Math.min(SLAB, Math.max(FIRST_SLAB, 2 * (block?.memory.length ?? 0), chunk.length - at));
        block = { start: this.#tail, memory: new Uint8Array(size), size: 0 };
        this.#blocks.push(block);
      }
      const part = chunk.subarray(at, at + block.memory.length - block.size);
      block.memory.set(part, block.size);
      block.size += part.length;
      this.#tail += part.length;
      at += part.length;
    }
  }

  #addBorder(offset: number): void {
    if (this.#lastBorder === this.#borders.length) {
      const count = this.#lastBorder - this.#firstBorder;
      // Half of it gone: the room is there already.
      const isRoomy = count * 2 <= this.#borders.length;
      this.#moveBorders(isRoomy ? this.#borders : new Float64Array(Math.ceil(count * 1.5)));
    }
    this.#borders[this.#lastBorder++] = offset;
  }

  #moveBorders(to: Float64Array<ArrayBuffer>): void {
    const kept = this.#borders.subarray(this.#firstBorder, this.#lastBorder);
    to.set(kept);
    this.#borders = to;
    this.#lastBorder = kept.length;
    this.#firstBorder = 0;
  }

  /** The first border that is not below `least`. */
  #borderFrom(least: number): number {
    let low = this.#firstBorder;
    let high = this.#lastBorder;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#borders[middle] as number) < least) low = middle + 1;
      else high = middle;
    }
    return low < this.#lastBorder ? (this.#borders[low] as number) : this.#tail;
  }

  #blockAt(offset: number): number {
    let low = 0;
    let high = this.#blocks.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#blocks[middle] as Block).start <= offset) low = middle;
      else high = middle;
    }
    return low;
  }
}
