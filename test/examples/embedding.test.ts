/** The embedding examples, told a port: they stay, are there for who asks, and end as a signal tells them, with readers who listen. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const examples = readdirSync(join(root, 'examples')).filter((name) => name.startsWith('embed-'));

interface Told {
  readonly url: string;
  /** Tells it to end; resolves with its exit code. */
  end(): Promise<number>;
}

async function start(name: string): Promise<Told> {
  const main = join(root, 'examples', name, 'main.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', main, '0'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  child.stderr.on('data', (chunk) => (said += chunk));
  const exit = once(child, 'exit');
  const line = once(createInterface(child.stdout), 'line');
  const [first] = await Promise.race([
    line,
    exit.then(([code]) => Promise.reject(new Error(`ended with ${code}: ${said}`))),
  ]);
  const url = /http:\/\/127\.0\.0\.1:\d+/.exec(first as string)?.[0];
  if (url === undefined) throw new Error(`no URL: ${first}`);
  return {
    url,
    async end() {
      child.kill('SIGTERM');
      const [code] = await exit;
      expect(said).toBe('');
      return code as number;
    },
  };
}

const ada = { authorization: 'Bearer token-of-ada' };

/** Per example, a stream that stays open, and who may read it. */
const streams: Record<string, (url: string) => Promise<{ url: string; headers: Record<string, string> }>> = {
  'embed-express': async (url) => ({ url: `${url}/api/rooms/lounge`, headers: ada }),
  'embed-fastify': async (url) => {
    const file = `${url}/files/ada/a`;
    expect((await fetch(file, { method: 'PUT', headers: ada })).status).toBe(201);
    return { url: file, headers: ada };
  },
  'embed-hono': async (url) => {
    const asked = await fetch(`${url}/questions`, { method: 'POST', headers: ada });
    return { url: `${url}${asked.headers.get('location')}`, headers: ada };
  },
  'embed-node': async (url) => {
    const login = await fetch(`${url}/login/ada`, { method: 'POST' });
    const headers = { cookie: login.headers.get('set-cookie')?.split(';')[0] as string };
    const started = await fetch(`${url}/jobs`, { method: 'POST', headers });
    return { url: `${url}${started.headers.get('location')}`, headers };
  },
};

test.each(examples)('%s ends with a reader who listens', async (name) => {
  const app = await start(name);
  const { url, headers } = await (streams[name] as (typeof streams)[string])(app.url);
  const events = await fetch(`${url}?live=sse&offset=-1`, { headers });
  expect(events.headers.get('content-type')).toBe('text/event-stream');
  const [text, code] = await Promise.all([events.text(), app.end()]);
  expect(code).toBe(0);
  // Whether its stream has come to its end or the application: the reader was told where it stands.
  expect(text.slice(text.lastIndexOf('event: '))).toMatch(
    /^event: control\ndata:{"streamNextOffset":"\d{16}_\d{16}".*}\n\n$/,
  );
});
