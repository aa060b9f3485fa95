import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join, normalize, sep } from 'node:path';
import { distOf, entriesOf } from './entries.mjs';
import { loadResource, RESOURCE_PATH } from './resource.mjs';

const pageOf = (imports) => `<!doctype html>
<title>fanpipe</title>
<script type="importmap">${JSON.stringify({ imports })}</script>
<script type="module">
  try {
    const { runConformance } = await import('/conformance/conformance.js');
    globalThis.report = await runConformance('chromium', new URL('${RESOURCE_PATH}', location).href);
  } catch (error) {
    globalThis.report = { crashed: String(error?.stack ?? error) };
  }
</script>
`;

/**
 * Serves the page and, below it, the folders that it imports from, and what the cases with a real `fetch` read. Isolated, or
 * there is no SharedArrayBuffer.
 */
async function serve(root) {
  const entries = entriesOf(root, { withNode: false });
  const folders = { '/conformance/': join(root, '.cache', 'conformance') + sep };
  for (const { folder } of entries) folders[`/${folder}/`] = distOf(root, folder) + sep;
  const page = pageOf(Object.fromEntries(entries.map(({ name, folder, file }) => [name, `/${folder}/${file}`])));
  const answerResource = await loadResource(root);
  const server = createServer(async (request, response) => {
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    if (pathname === '/') return response.setHeader('Content-Type', 'text/html').end(page);
    if (pathname === RESOURCE_PATH) return answerResource(request, response);
    try {
      const mount = Object.keys(folders).find((each) => pathname.startsWith(each));
      const file = normalize(join(folders[mount], pathname.slice(mount.length)));
      if (!file.startsWith(folders[mount]) || !file.endsWith('.js')) throw new Error('outside');
      return response.setHeader('Content-Type', 'text/javascript').end(await readFile(file));
    } catch {
      return response.writeHead(404).end();
    }
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}

/** Starts a headless Chromium. Offline as far as it can be: pages need localhost alone. */
export function launch(driver, executablePath, timeout) {
  return driver.launch({
    executablePath,
    timeout,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--autoplay-policy=no-user-gesture-required',
    ],
  });
}

/** Opens the page in a headless Chromium and returns the report, with what the page wrote to its console on a crash. */
export async function runInChromium(driver, executablePath, root, timeout) {
  const server = await serve(root);
  let browser;
  try {
    browser = await launch(driver, executablePath, timeout);
    const page = await browser.newPage();
    const log = [];
    page.on('console', (message) => log.push(message.text()));
    page.on('pageerror', (error) => log.push(String(error)));
    await page.goto(`http://127.0.0.1:${server.address().port}/`, { timeout });
    try {
      await page.waitForFunction(() => globalThis.report !== undefined, undefined, { timeout });
    } catch (error) {
      throw new Error(`${error.message}\n${log.join('\n')}`);
    }
    const report = await page.evaluate(() => globalThis.report);
    if (report.crashed !== undefined) throw new Error(`${report.crashed}\n${log.join('\n')}`);
    return report;
  } finally {
    await browser?.close();
    server.closeAllConnections();
    server.close();
  }
}
