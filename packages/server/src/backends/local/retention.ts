import { coveredBetween, type Interval, withInterval } from './intervals.ts';
import type { LocalStream } from './local-stream.ts';
import { borderFrom, youngFrom } from './retained-from.ts';

/** What is to be freed in the storage before it is worth a write, at most. */
const SLACK = 64 * 1024;
/** What failed is tried again after so many milliseconds, and what can wait waits so long. */
const LATER = 1000;
const NOTHING: readonly Interval[] = [];

/** What a fork needs of its source, so that it stays though the source lets go of it. */
export interface Hold {
  from: number;
  readonly to: number;
}

/**
 * What of a stream is retained.
 *
 * ```text
 *   0          from          to             head            tail
 *   ├───────────┼─────────────┼───────────────┼───────────────┤
 *      freed       for forks        freed         readable
 * ```
 */
export class Retention {
  /** Oldest offset that can be read. */
  head: number;
  readonly #stream: LocalStream;
  /** Most streams have no forks. */
  #holds: Set<Hold> | undefined;
  /** All that is held, or more: what is held no longer leaves later. */
  #held: readonly Interval[] = NOTHING;
  #isLoose = false;
  /** Bytes of its own that are retained, for itself or for forks. */
  #bytes: number;
  /** Those that the storage still has. */
  #storedBytes: number;
  /** Where the newest append begins. */
  #newest: number;

  constructor(stream: LocalStream) {
    this.#stream = stream;
    this.head = stream.record.head;
    this.#newest = stream.tail;
    this.#bytes = this.#storedBytes = this.#retained();
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether forks need it. */
  get isHeld(): boolean {
    return this.#holds !== undefined;
  }

  /** Keeps for a fork what lies from `from` on, up to `to`. */
  hold(from: number, to: number): Hold {
    const hold = { from, to };
    this.#holds ??= new Set();
    this.#holds.add(hold);
    this.#widen(hold);
    return hold;
  }

  /** The fork has gone. */
  release(hold: Hold): void {
    this.#holds?.delete(hold);
    if (this.#holds?.size === 0) this.#holds = undefined;
    this.#loosen();
  }

  /** An append was acknowledged. */
  grew(offset: number, size: number): void {
    if (size === 0) return;
    this.#newest = offset;
    this.#bytes += size;
    this.#storedBytes += size;
    const { host, config, upkeep } = this.#stream;
    host.counted(size);
    if (config.retainFor !== undefined && (upkeep === undefined || upkeep.slot < 0))
      host.upkeepIn(this.#stream, config.retainFor + 1);
  }

  /** Lets go of what there is too much of. */
  apply(): void {
    const { retainBytes } = this.#stream.config;
    if (retainBytes !== undefined && this.#stream.tail - this.head > retainBytes) this.#letGo(retainBytes, undefined);
    else if (this.#bytes < this.#storedBytes || this.head > this.#stream.storedHead) this.#trim();
  }

  /** Lets go of what there is too much of and what is too old, frees it, and comes back when more may be. */
  ring(): void {
    const { config, host, gone } = this.#stream;
    const { retainBytes, retainFor } = config;
    if (gone === undefined) this.#letGo(retainBytes, retainFor === undefined ? undefined : host.time() - retainFor);
    if (this.#isLoose) this.#tighten();
    this.#settle();
    if (gone !== undefined || retainFor === undefined || this.head === this.#stream.tail) return;
    host.upkeepIn(this.#stream, Math.min(60_000, Math.max(1000, retainFor / 16)));
  }

  /** What could wait is freed: nothing comes after it. */
  flush(): void {
    if (this.#stream.gone === undefined) this.#trim(true);
  }

  #letGo(bytes: number | undefined, since: number | undefined): void {
    const stream = this.#stream;
    let head = this.head;
    try {
      // A fork without bytes of its own has none that could be the newest: it keeps what it inherited.
      if (bytes !== undefined && stream.tail - head > bytes && stream.tail > stream.border) {
        head = Math.max(head, Math.min(this.#newest, borderFrom(stream, bytes)));
      }
      if (since !== undefined) head = Math.max(head, youngFrom(stream, since));
    } catch {
      stream.host.upkeepIn(stream, LATER);
    }
    if (head === this.head) return;
    const less = this.head - head;
    this.head = head;
    if (stream.source !== undefined || this.#holds !== undefined) {
      this.#settle();
      return;
    }
    // Most streams have nothing to do with forks, and many let go of something with each append.
    this.#bytes += less;
    stream.host.counted(less);
    this.#trim();
  }

  /** Counts anew what is retained, and frees the rest. */
  #settle(): void {
    this.#count();
    const { hold, source } = this.#stream;
    if (source !== undefined && hold !== undefined) {
      source.retention.#narrow(hold, Math.min(this.head, this.#held[0]?.from ?? this.head));
    }
    this.#trim();
  }

  #count(): number {
    const bytes = this.#retained();
    const more = bytes - this.#bytes;
    this.#bytes = bytes;
    this.#stream.host.counted(more);
    return more;
  }

  #retained(): number {
    const { tail, border } = this.#stream;
    return tail - Math.max(this.head, border) + coveredBetween(this.#held, border, this.head);
  }

  #widen(hold: Hold): void {
    this.#held = withInterval(this.#held, hold);
    if (hold.from >= this.head) return;
    // Only when the store is opened: what forks need was kept before.
    this.#storedBytes += this.#count();
    const { hold: own, source } = this.#stream;
    if (source === undefined || own === undefined || own.from <= hold.from) return;
    own.from = hold.from;
    source.retention.#widen(own);
  }

  /** A fork needs less than before. */
  #narrow(hold: Hold, from: number): void {
    if (from <= hold.from) return;
    hold.from = Math.min(from, hold.to);
    this.#loosen();
  }

  #loosen(): void {
    this.#isLoose = true;
    if (this.#holds === undefined) {
      this.#tighten();
      this.#settle();
      return;
    }
    // All at once: one by one, many forks that go would cost the square of their number.
    const { host, upkeep } = this.#stream;
    if (upkeep === undefined || upkeep.slot < 0 || upkeep.at > host.now() + LATER) host.upkeepIn(this.#stream, LATER);
  }

  #tighten(): void {
    this.#isLoose = false;
    this.#held = NOTHING;
    for (const hold of this.#holds ?? []) this.#held = withInterval(this.#held, hold);
  }

  /** Frees what is let go of, once that is worth it. */
  #trim(isLast = false): void {
    const stream = this.#stream;
    const { config, host, tail, generation } = stream;
    const excess = this.#storedBytes - this.#bytes;
    const unsaved = this.head - stream.storedHead;
    if (excess === 0 && unsaved === 0) return;
    const slack = Math.min(SLACK, (config.retainBytes ?? SLACK) / 8);
    if (Math.max(excess, unsaved) < slack && this.head < tail && !isLast) return;
    // The record goes with it, as it is stored. The write under way comes back here.
    if (stream.writes.changesRecord || stream.isDropped) return;
    this.#storedBytes = this.#bytes;
    const failed = (): void => {
      this.#storedBytes += excess;
      host.upkeepIn(stream, LATER);
    };
    try {
      host.storage.trim(generation, this.head, stream.trimmed(this.head), this.#held).catch(failed);
    } catch {
      failed();
    }
  }
}
