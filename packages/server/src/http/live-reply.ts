import type { StreamEnd, StreamState } from '../backends/backend.ts';
import { ServerClosedError, StreamFailedError } from '../errors.ts';
import type { HubReader, LiveStream } from '../hub/index.ts';
import type { Feed, Follower } from './feed.ts';
import { FeedCursor } from './feed-cursor.ts';
import { FeedEncoder, type FeedEncoding } from './feed-encoder.ts';
import type { Frame } from './frame.ts';
import type { LiveReplies } from './live-replies.ts';
import type { ReplySink, StreamedBody } from './reply.ts';
import { RETRY_SOON } from './sse-event.ts';

/** How much is read, and shown in one event, while a reader catches up. */
const PIECE = 65_536;

/**
 * The body of one live reply. First it reads the hub by itself, as fast as its client takes; once it is where the feed of its stream
 * is, it follows that and costs one write for each burst. A client that takes no more leaves the feed, is given nothing, and when it
 * goes on reads by itself again from where it was. So it holds no bytes of its own, however slow its client is.
 */
export class LiveReply implements StreamedBody, Follower {
  readonly length: undefined;
  readonly stream: LiveStream;
  place = -1;
  readonly #replies: LiveReplies;
  readonly #state: StreamState;
  readonly #encoding: FeedEncoding;
  #sink: ReplySink | undefined;
  #timer: unknown;
  /** Followed, or waited for. */
  #feed: Feed | undefined;
  /** Open for as long as the reply is, so that it counts as a reader. */
  #reader: HubReader | undefined;
  /** There only while it reads by itself. */
  #encoder: FeedEncoder | undefined;
  /** Offset to read from without an encoder. */
  #from: number;
  /** The tail, as far as it was told. */
  #tail: number;
  #cursor: number;
  /** What is told first. */
  #opening: Frame | undefined;
  #isReading = false;
  #isFull = false;
  /** No feed can begin here. */
  #isAway = false;

  /** Throws `LimitExceededError` where the stream has too many readers. */
  constructor(
    replies: LiveReplies,
    stream: LiveStream,
    state: StreamState,
    encoding: FeedEncoding,
    from: number,
    cursor: number,
    opening?: Frame,
  ) {
    this.#replies = replies;
    this.stream = stream;
    this.#state = state;
    this.#encoding = encoding;
    this.#from = from;
    this.#tail = state.tail;
    this.#cursor = cursor;
    this.#opening = opening;
    this.#reader = stream.read(from);
  }

  start(sink: ReplySink): void {
    this.#sink = sink;
    // The server has closed before the reply could begin.
    if (this.#reader === undefined) {
      this.drain();
      return;
    }
    sink.onDrain = () => {
      this.#isFull = false;
      void this.#read();
    };
    if (this.#encoding !== 'raw') this.#startTimer();
    this.#write(this.#opening);
    this.#opening = undefined;
    // Who has all that there is hears so at once.
    if (this.#from === this.#state.tail && this.#state.end === undefined) this.#write(this.#ownEncoder().status());
    void this.#read();
  }

  stop(): void {
    this.#release();
  }

  /** The server closes: an event stream ends, since its reader knows where to go on; plain bytes must not look complete. */
  drain(): void {
    this.fail(new ServerClosedError());
  }

  give(frame: Frame, shown: number): boolean {
    if ((this.#sink as ReplySink).write(frame)) return true;
    this.#isFull = true;
    this.#leaveFeed();
    this.#from = shown;
    return false;
  }

  lose(shown: number): void {
    this.#leaveFeed();
    this.#from = shown;
    void this.#read();
  }

  look(): void {
    // What is over before it was followed does not begin here: memory holds later bytes alone.
    if (this.#feed?.isOver === true) this.#isAway = true;
    this.#leaveFeed();
    void this.#read();
  }

  finish(frame: Frame | undefined, end: StreamEnd): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    if (frame !== undefined) sink.write(frame);
    this.#release();
    if (end.kind === 'failed' && this.#encoding === 'raw')
      sink.abort(new StreamFailedError(this.stream.name, end.reason));
    else sink.end();
  }

  fail(error: unknown): void {
    const sink = this.#sink;
    this.#release();
    this.#replies.failed(error);
    if (this.#encoding === 'raw') sink?.abort(error);
    else sink?.end();
  }

  /** Reads by itself until it can follow the feed, its client takes no more, or has gone. */
  async #read(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (this.#sink !== undefined && !this.#isFull) {
        const encoder = this.#ownEncoder();
        if (this.#isAway) this.#tail = (await this.stream.state()).tail;
        if (this.#sink === undefined) break;
        if (encoder.position >= this.#tail && !this.#isAway && this.#join(encoder) !== 'behind') break;
        this.#isAway = false;
        const reader = this.#readerAt(encoder.position);
        const result = reader.poll(PIECE) ?? (await reader.next({ maxBytes: PIECE }));
        // Gone meanwhile.
        if (this.#sink === undefined) break;
        if (result.end !== undefined) {
          this.finish(encoder.end(result.end), result.end);
          break;
        }
        const tail = Math.max(this.#tail, this.stream.knownTail);
        const frame = encoder.push(result.chunks, tail);
        // Who has all that can be shown hears where it is, also where that is nothing yet.
        this.#write(frame ?? (result.next >= tail ? encoder.status() : undefined));
      }
    } catch (error) {
      if (this.#sink !== undefined) this.fail(error);
    }
    this.#isReading = false;
  }

  #join(encoder: FeedEncoder): 'following' | 'waiting' | 'behind' {
    const feed = this.#replies.feed(this.stream, this.#state, this.#encoding, encoder.shown);
    const joined = feed.join(this, encoder.position, encoder.shown);
    if (joined === 'behind') {
      this.#tail = Math.max(this.#tail, feed.position);
      return joined;
    }
    this.#feed = feed;
    if (joined === 'following') {
      feed.cursor.raise(this.#cursor);
      this.#encoder = undefined;
    }
    return joined;
  }

  #readerAt(offset: number): HubReader {
    const reader = this.#reader as HubReader;
    if (reader.position === offset) return reader;
    if (reader.position < offset) {
      reader.skipTo(offset);
      return reader;
    }
    reader.close();
    return (this.#reader = this.stream.read(offset));
  }

  #leaveFeed(): void {
    const feed = this.#feed;
    if (feed === undefined) return;
    this.#feed = undefined;
    this.#cursor = Math.max(this.#cursor, feed.cursor.current);
  }

  #ownEncoder(): FeedEncoder {
    if (this.#encoder === undefined) {
      const cursor = new FeedCursor(this.#replies.context.now, this.#cursor);
      this.#encoder = new FeedEncoder(this.#encoding, this.#state, this.#from, () => cursor.current);
    }
    return this.#encoder;
  }

  #write(frame: Frame | undefined): void {
    if (frame !== undefined && !(this.#sink as ReplySink).write(frame)) this.#isFull = true;
  }

  #startTimer(): void {
    const { clock, sseLifetime, random } = this.#replies.context;
    // Those who came together do not go together.
    this.#timer = clock.setTimeout(() => this.#expire(), sseLifetime * (0.9 + 0.2 * random()));
    (this.#timer as { unref?(): void } | undefined)?.unref?.();
  }

  #expire(): void {
    const sink = this.#sink;
    // Who takes nothing is given nothing.
    if (!this.#isFull) this.#write(RETRY_SOON);
    this.#release();
    sink?.end();
  }

  /** Frees all. May be called again. */
  #release(): void {
    this.#sink = undefined;
    if (this.#timer !== undefined) this.#replies.context.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    const feed = this.#feed;
    this.#feed = undefined;
    feed?.leave(this);
    this.#encoder = undefined;
    this.#reader?.close();
    this.#reader = undefined;
    this.#replies.delete(this);
  }
}
