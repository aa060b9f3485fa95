import { Agent, get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** One client: reads the stream at `url` to its end and hands on its bytes, in order. */
export interface Client {
  readonly kind: string;
  /** Whether it comes when half of the stream has been read by others. */
  readonly isLate?: boolean;
  /** Calls `onOpen` as soon as its request stands. Resolves at the end, with what there is to say. */
  read(url: string, take: (bytes: Uint8Array) => void | Promise<void>, onOpen: () => void): Promise<string | undefined>;
}

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
const MIB = 1024 * 1024;

/** The 50 clients. `size` is that of the stream; whoever never reads stays until `isOver`. */
export function createClients(size: number, isOver: Promise<void>): Client[] {
  const many = (count: number, client: (index: number) => Client): Client[] =>
    Array.from({ length: count }, (_, i) => client(i));
  return [
    ...many(28, () => ({ kind: 'fast', read: readRaw })),
    ...many(8, (index) => slow((12 + 3 * index) * MIB)),
    ...many(4, () => ({ kind: 'events', read: (url, take, onOpen) => readEvents(url, take, onOpen, undefined) })),
    ...many(4, () => ({ kind: 'long-poll', read: readLongPolls })),
    ...many(4, () => ({ kind: 'late', isLate: true, read: readRaw })),
    { kind: 'cut', read: (url, take, onOpen) => readEvents(url, take, onOpen, Math.floor(size * 0.4)) },
    { kind: 'never reads', read: (url, _take, onOpen) => neverRead(url, onOpen, isOver) },
  ];
}

function request(url: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, { agent, headers }, (response) => {
      if (response.statusCode === 200 || response.statusCode === 204) resolve(response);
      else reject(new Error(`${url} answers with status ${response.statusCode}`));
    }).on('error', reject);
  });
}

/** Plain bytes until the stream ends. */
async function readRaw(
  url: string,
  take: (bytes: Uint8Array) => void | Promise<void>,
  onOpen: () => void,
): Promise<undefined> {
  const response = await request(`${url}?live=raw`);
  onOpen();
  for await (const chunk of response) await take(chunk);
}

/** The same, at so many bytes a second at most. */
function slow(rate: number): Client {
  return {
    kind: 'slow',
    read(url, take, onOpen) {
      const start = performance.now();
      let taken = 0;
      return readRaw(
        url,
        async (chunk) => {
          await take(chunk);
          taken += chunk.length;
          const wait = start + (taken / rate) * 1000 - performance.now();
          if (wait > 0) await sleep(wait);
        },
        onOpen,
      );
    },
  };
}

/** One request after the other, each from where the last one ended. */
async function readLongPolls(
  url: string,
  take: (bytes: Uint8Array) => void | Promise<void>,
  onOpen: () => void,
): Promise<undefined> {
  onOpen();
  for (let offset = '-1'; ; ) {
    const response = await request(`${url}?offset=${offset}&live=long-poll`);
    for await (const chunk of response) await take(chunk);
    offset = String(response.headers['stream-next-offset']);
    if (response.headers['stream-closed'] === 'true') return;
  }
}

/**
 * Server-sent events, as an `EventSource` reads them: an event counts when it is complete. With `cutAt` the connection breaks once, in the
 * midst of an event after so many bytes, and the next one says how far it has come.
 */
async function readEvents(
  url: string,
  take: (bytes: Uint8Array) => void | Promise<void>,
  onOpen: () => void,
  cutAt: number | undefined,
): Promise<string | undefined> {
  let taken = 0;
  let lastId = '';
  let isClosed = false;
  let wasCutAt: number | undefined;
  while (!isClosed) {
    const headers: Record<string, string> = lastId === '' ? {} : { 'last-event-id': lastId };
    const response = await request(`${url}?offset=-1&live=sse`, headers);
    onOpen();
    let rest = '';
    for await (const text of response.setEncoding('latin1')) {
      const events = (rest + text).split('\n\n');
      rest = events.pop() as string;
      for (const event of events) {
        const { name, data, id } = parseEvent(event);
        if (id !== '') lastId = id;
        if (name === 'control') isClosed ||= JSON.parse(data).streamClosed === true;
        if (name !== 'data') continue;
        const bytes = Buffer.from(data, 'base64');
        taken += bytes.length;
        await take(bytes);
      }
      if (cutAt === undefined || wasCutAt !== undefined || taken < cutAt || taken === 0 || isClosed) continue;
      wasCutAt = taken;
      response.destroy();
      break;
    }
  }
  return wasCutAt === undefined ? undefined : `cut off, went on at byte ${wasCutAt.toLocaleString('en-US')}`;
}

function parseEvent(text: string): { name: string; data: string; id: string } {
  const event = { name: 'message', data: '', id: '' };
  for (const line of text.split('\n')) {
    const mark = line.indexOf(':');
    const value = line.slice(mark + 1).trimStart();
    if (line.startsWith('event:')) event.name = value;
    else if (line.startsWith('data:')) event.data += value;
    else if (line.startsWith('id:')) event.id = value;
  }
  return event;
}

/** Asks for all of it, and takes none. */
async function neverRead(url: string, onOpen: () => void, isOver: Promise<void>): Promise<undefined> {
  const response = await request(`${url}?live=raw`);
  onOpen();
  await isOver;
  response.destroy();
}
