import { type Client, NEVER_READS } from './client.ts';
import { readEvents } from './event-client.ts';
import { neverRead, readCut, readFrom, readLive, readLongPolls } from './plain-clients.ts';

const MIB = 1024 * 1024;
/** Bytes per second of the slowest client, and by how much each of the others is faster. */
const SLOWEST = 6 * MIB;
const STEP = MIB;

/** The 50 clients. `size` is that of the stream; whoever never reads stays until `isOver`. */
export function createClients(size: number, isOver: Promise<void>): Client[] {
  const many = (count: number, client: (index: number) => Client): Client[] =>
    Array.from({ length: count }, (_, i) => client(i));
  // Of nothing, nothing can be cut. Text of events in base64 is longer than its bytes by a third.
  const cuts = size === 0 ? undefined : { bytes: Math.floor(size * 0.4), text: Math.ceil((size * 0.6 * 4) / 3) };
  return [
    ...many(27, () => ({ kind: 'fast', read: readLive })),
    ...many(8, (index) => ({
      kind: 'slow',
      read: (url, take, onOpen) => readLive(url, take, onOpen, SLOWEST + STEP * index),
    })),
    ...many(4, () => ({ kind: 'events', read: readEvents })),
    ...many(4, () => ({ kind: 'long-poll', read: readLongPolls })),
    ...many(4, () => ({ kind: 'late', isLate: true, read: (url, take) => readFrom(url, 0, take) })),
    cuts === undefined
      ? { kind: 'bytes, cut', read: readLive }
      : { kind: 'bytes, cut', isCut: true, read: (url, take, onOpen) => readCut(url, take, onOpen, cuts.bytes) },
    cuts === undefined
      ? { kind: 'events, cut', read: readEvents }
      : { kind: 'events, cut', isCut: true, read: (url, take, onOpen) => readEvents(url, take, onOpen, cuts.text) },
    { kind: NEVER_READS, read: (url, _take, onOpen) => neverRead(url, onOpen, isOver) },
  ];
}
