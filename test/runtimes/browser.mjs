import { createServer } from 'node:http';
import { browserCases } from './browser-cases.mjs';
import { launch } from './chromium.mjs';

/** Replies with events end soon, so that a browser has to come again. */
const SSE_LIFETIME = 250;

/** A server of streams of its own origin; `cors` says which others it lets in. */
async function openServer(cors) {
  const { StreamServer } = await import('@fanpipe/server');
  const { serve } = await import('@fanpipe/server/node');
  const server = new StreamServer({ sseLifetime: SSE_LIFETIME, ...(cors === undefined ? {} : { cors }) });
  const serving = await serve({ server, port: 0 });
  return { server, url: serving.url, close: () => serving.close({ grace: 0 }) };
}

/** A page with a server of streams beside it, as a host has it. */
async function openHost() {
  const { StreamServer } = await import('@fanpipe/server');
  const { nodeListener } = await import('@fanpipe/server/node');
  const server = new StreamServer({ prefix: '/streams/' });
  const listener = nodeListener(server.handle);
  const host = createServer((request, response) => {
    if (request.url.startsWith('/streams/')) listener(request, response);
    else response.setHeader('content-type', 'text/html').end('<!doctype html><title>host</title>');
  });
  await new Promise((resolve) => host.listen(0, '127.0.0.1', resolve));
  return {
    server,
    url: `http://127.0.0.1:${host.address().port}`,
    async close() {
      host.closeAllConnections();
      host.close();
      await server.close();
    },
  };
}

async function runCase(browser, run) {
  const own = await openHost();
  const servers = [own];
  const page = await browser.newPage();
  const log = [];
  page.on('pageerror', (error) => log.push(String(error)));
  try {
    const open = await openServer({ origins: [own.url] });
    servers.push(open);
    const closed = await openServer();
    servers.push(closed);
    await page.goto(own.url);
    await run({ page, own, open, closed });
    if (log.length > 0) throw new Error(log.join('\n'));
  } finally {
    await page.close();
    for (const { close } of servers) await close();
  }
}

/** Runs the cases of browsers against real servers, and reports as the suite does. */
export async function runBrowserCases(driver, executablePath, timeout) {
  const browser = await launch(driver, executablePath, timeout);
  const failures = [];
  try {
    for (const { title, run } of browserCases) {
      try {
        await runCase(browser, run);
      } catch (error) {
        failures.push({ title, error: error.stack });
      }
    }
  } finally {
    await browser.close();
  }
  return { passed: browserCases.length - failures.length, failures, absent: {}, seesRejections: true };
}
