/**
 * HTTP: the Durable Streams protocol, whatever runtime it is on. Above it are the listeners, below it the hub.
 *
 * @module
 */

export type { Action, Authorize, BearerToken, Decision } from './authorize.ts';
export type { CorsOptions } from './cors.ts';
export { errorTeller } from './error-teller.ts';
export { answer, type FetchOptions } from './fetch-adapter.ts';
export { Frame } from './frame.ts';
export { HttpHandler } from './http-handler.ts';
export { type HttpOptions, type Retention, waitTime } from './http-options.ts';
export type { HttpRequest } from './http-request.ts';
export { Latency, Metrics } from './metrics.ts';
export { isOperation, type OperationsOptions, operations } from './operations.ts';
export type { Reply, ReplySink, StreamedBody } from './reply.ts';
