import { type ByteStream, DisconnectedError } from 'fanpipe';
import type { StreamEnd } from '../backends/backend.ts';
import { StreamFailedError } from '../errors.ts';
import type { LiveStream } from '../hub/index.ts';
import type { FeedCursor } from './feed-cursor.ts';
import type { FeedEncoder } from './feed-encoder.ts';
import type { Frame } from './frame.ts';

/** A reply that follows a stream. */
export interface Follower {
  /** Its index among the followers, the feed's alone; -1: it is none. */
  place: number;
  /** A frame for all followers of the feed. False: it has left the feed, because its client takes no more for now. */
  give(frame: Frame, shown: number): boolean;
  /** The feed has moved, or is over: look again where to read on. */
  look(): void;
  /** The feed is over, since it could not keep up; all up to `shown` was given. */
  lose(shown: number): void;
  /** The stream has ended; `frame` says so. */
  finish(frame: Frame | undefined, end: StreamEnd): void;
  /** What is followed cannot be read any more. */
  fail(error: unknown): void;
}

/** What came of the wish to follow: it follows; it will be told to look again; it must read on first. */
export type Joined = 'following' | 'waiting' | 'behind';

/**
 * Reads the present of one stream in one encoding, once for all who follow it: whatever comes in one burst becomes one frame, and every
 * follower gets that same frame. There is a feed while there are followers.
 *
 * A follower joins exactly where the feed is. One that is behind reads the hub by itself until it is there; one that is before it, since
 * it has seen bytes that the feed is about to see, waits for its next move.
 */
export class Feed {
  readonly cursor: FeedCursor;
  readonly #encoder: FeedEncoder;
  readonly #onOver: () => void;
  #stream: ByteStream | undefined;
  /** Holes are followers that have left while a frame was given out. */
  #followers: (Follower | undefined)[] = [];
  #size = 0;
  #waiting: Follower[] = [];
  #isOver = false;
  #isGiving = false;

  constructor(encoder: FeedEncoder, cursor: FeedCursor, onOver: () => void) {
    this.#encoder = encoder;
    this.cursor = cursor;
    this.#onOver = onOver;
  }

  /** How many follow. */
  get size(): number {
    return this.#size;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Offset up to which it has come. */
  get position(): number {
    return this.#encoder.position;
  }

  /** Begins to read. Over at once if memory does not hold what comes after its place. */
  async run(live: LiveStream): Promise<void> {
    try {
      const stream = await live.follow(this.#encoder.position);
      if (stream === undefined) {
        this.#close();
        return;
      }
      this.#stream = stream;
      // All have left while it was opened.
      if (this.#isOver) stream.cancel();
      this.#move();
      for await (const chunks of stream.batches()) {
        if (this.#isOver) return;
        this.#give(chunks, live.knownTail);
        this.#move();
      }
      if (!this.#isOver) this.#finish({ kind: 'closed' });
    } catch (error) {
      if (this.#isOver) return;
      if (error instanceof StreamFailedError) this.#finish({ kind: 'failed', reason: error.reason });
      else if (error instanceof DisconnectedError) this.#lose();
      else this.#fail(error);
    }
  }

  /** To be called by what has come up to `position` by itself, and shown its client all up to `shown`. */
  join(follower: Follower, position: number, shown: number): Joined {
    const encoder = this.#encoder;
    if (this.#stream === undefined || position > encoder.position) {
      this.#waiting.push(follower);
      return 'waiting';
    }
    if (position !== encoder.position || shown !== encoder.shown) return 'behind';
    follower.place = this.#followers.length;
    this.#followers.push(follower);
    this.#size++;
    return 'following';
  }

  /** The follower has gone. */
  leave(follower: Follower): void {
    const { place } = follower;
    if (place < 0) {
      const at = this.#waiting.indexOf(follower);
      if (at >= 0) this.#waiting.splice(at, 1);
    } else {
      follower.place = -1;
      this.#size--;
      this.#followers[place] = undefined;
      if (!this.#isGiving) this.#closeHole(place);
    }
    if (!this.#isGiving) this.#closeIfAlone();
  }

  /** One frame for the burst, the same for all. */
  #give(chunks: readonly Uint8Array[], tail: number): void {
    const frame = this.#encoder.push(chunks, tail);
    if (frame === undefined) return;
    const { shown } = this.#encoder;
    const followers = this.#followers;
    this.#isGiving = true;
    for (let i = 0; i < followers.length; i++) {
      const follower = followers[i];
      if (follower === undefined || follower.give(frame, shown)) continue;
      // It has left by itself meanwhile.
      if (followers[i] !== follower) continue;
      followers[i] = undefined;
      follower.place = -1;
      this.#size--;
    }
    this.#isGiving = false;
    if (this.#size < followers.length) this.#closeHoles();
    this.#closeIfAlone();
  }

  #closeIfAlone(): void {
    if (this.#size === 0 && this.#waiting.length === 0) this.#close();
  }

  #closeHole(place: number): void {
    const last = this.#followers.pop();
    if (place === this.#followers.length || last === undefined) return;
    this.#followers[place] = last;
    last.place = place;
  }

  #closeHoles(): void {
    let length = 0;
    for (const follower of this.#followers) {
      if (follower === undefined) continue;
      follower.place = length;
      this.#followers[length++] = follower;
    }
    this.#followers.length = length;
  }

  /** Those who wait look again. Who finds itself behind then may never come back. */
  #move(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    for (const follower of waiting) follower.look();
    this.#closeIfAlone();
  }

  #finish(end: StreamEnd): void {
    const frame = this.#encoder.end(end);
    for (const follower of this.#close()) follower?.finish(frame, end);
  }

  /** More came at once than memory holds: each goes on by itself, and they meet again in another feed. */
  #lose(): void {
    const { shown } = this.#encoder;
    for (const follower of this.#close()) follower?.lose(shown);
  }

  #fail(error: unknown): void {
    for (const follower of this.#close()) follower?.fail(error);
  }

  /** Nobody follows any more; gives those who did. */
  #close(): readonly (Follower | undefined)[] {
    if (this.#isOver) return [];
    this.#isOver = true;
    this.#onOver();
    this.#stream?.cancel();
    const followers = this.#followers;
    this.#followers = [];
    this.#size = 0;
    for (const follower of followers) if (follower !== undefined) follower.place = -1;
    this.#move();
    return followers;
  }
}
