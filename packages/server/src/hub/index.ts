/**
 * The hub: what is written and read in this process. Above it is HTTP, below it the backend.
 *
 * @module
 */

export type * from './append-outcome.ts';
export { essenceOf, isSameType } from './content-type.ts';
export { type Created, Hub } from './hub.ts';
export type { HubOptions, HubStats, NewStreamConfig, NewStreamOptions } from './hub-options.ts';
export type { HubReader } from './hub-reader.ts';
export type { HubStreamOptions } from './hub-stream.ts';
export type { HubWriterOptions } from './hub-writer.ts';
export type { LiveStream } from './live-stream.ts';
export { checkConfig } from './stream-config.ts';
