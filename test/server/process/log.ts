/** Streams that many write, and what writers know of what they wrote. */

import type { Random } from '../../support/random.ts';
import type { Counts } from './counts.ts';
import type { Gate } from './gate.ts';
import { type HttpClient, pathOf, positionOf } from './http-client.ts';
import type { Encoding } from './live-reader.ts';
import { bodyOf, makeAppend, readMessage, TYPES } from './messages.ts';

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

function toLines(body: Buffer): Buffer {
  const messages = JSON.parse(body.toString()) as unknown[];
  return Buffer.from(messages.map((message) => `${JSON.stringify(message)}\n`).join(''));
}
