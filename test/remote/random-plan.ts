/**
 * What a random download meets, and how it reads: the plan, made from a seed, and what may come of it.
 *
 * A fault is *harmless* (an answer that is only unusual), *passing* (to be survived by asking again) or *final* (to be told
 * as one of its codes). A script counts what it has served, so that a test can judge an outcome by what the client really met.
 */

import type { FanpipeErrorCode } from '../../packages/fanpipe/src/errors.ts';
import type { RemoteOptions } from '../../packages/fanpipe/src/remote/index.ts';
import { type Answer, honest, type Resource, type Seen } from '../support/fault-server.ts';
import * as faults from '../support/faults.ts';
import type { Random } from '../support/random.ts';

/** What is at hand where a fault is made. */
interface Scene {
  readonly random: Random;
  readonly resource: Resource;
  readonly request: Seen;
  /** Where the same resource is served without fault: at this origin, and at another one. */
  readonly here: string;
  readonly elsewhere: string;
}

interface Fault {
  readonly kind: 'harmless' | 'passing' | 'final';
  /** What it may be told as. Only of a final one. */
  readonly codes?: readonly FanpipeErrorCode[];
  /** Undefined: this fault does not fit here. */
  make(answer: Answer, scene: Scene): Answer | undefined;
}

const somewhere = (answer: Answer, random: Random): number => random.between(0, answer.body.length + 1);
const startOf = ({ request }: Scene): number => request.range?.from ?? 0;
const isPart = (answer: Answer): boolean => answer.status === 206;
const retryAfter = (random: Random): string | number | undefined =>
  random.pick([undefined, 0, 1, 3, 10 ** 9, 'soon', '-1', new Date(Date.now() + 2000).toUTCString()]);

const FRAMINGS = ['length', 'chunked', 'close'] as const;

const WRONG_RANGE = ['ERR_FANPIPE_WRONG_RANGE'] as const;
// Where the first answer lies about the total, it is the honest ones that seem to have changed.
const WRONG_TOTAL = ['ERR_FANPIPE_WRONG_RANGE', 'ERR_FANPIPE_RESOURCE_CHANGED'] as const;

/** All faults that one answer can have. Those of a whole run (another resource, weak validators) are of the plan. */
const FAULTS: Readonly<Record<string, Fault>> = {
  chunked: { kind: 'harmless', make: (answer) => faults.framed(answer, 'chunked') },
  'until it closes': { kind: 'harmless', make: (answer) => faults.framed(answer, 'close') },
  'total unknown': {
    kind: 'harmless',
    make: (answer) =>
      isPart(answer)
        ? faults.mislabelled(answer, (answer.headers['content-range'] as string).replace(/\d+$/, '*'))
        : undefined,
  },
  'fewer than asked': {
    kind: 'harmless',
    make: (answer, { random, resource, request }) => {
      if (!isPart(answer) || answer.body.length < 2) return undefined;
      const from = request.range?.from ?? 0;
      return faults.ranged(resource, request, from, from + random.between(1, answer.body.length));
    },
  },
  'late head': { kind: 'harmless', make: (answer, { random }) => faults.lateHead(answer, random.between(1, 9_999)) },
  slow: {
    kind: 'harmless',
    make: (answer, { random }) => faults.trickled(answer, random.between(32, 100) * 1024, random.between(1, 3000)),
  },
  'a spill': { kind: 'harmless', make: (answer) => faults.spillsOver(answer, 30) },
  'redirect here': {
    kind: 'harmless',
    make: (_, { here, random }) => faults.redirect(new URL(here).pathname, random.pick([301, 302, 303, 307, 308])),
  },
  'redirect elsewhere': { kind: 'harmless', make: (_, { elsewhere }) => faults.redirect(elsewhere, 307) },
  'the whole': {
    kind: 'harmless',
    make: (answer, { resource, request }) => (isPart(answer) ? faults.whole(resource, request) : undefined),
  },

  cut: { kind: 'passing', make: (answer, { random }) => faults.stopAt(answer, somewhere(answer, random)) },
  'cut in chunks': {
    kind: 'passing',
    make: (answer, { random }) => faults.stopAt(faults.framed(answer, 'chunked'), somewhere(answer, random)),
  },
  'cut before it closes': {
    kind: 'passing',
    // Of a whole body that ends like this nobody can know that it is not all, but from the range or the size.
    make: (answer, { random }) =>
      isPart(answer) ? faults.stopAt(faults.framed(answer, 'close'), somewhere(answer, random)) : undefined,
  },
  reset: { kind: 'passing', make: (answer, { random }) => faults.stopAt(answer, somewhere(answer, random), 'reset') },
  'no head': { kind: 'passing', make: (answer) => faults.lateHead(answer) },
  stall: { kind: 'passing', make: (answer, { random }) => faults.stopAt(answer, somewhere(answer, random), 'stall') },
  trickle: {
    kind: 'passing',
    make: (answer, { random }) => faults.trickled(answer, random.between(1, 50), random.between(500, 2000)),
  },
  'too few bytes': {
    kind: 'passing',
    make: (answer, { random }) =>
      isPart(answer)
        ? faults.bringsLess(answer, random.between(1, answer.body.length + 1), random.pick(FRAMINGS))
        : undefined,
  },
  'no HTTP': { kind: 'passing', make: () => faults.garbage() },
  'no answer': { kind: 'passing', make: () => faults.hungUp() },
  'try again': {
    kind: 'passing',
    make: (_, { random }) => faults.refused(random.pick([408, 425, 429, 500, 502, 503, 504]), retryAfter(random)),
  },

  refusal: {
    kind: 'final',
    codes: ['ERR_FANPIPE_HTTP_STATUS'],
    make: (_, { random }) => faults.refused(random.pick([400, 401, 403, 404, 405, 410, 501]), retryAfter(random)),
  },
  'wrong start': {
    kind: 'final',
    codes: WRONG_RANGE,
    make: (answer, scene) => {
      const { resource, request, random } = scene;
      const from = startOf(scene) + random.between(-50, 50);
      const to = from + answer.body.length;
      if (!isPart(answer) || from < 0 || from === startOf(scene) || to > resource.body.length) return undefined;
      return faults.ranged(resource, request, from, to);
    },
  },
  'wrong end': {
    kind: 'final',
    codes: WRONG_RANGE,
    make: (answer, scene) => {
      const { resource, request } = scene;
      const from = startOf(scene);
      const size = resource.body.length;
      if (!isPart(answer)) return undefined;
      const to = request.range?.to ?? size;
      // Beyond what was asked, or, where all was asked, beyond what there is.
      if (to < size) return faults.ranged(resource, request, from, to + 1);
      return faults.ranged(resource, request, from, size, `bytes ${from}-${size + 4}/${size}`);
    },
  },
  'wrong total': {
    kind: 'final',
    codes: WRONG_TOTAL,
    make: (answer, { random, resource }) =>
      isPart(answer)
        ? faults.mislabelled(
            answer,
            (answer.headers['content-range'] as string).replace(
              /\d+$/,
              String(resource.body.length + random.between(1, 99)),
            ),
          )
        : undefined,
  },
  'no range': {
    kind: 'final',
    codes: WRONG_RANGE,
    make: (answer, { random, request }) =>
      isPart(answer)
        ? faults.mislabelled(
            answer,
            random.pick([
              null,
              '',
              'bytes',
              'bytes 0-/5',
              'items 0-9/10',
              'bytes 9-0/10',
              'bytes=0-9/10',
              `bytes ${request.range?.from}`,
              `bytes ${request.range?.from}-1e3/2e9`,
              'bytes 0-99999999999999999999/99999999999999999999',
            ]),
          )
        : undefined,
  },
  'length too long': {
    kind: 'final',
    // Of a whole it is the size, which the next answer takes back.
    codes: ['ERR_FANPIPE_BODY_TOO_LONG', 'ERR_FANPIPE_RESOURCE_CHANGED'],
    make: (answer, { random }) => faults.promisesMore(answer, random.between(1, 5000)),
  },
  parts: {
    kind: 'final',
    codes: WRONG_RANGE,
    make: (answer) => (isPart(answer) ? faults.multipart(answer) : undefined),
  },
  encoded: { kind: 'final', codes: ['ERR_FANPIPE_ENCODED_BODY'], make: (answer) => faults.gzipped(answer) },
  'too many bytes': {
    kind: 'final',
    codes: ['ERR_FANPIPE_BODY_TOO_LONG'],
    make: (answer, { random }) =>
      isPart(answer) ? faults.bringsMore(answer, random.between(1, 9000), random.pick(FRAMINGS)) : undefined,
  },
  'redirect loop': {
    kind: 'final',
    codes: ['ERR_FANPIPE_REDIRECT'],
    make: (_, { request }) => faults.redirect(request.path),
  },
  'redirect to nowhere': {
    kind: 'final',
    codes: ['ERR_FANPIPE_REDIRECT'],
    make: (_, { random }) =>
      faults.redirect(random.pick(['ftp://127.0.0.1/x', 'http://', 'data:,x', 'http://user:word@127.0.0.1/'])),
  },
  'no such range': {
    kind: 'final',
    codes: ['ERR_FANPIPE_WRONG_RANGE', 'ERR_FANPIPE_RESOURCE_CHANGED', 'ERR_FANPIPE_HTTP_STATUS'],
    make: (answer, { resource }) => (isPart(answer) ? faults.unsatisfied(resource) : undefined),
  },
};

export const FAULT_NAMES: readonly string[] = Object.keys(FAULTS);
const SURVIVED = FAULT_NAMES.filter((name) => FAULTS[name]?.kind !== 'final');
const FINAL = FAULT_NAMES.filter((name) => FAULTS[name]?.kind === 'final');

export const READINGS = ['iterate', 'read', 'read into', 'pieces', 'share', 'one GET'] as const;

/** What a download is like: what is served, what goes wrong, how it is read. */
export interface Plan {
  readonly reading: (typeof READINGS)[number];
  /** Of the n-th request. Undefined: none. */
  readonly faults: readonly (string | undefined)[];
  /** What happens to all requests behind these. */
  readonly later: 'honest' | 'fails' | 'changes';
  /** A changed resource has another size and, as of a careless server, the validators of before. */
  readonly changesSize: boolean;
  /** A changed resource is served as a 206, though `If-Range` asked for the old one. */
  readonly ignoresIfRange: boolean;
  readonly validators: 'etag' | 'date' | 'weak' | 'none';
  readonly options: RemoteOptions;
}

/** Failures in a row that every download outlives. */
const PASSING_AT_MOST = 4;

export function randomPlan(random: Random): Plan {
  const reading = random.pick(READINGS);
  const faulty: (string | undefined)[] = [];
  let passing = 0;
  const isFinal = random.chance(0.25);
  for (let count = random.between(0, 9); count > 0; count--) {
    const name = random.chance(0.3) ? undefined : random.pick(SURVIVED);
    if (name !== undefined && FAULTS[name]?.kind === 'passing' && ++passing > PASSING_AT_MOST) continue;
    faulty.push(name);
  }
  if (isFinal) faulty.splice(random.between(0, Math.min(4, faulty.length) + 1), 0, random.pick(FINAL));
  const validators = random.chance(0.8)
    ? random.pick(['etag', 'date'] as const)
    : random.pick(['weak', 'none'] as const);
  const isWeak = validators === 'weak' || validators === 'none';
  const unverified = isWeak && random.chance(0.5);
  return {
    reading,
    faults: faulty,
    later: random.chance(0.9) ? 'honest' : random.pick(['fails', 'changes'] as const),
    // Where nothing is verified, another size is all that can be noticed.
    changesSize: unverified || random.chance(0.3),
    ignoresIfRange: random.chance(0.5),
    validators,
    options: {
      seekable: reading !== 'one GET',
      unverified,
      cacheSize: random.pick([16, 2, 0.5]) * 2 ** 20,
      readAhead: random.pick([4 * 2 ** 20, 256 * 1024, 64 * 1024]),
      skipLimit: random.pick([2 ** 20, 100_000, 0]),
      mergeGap: random.pick([16 * 1024, 0]),
      maxConnections: random.between(1, 7),
      minThroughput: 1000,
      retry: { attempts: random.between(PASSING_AT_MOST + 1, 9), timeLimit: 600_000 },
    },
  };
}

/** Whether an answer gives bytes, and does not say of how many they are. */
function hidesSize({ status, headers, framing }: Answer): boolean {
  if (status === 206) return !/\/\d+$/.test(headers['content-range'] ?? '');
  return status === 200 && framing !== undefined && framing !== 'length';
}

/** The script of a plan, and what it has served so far. */
export class PlannedServer {
  /** Names of the faults that were served. */
  readonly served: Set<string> = new Set();
  /** What the download may fail with, after what was served. */
  readonly codes: Set<string> = new Set();
  readonly #plan: Plan;
  readonly #random: Random;
  readonly #resource: Resource;
  readonly #other: Resource;
  readonly #here: string;
  readonly #elsewhere: string;

  constructor(plan: Plan, random: Random, resource: Resource, other: Resource, here: string, elsewhere: string) {
    this.#plan = plan;
    this.#random = random;
    this.#resource = resource;
    this.#other = other;
    this.#here = here;
    this.#elsewhere = elsewhere;
    const isWeak = plan.validators === 'weak' || plan.validators === 'none';
    if (isWeak && !plan.options.unverified) this.codes.add('ERR_FANPIPE_UNVERIFIABLE_RESOURCE');
  }

  readonly script = (request: Seen): Answer => {
    const { faults: list, later, changesSize, ignoresIfRange, reading } = this.#plan;
    const resource = this.#resource;
    const answer = this.#judged(honest(resource, request), request);
    if (request.index >= list.length) {
      if (later === 'fails') {
        this.#note('always failing', ['ERR_FANPIPE_RETRIES_EXHAUSTED']);
        return faults.refused(503);
      }
      if (later === 'changes') {
        this.#note('changed', WRONG_TOTAL);
        return this.#judged(faults.changed(this.#other, request, ignoresIfRange), request);
      }
      return answer;
    }
    const name = list[request.index];
    const fault = name === undefined ? undefined : FAULTS[name];
    const scene = {
      random: this.#random,
      resource,
      request,
      here: this.#here,
      elsewhere: this.#elsewhere,
    };
    const wrong = fault?.make(answer, scene);
    if (name === undefined || fault === undefined || wrong === undefined) return answer;
    // Where nothing but the size is to change, it must be told: nobody can notice it otherwise.
    if (later === 'changes' && changesSize && hidesSize(wrong)) return answer;
    this.#note(name, fault.codes);
    // To count from the end it would have to be read to, which may be too far.
    if (name === 'total unknown' && reading === 'pieces') this.codes.add('ERR_FANPIPE_NOT_SEEKABLE');
    return this.#judged(wrong, request);
  };

  /** A whole body where a part was asked for may be too far from it. */
  #judged(answer: Answer, request: Seen): Answer {
    const skipLimit = this.#plan.options.skipLimit ?? 2 ** 20;
    if (answer.status === 200 && (request.range?.from ?? 0) > skipLimit) this.codes.add('ERR_FANPIPE_NOT_SEEKABLE');
    return answer;
  }

  #note(name: string, codes: readonly string[] = []): void {
    this.served.add(name);
    for (const code of codes) this.codes.add(code);
  }
}
