import type { Database, RootDatabase } from 'lmdb';
import { StorageError } from '../../errors.ts';
import { Arena } from './arena.ts';
import { appendKey, offsetOf, pieceKey, streamKey, timeOf } from './keys.ts';

/**
 * Largest value: what fills a page of LMDB, which needs 24 bytes for itself. So any free page will do for it, and no more than that is
 * copied for nothing when a part of an append is read.
 */
const PIECE = 4096 - 24;

/** Where the bytes of the values that LMDB shows go to. */
interface Window {
  readonly target: Uint8Array;
  readonly from: number;
  readonly to: number;
  /** Offset of the next value. */
  position: number;
}

/**
 * The bytes of all streams. An append is one value, or some if it is large; then the first has the time in its key. Values are copied
 * from LMDB's memory straight to where they are wanted, many to one buffer.
 */
export class AppendTable {
  /** Values come as their lengths: their bytes are in the window. */
  readonly table: Database<Buffer | number, Buffer>;
  readonly #arena = new Arena();
  #window: Window | undefined;

  constructor(root: RootDatabase<Buffer, Buffer>) {
    const encoder = {
      encode: (value: Buffer): Buffer => value,
      decode: (bytes: Uint8Array, size: number): number => this.#show(bytes, size),
    };
    const options = { name: 'appends', keyEncoding: 'binary', encoder } as const;
    this.table = root.openDB<Buffer | number, Buffer>(options);
  }

  /** Adds an append, in the transaction that is being made. */
  put(generation: number, offset: number, time: number, chunks: readonly Uint8Array[], size: number): void {
    const pieces = this.table;
    let key = appendKey(generation, offset, Math.max(0, Math.floor(time)));
    let chunk = 0;
    let used = 0;
    for (let at = 0; at < size; ) {
      const piece = this.#arena.take(Math.min(PIECE, size - at));
      for (let filled = 0; filled < piece.length; ) {
        const source = chunks[chunk] as Uint8Array;
        const count = Math.min(source.length - used, piece.length - filled);
        piece.set(count === source.length ? source : source.subarray(used, used + count), filled);
        filled += count;
        used += count;
        if (used < source.length) continue;
        chunk++;
        used = 0;
      }
      pieces.put(key, piece);
      at += piece.length;
      key = pieceKey(generation, offset + at);
    }
  }

  /** What `put` copied to has been written, or never will be. */
  written(): void {
    this.#arena.reset();
  }

  /** Offset after the last byte; undefined if there is none. */
  tail(generation: number): number | undefined {
    const range = { start: streamKey(generation + 1), end: streamKey(generation), reverse: true, limit: 1 };
    for (const { key, value } of this.table.getRange(range)) return offsetOf(key) + (value as number);
    return undefined;
  }

  /** The bytes from `from` to `to`, which are there. A copy. */
  read(generation: number, from: number, to: number): Uint8Array {
    const target = Buffer.allocUnsafe(to - from);
    const window: Window = { target, from, to, position: from };
    const start = this.#keyAt(generation, from);
    if (start !== undefined) window.position = offsetOf(start);
    this.#window = window;
    try {
      let expected = window.position;
      const range = { start: start ?? streamKey(generation), end: pieceKey(generation, to) };
      for (const { key } of this.table.getRange(range)) {
        if (offsetOf(key) !== expected) break;
        expected = window.position;
      }
      if (expected < to) throw new StorageError(`The store is damaged: bytes from offset ${expected} on are not there`);
    } finally {
      this.#window = undefined;
    }
    return target;
  }

  /** Where the first append begins that begins at `offset` or behind, and when it was made. */
  firstFrom(generation: number, offset: number): { readonly offset: number; readonly time: number } | undefined {
    return this.#first({ start: pieceKey(generation, offset), end: streamKey(generation + 1) });
  }

  /** Where the last append begins that begins at `offset` or before, and when it was made. */
  lastTo(generation: number, offset: number): { readonly offset: number; readonly time: number } | undefined {
    return this.#first({ start: pieceKey(generation, offset + 1), end: streamKey(generation), reverse: true });
  }

  /** At most `limit` keys of pieces that begin from `from` on and before `to`, in order. */
  keys(generation: number, from: number, to: number, limit: number): Buffer[] {
    if (from >= to) return [];
    return [...this.table.getKeys({ start: pieceKey(generation, from), end: pieceKey(generation, to), limit })];
  }

  /** Where the last piece begins that begins at `offset` or before; `offset` if there is none. */
  pieceAt(generation: number, offset: number): number {
    const key = this.#keyAt(generation, offset);
    return key === undefined ? offset : offsetOf(key);
  }

  /** Removes a piece, in the transaction that is being made. */
  remove(key: Buffer): void {
    this.table.remove(key);
  }

  #keyAt(generation: number, offset: number): Buffer | undefined {
    // The range includes its start, which is the key of a further piece that begins at the next offset.
    const range = { start: pieceKey(generation, offset + 1), end: streamKey(generation), reverse: true, limit: 2 };
    for (const key of this.table.getKeys(range)) if (offsetOf(key) <= offset) return key;
    return undefined;
  }

  #first(range: { start: Buffer; end: Buffer; reverse?: boolean }): { offset: number; time: number } | undefined {
    for (const key of this.table.getKeys(range)) {
      const time = timeOf(key);
      if (time !== undefined) return { offset: offsetOf(key), time };
    }
    return undefined;
  }

  /** LMDB's buffer is used again for the next value. */
  #show(bytes: Uint8Array, size: number): number {
    const window = this.#window;
    if (window === undefined) return size;
    const { target, from, to, position } = window;
    const first = Math.max(0, from - position);
    const last = Math.min(size, to - position);
    if (last > first) target.set(bytes.subarray(first, last), position + first - from);
    window.position = position + size;
    return size;
  }
}
