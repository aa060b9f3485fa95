/** An application on `node:http` that runs jobs. Whoever has started one watches its output, live or later: a stream below `/streams/`. */
import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { StreamServer } from '@fanpipe/server';
import { nodeListener } from '@fanpipe/server/node';
import { page } from './page.ts';

export interface App {
  readonly url: string;
  /** Ends it: replies under way come to their end, live ones are broken off or say where to go on. */
  close(): Promise<void>;
}

/** What a job runs here: another example, with its output as it comes. */
const JOB = fileURLToPath(new URL('../basic-broadcast/main.ts', import.meta.url));
const DAY = 24 * 3600 * 1000;

export async function startApp(port: number): Promise<App> {
  // The application's own log-in.
  const sessions = new Map<string, string>();
  const userOf = ({ headers }: IncomingMessage): string | undefined =>
    sessions.get(/(?:^|; )session=([\w-]+)/.exec(headers.cookie ?? '')?.[1] ?? '');

  const streams = new StreamServer({
    prefix: '/streams/',
    onError: console.error,
    // `raw` is the request as node:http has it. Everybody reads what is their own, and nobody writes over HTTP.
    authorize({ raw }, action, stream) {
      const user = userOf(raw as IncomingMessage);
      if (user === undefined) return 'unauthenticated';
      return action === 'read' && stream.startsWith(`${user}/`);
    },
  });
  const listener = nodeListener(streams.handle);

  const jobs = new Map<ChildProcess, Promise<void>>();

  /** Starts a job. */
  function start(stream: string): void {
    const job = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), JOB], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const done = store(stream, job).catch(console.error);
    jobs.set(
      job,
      done.then(() => void jobs.delete(job)),
    );
  }

  /** Writes what a job says to a stream, in process. */
  async function store(stream: string, job: ChildProcessByStdio<null, Readable, null>): Promise<void> {
    const exit = once(job, 'exit');
    const writer = streams.writer(stream);
    for await (const chunk of job.stdout) await writer.write(chunk);
    const [code] = await exit;
    if (code === 0) await writer.end();
    else writer.fail(new Error(`exit code ${code}`)); // Readers are told, and take nothing for the whole.
  }

  /** What the application does beside. */
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const route = `${request.method} ${request.url}`;
    const user = userOf(request);
    const login = /^POST \/login\/(\w+)$/.exec(route)?.[1];
    if (route === 'GET /') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page);
    } else if (login !== undefined) {
      const session = randomUUID();
      sessions.set(session, login); // Where an application of yours asks for more than a name.
      response.writeHead(204, { 'set-cookie': `session=${session}; HttpOnly; SameSite=Strict; Path=/` }).end();
    } else if (route === 'POST /jobs' && user !== undefined) {
      const stream = `${user}/${randomUUID()}`;
      await streams.hub.create(stream, { contentType: 'text/plain', ttl: DAY }); // It is there before anybody hears of it.
      start(stream);
      response.writeHead(201, { location: `/streams/${stream}` }).end();
    } else {
      response.writeHead(user === undefined ? 401 : 404).end();
    }
  }

  const server = createServer((request, response) => {
    if (request.url?.startsWith('/streams/')) listener(request, response);
    else answer(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  // A client that asks before it sends (`Expect: 100-continue`) hears whether it is welcome.
  server.on('checkContinue', (request, response) => {
    if (request.url?.startsWith('/streams/')) listener.onContinue(request, response);
    else server.emit('request', request, response);
  });

  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      for (const job of jobs.keys()) job.kill();
      await Promise.all(jobs.values());
      listener.shutDown();
      streams.drain();
      await new Promise((resolve) => server.close(resolve));
      await streams.close();
    },
  };
}
