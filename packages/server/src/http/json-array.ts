const LF = 10;
const COMMA = 44;
const OPEN = new Uint8Array([91]);
const CLOSE = new Uint8Array([93]);
const EMPTY = new Uint8Array([91, 93]);

/**
 * Shows lines of JSON as one array, in pieces of any size: `[`, the messages with `,` between them, `]`. The last line end of a piece is held
 * back, since only what comes next says whether it is a comma.
 */
export class JsonArray {
  #hasBegun = false;
  /** A line has ended, and no other has begun. */
  #isBetween = false;

  /** The piece of the array that this piece of the lines makes. */
  push(lines: Uint8Array): Uint8Array {
    const { length } = lines;
    if (length === 0) return lines;
    const lead = this.#hasBegun ? (this.#isBetween ? COMMA : 0) : (OPEN[0] as number);
    const last = length - 1;
    this.#isBetween = lines[last] === LF;
    const kept = this.#isBetween ? last : length;
    const at = lead === 0 ? 0 : 1;
    const piece = new Uint8Array(at + kept);
    if (at === 1) piece[0] = lead;
    piece.set(lines.subarray(0, kept), at);
    for (let i = piece.indexOf(LF); i >= 0; i = piece.indexOf(LF, i + 1)) piece[i] = COMMA;
    this.#hasBegun = true;
    return piece;
  }

  /** What completes the array. */
  end(): Uint8Array {
    return this.#hasBegun ? CLOSE : EMPTY;
  }

  /** Length of the array that so many bytes of whole lines make. */
  static length(lines: number): number {
    return lines === 0 ? EMPTY.length : lines + 1;
  }
}
