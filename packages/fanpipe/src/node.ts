/**
 * Writers and streams as Node's own streams: the subpath `fanpipe/node`.
 *
 * @module
 */

export { type ToReadableOptions, toReadable } from './interop/node-streams.ts';
export { type PipeToResponseOptions, pipeToResponse } from './interop/node-streams-response.ts';
export { type FromReadableOptions, fromReadable } from './interop/node-streams-source.ts';
export { type ToWritableOptions, toWritable } from './interop/node-streams-writable.ts';
