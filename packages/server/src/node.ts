/**
 * The server on `node:http` and `node:http2`.
 *
 * @module
 */

export * from './node/index.ts';
