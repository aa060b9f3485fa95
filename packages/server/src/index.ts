/**
 * Streams that outlive the process, read over HTTP by any number of clients, each from where it likes.
 *
 * @module
 */

export type * from './backends/backend.ts';
export { type MemoryBackendOptions, memoryBackend } from './backends/index.ts';
export * from './errors.ts';
export type {
  Action,
  Authorize,
  BearerToken,
  CorsOptions,
  Decision,
  HttpRequest,
  Latency,
  Metrics,
  Reply,
  ReplySink,
  Retention,
  StreamedBody,
} from './http/index.ts';
export { Frame } from './http/index.ts';
export type {
  AppendChain,
  AppendOutcome,
  Created,
  HubAppendOptions,
  HubOptions,
  HubReader,
  HubStats,
  HubStreamOptions,
  HubWriterOptions,
  LiveStream,
  NewStreamConfig,
  NewStreamOptions,
  ProducerTuple,
} from './hub/index.ts';
export { Hub } from './hub/index.ts';
export { StreamServer, type StreamServerLimits, type StreamServerOptions } from './stream-server.ts';
