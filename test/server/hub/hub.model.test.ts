/**
 * Many writers and readers of one stream, in two processes, on a store that is slow and fails: every reader gets exactly the bytes
 * that are stored, from where it began; every producer's messages are there once, in their order; what failed is not there.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Backend, CursorResult } from '../../../packages/server/src/backends/backend.ts';
import { memoryBackend } from '../../../packages/server/src/backends/index.ts';
import { lmdbBackend } from '../../../packages/server/src/backends/lmdb/index.ts';
import { ServerError, StorageError } from '../../../packages/server/src/errors.ts';
import { type AppendOutcome, Hub, type HubReader } from '../../../packages/server/src/hub/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { Random } from '../../support/random.ts';
import { randomSeed } from '../../support/seed.ts';
import { bytes } from './reading.ts';
import { type BackendCall, wrapBackend } from './wrapped-backend.ts';

const NAME = 's';
const seed = randomSeed();

/** What one reader got. */
interface Reading {
  readonly what: string;
  readonly from: number;
  text: string;
  isEnded: boolean;
}

class Round {
  readonly random: Random;
  readonly clock = new FakeClock();
  readonly raw: Backend;
  readonly hubs: Hub[] = [];
  readonly readings: Reading[] = [];
  /** Acknowledged appends. */
  readonly acknowledged: { offset: number; text: string }[] = [];
  readonly refused: string[] = [];
  readonly producers: string[][] = [];
  /** Per writer what it was told is stored, and what it wrote. */
  readonly writers: { stored: string; written: string }[] = [];
  isBroken = true;
  isOver = false;
  failures = 0;

  constructor(start: number, backend: (clock: FakeClock) => Backend) {
    this.raw = backend(this.clock);
    this.random = new Random(start);
    const { random } = this;
    const slowness = random.pick([0, 0.1, 0.6]);
    const trouble = random.pick([0, 0, 0.02, 0.1]);
    const pause = (call: BackendCall): void | Promise<void> => {
      if (this.isBroken && random.chance(trouble) && (call === 'append' || call === 'next' || call === 'acquire')) {
        this.failures++;
        throw new StorageError('broken');
      }
      if (!random.chance(slowness)) return undefined;
      return random.chance(0.5) ? settle() : hops(random.between(1, 9));
    };
    const processes = random.between(1, 3);
    for (let i = 0; i < processes; i++) {
      const window = random.pick([0, 1, 40, 300, 100_000]);
      const after = (call: BackendCall): void | Promise<void> =>
        call !== 'cursor' && random.chance(slowness) ? hops(random.between(1, 5)) : undefined;
      const before = (call: BackendCall): void | Promise<void> => (call === 'cursor' ? undefined : pause(call));
      this.hubs.push(new Hub(wrapBackend(this.raw, { before, after }), { clock: this.clock, window }));
    }
  }

  get hub(): Hub {
    return this.random.pick(this.hubs);
  }

  /** Time passes, more or less. */
  async idle(): Promise<void> {
    const { random } = this;
    if (random.chance(0.3)) await settle();
    else if (random.chance(0.5)) await hops(random.between(0, 12));
  }

  /** Again and again until it does not fail for a reason of the store. */
  async insist<T>(run: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await run();
      } catch (error) {
        if (!(error instanceof ServerError)) throw error;
        if (!/_(STORAGE|FENCED)$/.test(error.code)) throw error;
      }
      await this.idle();
    }
  }

  text(mark: string): string {
    const { random } = this;
    return `${mark}${'.'.repeat(random.chance(0.05) ? random.between(0, 2_000) : random.between(0, 20))};`;
  }

  /** Sends its messages in bunches, some of them twice; begins again at the first that did not arrive. */
  async produce(id: string): Promise<void> {
    const { random } = this;
    const messages = Array.from({ length: random.between(1, 25) }, (_, i) => this.text(`${id}.${i}`));
    this.producers.push(messages);
    for (let next = 0; next < messages.length; ) {
      const stream = await this.insist(() => this.hub.open(NAME));
      const bunch: Promise<AppendOutcome>[] = [];
      const first = next;
      const count = Math.min(random.between(1, 6), messages.length - first);
      for (let i = 0; i < count; i++) {
        const seq = first + i;
        const send = () =>
          stream.append([bytes(messages[seq] as string)], {
            producer: { id, epoch: 0, seq },
          }) as Promise<AppendOutcome>;
        const sent = send();
        sent.catch(() => {});
        bunch.push(sent);
        if (random.chance(0.2)) send().catch(() => {});
        if (random.chance(0.3)) await this.idle();
      }
      for (const result of await Promise.allSettled(bunch)) {
        if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(ServerError);
        else if (result.value.kind === 'appended' || result.value.kind === 'duplicate') {
          next = Math.max(next, (result.value.producer?.seq ?? -1) + 1);
        }
      }
      await this.idle();
    }
  }

  /** Appends without a number; what fails is not tried again. */
  async append(id: string): Promise<void> {
    const { random } = this;
    const all: Promise<unknown>[] = [];
    for (let i = random.between(1, 20); i > 0; i--) {
      const text = this.text(`${id}.${i}`);
      const stream = await this.insist(() => this.hub.open(NAME));
      const sent = stream.append([bytes(text)]).then(
        (outcome) => {
          expect(outcome.kind).toBe('appended');
          this.acknowledged.push({ offset: (outcome as { offset: number }).offset, text });
        },
        () => this.refused.push(text),
      );
      all.push(sent);
      if (random.chance(0.6)) await sent;
      else await this.idle();
    }
    await Promise.all(all);
  }

  async write(id: string): Promise<void> {
    const { random } = this;
    for (let round = 0; round < 3; round++) {
      const record = { stored: '', written: '' };
      this.writers.push(record);
      const writer = this.hub.writer(NAME, { highWaterMark: random.pick([0, 10, 1_000]) });
      try {
        for (let i = random.between(1, 20); i > 0; i--) {
          const text = this.text(`${id}.${round}.${i}`);
          const written = writer.write(text);
          record.written += text;
          if (random.chance(0.6)) await written;
          else written.catch(() => {});
          if (random.chance(0.3)) {
            await writer.flush();
            record.stored = record.written;
          }
          await this.idle();
        }
        await writer.flush();
        record.stored = record.written;
        return;
      } catch {
        // A new one goes on.
      }
    }
  }

  /** Reads from somewhere, in some way, some while or to the end. */
  async read(): Promise<void> {
    const { random } = this;
    const tail = (await this.insist(async () => (await this.hub.open(NAME)).state())).tail;
    const from = random.between(0, tail + 1);
    const reading: Reading = { what: '', from, text: '', isEnded: false };
    this.readings.push(reading);
    const limit = random.chance(0.5) ? Number.POSITIVE_INFINITY : random.between(0, 500);
    const how = random.pick(['reader', 'reader', 'stream', 'follow'] as const);
    (reading as { what: string }).what = how;
    if (how === 'reader') await this.#readHub(reading, limit);
    else await this.#readStream(how, reading, limit);
  }

  async #readHub(reading: Reading, limit: number): Promise<void> {
    const { random } = this;
    const reader = (await this.insist(() => this.hub.open(NAME))).read(reading.from);
    const laziness = random.pick([0, 0.2, 0.9]);
    while (reading.text.length < limit && !reading.isEnded) {
      const result = await this.#step(reader);
      this.#note(reading, result);
      while (random.chance(laziness)) await settle();
    }
    reader.close();
  }

  async #step(reader: HubReader): Promise<CursorResult> {
    const { random } = this;
    const maxBytes = random.pick([1, 7, 100, 65_536]);
    const polled = random.chance(0.3) ? reader.poll(maxBytes) : undefined;
    if (polled !== undefined) return polled;
    if (random.chance(0.3)) {
      const controller = new AbortController();
      const next = reader.next({ maxBytes, signal: controller.signal });
      void this.idle().then(() => controller.abort('enough'));
      try {
        return await next;
      } catch (error) {
        if (error !== 'enough' && !(error instanceof ServerError)) throw error;
      }
    }
    return this.insist(() => reader.next({ maxBytes }));
  }

  #note(reading: Reading, result: CursorResult): void {
    if (result.end !== undefined) {
      reading.isEnded = true;
      expect(result.next).toBe(reading.from + reading.text.length);
      return;
    }
    expect(result.offset).toBe(reading.from + reading.text.length);
    for (const chunk of result.chunks) {
      expect(chunk.byteLength).toBeGreaterThan(0);
      reading.text += Buffer.from(chunk).toString('latin1');
    }
    expect(result.next).toBe(reading.from + reading.text.length);
  }

  async #readStream(how: 'stream' | 'follow', reading: Reading, limit: number): Promise<void> {
    const { random } = this;
    try {
      const { from } = reading;
      const stream =
        how === 'stream' ? this.hub.stream(NAME, { from }) : await (await this.hub.open(NAME)).follow(from);
      if (stream === undefined) return;
      // It may have been cut off already.
      expect(stream.position - stream.missed).toBe(from);
      for await (const chunks of stream.batches()) {
        for (const chunk of chunks) reading.text += Buffer.from(chunk).toString('latin1');
        if (reading.text.length >= limit) return;
        if (random.chance(0.2)) await this.idle();
      }
      reading.isEnded = true;
    } catch (error) {
      // It was cut off, or the store failed: what it got until then must be right.
      if (!/_(STORAGE|FENCED|DISCONNECTED)$/.test(String((error as { code?: string }).code))) throw error;
    }
  }

  async sweep(): Promise<void> {
    while (!this.isOver) {
      await this.clock.advance(this.random.between(0, 12_000));
      for (let i = this.random.between(1, 20); i > 0; i--) await settle();
    }
  }

  async run(): Promise<void> {
    const { random } = this;
    await this.insist(() => (this.hubs[0] as Hub).create(NAME));
    const sweeping = this.sweep();
    const writing: Promise<void>[] = [];
    const reading: Promise<void>[] = [];
    for (let i = 0; i < 12; i++) {
      const kind = random.pick(['produce', 'append', 'write', 'read', 'read', 'read'] as const);
      if (kind === 'read') reading.push(this.read());
      else writing.push(this[kind](`${kind[0]}${i}`));
      await this.idle();
    }
    await Promise.all(writing);
    await settle();
    this.isBroken = false;
    await this.insist(async () => (await this.hub.open(NAME)).append([bytes('END')], { end: { kind: 'closed' } }));
    await Promise.all(reading);
    this.isOver = true;
    await sweeping;
    await this.check();
    await Promise.all(this.hubs.map((hub) => hub.close()));
    expect(this.clock.pending).toBe(0);
    await this.raw.close();
  }

  async check(): Promise<void> {
    const cursor = (await this.raw.open(NAME))?.cursor(0);
    let truth = '';
    for (;;) {
      const result = await cursor?.next();
      if (result === undefined || result.end !== undefined) break;
      for (const chunk of result.chunks) truth += Buffer.from(chunk).toString('latin1');
    }
    for (const { what, from, text, isEnded } of this.readings) {
      expect(text, what).toBe(truth.slice(from, from + text.length));
      if (isEnded) expect(from + text.length, what).toBe(truth.length);
    }
    const count = (text: string): number => truth.split(text).length - 1;
    for (const { offset, text } of this.acknowledged) expect(truth.slice(offset, offset + text.length)).toBe(text);
    for (const text of this.refused) expect(count(text)).toBe(0);
    for (const messages of this.producers) {
      let at = -1;
      for (const message of messages) {
        expect(count(message)).toBe(1);
        expect(truth.indexOf(message)).toBeGreaterThan(at);
        at = truth.indexOf(message);
      }
    }
    for (const { stored, written } of this.writers) {
      let at = -1;
      let isPrefix = true;
      for (const message of written.split(';').slice(0, -1)) {
        const found = truth.indexOf(`${message};`);
        if (found < 0) isPrefix = false;
        else {
          expect(isPrefix, 'a hole').toBe(true);
          expect(found).toBeGreaterThan(at);
          at = found;
        }
      }
      for (const message of stored.split(';').slice(0, -1)) expect(truth).toContain(`${message};`);
    }
  }
}

async function hops(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await null;
}

async function play(rounds: number, backend: (clock: FakeClock) => Backend): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    try {
      await new Round(seed + round, backend).run();
    } catch (error) {
      throw new Error(`Round ${round}: FANPIPE_SEED=${seed + round} repeats it as the first`, { cause: error });
    }
  }
}

test(`SEAM: every reader byte-exact, whatever writers, the store and other readers do (seed ${seed})`, () =>
  play(Number(process.env.FANPIPE_ROUNDS ?? 200), (clock) => memoryBackend({ clock })));

test(`SEAM: the same on LMDB (seed ${seed})`, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'fanpipe-hub-'));
  let stores = 0;
  try {
    await play(10, (clock) => lmdbBackend({ path: join(folder, String(stores++)), clock }));
  } finally {
    await rm(folder, { recursive: true });
  }
});
