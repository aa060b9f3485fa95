import type { StreamState } from '../backends/backend.ts';
import type { HubReader, LiveStream } from '../hub/index.ts';
import { concat } from './concat.ts';
import { isFault } from './error-reply.ts';
import { Frame } from './frame.ts';
import { JsonArray } from './json-array.ts';
import type { ReplySink, StreamedBody } from './reply.ts';

/**
 * So much is read before the reply begins, so that what is wrong from the start has a status. Also one piece of a longer body: what a
 * client that stands still can hold. Larger ones are no faster.
 */
const PIECE = 128 * 1024;

/** Bytes of a stream from one offset up to another that is written. */
export interface Section {
  readonly stream: LiveStream;
  readonly state: StreamState;
  readonly from: number;
  readonly to: number;
  /** As an array of the messages. */
  readonly isArray: boolean;
  /** Told where it is the server's own fault that the body breaks off, since the status is out by then. */
  readonly onError: (error: unknown) => void;
}

/** The body of a section: all of it where it is small, else one that reads as fast as its client takes. Rejects where it cannot be read. */
export async function sectionBody(section: Section): Promise<Uint8Array | StreamedBody> {
  const { stream, from, to, isArray } = section;
  if (to - from > PIECE) {
    const body = new SectionBody(section);
    await body.begin();
    return body;
  }
  const chunks: Uint8Array[] = [];
  if (to > from) {
    const reader = stream.read(from);
    try {
      while (reader.position < to) chunks.push(...(await nextChunks(reader, to)));
    } finally {
      reader.close();
    }
  }
  return wholeBody(chunks, isArray);
}

/** Chunks that are here as a body. */
export function wholeBody(chunks: readonly Uint8Array[], isArray: boolean): Uint8Array {
  if (!isArray) return concat(chunks);
  const array = new JsonArray();
  return concat([...chunks.map((chunk) => array.push(chunk)), array.end()]);
}

async function nextChunks(reader: HubReader, to: number): Promise<readonly Uint8Array[]> {
  const maxBytes = Math.min(PIECE, to - reader.position);
  const result = reader.poll(maxBytes) ?? (await reader.next({ maxBytes }));
  if (result.end !== undefined) throw new Error(`The stream ended at ${result.next}, before ${to}`);
  return result.chunks;
}

class SectionBody implements StreamedBody {
  readonly length: number;
  readonly #section: Section;
  readonly #array: JsonArray | undefined;
  /** Undefined once it is over. */
  #reader: HubReader | undefined;
  #sink: ReplySink | undefined;
  #isRunning = false;
  #isFull = false;
  /** Read and not yet written. */
  #chunks: readonly Uint8Array[] = [];
  #written = 0;

  /** Throws `LimitExceededError` where the stream has too many readers. */
  constructor(section: Section) {
    const { stream, from, to, isArray } = section;
    this.#reader = stream.read(from);
    this.#section = section;
    this.#array = isArray ? new JsonArray() : undefined;
    this.length = isArray ? JsonArray.length(to - from) : to - from;
  }

  /** Reads the first piece. Rejects, and is over, where that cannot be. */
  async begin(): Promise<void> {
    try {
      this.#chunks = await nextChunks(this.#reader as HubReader, this.#section.to);
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  start(sink: ReplySink): void {
    this.#sink = sink;
    sink.onDrain = () => {
      this.#isFull = false;
      void this.#run();
    };
    void this.#run();
  }

  stop(): void {
    this.#sink = undefined;
    this.#chunks = [];
    this.#reader?.close();
    this.#reader = undefined;
  }

  /** Writes until all is written, the client takes no more, or has gone. */
  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      const { to } = this.#section;
      while (this.#sink !== undefined && this.#reader !== undefined && !this.#isFull) {
        if (this.#written < this.#chunks.length) {
          this.#write(this.#sink, this.#chunks[this.#written++] as Uint8Array);
          continue;
        }
        if (this.#reader.position === to) {
          this.#complete(this.#sink);
          break;
        }
        this.#chunks = await nextChunks(this.#reader, to);
        this.#written = 0;
      }
    } catch (error) {
      const sink = this.#sink;
      this.stop();
      if (sink !== undefined && isFault(error)) this.#section.onError(error);
      sink?.abort(error);
    }
    this.#isRunning = false;
  }

  #write(sink: ReplySink, chunk: Uint8Array): void {
    this.#isFull = !sink.write(new Frame(this.#array === undefined ? chunk : this.#array.push(chunk)));
  }

  #complete(sink: ReplySink): void {
    if (this.#array !== undefined) sink.write(new Frame(this.#array.end()));
    this.stop();
    sink.end();
  }
}
