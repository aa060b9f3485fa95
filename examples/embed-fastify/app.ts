/** Uploads on Fastify: a file is a stream below `/files/`, which others download while it is still being uploaded. */
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { StreamServer } from '@fanpipe/server';
import { nodeListener } from '@fanpipe/server/node';
import Fastify, { type FastifyInstance } from 'fastify';

export interface App {
  readonly url: string;
  /** Ends it: replies under way come to their end, live ones are broken off or say where to go on. */
  close(): Promise<void>;
}

const USERS: Readonly<Record<string, string>> = { 'token-of-ada': 'ada', 'token-of-bob': 'bob' };

/** A plugin that puts streams below `/files/`, and keeps what concerns them from the rest of the application. */
async function files(app: FastifyInstance): Promise<void> {
  // What Fastify knows of a request is kept for `authorize`, which sees the request of node:http.
  const users = new WeakMap<IncomingMessage, string>();
  const streams = new StreamServer({
    prefix: '/files/',
    onError: (error) => app.log.error(error),
    // Everybody reads everything; who writes and deletes does so below their own name.
    authorize: ({ raw }, action, name) => action === 'read' || name.startsWith(`${users.get(raw as IncomingMessage)}/`),
  });
  const listener = nodeListener(streams.handle, { onError: (error) => app.log.error(error) });

  // Bodies are not parsed here: Fastify would read them, and refuse types that it does not know.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _body, done) => done(null));
  app.all('/files/*', async (request, reply) => {
    users.set(request.raw, request.user);
    reply.hijack(); // From here on the reply is not Fastify's.
    listener(request.raw, reply.raw);
  });

  app.addHook('preClose', async () => {
    listener.shutDown();
    streams.drain();
  });
  app.addHook('onClose', () => streams.close());

  // In process: how many bytes a file has by now.
  app.get('/sizes/*', async (request, reply) => {
    const stream = await streams.hub.open((request.params as { '*': string })['*']).catch(() => undefined);
    if (stream === undefined) return reply.callNotFound();
    const { tail, end } = await stream.state();
    return { size: tail, isComplete: end?.kind === 'closed' };
  });
}

declare module 'fastify' {
  interface FastifyRequest {
    user: string;
  }
}

export async function startApp(port: number): Promise<App> {
  const app = Fastify();
  app.decorateRequest('user', '');
  app.addHook('onRequest', async (request, reply) => {
    const user = USERS[request.headers.authorization?.replace(/^Bearer /, '') ?? ''];
    if (user === undefined) return reply.code(401).send({ error: 'Say who you are' });
    request.user = user;
  });
  await app.register(files);
  // The rest has its parsers.
  app.post('/echo', async (request) => request.body);
  await app.listen({ port, host: '127.0.0.1' });
  return {
    url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`,
    close: () => app.close(),
  };
}
