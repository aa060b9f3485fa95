/**
 * Runner for the runtimes with a command line: Node, Bun, Deno. Prints the report as one line. It does not exit by itself:
 * a timer or handle left behind keeps the process alive, which its parent counts as a failure.
 */
import { runConformance } from '../../.cache/conformance/conformance.js';

console.log(`report ${JSON.stringify(await runConformance('here'))}`);
