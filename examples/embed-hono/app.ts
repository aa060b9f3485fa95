/** An assistant on Hono: an answer is written word by word to a stream, and read below `/answers/` by who asked, as it comes or later. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { StreamServer } from '@fanpipe/server';
import { type ServerType, serve } from '@hono/node-server';
import { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';

export interface App {
  readonly url: string;
  /** Ends it: answers under way stop, who reads is told where to go on. */
  close(): Promise<void>;
}

const USERS: Readonly<Record<string, string>> = { 'token-of-ada': 'ada', 'token-of-bob': 'bob' };
const HOUR = 3600 * 1000;

/** What a language model would do: says a text in pieces, each when it is ready. */
async function* think(): AsyncGenerator<string> {
  const text = await readFile(new URL('./answer.txt', import.meta.url), 'utf8');
  for (const word of text.split(/(?<=\s)/)) {
    yield word;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export async function startApp(port: number): Promise<App> {
  // What Hono knows of a request is kept for `authorize`, which sees the `Request` itself.
  const users = new WeakMap<Request, string>();
  const streams = new StreamServer({
    prefix: '/answers/',
    onError: console.error,
    authorize: ({ raw }, action, name) => action === 'read' && name.startsWith(`${users.get(raw as Request)}/`),
  });

  const answers = new Set<Promise<void>>();
  let isEnding = false;
  async function answer(name: string): Promise<void> {
    const writer = streams.writer(name);
    for await (const word of think()) {
      // Readers are told, and take nothing for the whole.
      if (isEnding) return writer.fail(new Error('interrupted'));
      await writer.write(word);
    }
    await writer.end();
  }

  const app = new Hono<{ Variables: { user: string } }>();
  app.use(async (context, next) => {
    const user = USERS[context.req.header('authorization')?.replace(/^Bearer /, '') ?? ''];
    if (user === undefined) throw new HTTPException(401);
    context.set('user', user);
    await next();
  });
  app.post('/questions', async (context) => {
    const name = `${context.get('user')}/${randomUUID()}`;
    await streams.hub.create(name, { contentType: 'text/plain; charset=utf-8', ttl: HOUR }); // It is there before anybody hears of it.
    const answering = answer(name)
      .catch(console.error)
      .then(() => void answers.delete(answering));
    answers.add(answering);
    return context.body(null, 202, { location: `/answers/${name}` });
  });
  // `all` and not `mount`, which would take the prefix off.
  app.all('/answers/*', (context) => {
    users.set(context.req.raw, context.get('user'));
    return streams.fetch(context.req.raw);
  });

  let server!: ServerType;
  const { port: actual } = await new Promise<AddressInfo>((resolve) => {
    server = serve({ fetch: app.fetch, port, hostname: '127.0.0.1' }, resolve);
  });
  return {
    url: `http://127.0.0.1:${actual}`,
    async close() {
      isEnding = true;
      await Promise.all(answers);
      streams.drain();
      await new Promise((resolve) => server.close(resolve));
      await streams.close();
    },
  };
}
