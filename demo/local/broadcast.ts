import { createHash } from 'node:crypto';
import { addAbortSignal, type Readable } from 'node:stream';
import { type ByteStream, ByteWriter } from 'fanpipe';
import type { Outcome, Reader } from './readers.ts';

/** How far one reader is. */
export interface ReaderProgress {
  readonly name: string;
  readonly does: string;
  /** Bytes that it has taken. */
  readonly received: number;
  /** Bytes that wait for it. */
  readonly lag: number;
  /** The most that ever waited for it. */
  readonly peakLag: number;
  readonly state: 'reading' | 'done' | 'stopped';
  /** Milliseconds from the start to its end, or its being stopped; undefined while it reads. */
  readonly endedAfter: number | undefined;
}

/** How one reader came out. */
export type ReaderResult = ReaderProgress & {
  /** SHA-256 of the bytes that it was given. */
  readonly digest: string;
} & (
    | { readonly outcome: Outcome; readonly error?: undefined }
    | { readonly outcome?: undefined; readonly error: unknown }
  );

/** How all of it came out. */
export interface BroadcastResult {
  /** Bytes and SHA-256 of what was read from the source. */
  readonly bytes: number;
  readonly digest: string;
  readonly writes: number;
  readonly ms: number;
  /** Resident memory in bytes, before and at its highest. */
  readonly rssBefore: number;
  readonly rssPeak: number;
  /** What the source failed with, if it did. */
  readonly error: unknown;
  readonly readers: readonly ReaderResult[];
}

/** A broadcast that is under way. */
export interface Broadcast {
  /** Milliseconds since the start. */
  readonly elapsed: number;
  /** Bytes read from the source so far. */
  readonly bytes: number;
  readonly readers: readonly ReaderProgress[];
  /** Resolves when all readers are through, however it went. */
  readonly result: Promise<BroadcastResult>;
}

const SAMPLE_MS = 50;

/**
 * Reads `source` once and gives it to all `readers`, none of which may lag by more than `mark` bytes and one chunk.
 * Aborting `signal` ends everything.
 */
export function startBroadcast(
  source: Readable,
  readers: readonly Reader[],
  mark: number,
  signal: AbortSignal,
): Broadcast {
  const start = performance.now();
  const rssBefore = process.memoryUsage.rss();
  let rssPeak = rssBefore;
  const sampler = setInterval(() => {
    rssPeak = Math.max(rssPeak, process.memoryUsage.rss());
  }, SAMPLE_MS);

  const writer = new ByteWriter({ signal });
  const seats = readers.map((reader) => {
    // The policy belongs to the stream: another reader could drop what it has no time for, beside these.
    const stream = writer.stream({ overflow: 'block', highWaterMark: mark, signal });
    return new Seat(reader, stream, start);
  });

  async function run(): Promise<BroadcastResult> {
    const feeding = feed(source, writer, signal);
    const results = await Promise.all(seats.map((seat) => seat.run()));
    const fed = await feeding;
    clearInterval(sampler);
    return { ...fed, bytes: writer.bytesWritten, ms: performance.now() - start, rssBefore, rssPeak, readers: results };
  }

  return {
    get elapsed() {
      return performance.now() - start;
    },
    get bytes() {
      return writer.bytesWritten;
    },
    readers: seats,
    result: run(),
  };
}

/** Reads the source to its end, as fast as the slowest stream allows. */
async function feed(
  source: Readable,
  writer: ByteWriter,
  signal: AbortSignal,
): Promise<{ digest: string; writes: number; error: unknown }> {
  const hash = createHash('sha256');
  let writes = 0;
  let error: unknown;
  try {
    for await (const chunk of addAbortSignal(signal, source)) {
      hash.update(chunk);
      // Node hands out fresh memory with each chunk of a file or a pipe, so nothing need be copied.
      await writer.write(chunk, { copy: false, signal });
      writes++;
    }
    writer.close();
  } catch (reason) {
    // Readers get what was read, and then this: an error never looks like the end of the file.
    writer.fail(reason);
    error = reason;
  }
  return { digest: hash.digest('hex'), writes, error };
}

/** One reader at its stream, with what is counted about it. */
class Seat implements ReaderProgress {
  readonly name: string;
  readonly does: string;
  received = 0;
  peakLag = 0;
  state: 'reading' | 'done' | 'stopped' = 'reading';
  endedAfter: number | undefined;
  readonly #reader: Reader;
  readonly #stream: ByteStream;
  readonly #start: number;
  readonly #hash = createHash('sha256');

  constructor(reader: Reader, stream: ByteStream, start: number) {
    this.name = reader.name;
    this.does = reader.does;
    this.#reader = reader;
    this.#stream = stream;
    this.#start = start;
  }

  get lag(): number {
    return this.state === 'reading' ? this.#stream.lag : 0;
  }

  async run(): Promise<ReaderResult> {
    let ending: { outcome: Outcome } | { error: unknown };
    try {
      ending = { outcome: await this.#reader.run(this.#chunks()) };
      this.state = 'done';
    } catch (error) {
      // This reader alone is through; the others go on.
      this.#stream.cancel();
      ending = { error };
      this.state = 'stopped';
    }
    this.endedAfter = performance.now() - this.#start;
    const { name, does, received, lag, peakLag, state, endedAfter } = this;
    return { name, does, received, lag, peakLag, state, endedAfter, digest: this.#hash.digest('hex'), ...ending };
  }

  async *#chunks(): AsyncGenerator<Uint8Array> {
    for await (const chunk of this.#stream) {
      // A lag only falls by reading, so it was at its highest just before.
      this.peakLag = Math.max(this.peakLag, this.#stream.lag + chunk.byteLength);
      this.#hash.update(chunk);
      this.received += chunk.byteLength;
      yield chunk;
    }
  }
}
