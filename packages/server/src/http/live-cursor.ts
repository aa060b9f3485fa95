import { badRequest } from './refusal.ts';

/** Milliseconds of one interval. */
const INTERVAL = 20_000;
/** 2024-10-09T00:00:00Z, where counting begins. */
const EPOCH = 1_728_432_000_000;
/** The most by which a cursor is moved beyond that of a client, in intervals: an hour. */
const JITTER = 180;
/** A cursor so many intervals ahead, two years, is none of ours, and nobody else is moved on for it. */
const FAR = 3_153_600;
const CURSOR = /^\d{1,15}$/;

/** Number of the interval in which a time lies, in milliseconds since 1970. */
export function currentCursor(now: number): number {
  return Math.max(0, Math.floor((now - EPOCH) / INTERVAL));
}

/** Reads the cursor that a client sends back. Throws 400 for what we never give. */
export function parseCursor(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  if (!CURSOR.test(text)) throw badRequest('cursor is not one that this server gave');
  return Number(text);
}

/**
 * The cursor of a reply: the current interval, or, where the client has that already, a random step beyond its own. So a client never gets
 * what it sent, and a cache between cannot answer it for ever with the same nothing.
 */
export function nextCursor(now: number, client: number | undefined, random: () => number): number {
  const current = currentCursor(now);
  if (client === undefined || client < current) return current;
  return client + 1 + Math.floor(random() * JITTER);
}

/** Whether other clients may get a cursor as well, as one that is later than the current one. */
export function isNear(cursor: number, now: number): boolean {
  return cursor - currentCursor(now) < FAR;
}
