/**
 * What the server asks of a store of streams. Everything above it, in one process or in many, holds by these laws:
 *
 * - **Offsets** count bytes from the stream's start. They only grow and are never used again, not by a stream of the same
 *   name that is created later either: that has a higher `generation`.
 * - **Prefix** Appends of one writer take effect in the order of the calls. Those that are acknowledged are a prefix of
 *   those that were called: when one fails, all that were called after it and before the failure was known fail too, and
 *   the next call goes on where the last acknowledged one ended.
 * - **Atomic** The bytes of one append, the facts that go with it and the end of the stream take effect together or not at all.
 * - **Level** An acknowledgement says what it outlives. No reader sees a byte before it is acknowledged, so that none can
 *   see a byte that a crash takes back.
 * - **Cursor** A cursor that is opened at any offset, inside of what was one append too, begins exactly there, whatever is
 *   appended in the meantime: nothing is left out and nothing comes twice.
 * - **End** Cursors that wait, that are behind, and that are opened later all come to the end, closed or failed, after the
 *   last byte.
 * - **Gone** A cursor below the oldest retained offset rejects with `OffsetGoneError`, which says where to go on. It never
 *   skips.
 * - **Fence** `acquire` makes the caller the one writer of the stream; appends of the one before reject with `FencedError`.
 * - **Anew** A stream that is deleted and created again shows nothing of the old one. Cursors of the old one reject with
 *   `StreamDeletedError`.
 * - **Limits by itself** What retention, time to live and expiry let go frees memory and disk without being touched.
 * - **Forks** A fork shows the bytes of its source below its fork offset, shares them with it, and outlives its deletion.
 *
 * Names are any well-formed strings of 1 to `LONGEST_NAME` UTF-8 bytes; two that differ in one code unit are two streams.
 * Methods may be called at any time and together. After `close` all reject with `BackendClosedError`.
 */

/** The longest name of a stream, in bytes of UTF-8. */
export const LONGEST_NAME = 1024;

/** What an acknowledged append outlives: nothing, the process, the machine's power, the loss of some machines. */
export type DurabilityLevel = 'memory' | 'os' | 'disk' | 'quorum';

/** What a stream is created with, and keeps. */
export interface StreamConfig {
  /** MIME type, as it was given. */
  readonly contentType: string;
  /** Milliseconds without a read or a write after which the stream is deleted. With `expiresAt` the first counts. */
  readonly ttl?: number;
  /** The time, in milliseconds since 1970, at which the stream is deleted. */
  readonly expiresAt?: number;
  /** Where the number of bytes exceeds this, the oldest appends go, whole ones, until it does not. At least the newest stays. */
  readonly retainBytes?: number;
  /** Appends go after so many milliseconds, a moment later at most (docs of the backend). */
  readonly retainFor?: number;
  readonly fork?: ForkPoint;
}

/** Where a fork leaves its source. */
export interface ForkPoint {
  /** Name of the source. */
  readonly source: string;
  /** Generation of the source, so that another stream of that name is not taken for it. */
  readonly generation: number;
  /** Bytes below it are the source's. */
  readonly offset: number;
}

/** How a stream ended. */
export type StreamEnd = { readonly kind: 'closed' } | { readonly kind: 'failed'; readonly reason: string };

/** A part of a stream that was written under one generation: up to `to`, where the next part begins. */
export interface LineagePart {
  readonly generation: number;
  readonly to: number;
}

/** What a stream is at one moment. Immutable. */
export interface StreamState {
  readonly name: string;
  /** Safe integer from 1. No two streams of a backend have the same, and a later stream has a higher one. */
  readonly generation: number;
  readonly config: StreamConfig;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Oldest retained offset. */
  readonly head: number;
  /** Offset after the last acknowledged byte. */
  readonly tail: number;
  /** Set once all has been written. */
  readonly end: StreamEnd | undefined;
  /** The parts that it inherits, oldest first; empty unless it is a fork. Its own part comes after the last of them. */
  readonly inherited: readonly LineagePart[];
}

/** Facts are small strings that are kept with a stream and change with its appends: what its writers must remember. */
export type Facts = ReadonlyMap<string, string>;

export interface AppendOptions {
  /**
   * Where its first byte must come, as the caller counts. Elsewhere it is refused with `FencedError`: between the moment at which an
   * append fails and that at which its caller hears of it, another one must not take its place.
   */
  readonly offset?: number;
  /** Facts to set, or to remove where the value is undefined. */
  readonly facts?: ReadonlyMap<string, string | undefined>;
  /** Ends the stream after these bytes. */
  readonly end?: StreamEnd;
}

export interface Acknowledgement {
  /** Offset of the first byte of the append. */
  readonly offset: number;
  /** Offset after its last byte. */
  readonly tail: number;
  readonly level: DurabilityLevel;
}

/** The right to append to one stream, until somebody else acquires it. */
export interface BackendWriter {
  /** Higher than that of every writer before. */
  readonly epoch: number;
  /**
   * Appends the chunks as one. They are handed over: nobody changes their memory any more. No bytes and no end is allowed, and
   * sets facts alone.
   *
   * Rejects with `FencedError`, `StreamEndedError`, `StreamDeletedError`, `OffsetOverflowError` (past 2^53), `StorageError` (full,
   * broken: nothing was taken, and it can be tried again).
   */
  append(chunks: readonly Uint8Array[], options?: AppendOptions): Promise<Acknowledgement>;
}

/** What a cursor brings: bytes, or the end. */
export type CursorResult =
  | {
      /** At least one; none is empty. Views of memory that nobody changes. */
      readonly chunks: readonly Uint8Array[];
      /** Offset of their first byte. */
      readonly offset: number;
      /** Offset after their last byte. */
      readonly next: number;
      readonly end?: undefined;
    }
  | { readonly end: StreamEnd; readonly next: number };

export interface NextOptions {
  /** Brings at most so many bytes, but at least one. Default 64 KiB. */
  readonly maxBytes?: number;
  /** Rejects with its reason when it aborts; the cursor can be used on. */
  readonly signal?: AbortSignal;
}

/** One reader's place. Nothing is fetched before it is asked for. */
export interface BackendCursor {
  /** Offset of the next byte. */
  readonly position: number;
  /**
   * The next bytes: those that are there, or else the first that come. One call at a time.
   *
   * Rejects with `OffsetGoneError`, `StreamDeletedError`, `BackendClosedError`, `StorageError`, the signal's reason.
   */
  next(options?: NextOptions): Promise<CursorResult>;
  /** Frees it. A `next` that waits resolves never: its owner has gone. May be called again. */
  close(): void;
}

/** A stream of one generation. Once that is deleted, its methods reject with `StreamDeletedError`. */
export interface BackendStream {
  readonly name: string;
  readonly generation: number;
  state(): Promise<StreamState>;
  /** Makes the caller the writer. The facts are as they are now; the caller keeps its own copy from here on. */
  acquire(): Promise<{ readonly writer: BackendWriter; readonly state: StreamState; readonly facts: Facts }>;
  /** A cursor at an offset from head to tail; another offset is told by the first `next` (beyond the tail: `OffsetNotWrittenError`). */
  cursor(offset: number): BackendCursor;
  /** Somebody reads or writes: time to live begins anew. Costs next to nothing, however often. */
  touch(): void;
}

/** What a stream is created with beside its configuration. */
export interface CreateOptions {
  /** First bytes, as one append. Handed over. */
  readonly chunks?: readonly Uint8Array[];
  readonly end?: StreamEnd;
  readonly facts?: Facts;
}

export interface ListOptions {
  /** Only names that begin so. */
  readonly prefix?: string;
  /** Only names after this one, in the order of UTF-8 bytes. */
  readonly after?: string;
}

export interface BackendStats {
  /** Streams that can be opened, and soft-deleted ones. */
  readonly streams: number;
  /** Retained bytes of all streams; what forks share counts once. */
  readonly bytes: number;
}

export interface Backend {
  /** The best level of its acknowledgements. */
  readonly level: DurabilityLevel;
  /**
   * Creates the stream, unless there is one of that name: then `isNew` is false, `stream` is that one, and nothing changes.
   *
   * Rejects with `InvalidNameError`, `StreamSoftDeletedError` (the name is taken by one that only forks keep),
   * `ForkSourceError` (the source is not there, soft-deleted, of another generation, or the offset is not in it), `StorageError`.
   */
  create(
    name: string,
    config: StreamConfig,
    options?: CreateOptions,
  ): Promise<{ readonly isNew: boolean; readonly stream: BackendStream }>;
  /** The stream of that name, or undefined. Rejects with `StreamSoftDeletedError` where only forks keep it. */
  open(name: string): Promise<BackendStream | undefined>;
  /**
   * Deletes the stream of that name, of that generation where one is given; says whether there was one. What waits for it
   * rejects with `StreamDeletedError`. With forks it becomes soft-deleted, and goes with the last of them.
   *
   * Rejects with `StreamSoftDeletedError`, and with `StorageError`: then the stream is there as before.
   */
  delete(name: string, generation?: number): Promise<boolean>;
  /** All streams that can be opened, in the order of the UTF-8 bytes of their names. */
  list(options?: ListOptions): AsyncIterable<StreamState>;
  stats(): Promise<BackendStats>;
  /** Appends under way come to their end first, as far as the store answers. Idempotent. */
  close(): Promise<void>;
}
