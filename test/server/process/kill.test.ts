/**
 * A server that keeps its streams on disk is killed while it works, over and over, on one folder and one port. Nothing that it
 * acknowledged is lost, whoever reads goes on where he broke off, and whoever writes as a producer may send again what he does not know of.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Random } from '../../support/random.ts';
import { randomSeed } from '../../support/seed.ts';
import { Churner } from './churner.ts';
import { Counts } from './counts.ts';
import { Forker } from './forker.ts';
import { Gate } from './gate.ts';
import { type HttpClient, pathOf } from './http-client.ts';
import { LiveReader, type ReaderKind } from './live-reader.ts';
import { Log, LogWriter } from './log.ts';
import { quietPort, ServerProcess } from './server-process.ts';
import { Uploader } from './uploader.ts';

const isCi = /^(true|1)$/.test(process.env.CI ?? '');
const ROUNDS = Number(process.env.FANPIPE_KILL_ROUNDS ?? (isCi ? 50 : 10));
const IN_FLIGHT = 64;
const KINDS: readonly ReaderKind[] = ['events', 'events-by-id', 'long-poll', 'raw'];

class KillScene {
  readonly random: Random;
  readonly counts = new Counts();
  readonly logs: readonly Log[];
  readonly uploader: Uploader;
  readonly others: readonly (Churner | Forker)[];
  readonly writers: { run(gate: Gate<HttpClient>): Promise<void> }[];
  readonly readers: LiveReader[] = [];
  /** For writers it opens once it has been looked up what became of what they wrote. */
  readonly writersGate = new Gate<HttpClient>();
  readonly readersGate = new Gate<HttpClient>();
  /** What went wrong in a writer or a reader. */
  readonly failed: Promise<never>;
  #fail!: (error: unknown) => void;

  constructor(random: Random) {
    this.random = random;
    const { counts } = this;
    this.failed = new Promise((_, reject) => (this.#fail = reject));
    this.failed.catch(() => {});
    const child = (): Random => new Random(random.between(0, 2 ** 31));
    this.logs = [
      new Log('logs/bytes', 'bytes'),
      new Log('logs/text', 'text'),
      new Log('logs/messages', 'json'),
      new Log('logs/ÄÖ 漢', 'bytes'),
    ];
    this.uploader = new Uploader('uploads', counts, child());
    this.others = [
      ...[1, 4, 12].map((names) => new Churner(`churn${names}`, names, counts, child())),
      ...[1, 2].map((i) => new Forker(`forks${i}`, counts, child())),
    ];
    this.writers = [this.uploader, ...this.others];
    while (this.writers.length < IN_FLIGHT) {
      const i = this.writers.length;
      const log = this.logs[i % this.logs.length] as Log;
      this.writers.push(new LogWriter(`writer${i}`, log, i % 8 < 4, counts, child()));
    }
  }

  /** Throws what went wrong elsewhere meanwhile. */
  during<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.failed]);
  }

  async begin(client: HttpClient): Promise<void> {
    for (const log of this.logs) await log.create(client, this.random);
    await this.uploader.create(client);
    for (const kind of KINDS) for (const log of this.logs) this.#read(log, kind, 0);
    for (const kind of ['events', 'raw'] as const) this.#read(this.uploader, kind, 0);
    for (const writer of this.writers) void writer.run(this.writersGate).catch(this.#fail);
  }

  /** Readers that begin where others have long been. */
  addReaders(): void {
    const log = this.random.pick(this.logs);
    const from = log.content.lastIndexOf(10, this.random.between(0, log.content.length)) + 1;
    this.#read(log, this.random.pick(KINDS), from);
  }

  #read(of: Log | Uploader, kind: ReaderKind, from: number): void {
    const encoding = of instanceof Log ? of.encoding : 'bytes';
    const { name, token } = of;
    const reader = new LiveReader({ name, kind, encoding, token, from, gate: this.readersGate });
    reader.done.catch(this.#fail);
    this.readers.push(reader);
  }

  /** Looks up all that there is, and compares with it what was acknowledged and what readers got. */
  async check(client: HttpClient): Promise<void> {
    for (const checked of [...this.logs, this.uploader, ...this.others]) await checked.check(client);
    for (const reader of this.readers) reader.compare(this.contentOf(reader));
  }

  contentOf({ name, position }: LiveReader): Buffer {
    const log = this.logs.find((other) => other.name === name);
    if (log !== undefined) return log.content;
    if (position > this.uploader.content) throw new Error(`${name} had more bytes for a reader than it has now`);
    return this.uploader.expected(this.uploader.content);
  }

  /** Resolves after so many answers more. */
  answers(count: number): Promise<void> {
    const wanted = this.counts.acknowledged + count;
    return new Promise((resolve) => {
      this.counts.onAcknowledged = () => {
        if (this.counts.acknowledged >= wanted) resolve();
      };
    });
  }
}

describe('a server that is killed', () => {
  test(`ACK, OFFSET, SEAM: ${ROUNDS} times with ${IN_FLIGHT} appends in flight: nothing acknowledged is lost, no offset is used twice, readers have no gap`, async () => {
    const seed = randomSeed();
    console.log(`seed ${seed}`);
    const random = new Random(seed);
    const folder = mkdtempSync(join(tmpdir(), 'fanpipe-kill-'));
    const scene = new KillScene(random);
    const { counts, readersGate, writersGate } = scene;
    const options = { data: join(folder, 'data'), port: await quietPort(), args: ['--long-poll-timeout', '500'] };
    let server = new ServerProcess(options);
    try {
      await server.listening();
      await scene.begin(server.client);
      for (let round = 0; round < ROUNDS; round++) {
        readersGate.open(server.client);
        await scene.during(scene.check(server.client));
        if (round % 5 === 4) scene.addReaders();
        const enough = scene.answers(random.between(1, 400));
        writersGate.open(server.client);
        await scene.during(enough);
        // No wait for anything: the instant of the end falls anywhere between two answers.
        await new Promise((resolve) => setTimeout(resolve, random.between(0, 6)));
        expect(counts.underWay).toBe(IN_FLIGHT);
        readersGate.close();
        writersGate.close();
        expect(await server.end('SIGKILL')).toEqual([null, 'SIGKILL']);
        expect(server.stderr).toBe('');
        // Some answers may still be on their way to us.
        await scene.during(
          Promise.all([writersGate.waited(scene.writers.length), readersGate.waited(scene.readers.length)]),
        );
        while (random.chance(0.15)) {
          const hasty = new ServerProcess(options);
          // Nor this: a process that starts tells nothing before it listens, and is to end anywhere before and after.
          await new Promise((resolve) => setTimeout(resolve, random.between(50, 250)));
          await hasty.end('SIGKILL');
          expect(hasty.stderr).toBe('');
        }
        server = await ServerProcess.start(options);
      }
      // Once more without a crash: producers come to know what became of all that they wrote.
      readersGate.open(server.client);
      await scene.during(scene.check(server.client));
      const all = scene.answers(IN_FLIGHT);
      writersGate.open(server.client);
      await scene.during(all);
      writersGate.close();
      await scene.during(writersGate.waited(scene.writers.length));
      for (const { name } of [...scene.logs, scene.uploader]) {
        await server.client.call('POST', pathOf(name), { headers: { 'stream-closed': 'true' } });
      }
      await scene.during(Promise.all(scene.readers.map(({ done }) => done)));
      await scene.check(server.client);
      for (const reader of scene.readers) {
        expect([reader.hasEnded, reader.position]).toEqual([true, scene.contentOf(reader).length]);
      }
      // What was read bit by bit is what there is in one piece.
      for (const { name, encoding, content } of scene.logs) {
        if (encoding === 'json') continue;
        expect((await server.client.call('GET', pathOf(name))).body.equals(content)).toBe(true);
      }
      expect(counts.acknowledged).toBeGreaterThan(ROUNDS * 50);
      console.log(`${counts.acknowledged} answers, ${counts.duplicates} appends were there without one`);
      // By chance, in some of the rounds.
      if (ROUNDS >= 50) expect(counts.duplicates).toBeGreaterThan(0);
      expect(await server.end('SIGTERM')).toEqual([0, null]);
      expect(server.stderr).toBe('');
    } catch (error) {
      throw new Error(`with FANPIPE_SEED=${seed}: ${(error as Error).message}`, { cause: error });
    } finally {
      writersGate.end();
      readersGate.end();
      await server.end('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  }, 240_000);
});
