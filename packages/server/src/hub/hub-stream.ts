import { type ByteStream, ByteWriter } from 'fanpipe';
import type { CursorResult } from '../backends/backend.ts';
import { InvalidArgumentError, OffsetGoneError, StreamFailedError } from '../errors.ts';
import type { HubReader } from './hub-reader.ts';
import type { LiveStream } from './live-stream.ts';
import type { Swept } from './sweeper.ts';

export interface HubStreamOptions {
  /** The oldest byte that is kept, only what comes from now on, or an offset. Default `'start'`. */
  readonly from?: 'start' | 'now' | number | undefined;
  /** Detaches the stream when it fires: reads then reject with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Past and present of a stored stream as a `ByteStream`. Each step is asked of a reader when the one before has been read, so nothing piles
 * up here.
 */
export class HubStream implements Swept {
  readonly #writer: ByteWriter;
  readonly #from: 'start' | 'now' | number;
  readonly #signal: AbortSignal | undefined;
  #reader: HubReader | undefined;
  #isOver = false;

  /** @throws InvalidArgumentError */
  constructor({ from = 'start', signal }: HubStreamOptions) {
    const isOffset = typeof from === 'number' && Number.isSafeInteger(from) && from >= 0;
    if (from !== 'start' && from !== 'now' && !isOffset) {
      throw new InvalidArgumentError("`from` is 'start', 'now' or an offset, a whole number from 0");
    }
    this.#from = from;
    this.#signal = signal;
    this.#writer = new ByteWriter({ offset: isOffset ? from : 0, copy: false });
  }

  /** To be called once. The stream is not held here: one that is dropped is found out. */
  start(open: () => Promise<LiveStream>): ByteStream {
    const stream = this.#writer.stream({ overflow: 'block', highWaterMark: 0, signal: this.#signal });
    void this.#feed(open);
    return stream;
  }

  async #feed(open: () => Promise<LiveStream>): Promise<void> {
    try {
      const live = await open();
      this.#reader = live.read(await this.#origin(live));
      if (!this.sweep()) return;
      await this.#readAll(live.name, this.#reader);
    } catch (error) {
      this.#writer.fail(error);
    }
    this.#leave();
  }

  async #origin(live: LiveStream): Promise<number> {
    if (typeof this.#from === 'number') return this.#from;
    const { head, tail } = await live.state();
    return this.#from === 'start' ? head : tail;
  }

  async #readAll(name: string, reader: HubReader): Promise<void> {
    let result = await this.#first(reader);
    while (this.#writer.streamCount > 0) {
      if (result.end === undefined) {
        await this.#writer.writev(result.chunks);
      } else {
        if (result.end.kind === 'closed') this.#writer.close();
        else this.#writer.fail(new StreamFailedError(name, result.end.reason));
        return;
      }
      if (this.#writer.streamCount > 0) result = await this.#next(reader);
    }
  }

  #next(reader: HubReader): Promise<CursorResult> {
    return reader.next(this.#signal === undefined ? undefined : { signal: this.#signal });
  }

  /** The start may be let go of before it is read. Then the start is where the stream begins now. */
  async #first(reader: HubReader): Promise<CursorResult> {
    for (;;) {
      try {
        return await this.#next(reader);
      } catch (error) {
        if (this.#from !== 'start' || !(error instanceof OffsetGoneError) || error.head <= reader.position) throw error;
        reader.skipTo(error.head);
      }
    }
  }

  /** Lets go of everything if nobody reads it any more. False then. */
  sweep(): boolean {
    if (this.#writer.streamCount === 0) this.#leave();
    return !this.#isOver;
  }

  #leave(): void {
    this.#isOver = true;
    this.#reader?.close();
  }
}
