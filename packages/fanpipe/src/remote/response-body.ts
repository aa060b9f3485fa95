import { InvalidChunkError } from '../errors.ts';
import { StalledReadMonitor } from '../monitor/index.ts';
import { BodyTooLongError, BodyTooShortError } from './errors.ts';
import type { OpenAnswer, RemoteResource } from './remote-resource.ts';
import { RetryableFailure } from './retry.ts';

/** What came behind the last byte that was promised: the end, more bytes, or neither. */
export type Rest = 'end' | 'surplus' | 'nothing';

/**
 * The body of one response: guarded against silence, and counted against what its headers promise. Aborting the request ends it.
 *
 * ```text
 *   answer.from        position             to                  this.to
 *       ├── read through ──┼────── given ──────┼─── not asked for ───┼── surplus
 *                          at moves ──▶
 * ```
 */
export class ResponseBody {
  readonly answer: OpenAnswer;
  /** Offset of the next byte that comes. */
  #at: number;
  readonly #resource: RemoteResource;
  readonly #chunks: StalledReadMonitor<Uint8Array>;

  constructor(resource: RemoteResource, answer: OpenAnswer, signal: AbortSignal) {
    const { clock, timeout, minThroughput } = resource.options;
    this.answer = answer;
    this.#at = answer.from;
    this.#resource = resource;
    this.#chunks = new StalledReadMonitor<Uint8Array>(answer.response.body ?? [], { clock, signal });
    this.#chunks.withTimeout(timeout);
    if (minThroughput > 0) this.#chunks.minThroughput(minThroughput, { size: sizeOf });
  }

  /**
   * Offset at which it must end: what its headers say, else the size of the resource, which another response may tell meanwhile;
   * undefined while nothing does.
   */
  get to(): number | undefined {
    return this.answer.to ?? this.#resource.size;
  }

  /** All that was promised has come. */
  get isComplete(): boolean {
    return this.#at === this.to;
  }

  /** Asks for the next chunk, for `take`, or the end, for `ended`. Rejects with whatever the body fails with, or a stall. */
  read(): Promise<IteratorResult<Uint8Array, undefined>> {
    return this.#chunks.next();
  }

  /**
   * Counts a chunk. Returns what of it lies between `position` and `to`; null if nothing does.
   *
   * @throws BodyTooLongError if it goes beyond what was promised, InvalidChunkError if it is not made of bytes
   */
  take(chunk: Uint8Array, position: number, to: number | undefined): Uint8Array | null {
    const bytes = chunk instanceof Uint8Array ? chunk : bytesOf(chunk);
    const begin = this.#at;
    const end = begin + bytes.byteLength;
    this.#at = end;
    this.#resource.stats.bytesFetched += bytes.byteLength;
    const promised = this.to;
    if (promised !== undefined && end > promised) throw new BodyTooLongError(this.answer.url, promised);
    const wantedEnd = to === undefined ? end : Math.min(end, to);
    if (wantedEnd <= position) return null;
    if (begin === position && wantedEnd === end) return bytes;
    return bytes.subarray(position - begin, wantedEnd - begin);
  }

  /**
   * It has ended by itself. Where nothing was promised, that is the end of the resource: returns its offset.
   *
   * @throws RetryableFailure if more was promised
   */
  ended(): number | undefined {
    const { to } = this;
    if (to === undefined) return this.#at;
    if (this.#at < to) throw new RetryableFailure(new BodyTooShortError(this.answer.url, this.#at, to));
    return undefined;
  }

  /**
   * Reads on behind the last byte that was promised: the connection can be used again only once the end has been seen. That
   * it fails there, or says nothing, takes nothing from what has come.
   */
  async drain(): Promise<Rest> {
    try {
      for (;;) {
        const { value, done } = await this.#chunks.next();
        if (done) return 'end';
        if (sizeOf(value) > 0) return 'surplus';
      }
    } catch {
      return 'nothing';
    }
  }
}

function sizeOf(chunk: Uint8Array): number {
  return ArrayBuffer.isView(chunk) ? chunk.byteLength : 0;
}

/** Of another realm, or what a fetcher of the caller's takes for bytes. */
function bytesOf(chunk: unknown): Uint8Array {
  if (!ArrayBuffer.isView(chunk)) throw new InvalidChunkError(chunk);
  return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}
