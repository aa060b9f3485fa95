/**
 * A server process under the load of a day in short: streams are made, written, ended, deleted and left to expire; readers of all kinds come,
 * keep up, stall, never read, and leave. Each byte that a reader gets is compared. Afterwards the server has let go of all of it.
 */

import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Random } from '../../support/random.ts';
import { randomSeed } from '../../support/seed.ts';
import { Gate } from './gate.ts';
import { HttpClient, pathOf } from './http-client.ts';
import { type Encoding, isBroken, LiveReader, type ReaderKind } from './live-reader.ts';
import { bodyOf, makeAppend, TYPES } from './messages.ts';
import { ServerProcess } from './server-process.ts';

const isCi = /^(true|1)$/.test(process.env.CI ?? '');
const SECONDS = Number(process.env.FANPIPE_SOAK_SECONDS ?? (isCi ? 24 : 5));
/** Streams that are written at a time. */
const LIVES = 6;
const STUCK = 20;
const MB = 2 ** 20;
/** More than that is no noise: objects, and memory that the allocator keeps, which differs between versions of Node. */
const MOST_HEAP = 16 * MB;
const MOST_MEMORY = 160 * MB;
const KINDS: readonly ReaderKind[] = ['events', 'events-by-id', 'long-poll', 'raw'];
const BLOCK = randomBytes(MB);

/** What will be written to a stream: known before it is, so that readers can compare each byte when it comes. */
interface Plan {
  readonly encoding: Encoding;
  readonly bodies: (string | Buffer)[];
  readonly content: Buffer;
  /** Where each of the bodies ends. */
  readonly ends: number[];
}

function makePlan(random: Random): Plan {
  const encoding = random.pick(['bytes', 'text', 'json'] as const);
  const bodies: (string | Buffer)[] = [];
  const contents: Buffer[] = [];
  // Now and then one that is more than what sockets hold.
  const isLarge = random.chance(0.15);
  for (let left = isLarge ? 150 : random.between(1, 120); left > 0; left--) {
    if (encoding === 'bytes') {
      const from = random.between(0, MB / 2);
      const bytes = BLOCK.subarray(from, from + random.between(1, isLarge ? 100_000 : 5000));
      bodies.push(bytes);
      contents.push(bytes);
    } else {
      const lines = makeAppend(encoding, 'writer', bodies.length, random);
      bodies.push(bodyOf(encoding, lines));
      contents.push(Buffer.from(lines.map((line) => `${line}\n`).join('')));
    }
  }
  let end = 0;
  return { encoding, bodies, content: Buffer.concat(contents), ends: contents.map(({ length }) => (end += length)) };
}

class Soak {
  readonly client: HttpClient;
  readonly random: Random;
  isOver = false;
  streams = 0;
  readers = 0;
  bytesRead = 0;
  readonly #gate = new Gate<HttpClient>();
  readonly #stuck: Socket[] = [];

  constructor(port: number, random: Random) {
    this.client = new HttpClient(port);
    this.random = random;
    this.#gate.open(this.client);
  }

  /** Runs for a time, and resolves when all that it began has come to its end. */
  async run(seconds: number): Promise<void> {
    const timer = setTimeout(() => (this.isOver = true), seconds * 1000);
    try {
      const lives = Array.from({ length: LIVES }, (_, i) => this.#live(`soak/${i}`));
      await Promise.all([...lives, this.#writeForNobody(), this.#makeMortals(), this.#breakUploads()]);
    } finally {
      clearTimeout(timer);
      this.isOver = true;
      for (const socket of this.#stuck) socket.destroy();
      this.#gate.end();
      this.client.close();
    }
  }

  async #call(method: string, name: string, status: number, headers = {}, body?: string | Uint8Array): Promise<string> {
    const answer = await this.client.call(method, pathOf(name), { headers, body });
    if (answer.status !== status) throw new Error(`${method} ${name} was answered ${answer.status}: ${answer.body}`);
    return String(answer.headers['stream-next-offset']);
  }

  /** One stream after the other, each with its readers, from its creation to its end. */
  async #live(prefix: string): Promise<void> {
    const { random } = this;
    for (let number = 0; !this.isOver; number++) {
      const name = `${prefix}/${number}`;
      const plan = makePlan(random);
      const { bodies, encoding, ends } = plan;
      const headers = { 'content-type': TYPES[encoding] };
      const mayVanish = random.chance(0.2);
      const isProducer = random.chance(0.5);
      let finish = (): void => {};
      const finished = new Promise<void>((resolve) => (finish = resolve));
      const token = await this.#call('PUT', name, 201, headers, bodies[0]);
      this.streams++;
      const readers: LiveReader[] = [];
      const left = new Set<LiveReader>();
      const addReader = (from: number): void => {
        readers.push(this.#read({ name, plan, token, from, mayVanish, finished, left }));
      };
      for (let i = random.between(1, 6); i > 0; i--) addReader(0);
      let written = 1;
      while (written < bodies.length && !this.isOver) {
        const i = written++;
        const facts = { 'producer-id': 'soak', 'producer-epoch': '0', 'producer-seq': String(i - 1) };
        await this.#call(
          'POST',
          name,
          isProducer ? 200 : 204,
          isProducer ? { ...headers, ...facts } : headers,
          bodies[i],
        );
        if (random.chance(0.05)) addReader(random.pick([0, ...ends.slice(0, i)]));
      }
      if (!mayVanish) await this.#call('POST', name, 204, { 'stream-closed': 'true' });
      finish();
      if (mayVanish) await this.#call('DELETE', name, 204);
      await Promise.all(readers.map(({ done }) => done));
      for (const reader of readers) {
        this.bytesRead += reader.position;
        if (mayVanish || left.has(reader)) continue;
        if (!reader.hasEnded || reader.position !== ends[written - 1]) throw new Error(`${reader} has not all`);
      }
      if (!mayVanish) await this.#call('DELETE', name, 204);
    }
  }

  #read(options: {
    name: string;
    plan: Plan;
    token: string;
    from: number;
    mayVanish: boolean;
    finished: Promise<void>;
    left: Set<LiveReader>;
  }): LiveReader {
    const { random } = this;
    const { plan, finished, left, ...rest } = options;
    const { encoding, content } = plan;
    const manner = random.pick(['keeps up', 'keeps up', 'stalls', 'leaves']);
    const leaving = new AbortController();
    let pieces = random.between(0, 20);
    const onPiece = (reader: LiveReader): Promise<void> | undefined => {
      reader.compare(content);
      if (pieces-- > 0 || manner === 'keeps up') return undefined;
      if (manner === 'stalls') return finished;
      left.add(reader);
      leaving.abort();
      return undefined;
    };
    this.readers++;
    const kind = random.pick(KINDS);
    return new LiveReader({ ...rest, kind, encoding, gate: this.#gate, signal: leaving.signal, onPiece });
  }

  /** Readers that ask and never read, of a stream that is written as fast as it goes. */
  async #writeForNobody(): Promise<void> {
    const name = 'for-nobody';
    const headers = { 'content-type': TYPES.bytes };
    await this.#call('PUT', name, 201, headers);
    for (let i = 0; i < STUCK; i++) {
      const socket = connect({ port: this.client.port, host: '127.0.0.1' });
      socket.on('error', () => {});
      socket.write(`GET ${pathOf(name)}?offset=-1&live=${i % 2 === 0 ? 'sse' : 'raw'} HTTP/1.1\r\nhost: a\r\n\r\n`);
      this.#stuck.push(socket);
    }
    for (let i = 0; !this.isOver; i++) {
      await this.#call('POST', name, 204, headers, BLOCK.subarray(0, 50_000));
      // So that the disk does not fill up.
      if (i % 1000 !== 999) continue;
      await this.#call('DELETE', name, 204);
      await this.#call('PUT', name, 201, headers);
    }
    await this.#call('DELETE', name, 204);
  }

  /** Streams that nobody deletes. */
  async #makeMortals(): Promise<void> {
    for (let number = 0; !this.isOver; number++) {
      const name = `mortal/${number}`;
      await this.#call('PUT', name, 201, { 'content-type': TYPES.text, 'stream-ttl': '1' }, 'x'.repeat(3000));
      const { body } = await this.client.call('GET', pathOf(name));
      if (body.length !== 3000) throw new Error(`${name} has ${body.length} bytes`);
      this.streams++;
    }
  }

  /** Uploads that break off: what came before stays. */
  async #breakUploads(): Promise<void> {
    const headers = { 'content-type': TYPES.bytes };
    for (let number = 0; !this.isOver; number++) {
      const name = `upload/${number}`;
      const breaking = new AbortController();
      await this.#call('PUT', name, 201, headers);
      async function* body(): AsyncIterable<Uint8Array> {
        for (let i = 0; i < 5; i++) yield BLOCK.subarray(i * 10_000, (i + 1) * 10_000);
        breaking.abort();
      }
      await this.client
        .call('POST', pathOf(name), { headers, body: body(), signal: breaking.signal })
        .catch((error) => {
          if (!isBroken(error) && error.name !== 'AbortError') throw error;
        });
      const { body: there } = await this.client.call('GET', pathOf(name));
      if (!there.equals(BLOCK.subarray(0, there.length))) throw new Error(`${name} has wrong bytes`);
      await this.#call('DELETE', name, 204);
    }
  }
}

/** What the process holds. */
interface Held {
  /** Bytes of objects. */
  readonly heap: number;
  /** Bytes of memory of its own, not of files. */
  readonly memory: number;
  readonly handles: number;
}

/** Undefined where the system does not tell. */
function held(pid: number): Omit<Held, 'heap'> | undefined {
  try {
    const memory = Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
    return { memory, handles: readdirSync(`/proc/${pid}/fd`).length };
  } catch {
    return undefined;
  }
}

describe('a server in use', () => {
  test(`gives every reader the right bytes for ${SECONDS} s, and nothing is left of it`, {
    timeout: (SECONDS + 120) * 1000,
  }, async () => {
    const seed = randomSeed();
    console.log(`seed ${seed}`);
    const random = new Random(seed);
    const folder = mkdtempSync(join(tmpdir(), 'fanpipe-soak-'));
    const server = await ServerProcess.start({ data: join(folder, 'data'), args: ['--long-poll-timeout', '500'] });
    const { client, pid } = server;
    try {
      const collected = async (): Promise<Held | undefined> => {
        process.kill(pid, 'SIGUSR2');
        const heap = await client.metric('process_heap_used_bytes');
        const others = held(pid);
        return others === undefined ? undefined : { heap, ...others };
      };
      /** What is held when all is quiet again, after so many seconds of use. */
      const use = async (seconds: number): Promise<Held | undefined> => {
        const soak = new Soak(client.port, random);
        await soak.run(seconds);
        for (const name of ['readers', 'live_replies', 'waiting_requests', 'feeds', 'streams']) {
          await client.untilMetric(name, (value) => value === 0);
        }
        await client.untilMetric('connections', (value) => value === 1);
        expect(await client.metric('stored_bytes')).toBe(0);
        const { streams, readers, bytesRead } = soak;
        console.log(`${seconds} s: ${streams} streams, ${readers} readers, ${(bytesRead / MB).toFixed()} MiB read`);
        expect(Math.min(streams, readers)).toBeGreaterThanOrEqual(LIVES);
        expect(bytesRead).toBeGreaterThan(0);
        return collected();
      };
      const first = await use(SECONDS / 3);
      const second = await use((SECONDS * 2) / 3);
      if (first !== undefined && second !== undefined) {
        expect(second.handles).toBeLessThanOrEqual(first.handles);
        // The first use has grown the heap to what use takes; the second, twice as long, must not go on so. What is free is given
        // back some time after a collection.
        let after = second;
        const isMore = (): boolean => after.heap - first.heap > MOST_HEAP || after.memory - first.memory > MOST_MEMORY;
        for (let patience = 0; patience < 100 && isMore(); patience++) after = (await collected()) ?? second;
        expect(after.heap - first.heap).toBeLessThan(MOST_HEAP);
        expect(after.memory - first.memory).toBeLessThan(MOST_MEMORY);
      }
      // Memory of streams is kept for some seconds after the last reader.
      await client.untilMetric('followed_streams', (value) => value === 0);
      const text = (await client.call('GET', '/metrics')).body.toString();
      expect(text).not.toMatch(/status="5\d\d"/);
      expect(await server.end('SIGTERM')).toEqual([0, null]);
      expect(server.stderr).toBe('');
    } catch (error) {
      throw new Error(`with FANPIPE_SEED=${seed}: ${(error as Error).message}${server.stderr}`, { cause: error });
    } finally {
      await server.end('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
