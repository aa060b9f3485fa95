/** Writers that go on through crashes of the server, and what they know of what they wrote. */

import type { Random } from '../../support/random.ts';
import type { Gate } from './gate.ts';
import { type Answer, type CallOptions, type HttpClient, pathOf, positionOf } from './http-client.ts';
import { type Encoding, isBroken } from './live-reader.ts';
import { makeAppend, readMessage } from './messages.ts';

export const TYPES: Readonly<Record<Encoding, string>> = {
  bytes: 'application/octet-stream',
  text: 'text/plain; charset=utf-8',
  json: 'application/json',
};

/** Counts what all writers do. */
export class Counts {
  underWay = 0;
  acknowledged = 0;
  duplicates = 0;
  /** Told at each acknowledgement. */
  onAcknowledged: () => void = () => {};

  /** A request that counts as under way until it is answered. Undefined: the connection broke, nobody knows what became of it. */
  async call(client: HttpClient, method: string, name: string, options: CallOptions): Promise<Answer | undefined> {
    this.underWay++;
    try {
      const answer = await client.call(method, pathOf(name), options);
      this.acknowledged++;
      return answer;
    } catch (error) {
      if (!isBroken(error)) throw error;
      return undefined;
    } finally {
      this.underWay--;
      this.onAcknowledged();
    }
  }
}

/** Bytes that were acknowledged to stand there. */
interface Acknowledged {
  readonly end: number;
  readonly bytes: Buffer;
}

/** A stream that many write, and what must stand in it. */
export class Log {
  readonly name: string;
  readonly encoding: Encoding;
  /** All that was read and found right. */
  content = Buffer.alloc(0);
  /** A token that is not of its start. */
  token = '';
  readonly writers = new Map<string, LogWriter>();
  readonly #acknowledged: Acknowledged[] = [];

  constructor(name: string, encoding: Encoding) {
    this.name = name;
    this.encoding = encoding;
  }

  /** Creates it with one message in it. */
  async create(client: HttpClient, random: Random): Promise<void> {
    const lines = makeAppend(this.encoding, 'creator', 0, random);
    const headers = { 'content-type': TYPES[this.encoding] };
    const answer = await client.call('PUT', pathOf(this.name), { headers, body: bodyOf(this.encoding, lines) });
    if (answer.status !== 201) throw new Error(`${this.name} was not created: ${answer.status}`);
    this.token = String(answer.headers['stream-next-offset']);
    this.acknowledge(positionOf(this.token), lines);
  }

  acknowledge(end: number, lines: readonly string[]): void {
    this.#acknowledged.push({ end, bytes: Buffer.from(lines.map((line) => `${line}\n`).join('')) });
  }

  /** Reads on from what was read before, and throws unless all there is was written, in its order, and all acknowledged bytes are there. */
  async check(client: HttpClient): Promise<void> {
    const from = this.content.length === 0 ? '-1' : this.token;
    const path = `${pathOf(this.name)}?offset=${from}`;
    const answer = await client.call('GET', path);
    if (answer.status !== 200) throw new Error(`${path} was answered ${answer.status}: ${answer.body}`);
    const news = this.encoding === 'json' ? toLines(answer.body) : answer.body;
    this.content = Buffer.concat([this.content, news]);
    this.token = String(answer.headers['stream-next-offset']);
    if (positionOf(this.token) !== this.content.length) {
      throw new Error(`${this.name} has ${this.content.length} bytes and says ${this.token}`);
    }
    this.#readNews(news);
    for (const { end, bytes } of this.#acknowledged.splice(0)) {
      if (this.content.subarray(end - bytes.length, end).equals(bytes)) continue;
      const what = JSON.stringify(bytes.toString('utf8', 0, 60));
      throw new Error(`${this.name} has lost acknowledged bytes: ${what} up to ${end} of ${this.content.length}`);
    }
  }

  #readNews(news: Buffer): void {
    if (news.length > 0 && news.at(-1) !== 10) throw new Error(`${this.name} ends in the middle of a message`);
    const lines = news.toString().split('\n').slice(0, -1);
    for (let at = 0; at < lines.length; ) {
      const first = readMessage(this.encoding, lines[at] as string);
      // What was appended at once stands together, all of it.
      for (let part = 1; part <= first.parts; part++, at++) {
        const message = readMessage(this.encoding, lines[at] ?? '');
        if (message.writer !== first.writer || message.append !== first.append || message.part !== part) {
          throw new Error(`${this.name} has part of an append: ${JSON.stringify({ first, message })}`);
        }
      }
      if (first.writer !== 'creator') this.writers.get(first.writer)?.found(first.append);
    }
  }
}

/** Appends one after the other, each once it knows what became of the one before, or knows that nobody can tell. */
export class LogWriter {
  readonly id: string;
  readonly log: Log;
  /** Tries again what nobody knows of, as a producer can. */
  readonly isProducer: boolean;
  /** Appends that were begun. */
  #begun = 0;
  /** Number of the last one that was found in the stream. */
  #found = -1;
  readonly #counts: Counts;
  readonly #random: Random;

  constructor(id: string, log: Log, isProducer: boolean, counts: Counts, random: Random) {
    this.id = id;
    this.log = log;
    this.isProducer = isProducer;
    this.#counts = counts;
    this.#random = random;
    log.writers.set(id, this);
  }

  /** One of its appends was found: none may come twice, and none of a producer may be left out. */
  found(append: number): void {
    const isNext = this.isProducer ? append === this.#found + 1 : append > this.#found;
    if (!isNext || append >= this.#begun) {
      throw new Error(`${this.id} wrote ${this.#begun}, and ${append} comes after ${this.#found} in ${this.log.name}`);
    }
    this.#found = append;
  }

  /** Goes on until there will be no server any more, and then knows what became of each append, if it is a producer. */
  async run(gate: Gate<HttpClient>): Promise<void> {
    const { encoding, name } = this.log;
    let lines: string[] | undefined;
    for (;;) {
      const client = await gate.wait();
      if (client === undefined) return;
      const isAgain = lines !== undefined;
      lines ??= makeAppend(encoding, this.id, this.#begun++, this.#random);
      const append = this.#begun - 1;
      const headers: Record<string, string> = { 'content-type': TYPES[encoding] };
      if (this.isProducer) {
        Object.assign(headers, { 'producer-id': this.id, 'producer-epoch': '0', 'producer-seq': String(append) });
      }
      const answer = await this.#counts.call(client, 'POST', name, { headers, body: bodyOf(encoding, lines) });
      if (answer === undefined) {
        // Another try of a plain append could write it twice.
        if (!this.isProducer) lines = undefined;
        continue;
      }
      // Before it tries again it has been looked up what there is.
      const isThere = isAgain && this.#found >= append;
      const expected = this.isProducer && !isThere ? 200 : 204;
      if (answer.status !== expected) {
        throw new Error(`append ${append} of ${this.id} was answered ${answer.status}: ${answer.body}`);
      }
      if (isThere) this.#counts.duplicates++;
      else this.log.acknowledge(positionOf(answer.headers['stream-next-offset']), lines);
      lines = undefined;
    }
  }
}

/** Uploads bytes in pieces, each upload from where the stream has come to. */
export class Uploader {
  readonly name: string;
  content = 0;
  token = '';
  readonly #counts: Counts;
  readonly #random: Random;
  /** The stream has these over and over; odd, so that no piece of a usual size looks like the next. */
  readonly #block: Buffer;
  #acknowledged = 0;
  #begun = 0;

  constructor(name: string, counts: Counts, random: Random) {
    this.name = name;
    this.#counts = counts;
    this.#random = random;
    this.#block = Buffer.from(random.bytes(65_521));
  }

  async create(client: HttpClient): Promise<void> {
    const options = { headers: { 'content-type': TYPES.bytes }, body: this.#bytes(0, 1) };
    this.token = String((await client.call('PUT', pathOf(this.name), options)).headers['stream-next-offset']);
    this.#begun = 1;
  }

  /** All bytes up to a length. */
  expected(length: number): Buffer {
    return this.#bytes(0, length);
  }

  /** Throws unless it has what was acknowledged and nothing that was not sent. */
  async check(client: HttpClient): Promise<void> {
    const { headers, body } = await client.call('GET', pathOf(this.name));
    if (!body.equals(this.#bytes(0, body.length))) throw new Error(`${this.name} has wrong bytes`);
    if (body.length < this.#acknowledged || body.length > this.#begun) {
      throw new Error(`${this.name} has ${body.length} bytes of ${this.#acknowledged} to ${this.#begun}`);
    }
    this.token = String(headers['stream-next-offset']);
    this.content = this.#begun = body.length;
  }

  async run(gate: Gate<HttpClient>): Promise<void> {
    for (;;) {
      const client = await gate.wait();
      if (client === undefined) return;
      const body = this.#pieces(this.content);
      const options = { headers: { 'content-type': TYPES.bytes }, body };
      const answer = await this.#counts.call(client, 'POST', this.name, options);
      if (answer === undefined) {
        // Not before it was looked up how much is there.
        continue;
      }
      this.content = positionOf(answer.headers['stream-next-offset']);
      if (answer.status !== 204 || this.content !== this.#begun) {
        throw new Error(`an upload up to ${this.#begun} was answered ${answer.status}, ${this.content}`);
      }
      this.#acknowledged = this.content;
    }
  }

  async *#pieces(from: number): AsyncIterable<Buffer> {
    this.#begun = from;
    for (let left = this.#random.between(1, 12); left > 0; left--) {
      const size = this.#random.between(1, 20_000);
      this.#begun += size;
      yield this.#bytes(this.#begun - size, size);
    }
  }

  #bytes(from: number, size: number): Buffer {
    const bytes = Buffer.alloc(size);
    for (let at = 0; at < size; ) {
      const start = (from + at) % this.#block.length;
      at += this.#block.copy(bytes, at, start, start + size - at);
    }
    return bytes;
  }
}

/** What is known of a stream that comes and goes. */
type Fate = { readonly body: string; readonly isClosed: boolean } | undefined;

/** Creates streams, closes some of them, deletes some, and creates others of the same names. */
export class Churner {
  readonly #id: string;
  readonly #names: number;
  readonly #counts: Counts;
  readonly #random: Random;
  /** What may be the case; more than one where a request was not answered. */
  readonly #fates = new Map<string, Fate[]>();
  #made = 0;
  /** Of the newest stream of each name. */
  readonly #generations = new Map<string, number>();

  /** The fewer `names`, the more often each is used again. */
  constructor(id: string, names: number, counts: Counts, random: Random) {
    this.#id = id;
    this.#names = names;
    this.#counts = counts;
    this.#random = random;
  }

  async check(client: HttpClient): Promise<void> {
    for (const [name, fates] of this.#fates) {
      const { status, headers, body } = await client.call('GET', pathOf(name));
      const fate =
        status === 404 ? undefined : { body: body.toString(), isClosed: headers['stream-closed'] === 'true' };
      const isKnown = fates.some((known) => known?.body === fate?.body && known?.isClosed === fate?.isClosed);
      if (!isKnown || (status !== 200 && status !== 404)) {
        throw new Error(`${name} is ${status} ${JSON.stringify(fate)}, not one of ${JSON.stringify(fates)}`);
      }
      this.#fates.set(name, [fate]);
    }
  }

  async run(gate: Gate<HttpClient>): Promise<void> {
    for (;;) {
      const client = await gate.wait();
      if (client === undefined) return;
      const name = `${this.#id}/${this.#random.between(0, this.#names)}`;
      const [fate] = this.#fates.get(name) ?? [undefined];
      if (fate === undefined) {
        const body = `${name} ${this.#made++}`;
        const isClosed = this.#random.chance(0.3);
        const headers = { 'content-type': 'text/plain', 'stream-closed': String(isClosed) };
        await this.#change(client, 'PUT', name, { headers, body }, [201], { body, isClosed });
      } else if (fate.isClosed || this.#random.chance(0.5)) {
        await this.#change(client, 'DELETE', name, {}, [204], undefined);
      } else {
        const headers = { 'content-type': 'text/plain', 'stream-closed': 'true' };
        const next = { body: `${fate.body}.`, isClosed: true };
        await this.#change(client, 'POST', name, { headers, body: '.' }, [204], next);
      }
    }
  }

  async #change(
    client: HttpClient,
    method: string,
    name: string,
    options: CallOptions,
    expected: number[],
    next: Fate,
  ): Promise<void> {
    const fates = this.#fates.get(name) ?? [undefined];
    this.#fates.set(name, [...fates, next]);
    const answer = await this.#counts.call(client, method, name, options);
    if (answer === undefined) return;
    if (!expected.includes(answer.status)) {
      throw new Error(`${method} ${name} was answered ${answer.status}: ${answer.body}`);
    }
    this.#fates.set(name, [next]);
    if (method !== 'PUT') return;
    // So that no offset of a stream that was deleted means anything in one that came later.
    const generation = Number(String(answer.headers['stream-next-offset']).slice(0, 16));
    const before = this.#generations.get(name) ?? 0;
    if (generation <= before) throw new Error(`${name} has generation ${generation}, after it had ${before}`);
    this.#generations.set(name, generation);
  }
}

/** The body of a request that appends these messages. */
export function bodyOf(encoding: Encoding, lines: readonly string[]): string {
  if (encoding !== 'json') return lines.map((line) => `${line}\n`).join('');
  return lines.length === 1 ? (lines[0] as string) : `[${lines.join(',')}]`;
}

function toLines(body: Buffer): Buffer {
  const messages = JSON.parse(body.toString()) as unknown[];
  return Buffer.from(messages.map((message) => `${JSON.stringify(message)}\n`).join(''));
}
