import { ByteWriter } from '../core/byte-writer.ts';
import { checkAmount, checkOptions, checkSignal } from '../core/check.ts';
import { implementDispose } from '../core/dispose.ts';
import { InvalidArgumentError } from '../errors.ts';
import { ChunkIterator } from './chunk-iterator.ts';
import { OperationQueue } from './operation-queue.ts';
import { type RemoteOptions, resolveRemoteOptions, resolveUrl } from './options.ts';
import { RemoteCore } from './remote-core.ts';

/** From where a seek counts: up from the start, up or down from the position, down from the end. */
export type SeekFrom = 'start' | 'current' | 'end';

/** Options of one `readAt`. */
export interface ReadAtOptions {
  /** Ends this read alone, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `share`. */
export interface ShareOptions {
  /** How much of what was fetched is kept for streams that open later, in bytes. Default 0. */
  readonly replay?: number | 'all' | undefined;
  /** Fails the writer with the signal's reason when it fires; the remote stream stays usable. */
  readonly signal?: AbortSignal | undefined;
}

/** What a remote stream has done so far. */
export interface RemoteByteStreamStats {
  /** Requests that were made. Redirects are not counted. */
  readonly requests: number;
  /** How many of them go on where another had failed. */
  readonly retries: number;
  /** Bytes of bodies that came in, those that were only read through included. */
  readonly bytesFetched: number;
  /** Bytes that are here now. */
  readonly bytesCached: number;
}

/**
 * A resource behind HTTP that is read like a file: in order, by seeking, and at any place at once, with nothing fetched twice
 * that is still here.
 *
 * ```ts
 * await using remote = new RemoteByteStream('https://example.com/archive.zip');
 * await remote.seek(22, 'end');
 * const tail = await remote.read(22);
 * ```
 *
 * `read`, `seek` and the steps of an iteration run one after the other in the order of the calls; `readAt` runs beside them. A read
 * that fails leaves the position where it was, and the next one tries again. Only a changed resource, the signal and `close`
 * are for good.
 */
export class RemoteByteStream implements AsyncIterable<Uint8Array> {
  /** The URL as it was given, normalised. */
  readonly url: string;
  /** Whether ranges are asked for. */
  readonly seekable: boolean;
  readonly #core: RemoteCore;
  readonly #queue: OperationQueue = new OperationQueue();
  readonly #place: { position: number } = { position: 0 };

  /** `close()`, at the end of a `using` block. There where the runtime has the symbol. */
  declare [Symbol.dispose]: () => void;
  declare [Symbol.asyncDispose]: () => Promise<void>;

  /**
   * Fetches nothing yet, unless told to by `autostart`.
   *
   * @throws InvalidArgumentError
   */
  constructor(url: string | URL, options: RemoteOptions = {}) {
    const from = resolveUrl(url);
    const resolved = resolveRemoteOptions(options);
    this.url = from.href;
    this.seekable = resolved.seekable;
    this.#core = new RemoteCore(from, resolved);
  }

  /** Offset of the byte that the next read begins with. It may lie beyond the end. */
  get position(): number {
    return this.#place.position;
  }

  /** Size of the resource in bytes; undefined until it is given or learnt. */
  get size(): number | undefined {
    return this.#core.size;
  }

  /** Whether the position is at the end or beyond it. False while the size is not known. */
  get finished(): boolean {
    const { size } = this;
    return size !== undefined && this.position >= size;
  }

  /**
   * Fills `into` from the position on, and moves that. Resolves with how many bytes there were: fewer only at the end, and 0
   * there. If it rejects, the position is as it was, and `into` may have been written to.
   */
  read(into: Uint8Array): Promise<number>;
  /** The next `length` bytes, in memory of their own: fewer only at the end. If it rejects, the position is as it was. */
  read(length: number): Promise<Uint8Array>;
  read(target: number | Uint8Array): Promise<number | Uint8Array> {
    try {
      if (typeof target === 'number') checkAmount('length', target);
      else if (Object.prototype.toString.call(target) !== '[object Uint8Array]') {
        throw new InvalidArgumentError('into', target, 'a Uint8Array to fill, or a length');
      }
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#queue.run<number | Uint8Array>(() => this.#readNow(target));
  }

  /**
   * Moves the position, and resolves with it. `'end'` counts back: `seek(10, 'end')` is ten bytes before the end. Past the end is
   * allowed, and reads nothing there. Makes no request, but for `'end'` while the size is not known.
   *
   * Rejects with an `InvalidArgumentError`, and leaves the position, if it would be negative.
   */
  seek(offset: number, from: SeekFrom = 'start'): Promise<number> {
    try {
      if (typeof offset !== 'number' || !Number.isSafeInteger(offset)) {
        throw new InvalidArgumentError('offset', offset, 'a whole number');
      }
      if (from !== 'start' && from !== 'current' && from !== 'end') {
        throw new InvalidArgumentError('from', from, "'start', 'current' or 'end'");
      }
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#queue.run(() => {
      this.#core.check();
      if (from === 'start') return this.#moveTo(offset, offset);
      if (from === 'current') return this.#moveTo(this.position + offset, offset);
      const { size } = this;
      if (size !== undefined) return this.#moveTo(size - offset, offset);
      return this.#core.learnSize().then((learnt) => this.#moveTo(learnt - offset, offset));
    });
  }

  /**
   * Up to `length` bytes from `offset` on, in memory of their own: fewer only at the end. Neither needs nor moves the position, and
   * waits for nothing but its bytes. Calls of one turn are planned together, so that neighbours share a request.
   */
  readAt(offset: number, length: number, options?: ReadAtOptions): Promise<Uint8Array> {
    try {
      checkAmount('offset', offset);
      checkAmount('length', length);
      if (options !== undefined) checkOptions(options);
      const signal = options?.signal;
      checkSignal(signal);
      signal?.throwIfAborted();
      this.#core.check();
      return this.#core.readAt(offset, length, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * The chunks from the position on, as they come; each moves the position. They may be shared with the cache: do not change
   * them, and copy what you keep for long. Leaving the loop keeps the stream usable, and a later loop goes on.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array, undefined> {
    return new ChunkIterator(this.#core, this.#queue, this.#place);
  }

  /**
   * A writer of all that follows from the position of this moment on, for any number of streams: one fetch for all of them, at the
   * pace of the blocking ones. Its offsets are those of the resource. It moves the position; closing it stops the fetch.
   *
   * @throws InvalidArgumentError
   */
  share(options: ShareOptions = {}): ByteWriter {
    checkOptions(options);
    const { replay, signal } = options;
    const { position } = this;
    const chunks = (): ChunkIterator => {
      // Its own place: a seek in between must not put other bytes under the offsets of the writer.
      const shared = this.#place;
      const place = {
        at: position,
        get position(): number {
          return this.at;
        },
        set position(to: number) {
          this.at = to;
          shared.position = to;
        },
      };
      return new ChunkIterator(this.#core, this.#queue, place, () => this.#core.stopReadAhead());
    };
    return ByteWriter.from({ [Symbol.asyncIterator]: chunks }, { offset: position, copy: false, replay, signal });
  }

  /** What was done so far. */
  stats(): RemoteByteStreamStats {
    return this.#core.stats;
  }

  /**
   * Aborts all requests and frees the cache. Reads that wait, and all later ones, reject with a `RemoteClosedError`; so do streams of
   * a shared writer, after what they have got. May be called again.
   */
  close(): void {
    this.#core.close();
  }

  #readNow(target: number | Uint8Array): number | Uint8Array | Promise<number | Uint8Array> {
    this.#core.check();
    const isLength = typeof target === 'number';
    const begin = this.position;
    const sink = this.#core.sink(begin, isLength ? target : target.length, isLength ? undefined : target);
    const taken = (size: number): number | Uint8Array => {
      this.#place.position = begin + size;
      return isLength ? sink.take(size) : size;
    };
    const filled = this.#core.fill(sink);
    return typeof filled === 'number' ? taken(filled) : filled.then(taken);
  }

  #moveTo(position: number, offset: number): number {
    if (position < 0 || !Number.isSafeInteger(position)) {
      const expected = 'such that the position is from 0 to the largest safe integer';
      throw new InvalidArgumentError('offset', offset, `${expected}, which would be ${position}`);
    }
    this.#place.position = position;
    return position;
  }
}

implementDispose<RemoteByteStream>(RemoteByteStream.prototype, (remote) => remote.close());
