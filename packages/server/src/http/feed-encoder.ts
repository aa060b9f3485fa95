import type { StreamEnd } from '../backends/backend.ts';
import { concat } from './concat.ts';
import type { EventEncoding } from './content-type.ts';
import { type EventData, eventData } from './event-data.ts';
import { Frame } from './frame.ts';
import { formatOffset, type Lineage } from './offset-token.ts';
import { sseEvent } from './sse-event.ts';

/** How a live reply shows a stream: its bytes, or events. */
export type FeedEncoding = 'raw' | EventEncoding;

/**
 * Makes frames of the bytes of one stream from one place on. Knows two offsets: up to which bytes have come, and up to which they are
 * shown; text and messages that are cut wait for their rest.
 */
export class FeedEncoder {
  /** Offset up to which bytes have come. */
  position: number;
  readonly #lineage: Lineage;
  readonly #data: EventData | undefined;
  readonly #cursor: () => number;

  constructor(encoding: FeedEncoding, lineage: Lineage, position: number, cursor: () => number) {
    this.#lineage = lineage;
    this.position = position;
    this.#cursor = cursor;
    this.#data = encoding === 'raw' ? undefined : eventData(encoding);
  }

  /** Offset up to which bytes are shown. */
  get shown(): number {
    return this.position - (this.#data?.held ?? 0);
  }

  /** A frame for what can be shown now; undefined: nothing can. `tail`: where the stream ends, as far as is known. */
  push(chunks: readonly Uint8Array[], tail: number): Frame | undefined {
    for (const chunk of chunks) this.position += chunk.length;
    if (this.#data === undefined) return new Frame(concat(chunks));
    const lines = this.#data.push(chunks);
    return lines === undefined ? undefined : this.#event(lines, this.position >= tail, undefined);
  }

  /** A frame that says where the reader is. Undefined: plain bytes have none. */
  status(): Frame | undefined {
    return this.#data === undefined ? undefined : this.#event(undefined, true, undefined);
  }

  /** A frame for the end, and for what was held back until then. Undefined: there is nothing to say. */
  end(end: StreamEnd): Frame | undefined {
    if (this.#data === undefined) return undefined;
    return this.#event(this.#data.end(), true, end);
  }

  #event(lines: Uint8Array | undefined, isUpToDate: boolean, end: StreamEnd | undefined): Frame {
    const next = formatOffset(this.#lineage, this.shown);
    return new Frame(sseEvent(lines, { next, cursor: this.#cursor(), isUpToDate, end }));
  }
}
