/**
 * Streams that outlive the process, read over HTTP by any number of clients, each from where it likes.
 *
 * @module
 */

export type * from './backends/backend.ts';
export * from './errors.ts';
