import type { Clock } from 'fanpipe';
import type { DurabilityLevel, StreamConfig, StreamEnd } from '../backends/backend.ts';
import { InvalidArgumentError } from '../errors.ts';

/** What a hub is made with. Every limit is a whole number, or Infinity. */
export interface HubOptions {
  /**
   * Streams in all; more are refused. Default 250,000: the backends of this package keep 1 to 2 KB of memory for each, also of what lies
   * on disk, so that is half a gigabyte.
   */
  readonly maxStreams?: number | undefined;
  /** Bytes that one stream retains; appends beyond are refused. Default unlimited. */
  readonly maxStreamBytes?: number | undefined;
  /** Bytes that all streams retain together; appends beyond are refused. Default unlimited. */
  readonly maxTotalBytes?: number | undefined;
  /** Readers of one stream at a time, of this process. Default unlimited. */
  readonly maxReaders?: number | undefined;
  /** Producers that a stream remembers; the one that was not heard of for longest is forgotten. Default 10,000. */
  readonly maxProducers?: number | undefined;
  /** Newest bytes of a stream that are held in memory while somebody follows it. Default 256 KiB. */
  readonly window?: number | undefined;
  /** Told of every append that the backend acknowledged, and how long that took, in milliseconds. Must not throw. */
  readonly onAppend?: ((ms: number) => void) | undefined;
  /** Default the runtime's. */
  readonly clock?: Clock | undefined;
}

/** What a stream is created with. */
export interface NewStreamConfig extends Omit<StreamConfig, 'contentType' | 'fork'> {
  /** Default that of the source for a fork, else `application/octet-stream`. */
  readonly contentType?: string | undefined;
}

/** What a stream is created with beside its configuration. */
export interface NewStreamOptions {
  /** First bytes. Handed over: nobody changes their memory any more. */
  readonly chunks?: readonly Uint8Array[] | undefined;
  readonly end?: StreamEnd | undefined;
  /**
   * Makes a fork of `source`, which shows its bytes below `offset`; by default all that it has now. With `generation` it is of that stream
   * alone: where another one has its name by now, there is no source.
   */
  readonly fork?:
    | { readonly source: string; readonly offset?: number | undefined; readonly generation?: number | undefined }
    | undefined;
}

/** What a hub has done and holds. Those of appends and readers are of this process, since it began. */
export interface HubStats {
  /** Streams in the backend. */
  readonly streams: number;
  /** Bytes that they retain. */
  readonly bytes: number;
  /** Streams that somebody follows. */
  readonly live: number;
  /** Readers that are open. */
  readonly readers: number;
  /** Appends that were acknowledged. */
  readonly appends: number;
  /** Their bytes. */
  readonly appendedBytes: number;
  readonly level: DurabilityLevel;
}

/** The options of a hub, complete and checked. */
export interface HubLimits {
  readonly maxStreams: number;
  readonly maxStreamBytes: number;
  readonly maxTotalBytes: number;
  readonly maxReaders: number;
  readonly maxProducers: number;
  readonly window: number;
}

/** @throws InvalidArgumentError */
export function checkLimits(options: HubOptions): HubLimits {
  return {
    maxStreams: limit('maxStreams', options.maxStreams, 250_000),
    maxStreamBytes: limit('maxStreamBytes', options.maxStreamBytes, Number.POSITIVE_INFINITY),
    maxTotalBytes: limit('maxTotalBytes', options.maxTotalBytes, Number.POSITIVE_INFINITY),
    maxReaders: limit('maxReaders', options.maxReaders, Number.POSITIVE_INFINITY),
    maxProducers: limit('maxProducers', options.maxProducers, 10_000, 1),
    window: limit('window', options.window, 256 * 1024),
  };
}

function limit(name: string, value: number | undefined, standard: number, least = 0): number {
  if (value === undefined) return standard;
  if (value === Number.POSITIVE_INFINITY && name !== 'window') return value;
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new InvalidArgumentError(`${name} must be a whole number from ${least}, or Infinity`);
}
