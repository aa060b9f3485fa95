import { StreamServer } from '@fanpipe/server';

/** How each runtime serves, as its users do: gives the port, and what ends it. */
async function listen(server) {
  const { Bun, Deno } = globalThis;
  if (Bun !== undefined) {
    const serving = Bun.serve({ port: 0, hostname: '127.0.0.1', idleTimeout: 0, fetch: server.fetch });
    return { port: serving.port, stop: () => serving.stop(true) };
  }
  if (Deno !== undefined) {
    const serving = Deno.serve({ port: 0, hostname: '127.0.0.1', onListen() {} }, server.fetch);
    return { port: serving.addr.port, stop: () => serving.shutdown() };
  }
  const { serve } = await import('@fanpipe/server/node');
  const serving = await serve({ server, port: 0 });
  return { port: serving.port, stop: () => serving.close() };
}

/** Opens a server that is asked with the runtime's `fetch`, over the runtime's own HTTP. */
export async function openOverHttp(options) {
  const server = new StreamServer(options);
  const { port, stop } = await listen(server);
  return {
    server,
    fetch: (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init),
    async close() {
      server.drain();
      await stop();
      await server.close();
    },
  };
}
