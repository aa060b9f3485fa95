import type { StreamState } from '../backends/backend.ts';
import { ServerClosedError } from '../errors.ts';
import type { LiveStream } from '../hub/index.ts';
import { isFault } from './error-reply.ts';
import { Feed } from './feed.ts';
import { FeedCursor } from './feed-cursor.ts';
import { FeedEncoder, type FeedEncoding } from './feed-encoder.ts';
import type { Frame } from './frame.ts';
import type { HttpContext } from './http-options.ts';
import { LiveReply } from './live-reply.ts';

/** All live replies of a server, and what they share: a feed for each stream and encoding that is followed. */
export class LiveReplies {
  readonly context: HttpContext;
  readonly #feeds = new Map<string, Feed>();
  readonly #replies = new Set<LiveReply>();
  #isOver = false;
  /** What the host was told of last. */
  #fault: unknown;

  constructor(context: HttpContext) {
    this.context = context;
  }

  /** How many there are. */
  get size(): number {
    return this.#replies.size;
  }

  /** Streams and encodings that are followed. */
  get feeds(): number {
    return this.#feeds.size;
  }

  /** A body that shows a stream from an offset on, and goes on until it ends; `opening` is told first. Throws `LimitExceededError`, `ServerClosedError`. */
  open(
    stream: LiveStream,
    state: StreamState,
    encoding: FeedEncoding,
    from: number,
    cursor: number,
    opening?: Frame,
  ): LiveReply {
    if (this.#isOver) throw new ServerClosedError();
    const reply = new LiveReply(this, stream, state, encoding, from, cursor, opening);
    this.#replies.add(reply);
    return reply;
  }

  /** The reply is over. */
  delete(reply: LiveReply): void {
    this.#replies.delete(reply);
  }

  /** A reply fails. The host is told of what is the server's own fault: once, however many replies fail by it. */
  failed(error: unknown): void {
    if (error === this.#fault || !isFault(error)) return;
    this.#fault = error;
    this.context.onError(error);
  }

  /** The feed of a stream; begins one at the offset if there is none. */
  feed(stream: LiveStream, lineage: StreamState, encoding: FeedEncoding, from: number): Feed {
    const key = `${stream.generation} ${encoding}`;
    let feed = this.#feeds.get(key);
    if (feed === undefined) {
      const cursor = new FeedCursor(this.context.now);
      const encoder = new FeedEncoder(encoding, lineage, from, () => cursor.current);
      feed = new Feed(encoder, cursor, () => this.#feeds.delete(key));
      this.#feeds.set(key, feed);
      void feed.run(stream);
    }
    return feed;
  }

  /** Ends all of them: events say where to go on, plain bytes are broken off. There are no more from now on. */
  drain(): void {
    this.#isOver = true;
    for (const reply of [...this.#replies]) reply.drain();
  }
}
