/**
 * Runner for the runtimes with a command line: Node, Bun, Deno. Prints the report as one line. It does not exit by itself:
 * a timer or handle left behind keeps the process alive, which its parent counts as a failure.
 *
 * They all have Node's streams, so the cases of `fanpipe/node` follow those of the suite.
 */
import { cases } from '../../.cache/conformance/conformance.js';
import { runCases } from '../../.cache/conformance/harness.js';
import { nodeCases } from '../interop/node-cases.mjs';

console.log(`report ${JSON.stringify(await runCases('here', [...cases, ...nodeCases]))}`);
