/**
 * Thousands of downloads of 1 MiB in which anything goes wrong: each ends with the right bytes, or with a typed error for
 * something that has really happened, and in time. FANPIPE_SEED repeats a run, FANPIPE_DOWNLOAD one of its downloads;
 * FANPIPE_DOWNLOADS says how many.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FanpipeError } from '../../packages/fanpipe/src/errors.ts';
import { RemoteByteStream } from '../../packages/fanpipe/src/remote/index.ts';
import { FaultServer, honest, type Resource } from '../support/fault-server.ts';
import { IdleClock } from '../support/idle-clock.ts';
import { inParallel, until } from '../support/in-parallel.ts';
import { Random } from '../support/random.ts';
import { iterated, readInPieces, readInto, sha256 } from '../support/remote-reading.ts';
import { randomSeed } from '../support/seed.ts';
import { FAULT_NAMES, type Plan, PlannedServer, READINGS, randomPlan } from './random-plan.ts';

const SIZE = 2 ** 20;
const DOWNLOADS = Number(process.env.FANPIPE_DOWNLOADS ?? 2000);
/** For each request that was answered: the longest silence, the longest pause before the next, the slowest that is allowed. */
const LONGEST_PER_REQUEST = 10_000 + 5_000 + 130_000;

const bodies = new Random(4);
const before = bodies.bytes(SIZE);
const after = bodies.bytes(SIZE);
const longer = bodies.bytes(SIZE + 1000);
const right = sha256(before);
/** Of what the resource may be from the start, where it changes at once; of the longer one a reading may leave out the end. */
const others = [after, longer, longer.subarray(0, SIZE)].map(sha256);

const date = 'Sat, 21 Nov 2026 10:00:00 GMT';
const validators = {
  etag: [{ etag: '"one"' }, { etag: '"two"' }],
  date: [{ lastModified: 'Fri, 20 Nov 2026 08:00:00 GMT' }, { lastModified: 'Fri, 20 Nov 2026 09:00:00 GMT' }],
  weak: [{ etag: 'W/"one"' }, { etag: 'W/"two"' }],
  none: [{}, {}],
} as const;

let server: FaultServer;
let elsewhere: FaultServer;
beforeAll(async () => {
  server = await FaultServer.start();
  elsewhere = await FaultServer.start();
});
afterAll(async () => {
  await server.close();
  await elsewhere.close();
});

interface Outcome {
  readonly digest?: string;
  readonly error?: unknown;
  readonly now: number;
  readonly requests: number;
  readonly server: PlannedServer;
}

/** Reads everything in pieces that do not follow each other: some by seek and read, some by readAt, several at once. */
async function readShuffled(remote: RemoteByteStream, random: Random): Promise<Uint8Array> {
  const pieces: [from: number, to: number][] = [];
  for (let from = 0; from < SIZE; ) {
    const to = Math.min(SIZE, from + random.between(1, random.chance(0.3) ? 300_000 : 60_000));
    pieces.splice(random.between(0, pieces.length + 1), 0, [from, to]);
    from = to;
  }
  const all = new Uint8Array(SIZE);
  while (pieces.length > 0) {
    const some = pieces.splice(0, random.between(1, 6));
    const bySeek = random.chance(0.4) ? some.pop() : undefined;
    const reads = some.map(async ([from, to]) => all.set(await remote.readAt(from, to - from), from));
    if (bySeek !== undefined) reads.push(readFrom(remote, all, bySeek, random.chance(0.5)));
    await Promise.all(reads);
  }
  return all;
}

async function readFrom(
  remote: RemoteByteStream,
  all: Uint8Array,
  [from, to]: [number, number],
  fromEnd: boolean,
): Promise<void> {
  if (fromEnd) {
    // By the size that the server says, which may be a lie.
    const position = await remote.seek(SIZE - from, 'end');
    if (position - from !== (remote.size as number) - SIZE) throw new Error(`at ${position}, of ${remote.size}`);
  }
  if (remote.position !== from) await remote.seek(from);
  if (remote.position !== from) throw new Error(`at ${remote.position} after a seek to ${from}`);
  all.set(await remote.read(to - from), from);
}

async function readShared(remote: RemoteByteStream): Promise<Uint8Array> {
  const writer = remote.share({ replay: 'all' });
  const [one, other] = await Promise.all([writer.stream({ from: 'start' }).bytes(), writer.stream().bytes()]);
  if (sha256(one) !== sha256(other)) throw new Error('two streams of one writer differ');
  return one;
}

function readAll(remote: RemoteByteStream, { reading }: Plan, random: Random): Promise<Uint8Array> {
  switch (reading) {
    case 'read':
      return readInPieces(remote, () => random.between(1, 200_000));
    case 'read into':
      return readInto(remote, random.between(1000, 200_000));
    case 'pieces':
      return readShuffled(remote, random);
    case 'share':
      return readShared(remote);
    default:
      return iterated(remote);
  }
}

async function download(plan: Plan, seed: number, path: string): Promise<Outcome> {
  const clock = new IdleClock();
  const [now, later] = validators[plan.validators];
  const resource: Resource = { body: before, date, ...now };
  const other: Resource = plan.changesSize ? { body: longer, date, ...now } : { body: after, date, ...later };
  const here = server.on(`${path}/here`, (request) => honest(resource, request));
  const there = elsewhere.on(path, (request) => honest(resource, request));
  const planned = new PlannedServer(plan, new Random(seed + 1), resource, other, here, there);
  const url = server.on(path, planned.script, { clock });
  const remote = new RemoteByteStream(url, { clock, random: new Random(seed + 2).next, ...plan.options });
  clock.probe = () => remote.stats().bytesFetched;
  const outcome: { digest?: string; error?: unknown } = {};
  const stuck = new Promise<never>((_, reject) => {
    clock.onStuck = () => {
      const state = { position: remote.position, size: remote.size, ...remote.stats() };
      const requests = server.seen(path).map(({ headers, sent, aborted }) => [headers.range, sent, aborted]);
      reject(new Error(`it hangs: ${JSON.stringify(state)} ${JSON.stringify(requests)}`));
    };
  });
  try {
    outcome.digest = sha256(await Promise.race([stuck, readAll(remote, plan, new Random(seed + 3))]));
  } catch (error) {
    outcome.error = error;
  }
  const took = clock.now();
  remote.close();
  await until(() => clock.pending === 0, 'no timer is left after close');
  clock.stop();
  const requests = server.seen(path).length;
  server.forget(path);
  server.forget(`${path}/here`);
  elsewhere.forget(path);
  return { ...outcome, now: took, requests, server: planned };
}

/** Why this outcome must not be, or undefined. */
function objection(plan: Plan, outcome: Outcome): string | undefined {
  const { digest, error, now, requests, server: planned } = outcome;
  if (now > requests * LONGEST_PER_REQUEST) return `it took ${now} ms for ${requests} requests`;
  if (digest !== undefined) {
    const mayBeOther = plan.later === 'changes' && planned.served.has('changed');
    const isRight = digest === right || (mayBeOther && others.includes(digest));
    return isRight ? undefined : 'wrong bytes';
  }
  if (!(error instanceof FanpipeError)) return `no typed error: ${error instanceof Error ? error.stack : error}`;
  if (!planned.codes.has(error.code)) {
    return `${error.code} after ${[...planned.served]}, which may be told as ${[...planned.codes]}: ${error.stack}`;
  }
  return undefined;
}

describe('random faults', () => {
  test(`EXACT, RESUME: ${DOWNLOADS} downloads: the right SHA-256, or a typed error for what happened`, async () => {
    const seed = randomSeed();
    const only = process.env.FANPIPE_DOWNLOAD;
    const outcomes: Outcome[] = [];
    const readings: Set<string> = new Set();
    await inParallel(only === undefined ? DOWNLOADS : 1, 16, async (n) => {
      const index = only === undefined ? n : Number(only);
      const own = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0;
      const plan = randomPlan(new Random(own));
      const outcome = await download(plan, own, `/${index}`);
      const problem = objection(plan, outcome);
      if (problem !== undefined) {
        const told = JSON.stringify(plan, undefined, 1);
        throw new Error(`FANPIPE_SEED=${seed} FANPIPE_DOWNLOAD=${index}: ${problem}\n${told}`);
      }
      outcomes.push(outcome);
      readings.add(plan.reading);
    });
    if (only !== undefined) return;

    const failed = outcomes.filter(({ error }) => error !== undefined);
    const met = new Set(outcomes.flatMap(({ server: planned }) => [...planned.served]));
    const told = new Set(failed.map(({ error }) => (error as FanpipeError).code));
    console.log(
      `FANPIPE_SEED=${seed}: ${outcomes.length - failed.length} whole, ${failed.length} failed by ${told.size} codes`,
    );
    // The run was worth something: all that can go wrong has, and neither success nor failure was rare.
    expect(failed.length).toBeGreaterThan(outcomes.length * 0.1);
    expect(failed.length).toBeLessThan(outcomes.length * 0.6);
    expect([...readings].sort()).toEqual([...READINGS].sort());
    if (DOWNLOADS >= 1000) {
      expect([...met].sort()).toEqual([...FAULT_NAMES, 'always failing', 'changed'].sort());
      expect(told.size).toBeGreaterThanOrEqual(9);
    }
  }, 300_000);
});
