import { setTimeout as sleep } from 'node:timers/promises';
import { formatCount } from '../format.ts';
import { BrokenLine, NEVER_HEADER, overBrokenLine, placeOf, request, type Take } from './client.ts';

/** Plain bytes until the stream ends, at most `rate` of them a second: what is not read yet waits in the stream, not in the server. */
export async function readLive(
  url: string,
  take: Take,
  onOpen: () => void,
  rate: number = Number.POSITIVE_INFINITY,
): Promise<undefined> {
  const response = await request(`${url}?live=raw`);
  onOpen();
  const start = performance.now();
  let taken = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    take(chunk);
    taken += chunk.length;
    const ahead = (taken / rate) * 1000 - (performance.now() - start);
    if (ahead > 0) await sleep(ahead);
  }
}

/** One request after the other, each from where the last one ended. */
export async function readLongPolls(url: string, take: Take, onOpen: () => void): Promise<undefined> {
  onOpen();
  for (let offset = '-1', isEnd = false; !isEnd; ) {
    const response = await request(`${url}?offset=${offset}&live=long-poll`, {}, [200, 204]);
    for await (const chunk of response as AsyncIterable<Buffer>) take(chunk);
    const { next, isClosed } = placeOf(response);
    offset = next;
    isEnd = isClosed;
  }
}

/** From a byte on: what there is, as one part of a download, and then what comes. */
export async function readFrom(url: string, from: number, take: Take): Promise<undefined> {
  const part = await request(url, { range: `bytes=${from}-` }, [206, 416]);
  const isPart = part.statusCode === 206;
  if (isPart && !part.headers['content-range']?.startsWith(`bytes ${from}-`)) {
    throw new Error(`Asked for what comes behind byte ${from}, got ${part.headers['content-range']}`);
  }
  // 416: nothing has come behind it yet. The reply says where that will be.
  for await (const chunk of part as AsyncIterable<Buffer>) if (isPart) take(chunk);
  const { next, isClosed } = placeOf(part);
  if (isClosed) return;
  const rest = await request(`${url}?live=raw&offset=${next}`);
  for await (const chunk of rest as AsyncIterable<Buffer>) take(chunk);
}

/** Plain bytes over a line that breaks behind `bytes` of them. Then the next request asks for the byte behind the last one that came. */
export async function readCut(url: string, take: Take, onOpen: () => void, bytes: number): Promise<string> {
  const response = await request(`${url}?live=raw`);
  onOpen();
  let taken = 0;
  try {
    for await (const chunk of overBrokenLine(response, bytes)) {
      take(chunk);
      taken += chunk.length;
    }
    throw new Error('The line was to break');
  } catch (error) {
    if (!(error instanceof BrokenLine)) throw error;
  }
  await readFrom(url, taken, take);
  return `resumed at byte ${formatCount(taken)}`;
}

/** Asks for all of it, and takes none, until the others are through. */
export async function neverRead(url: string, onOpen: () => void, isOver: Promise<void>): Promise<string> {
  const response = await request(`${url}?live=raw`, { [NEVER_HEADER]: 'true' });
  let isCutOff = false;
  response.on('error', () => {
    isCutOff = true;
  });
  onOpen();
  await isOver;
  const note = isCutOff ? 'was cut off' : 'connected to the end';
  response.destroy();
  return note;
}
