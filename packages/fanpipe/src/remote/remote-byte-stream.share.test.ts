/**
 * A shared writer while its remote stream is used for other things: random seeks, reads and readAt in between, streams of all kinds of
 * readers, caches and windows of all sizes. FANPIPE_SEED repeats a run; a failure prints it with the shortest steps that were found.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../../../../test/support/fake-clock.ts';
import { MemoryOrigin } from '../../../../test/support/memory-origin.ts';
import { Random } from '../../../../test/support/random.ts';
import { randomSeed } from '../../../../test/support/seed.ts';
import type { ByteWriter } from '../core/byte-writer.ts';
import type { RemoteOptions } from './options.ts';
import { RemoteByteStream } from './remote-byte-stream.ts';

const SIZE = 300_000;
const body = new Random(27).bytes(SIZE);

type Step =
  | { readonly kind: 'seek and read'; readonly at: number; readonly length: number }
  | { readonly kind: 'readAt'; readonly at: number; readonly length: number }
  | { readonly kind: 'stream'; readonly mark: number | undefined; readonly leavesAfter: number }
  | { readonly kind: 'turns'; readonly count: number }
  | { readonly kind: 'share'; readonly from: number }
  | { readonly kind: 'close writer' }
  | { readonly kind: 'step' };

const place = fc.oneof(fc.nat(SIZE + 1000), fc.constantFrom(0, 123, 65_536, 65_537, 131_072, SIZE - 1, SIZE));
const length = fc.oneof(fc.nat(50), fc.nat(70_000), fc.constant(SIZE));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('seek and read' as const), at: place, length }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('readAt' as const), at: place, length }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('stream' as const),
      mark: fc.constantFrom(undefined, undefined, 0, 1000, 100_000),
      leavesAfter: fc.constantFrom(1, 3, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('turns' as const), count: fc.integer({ min: 1, max: 6 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('share' as const), from: place }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'step' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'close writer' as const }) },
);
const options = fc.record({
  cacheSize: fc.constantFrom(0, 5000, 70_000, 262_144, 16 * 2 ** 20),
  readAhead: fc.constantFrom(0, 1000, 65_536, 131_072, 4 * 2 ** 20),
  mergeGap: fc.constantFrom(0, 16_384),
  skipLimit: fc.constantFrom(0, 1000, 2 ** 20),
  maxConnections: fc.integer({ min: 1, max: 3 }),
  size: fc.constantFrom(undefined, SIZE),
  autostart: fc.boolean(),
});
const serving = fc.record({
  isLate: fc.boolean(),
  tellsSize: fc.constantFrom(true, true, false),
  seed: fc.nat(),
  largest: fc.constantFrom(500, 20_000, 66_000, 150_000),
});
type Serving = typeof serving extends fc.Arbitrary<infer T> ? T : never;

function same(bytes: Uint8Array, from: number, count: number): void {
  expect(bytes.length).toBe(count);
  if (Buffer.compare(bytes, body.subarray(from, from + count)) !== 0) throw new Error(`other bytes from ${from} on`);
}

class Run {
  readonly #origin: MemoryOrigin;
  readonly #remote: RemoteByteStream;
  #writer: ByteWriter;
  #begin = 0;
  #isClosed = false;
  readonly #waiting: Promise<void>[] = [];

  constructor(given: RemoteOptions, { seed, largest, ...how }: Serving) {
    const random = new Random(seed);
    this.#origin = new MemoryOrigin(body, { ...how, chunk: () => random.between(1, largest) });
    const { fetcher } = this.#origin;
    this.#remote = new RemoteByteStream('http://origin.test/', { ...given, fetcher, clock: new FakeClock() });
    this.#writer = this.#remote.share();
    this.#read({ mark: undefined, leavesAfter: Number.POSITIVE_INFINITY });
  }

  async step(given: Step): Promise<void> {
    const remote = this.#remote;
    if (given.kind === 'turns') for (let turn = 0; turn < given.count; turn++) await settle();
    else if (given.kind === 'stream') this.#read(given);
    else if (given.kind === 'share') await this.#share(given.from);
    else if (given.kind === 'close writer') this.#close();
    else if (given.kind === 'readAt') this.#expect(remote.readAt(given.at, given.length), given);
    else if (given.kind === 'step') {
      const next = remote[Symbol.asyncIterator]().next();
      this.#waiting.push(next.then(() => {}));
    } else {
      // Nothing comes between two calls of one turn.
      const seeking = remote.seek(given.at);
      this.#expect(remote.read(given.length), given);
      this.#waiting.push(seeking.then((position) => expect(position).toBe(given.at)));
    }
  }

  #expect(reading: Promise<Uint8Array>, { at, length: count }: { at: number; length: number }): void {
    this.#waiting.push(reading.then((bytes) => same(bytes, at, Math.max(0, Math.min(count, SIZE - at)))));
  }

  async end(): Promise<void> {
    await Promise.all(this.#waiting);
    if (!this.#isClosed) expect(this.#writer.bytesWritten).toBeLessThanOrEqual(SIZE);
    this.#close();
    this.#remote.close();
    await settle();
    expect(this.#origin.requests.filter(({ state }) => state === 'open')).toEqual([]);
  }

  #close(): void {
    this.#isClosed = true;
    this.#writer.close();
  }

  async #share(from: number): Promise<void> {
    this.#close();
    // Its place is that of this moment, so what was asked for before must be over.
    await this.#remote.seek(from);
    this.#begin = this.#remote.position;
    this.#isClosed = false;
    this.#writer = this.#remote.share();
  }

  /** Chunks are compared when all have come: what was given must not change any more. */
  #read({ mark, leavesAfter }: { mark: number | undefined; leavesAfter: number }): void {
    const writer = this.#writer;
    const stream = writer.stream(mark === undefined ? {} : { highWaterMark: mark });
    const from = stream.position;
    const begin = this.#begin;
    const read = async (): Promise<void> => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of stream) if (chunks.push(chunk) >= leavesAfter) break;
      const bytes = Buffer.concat(chunks);
      same(bytes, from, bytes.length);
      const isWhole = leavesAfter === Number.POSITIVE_INFINITY && !(this.#isClosed || writer !== this.#writer);
      if (isWhole) expect(from + bytes.length).toBe(Math.max(begin, SIZE));
    };
    this.#waiting.push(read());
  }
}

describe('share, and other things at the same time', () => {
  test('EXACT, SEEK: every stream gets the bytes behind each other, and every read its own', async () => {
    const runs = Number(process.env.FANPIPE_REMOTE_RUNS ?? 300);
    const property = fc.asyncProperty(
      fc.array(step, { maxLength: 25 }),
      options,
      serving,
      async (steps, given, how) => {
        const run = new Run(given, how);
        try {
          for (const each of steps) await run.step(each);
        } finally {
          await run.end();
        }
      },
    );
    await fc.assert(property, { seed: randomSeed(), numRuns: runs });
  }, 300_000);
});
