import type { Random } from '../../support/random.ts';
import type { Counts } from './counts.ts';
import type { Gate } from './gate.ts';
import { type CallOptions, type HttpClient, pathOf } from './http-client.ts';

/** Status and body of a GET. */
type Look = string;

const TEXT = { 'content-type': 'text/plain' };
const NONE: Look = '404';
/** Only the fork keeps it. */
const HELD: Look = '410';
/** Pairs of which it is looked up what became of them. */
const KEPT = 20;

/**
 * Makes forks of streams, deletes the sources while the forks need their bytes, and then some of the forks, with which the sources go too.
 */
export class Forker {
  readonly #id: string;
  readonly #counts: Counts;
  readonly #random: Random;
  /** How each stream may look; more than one where a request was not answered. */
  readonly #looks = new Map<string, Look[]>();
  #made = 0;

  constructor(id: string, counts: Counts, random: Random) {
    this.#id = id;
    this.#counts = counts;
    this.#random = random;
  }

  /** Throws unless each stream is in a state that what was answered allows. */
  async check(client: HttpClient): Promise<void> {
    for (const [name, looks] of this.#looks) {
      const { status, body } = await client.call('GET', pathOf(name));
      const look = status === 200 ? `200 ${body}` : String(status);
      if (!looks.includes(look)) throw new Error(`${name} is ${look}, not one of ${looks.join(', ')}`);
      if (this.#looks.size > 2 * KEPT) this.#looks.delete(name);
      else this.#looks.set(name, [look]);
    }
  }

  async run(gate: Gate<HttpClient>): Promise<void> {
    for (;;) {
      const client = await gate.wait();
      if (client === undefined) return;
      await this.#makePair(client, `${this.#id}/${this.#made++}`);
    }
  }

  /** Stops in the middle where a request is not answered. */
  async #makePair(client: HttpClient, name: string): Promise<void> {
    const source = `${name}/source`;
    const fork = `${name}/fork`;
    const body = `source of ${name}`;
    const shared = this.#random.between(0, body.length + 1);
    const start = `${'0'.repeat(16)}_${'0'.repeat(16)}`;
    const from = {
      'stream-forked-from': pathOf(source),
      'stream-fork-offset': start,
      'stream-fork-sub-offset': String(shared),
    };
    const of = { headers: TEXT, body };
    const more = { headers: TEXT, body: ' and fork' };
    const inherited = `200 ${body.slice(0, shared)}`;
    if (!(await this.#change(client, 'PUT', source, of, 201, [[source, NONE, `200 ${body}`]]))) return;
    const forked = { headers: { ...TEXT, ...from } };
    if (!(await this.#change(client, 'PUT', fork, forked, 201, [[fork, NONE, inherited]]))) return;
    if (!(await this.#change(client, 'DELETE', source, {}, 204, [[source, `200 ${body}`, HELD]]))) return;
    const longer = `${inherited} and fork`;
    if (!(await this.#change(client, 'POST', fork, more, 204, [[fork, inherited, longer]]))) return;
    if (this.#random.chance(0.3)) return;
    const gone: [string, Look, Look][] = [
      [fork, longer, NONE],
      [source, HELD, NONE],
    ];
    await this.#change(client, 'DELETE', fork, {}, 204, gone);
  }

  /** Sends a request that changes how streams look. Resolves with whether it was answered. */
  async #change(
    client: HttpClient,
    method: string,
    name: string,
    options: CallOptions,
    status: number,
    changes: readonly (readonly [name: string, before: Look, after: Look])[],
  ): Promise<boolean> {
    for (const [changed, before, after] of changes) this.#looks.set(changed, [before, after]);
    const answer = await this.#counts.call(client, method, name, options);
    if (answer === undefined) return false;
    if (answer.status !== status) {
      throw new Error(`${method} ${name} was answered ${answer.status}: ${answer.body}`);
    }
    for (const [changed, , after] of changes) this.#looks.set(changed, [after]);
    return true;
  }
}
