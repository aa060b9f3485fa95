import type { Random } from '../../support/random.ts';
import type { Counts } from './counts.ts';
import type { Gate } from './gate.ts';
import { type HttpClient, pathOf, positionOf } from './http-client.ts';
import { TYPES } from './messages.ts';

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
