import type { Random } from '../../support/random.ts';
import type { Counts } from './counts.ts';
import type { Gate } from './gate.ts';
import { type CallOptions, type HttpClient, pathOf } from './http-client.ts';

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
