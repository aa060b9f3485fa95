/**
 * Write once, read by many: one producer, any number of concurrent readers, each at its own pace.
 *
 * @module
 */

export type { WaitOptions, WriterOptions } from './core/base-writer.ts';
export { ByteStream, type ByteStreamOptions } from './core/byte-stream.ts';
export { ByteWriter, type ByteWriterOptions, type WriteOptions } from './core/byte-writer.ts';
export type { WriterState } from './core/channel.ts';
export type { CollectOptions } from './core/collect.ts';
export type { OnMissed } from './core/cursor.ts';
export type { StreamOptions, StreamStart } from './core/open-cursor.ts';
export type { OverflowPolicy } from './core/policies.ts';
export type { Source } from './core/pump.ts';
export type { Chunk } from './core/to-bytes.ts';
export { TypedStream, type TypedStreamOptions } from './core/typed-stream.ts';
export { TypedWriter, type TypedWriterOptions } from './core/typed-writer.ts';
export {
  CallbackError,
  CancelledError,
  DetachedBufferError,
  DisconnectedError,
  FanpipeError,
  type FanpipeErrorCode,
  InvalidArgumentError,
  InvalidChunkError,
  IteratorTakenError,
  LimitExceededError,
  OffsetEvictedError,
  OffsetNotWrittenError,
  OffsetOverflowError,
  PrematureCloseError,
  StalledReadError,
  type StallKind,
  UnsupportedValueError,
  WriterEndedError,
  WriterFailedError,
} from './errors.ts';
export {
  type Clock,
  type MinThroughputOptions,
  type MonitorOptions,
  type MonitorSource,
  type StallEvent,
  StalledReadMonitor,
  systemClock,
} from './monitor/index.ts';
