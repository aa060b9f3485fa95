/**
 * Random sequences of operations, some of them at the same time, against a plain file: an array and a position. Bodies come in
 * random chunks, caches and windows are of all sizes. FANPIPE_SEED repeats a run; a failure prints it with the shortest operations
 * that were found.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../../../../test/support/fake-clock.ts';
import { MemoryOrigin } from '../../../../test/support/memory-origin.ts';
import { Random } from '../../../../test/support/random.ts';
import { randomSeed } from '../../../../test/support/seed.ts';
import type { RemoteOptions } from './options.ts';
import { RemoteByteStream, type SeekFrom } from './remote-byte-stream.ts';

const SIZE = 300_000;
const body = new Random(26).bytes(SIZE);

type Step =
  | { readonly kind: 'read' | 'fill'; readonly length: number }
  | { readonly kind: 'seek'; readonly offset: number; readonly from: SeekFrom }
  | { readonly kind: 'readAt'; readonly offset: number; readonly length: number; readonly isAborted: boolean }
  | { readonly kind: 'iterate'; readonly chunks: number; readonly leaves: boolean }
  | { readonly kind: 'turn' };

/** Small, about the borders of what matters, or anything. */
const amount = fc.oneof(
  fc.integer({ min: 0, max: 50 }),
  fc.constantFrom(4096, 16_384, 65_535, 65_536, 65_537, 131_072, SIZE - 1, SIZE, SIZE + 1),
  fc.integer({ min: 0, max: SIZE + 20_000 }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('read' as const, 'fill' as const), length: amount }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('seek' as const),
      offset: fc.oneof(
        amount,
        amount.map((value) => -value),
      ),
      from: fc.constantFrom('start' as const, 'current' as const, 'end' as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('readAt' as const),
      offset: amount,
      length: amount,
      isAborted: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('iterate' as const),
      chunks: fc.integer({ min: 1, max: 12 }),
      leaves: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'turn' as const }) },
);

const options = fc.record({
  cacheSize: fc.constantFrom(0, 300, 5000, 70_000, 262_144, 300_000, 16 * 2 ** 20),
  readAhead: fc.constantFrom(0, 1000, 65_536, 131_072, 4 * 2 ** 20),
  mergeGap: fc.constantFrom(0, 100, 16_384),
  skipLimit: fc.constantFrom(0, 1000, 2 ** 20),
  maxConnections: fc.integer({ min: 1, max: 4 }),
  size: fc.constantFrom(undefined, undefined, SIZE),
  autostart: fc.boolean(),
});
const serving = fc.record({
  ranges: fc.constantFrom(true, true, true, false),
  tellsSize: fc.constantFrom(true, true, true, false),
  isLate: fc.boolean(),
  chunkSeed: fc.nat(),
  largest: fc.constantFrom(200, 20_000, 66_000, 150_000),
  breaks: fc.constantFrom(0, 0, 0.2),
});
type Serving = typeof serving extends fc.Arbitrary<infer T> ? T : never;

/** A step is done at once on the file, and compared when the stream has answered. */
class Run {
  readonly origin: MemoryOrigin;
  readonly remote: RemoteByteStream;
  readonly #cacheSize: number;
  readonly #mayRefuse: boolean;
  #position = 0;
  #waiting: Promise<void>[] = [];

  constructor(given: RemoteOptions, { chunkSeed, largest, breaks, ...how }: Serving) {
    const random = new Random(chunkSeed);
    this.origin = new MemoryOrigin(body, { ...how, chunk: () => random.between(1, largest) });
    const clock = new FakeClock();
    this.#cacheSize = given.cacheSize ?? 0;
    // Without ranges, whatever lies too far away is refused.
    this.#mayRefuse = !how.ranges || !how.tellsSize;
    if (breaks > 0) this.#breakSome(random, breaks);
    this.remote = new RemoteByteStream('http://origin.test/file', {
      ...given,
      fetcher: this.origin.fetcher,
      clock: clockOf(clock),
      random: () => 0,
      retry: { attempts: 1000, baseDelay: 0 },
    });
  }

  /** Some requests fail at once; they are made again without a delay. */
  #breakSome(random: Random, part: number): void {
    this.origin.before = () => (random.chance(part) ? new Response(null, { status: 503 }) : undefined);
  }

  async step(given: Step): Promise<void> {
    const { remote } = this;
    switch (given.kind) {
      case 'turn':
        await settle();
        break;
      case 'read':
        await this.#move(() => remote.read(given.length), given.length);
        break;
      case 'fill': {
        const into = new Uint8Array(given.length);
        await this.#move(() => remote.read(into).then((length) => into.subarray(0, length)), given.length);
        break;
      }
      case 'readAt':
        this.#readAt(given.offset, given.length, given.isAborted);
        break;
      case 'seek':
        await this.#seek(given.offset, given.from);
        break;
      case 'iterate':
        await this.#iterate(given.chunks, given.leaves);
        break;
    }
    expect(remote.stats().bytesCached).toBeLessThanOrEqual(this.#cacheSize);
  }

  async end(): Promise<void> {
    await this.#all();
    expect([this.remote.position, this.remote.finished]).toEqual([
      this.#position,
      this.remote.size !== undefined && this.#position >= SIZE,
    ]);
    this.remote.close();
    await settle();
    expect(this.origin.requests.filter(({ state }) => state === 'open')).toEqual([]);
    expect(this.remote.stats().bytesCached).toBe(0);
  }

  async #move(read: () => Promise<Uint8Array>, length: number): Promise<void> {
    // Where it may be refused, only the answer says where the stream stands.
    if (this.#mayRefuse) await this.#all();
    const from = this.#position;
    const expected = Math.max(0, Math.min(length, SIZE - from));
    if (!this.#mayRefuse) {
      this.#position += expected;
      this.#waiting.push(read().then((bytes) => same(bytes, from, expected)));
      return;
    }
    const bytes = await orRefusal(read());
    if (bytes === undefined) return;
    same(bytes, from, expected);
    this.#position += expected;
  }

  #readAt(offset: number, length: number, isAborted: boolean): void {
    const controller = new AbortController();
    const reading = this.remote.readAt(offset, length, isAborted ? { signal: controller.signal } : undefined);
    const expected = Math.max(0, Math.min(length, SIZE - offset));
    if (isAborted) {
      this.#waiting.push(
        reading.then(
          (bytes) => same(bytes, offset, expected),
          (error) => expect(error === controller.signal.reason || isRefusal(error)).toBe(true),
        ),
      );
      queueMicrotask(() => controller.abort());
      return;
    }
    const checked = this.#mayRefuse ? orRefusal(reading) : reading;
    this.#waiting.push(checked.then((bytes) => bytes && same(bytes, offset, expected)));
  }

  async #seek(offset: number, from: SeekFrom): Promise<void> {
    if (this.#mayRefuse) await this.#all();
    const seeking = this.remote.seek(offset, from);
    const to = from === 'start' ? offset : from === 'current' ? this.#position + offset : SIZE - offset;
    if (to < 0) {
      this.#waiting.push(
        seeking.then(
          () => expect.unreachable(),
          (error) => expect(error.code === 'ERR_FANPIPE_INVALID_ARGUMENT' || isRefusal(error)).toBe(true),
        ),
      );
    } else if (this.#mayRefuse) {
      if ((await orRefusal(seeking)) !== undefined) this.#position = to;
    } else {
      this.#position = to;
      this.#waiting.push(seeking.then((position) => expect(position).toBe(to)));
    }
  }

  async #iterate(chunks: number, leaves: boolean): Promise<void> {
    await this.#all();
    const iterator = this.remote[Symbol.asyncIterator]();
    for (let n = 0; n < chunks; n++) {
      const result = await orRefusal(iterator.next());
      if (result === undefined) return;
      if (result.done) {
        expect(this.#position).toBeGreaterThanOrEqual(SIZE);
        return;
      }
      expect(result.value.length).toBeGreaterThan(0);
      same(result.value, this.#position, result.value.length);
      this.#position += result.value.length;
      expect(this.remote.position).toBe(this.#position);
    }
    if (leaves) await iterator.return?.();
  }

  async #all(): Promise<void> {
    await Promise.all(this.#waiting.splice(0));
  }
}

/** Delays of no time at all pass by themselves; no other timer ever rings. */
function clockOf(clock: FakeClock) {
  return {
    now: () => clock.now(),
    setTimeout: (callback: () => void, ms: number): unknown => {
      const handle = clock.setTimeout(callback, ms);
      if (ms === 0) setImmediate(() => clock.advance(0));
      return handle;
    },
    clearTimeout: (handle: unknown) => clock.clearTimeout(handle),
  };
}

function isRefusal(error: unknown): boolean {
  return (error as { code?: string }).code === 'ERR_FANPIPE_NOT_SEEKABLE';
}

async function orRefusal<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return undefined;
  }
}

function same(bytes: Uint8Array, from: number, length: number): void {
  expect(bytes.length).toBe(length);
  if (Buffer.compare(bytes, body.subarray(from, from + length)) !== 0) throw new Error(`other bytes from ${from} on`);
}

describe('against a plain file', () => {
  test('EXACT, SEEK, WINDOW: random operations, one after the other and at the same time', async () => {
    const runs = Number(process.env.FANPIPE_REMOTE_RUNS ?? 400);
    const property = fc.asyncProperty(
      fc.array(step, { maxLength: 25 }),
      options,
      serving,
      async (steps, given, how) => {
        const run = new Run(given, how);
        try {
          for (const each of steps) await run.step(each);
        } finally {
          // What was begun is awaited, whatever has failed.
          await run.end();
        }
      },
    );
    await fc.assert(property, { seed: randomSeed(), numRuns: runs });
  }, 300_000);
});
