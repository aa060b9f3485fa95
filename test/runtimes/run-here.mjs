/**
 * Runner for the runtimes with a command line: Node, Bun, Deno. Prints the report as one line. It does not exit by itself:
 * a timer or handle left behind keeps the process alive, which its parent counts as a failure.
 *
 * They all have Node's streams, so the cases of `fanpipe/node` follow those of the suite; and a server of their own, so those of
 * `@fanpipe/server` run over it too.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cases } from '../../.cache/conformance/conformance.js';
import { fetchCases } from '../../.cache/conformance/fetch-cases.js';
import { runCases } from '../../.cache/conformance/harness.js';
import { piecesCase, serverCases } from '../../.cache/conformance/server-cases.js';
import { nodeCases } from '../interop/node-cases.mjs';
import { loadResource, RESOURCE_PATH } from './resource.mjs';
import { openOverHttp } from './serve-here.mjs';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const server = createServer(await loadResource(root));
await once(server.listen(0, '127.0.0.1'), 'listening');
const url = `http://127.0.0.1:${server.address().port}${RESOURCE_PATH}`;
const overHttp = [...serverCases('over HTTP', openOverHttp), piecesCase('over HTTP', openOverHttp)];
const report = await runCases('here', [...cases, ...fetchCases(url), ...overHttp, ...nodeCases]);
server.closeAllConnections();
server.close();
console.log(`report ${JSON.stringify(report)}`);
