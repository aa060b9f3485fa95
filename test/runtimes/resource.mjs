import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Where the servers of the runtimes have the resource of the cases with a real `fetch`. */
export const RESOURCE_PATH = '/resource';

/** What answers requests for it on a `node:http` server, as the compiled suite says. */
export async function loadResource(root) {
  const { answerServed } = await import(pathToFileURL(join(root, '.cache', 'conformance', 'resource.js')).href);
  return (request, response) => {
    const { status, headers, bytes } = answerServed(request.headers.range ?? null);
    response.writeHead(status, { ...headers, 'content-length': bytes.byteLength }).end(bytes);
  };
}
