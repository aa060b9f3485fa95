/**
 * nginx in a folder of its own, on a socket file, and a proxy in front of it that can cut its connections.
 *
 * The proxy is what a client talks to: it has a port that nobody else can have taken, and it passes bytes on both ways
 * until it is told to cut.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CuttingProxy } from './cutting-proxy.ts';

const CONFIG = `
daemon off;
master_process on;
worker_processes 1;
pid nginx.pid;
error_log error.log;
USER
events { worker_connections 256; }
http {
  access_log access.log;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  default_type application/octet-stream;
  sendfile on;
  keepalive_timeout 60s;
  # The client knows the port of the proxy, nginx does not.
  absolute_redirect off;
  server {
    listen unix:socket;
    root files;
    location /gzip/ { alias files/; gzip on; gzip_types application/octet-stream; gzip_min_length 1; gzip_proxied any; }
    location /no-ranges/ { alias files/; max_ranges 0; }
    location /no-etag/ { alias files/; etag off; }
    location /moved/ { rewrite ^/moved/(.*)$ /$1 redirect; }
    location /slow/ { alias files/; limit_rate 20m; }
  }
}
`;

/** See the head of the module. */
export class Nginx {
  /** What is served, at the root. */
  readonly files: string;
  readonly proxy: CuttingProxy;
  readonly #folder: string;
  readonly #binary: string;
  readonly #master: ChildProcess;

  private constructor(binary: string, folder: string, master: ChildProcess, proxy: CuttingProxy) {
    this.#binary = binary;
    this.#folder = folder;
    this.#master = master;
    this.proxy = proxy;
    this.files = join(folder, 'files');
  }

  static async start(binary: string): Promise<Nginx> {
    const folder = mkdtempSync(join(tmpdir(), 'fanpipe-nginx-'));
    mkdirSync(join(folder, 'files'));
    // Paths in listen and alias are not relative to the prefix. Of root's server the workers need not be someone else.
    const config = CONFIG.replace('USER', process.getuid?.() === 0 ? 'user root;' : '')
      .replace('unix:socket', `unix:${folder}/socket`)
      .replaceAll('alias files/', `alias ${folder}/files/`);
    writeFileSync(join(folder, 'nginx.conf'), config);
    const args = ['-p', `${folder}/`, '-c', 'nginx.conf', '-e', 'error.log'];
    const master = spawn(binary, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    master.stderr?.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    const ended = once(master, 'exit').then(([code]) => {
      throw new Error(`nginx ended with ${code}: ${said}`);
    });
    ended.catch(() => {});
    await Promise.race([ended, accepts(join(folder, 'socket'))]);
    return new Nginx(binary, folder, master, await CuttingProxy.start({ path: join(folder, 'socket') }));
  }

  /** Process ids of the workers that serve now. */
  get workers(): number[] {
    const { pid } = this.#master;
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  }

  /** Kills the workers; the master starts others. Resolves when one of them answers. */
  async killWorkers(): Promise<void> {
    const before = this.workers;
    for (const pid of before) process.kill(pid, 'SIGKILL');
    await attempted(async () => {
      const { workers } = this;
      if (workers.length === 0 || workers.some((pid) => before.includes(pid))) throw new Error('no new worker yet');
    });
    await accepts(join(this.#folder, 'socket'));
  }

  /** Has the master replace its workers, as an administrator does; the old ones finish what they serve. */
  async reload(): Promise<void> {
    const before = this.workers;
    const args = ['-p', `${this.#folder}/`, '-c', 'nginx.conf', '-e', 'error.log', '-s', 'reload'];
    const [code] = await once(spawn(this.#binary, args, { stdio: 'ignore' }), 'exit');
    if (code !== 0) throw new Error(`nginx -s reload ended with ${code}`);
    await attempted(async () => {
      if (this.workers.every((pid) => before.includes(pid))) throw new Error('no new worker yet');
    });
  }

  /** Lines of the access log. */
  get log(): string[] {
    return readFileSync(join(this.#folder, 'access.log'), 'utf8').trimEnd().split('\n');
  }

  async stop(): Promise<void> {
    await this.proxy.close();
    const ended = once(this.#master, 'exit');
    this.#master.kill('SIGTERM');
    await ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Resolves when something listens at `path`. */
function accepts(path: string): Promise<void> {
  return attempted(async () => {
    const socket = connect(path);
    try {
      await once(socket, 'connect');
    } finally {
      socket.destroy();
    }
  });
}

/** Tries again, in each turn of the event loop, until it succeeds; after ten seconds its error counts. */
async function attempted(attempt: () => Promise<void>): Promise<void> {
  const end = performance.now() + 10_000;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
