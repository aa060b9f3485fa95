import { type ByteStream, ByteWriter } from 'fanpipe';
import { InvalidArgumentError, StreamFailedError } from '../errors.ts';
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
  readonly stream: ByteStream;
  readonly #writer: ByteWriter;
  readonly #from: 'start' | 'now' | number;
  readonly #signal: AbortSignal | undefined;
  #reader: HubReader | undefined;
  #isOver = false;

  /** @throws InvalidArgumentError */
  constructor(open: () => Promise<LiveStream>, { from = 'start', signal }: HubStreamOptions) {
    const isOffset = typeof from === 'number' && Number.isSafeInteger(from) && from >= 0;
    if (from !== 'start' && from !== 'now' && !isOffset) {
      throw new InvalidArgumentError("`from` is 'start', 'now' or an offset, a whole number from 0");
    }
    this.#from = from;
    this.#signal = signal;
    this.#writer = new ByteWriter({ offset: isOffset ? from : 0, copy: false });
    this.stream = this.#writer.stream({ overflow: 'block', highWaterMark: 0, signal });
    void this.#feed(open);
  }

  async #feed(open: () => Promise<LiveStream>): Promise<void> {
    try {
      const live = await open();
      this.#reader = live.read(await this.#start(live));
      if (!this.sweep()) return;
      await this.#readAll(live.name, this.#reader);
    } catch (error) {
      this.#writer.fail(error);
    }
    this.#leave();
  }

  async #start(live: LiveStream): Promise<number> {
    if (typeof this.#from === 'number') return this.#from;
    const { head, tail } = await live.state();
    return this.#from === 'start' ? head : tail;
  }

  async #readAll(name: string, reader: HubReader): Promise<void> {
    const options = this.#signal === undefined ? undefined : { signal: this.#signal };
    while (this.#writer.streamCount > 0) {
      const result = await reader.next(options);
      if (result.end === undefined) {
        await this.#writer.writev(result.chunks);
      } else {
        if (result.end.kind === 'closed') this.#writer.close();
        else this.#writer.fail(new StreamFailedError(name, result.end.reason));
        return;
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
