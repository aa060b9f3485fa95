/**
 * The hub: what is written and read in this process. Above it is HTTP, below it the backend.
 *
 * @module
 */

import type { ByteStream, ByteWriter, WriterOptions } from 'fanpipe';
import type {
  Backend,
  CursorResult,
  ListOptions,
  NextOptions,
  StreamConfig,
  StreamState,
} from '../backends/backend.ts';
import type { AppendOutcome, HubAppendOptions } from './append-outcome.ts';
import type { HubOptions, HubStats, NewStreamConfig, NewStreamOptions } from './hub-options.ts';

export type * from './append-outcome.ts';
export type * from './hub-options.ts';

export interface HubWriterOptions extends WriterOptions {
  /** Creates the stream if there is none: with this, or with the defaults. False: it must be there. Default true. */
  readonly create?: boolean | NewStreamConfig | undefined;
  /** `await write()` waits while more bytes than this are not acknowledged. Default 1 MiB. */
  readonly highWaterMark?: number | undefined;
  /** As of a `ByteWriter`. */
  readonly copy?: boolean | undefined;
}

export interface HubStreamOptions {
  /** Default `'start'`. */
  readonly from?: 'start' | 'now' | number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface HubReader {
  /** Offset of the next byte. */
  readonly position: number;
  /**
   * The next bytes, or the end: those that are there, else the first that come. One call at a time. Rejects with `OffsetGoneError`,
   * `OffsetNotWrittenError`, `StreamDeletedError`, `StorageError`, `ServerClosedError`, the signal's reason.
   */
  next(options?: NextOptions): Promise<CursorResult>;
  /** The next bytes, or the end, if they are in memory now. */
  poll(maxBytes?: number): CursorResult | undefined;
  /** Frees it. A `next` that waits resolves never: its owner has gone. May be called again. */
  close(): void;
}

export declare class LiveStream {
  readonly name: string;
  readonly generation: number;
  readonly config: StreamConfig;
  state(): Promise<StreamState>;
  /** Somebody reads or writes: time to live begins anew. Appends and readers do it by themselves. */
  touch(): void;
  append(chunks: readonly Uint8Array[], options?: HubAppendOptions): Promise<AppendOutcome>;
  read(from: number): HubReader;
  follow(from: number): Promise<ByteStream | undefined>;
}

export declare class Hub {
  readonly backend: Backend;
  constructor(backend: Backend, options?: HubOptions);
  create(
    name: string,
    config: NewStreamConfig,
    options?: NewStreamOptions,
  ): Promise<{ readonly isNew: boolean; readonly stream: LiveStream; readonly state: StreamState }>;
  open(name: string): Promise<LiveStream>;
  delete(name: string): Promise<boolean>;
  list(options?: ListOptions): AsyncIterable<StreamState>;
  writer(name: string, options?: HubWriterOptions): ByteWriter;
  stream(name: string, options?: HubStreamOptions): ByteStream;
  stats(): Promise<HubStats>;
  close(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
}
