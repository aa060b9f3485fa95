/** A chat on Express: rooms are streams of JSON below `/api/rooms/`, behind the middleware that knows who asks. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { StreamServer } from '@fanpipe/server';
import { nodeListener } from '@fanpipe/server/node';
import express, { type NextFunction, type Request, type Response, Router } from 'express';

export interface App {
  readonly url: string;
  /** Ends it: replies under way come to their end, live ones are broken off or say where to go on. */
  close(): Promise<void>;
}

interface User {
  readonly name: string;
  readonly rooms: readonly string[];
}

/** A request whose sender is known. */
type Identified = Request & { user?: User };

const USERS: Readonly<Record<string, User>> = {
  'token-of-ada': { name: 'ada', rooms: ['lounge', 'engine'] },
  'token-of-bob': { name: 'bob', rooms: ['lounge'] },
};

export async function startApp(port: number): Promise<App> {
  const streams = new StreamServer({
    prefix: '/api/rooms/', // The whole path, also where Express takes a part of it off `request.url`.
    onError: console.error,
    // `raw` is the request of Express, with what its middleware has found out.
    authorize({ raw }, action, room) {
      const { user } = raw as Identified;
      if (user === undefined) return 'unauthenticated';
      return (action === 'read' || action === 'append') && user.rooms.includes(room);
    },
  });
  for (const room of ['lounge', 'engine']) {
    await streams.hub.create(room, { contentType: 'application/json', retainBytes: 1024 * 1024 });
  }
  const notices = streams.writer('lounge');
  const listener = nodeListener(streams.handle);

  function identify(request: Identified, response: Response, next: NextFunction): void {
    const user = USERS[request.get('authorization')?.replace(/^Bearer /, '') ?? ''];
    if (user === undefined) {
      response.status(401).json({ error: 'Say who you are' });
      return;
    }
    request.user = user;
    next();
  }

  const api = Router();
  api.use(identify);
  api.use('/rooms', listener); // Before what parses bodies: bytes are stored as they were sent.
  api.use(express.json());
  api.post('/notices', async (request: Identified, response) => {
    // In process a stream of JSON takes one message per line.
    notices.write(`${JSON.stringify({ from: 'the house', text: String(request.body.text) })}\n`);
    await notices.flush(); // It is stored.
    response.status(202).end();
  });
  const app = express();
  app.use('/api', api);

  const server = app.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      listener.shutDown();
      streams.drain();
      await new Promise((resolve) => server.close(resolve));
      await streams.close();
    },
  };
}
