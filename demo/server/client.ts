import { Agent, get, type IncomingMessage } from 'node:http';

/** Is given the bytes of the stream, in order. */
export type Take = (bytes: Uint8Array) => void;

/** One client: reads the stream at `url` to its end. */
export interface Client {
  readonly kind: string;
  /** Whether it comes when half of the stream has been read by others. */
  readonly isLate?: boolean;
  /** Whether its line is to break; its note then says where it went on. */
  readonly isCut?: boolean;
  /** Calls `onOpen` as soon as its request stands. Resolves at the end, with what there is to say. */
  read(url: string, take: Take, onOpen: () => void): Promise<string | undefined>;
}

/** The kind of client whose digest is that of nothing. */
export const NEVER_READS = 'never reads';
/** The header by which such a client says so: whoever watches the server can tell what is held for it. */
export const NEVER_HEADER = 'x-demo-never-reads';

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

/** GET over a socket of its own, or one that is idle. Rejects for a status that is not one of `statuses`. */
export function request(
  url: string,
  headers: Record<string, string> = {},
  statuses: readonly number[] = [200],
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, { agent, headers }, (response) => {
      if (statuses.includes(response.statusCode ?? 0)) resolve(response);
      else reject(new Error(`${url} answers with status ${response.statusCode}`));
    }).on('error', reject);
  });
}

/** The parameters and the state that a reply ends with. */
export function placeOf({ headers }: IncomingMessage): { next: string; isClosed: boolean } {
  return { next: String(headers['stream-next-offset']), isClosed: headers['stream-closed'] === 'true' };
}

/** What a line that broke throws. */
export class BrokenLine extends Error {}

/** The body of a reply over a line that breaks behind so many bytes, wherever in a chunk, an event or a word that is. */
export async function* overBrokenLine(response: IncomingMessage, bytes: number): AsyncGenerator<Buffer> {
  let left = bytes;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    yield chunk.subarray(0, left);
    left -= chunk.length;
    if (left > 0) continue;
    response.socket.resetAndDestroy();
    throw new BrokenLine('The line broke');
  }
}
