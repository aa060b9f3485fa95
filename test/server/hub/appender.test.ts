/** Appends under way: what is sent when, what waits for what, and what happens when some of them fail. */
import { describe, expect, test } from 'vitest';
import type { Backend, StreamEnd } from '../../../packages/server/src/backends/backend.ts';
import {
  FencedError,
  LimitExceededError,
  StorageError,
  StreamEndedError,
} from '../../../packages/server/src/errors.ts';
import type { AppendOutcome, HubAppendOptions } from '../../../packages/server/src/hub/append-outcome.ts';
import { Appender } from '../../../packages/server/src/hub/appender.ts';
import { checkLimits, type HubOptions } from '../../../packages/server/src/hub/hub-options.ts';
import { Quota } from '../../../packages/server/src/hub/quota.ts';
import { settle } from '../../support/fake-clock.ts';
import { type Asked, ScriptedStream } from './scripted-stream.ts';

const CLOSED: StreamEnd = { kind: 'closed' };
const encoder = new TextEncoder();
const from = (epoch: number, seq: number, id = 'a'): HubAppendOptions => ({ producer: { id, epoch, seq } });

class Scene {
  readonly stream = new ScriptedStream();
  readonly appender: Appender;
  readonly quota: Quota;
  acknowledged: [tail: number, size: number][] = [];
  /** What has come of each append, in the order in which that was told. */
  readonly told: string[] = [];

  constructor(options: HubOptions = {}, retainBytes?: number) {
    const limits = checkLimits(options);
    const backend = { stats: async () => this.stream.stats } as unknown as Backend;
    this.quota = new Quota(backend, limits);
    this.appender = new Appender(
      this.stream,
      limits,
      this.quota,
      {
        now: () => 0,
        acknowledged: (tail, size) => this.acknowledged.push([tail, size]),
      },
      retainBytes,
    );
  }

  append(text: string, options: HubAppendOptions = {}): Promise<AppendOutcome> {
    const chunks = text === '' ? [] : [encoder.encode(text)];
    const outcome = this.appender.append(chunks, text.length, options);
    const name = text || 'end';
    outcome.then(
      ({ kind }) => this.told.push(`${name}: ${kind}`),
      (error) => this.told.push(`${name}: ${error.name}`),
    );
    return outcome;
  }

  get asked(): string[] {
    return this.stream.asked.map(({ text }) => text);
  }
}

async function ready(options?: HubOptions, retainBytes?: number): Promise<Scene> {
  const scene = new Scene(options, retainBytes);
  const first = scene.append('0');
  await settle();
  scene.stream.acknowledge();
  await first;
  scene.told.length = 0;
  return scene;
}

describe('sending', () => {
  test('all are sent at once, in the order of the calls, behind those that waited for the writer', async () => {
    const scene = new Scene();
    let open = (): void => {};
    scene.stream.gate = new Promise((resolve) => {
      open = resolve;
    });
    void scene.append('a');
    void scene.append('b');
    await settle();
    expect(scene.asked).toEqual([]);
    open();
    await settle();
    expect(scene.asked).toEqual(['a', 'b']);
    void scene.append('c');
    expect(scene.asked).toEqual(['a', 'b', 'c']);
    expect(scene.told).toEqual([]);
    expect(scene.stream.epoch).toBe(1);
  });

  test('the outcome says where and how safe it is, and who sent it', async () => {
    const scene = await ready();
    const outcome = scene.append('abc', { ...from(2, 0), end: CLOSED });
    scene.stream.acknowledgeAll();
    expect(await outcome).toMatchObject({
      kind: 'appended',
      offset: 1,
      tail: 4,
      isEnded: true,
      level: 'memory',
      producer: { epoch: 2, seq: 0 },
    });
    expect(scene.acknowledged).toEqual([
      [1, 1],
      [4, 3],
    ]);
  });

  test('ATOMIC: facts and end go with the bytes', async () => {
    const scene = await ready();
    void scene.append('abc', { ...from(2, 0), seq: 'x', end: CLOSED });
    const { options } = scene.stream.asked[0] as Asked;
    expect(Object.fromEntries(options.facts ?? [])).toEqual({ seq: 'x', 'p:a': '2:0:4', closer: '2:0:a' });
    expect(options.end).toBe(CLOSED);
  });

  test('when the writer cannot be had, all that wait are told why, and the next append tries again', async () => {
    const scene = new Scene();
    scene.stream.gate = Promise.reject(new StorageError('broken'));
    await expect(scene.append('a')).rejects.toThrow('broken');
    scene.stream.gate = Promise.resolve();
    void scene.append('b');
    await settle();
    expect(scene.asked).toEqual(['b']);
  });
});

describe('what is judged by appends under way', () => {
  test('PRODUCER: a duplicate is acknowledged after the one that it repeats', async () => {
    const scene = await ready();
    void scene.append('x', from(0, 0));
    void scene.append('again', from(0, 0));
    await settle();
    expect(scene.asked).toEqual(['x']);
    expect(scene.told).toEqual([]);
    scene.stream.acknowledgeAll();
    await settle();
    expect(scene.told).toEqual(['x: appended', 'again: duplicate']);
  });

  test('so is everything else that was judged by it', async () => {
    const scene = await ready();
    void scene.append('a', { ...from(0, 0), seq: '5' });
    void scene.append('gap', from(0, 9));
    void scene.append('low', { seq: '3' });
    void scene.append('b', { end: CLOSED });
    void scene.append('late');
    void scene.append('', { end: CLOSED });
    await settle();
    expect(scene.asked).toEqual(['a', 'b']);
    expect(scene.told).toEqual([]);
    scene.stream.acknowledge();
    await settle();
    expect(scene.told).toEqual(['a: appended', 'gap: sequence-gap', 'low: sequence-regression']);
    scene.stream.acknowledge();
    await settle();
    expect(scene.told.slice(3)).toEqual(['b: appended', 'late: ended', 'end: already-ended']);
  });

  test('PRODUCER: when the original fails, the duplicate is sent in its place', async () => {
    const scene = await ready();
    void scene.append('x', from(0, 0));
    void scene.append('again', from(0, 0));
    scene.stream.rejectAll(new StorageError('full'));
    await settle();
    expect(scene.told).toEqual(['x: StorageError']);
    expect(scene.asked).toEqual(['again']);
    scene.stream.acknowledgeAll();
    await settle();
    expect(scene.told).toEqual(['x: StorageError', 'again: appended']);
    expect(scene.stream.text).toBe('0again');
  });

  test('when the end fails, what it refused is sent', async () => {
    const scene = await ready();
    void scene.append('', { end: CLOSED });
    void scene.append('late');
    scene.stream.rejectAll(new StorageError('full'));
    await settle();
    scene.stream.acknowledgeAll();
    await settle();
    expect(scene.told).toEqual(['end: StorageError', 'late: appended']);
  });

  test('with nothing under way a verdict is told at once', async () => {
    const scene = await ready();
    expect(await scene.append('x', from(0, 3))).toEqual({ kind: 'sequence-gap', expected: 0, received: 3 });
  });
});

describe('failures', () => {
  test('producers go on where the last acknowledged append left them', async () => {
    const scene = await ready();
    for (const seq of [0, 1, 2]) void scene.append(`${seq}`, from(0, seq));
    scene.stream.acknowledge();
    scene.stream.rejectAll(new StorageError('full'));
    await settle();
    expect(scene.told).toEqual(['0: appended', '1: StorageError', '2: StorageError']);
    expect(scene.stream.epoch).toBe(1);
    const again = scene.append('2', from(0, 2));
    await settle();
    expect(await again).toEqual({ kind: 'sequence-gap', expected: 1, received: 2 });
    void scene.append('1', from(0, 1));
    expect(scene.asked).toEqual(['1']);
  });

  test('what comes between the first failure and the last answer waits for a new writer', async () => {
    const scene = await ready();
    void scene.append('a');
    void scene.append('b');
    const [first] = scene.stream.asked.splice(0, 1);
    first?.reject(new StorageError('full'));
    await settle();
    void scene.append('c');
    await settle();
    expect(scene.asked).toEqual(['b']);
    scene.stream.rejectAll(new StorageError('full'));
    await settle();
    expect(scene.asked).toEqual(['c']);
    expect(scene.stream.epoch).toBe(2);
    scene.stream.acknowledgeAll();
    await settle();
    expect(scene.told).toEqual(['a: StorageError', 'b: StorageError', 'c: appended']);
  });

  test('what comes before the failure was told is sent, and fails with it', async () => {
    const scene = await ready();
    void scene.append('a', from(0, 0));
    scene.stream.rejectAll(new StorageError('full'));
    void scene.append('b', from(0, 1));
    await settle();
    expect(scene.told).toEqual(['a: StorageError', 'b: StorageError']);
  });

  test('an append that would pass the largest offset takes nothing and harms no other', async () => {
    const scene = await ready();
    const { appender } = scene;
    void scene.append('a');
    await expect(appender.append([], Number.MAX_SAFE_INTEGER, {})).rejects.toMatchObject({
      code: 'ERR_FANPIPE_OFFSET_OVERFLOW',
    });
    void scene.append('b');
    expect(scene.asked).toEqual(['a', 'b']);
  });
});

describe('another writer takes over', () => {
  test('what it refused is judged by what it wrote, and sent once more in the old order', async () => {
    const scene = await ready();
    void scene.append('a', from(0, 0));
    void scene.append('b', from(0, 1));
    scene.stream.commit('other', { facts: new Map([['p:a', '0:0:6']]) });
    scene.stream.rejectAll(new FencedError('s', 1));
    void scene.append('c', from(0, 2));
    await settle();
    expect(scene.asked).toEqual(['b', 'c']);
    scene.stream.acknowledgeAll();
    await settle();
    expect(scene.told).toEqual(['a: duplicate', 'b: appended', 'c: appended']);
    expect(scene.stream.text).toBe('0otherbc');
    expect(scene.stream.epoch).toBe(2);
  });

  test('the old order holds in whatever order they are refused', async () => {
    const scene = await ready();
    for (const text of ['a', 'b', 'c']) void scene.append(text);
    for (const asked of scene.stream.asked.splice(0).reverse()) asked.reject(new FencedError('s', 1));
    await settle();
    expect(scene.asked).toEqual(['a', 'b', 'c']);
  });

  test('what is refused a second time fails', async () => {
    const scene = await ready();
    void scene.append('a');
    scene.stream.rejectAll(new FencedError('s', 1));
    await settle();
    void scene.append('b');
    scene.stream.rejectAll(new FencedError('s', 2));
    await settle();
    expect(scene.told).toEqual(['a: FencedError']);
    expect(scene.asked).toEqual(['b']);
  });

  test('what is refused because one before it had failed is no work of another writer, however often that happens', async () => {
    const scene = await ready();
    for (let round = 1; round <= 3; round++) {
      void scene.append(`a${round}`);
      if (round === 1) void scene.append('b');
      await settle();
      const [first, second] = scene.stream.asked.splice(0).sort((x, y) => x.text.localeCompare(y.text));
      first?.reject(new StorageError('full'));
      second?.reject(new FencedError('s', round));
      await settle();
    }
    expect(scene.told).toEqual(['a1: StorageError', 'a2: StorageError', 'a3: StorageError']);
    expect(scene.asked).toEqual(['b']);
    scene.stream.acknowledgeAll();
    await settle();
    expect(scene.told.at(-1)).toBe('b: appended');
  });

  test('an end that it wrote is an outcome', async () => {
    const scene = await ready();
    const outcome = scene.append('a');
    scene.stream.commit('!', { end: CLOSED });
    scene.stream.rejectAll(new StreamEndedError('s', 2));
    expect(await outcome).toEqual({ kind: 'ended', tail: 2, end: CLOSED });
  });
});

describe('limits', () => {
  test('a stream takes as much as it may retain', async () => {
    const scene = await ready({ maxStreamBytes: 10 });
    void scene.append('123456789');
    await expect(scene.append('x')).rejects.toMatchObject({ kind: 'stream-bytes', limit: 10 });
    scene.stream.acknowledgeAll();
    scene.stream.head = 1;
    void scene.append('x');
    await settle();
    expect(scene.asked).toEqual(['x']);
    await expect(scene.append('y')).rejects.toBeInstanceOf(LimitExceededError);
  });

  test('while the backend is asked, what comes later waits, so that the order stays', async () => {
    const scene = await ready({ maxStreamBytes: 10 });
    let tell = (): void => {};
    scene.stream.stateGate = new Promise((resolve) => {
      tell = resolve;
    });
    scene.stream.head = 1;
    void scene.append('1234567890');
    void scene.append('');
    await settle();
    expect(scene.asked).toEqual([]);
    tell();
    await settle();
    expect(scene.asked).toEqual(['1234567890', '']);
  });

  test('an append that fails while the backend is asked for another', async () => {
    const scene = await ready({ maxStreamBytes: 10 });
    let tell = (): void => {};
    void scene.append('a', from(0, 0));
    scene.stream.stateGate = new Promise((resolve) => {
      tell = resolve;
    });
    void scene.append('123456789', from(0, 1));
    void scene.append('b', from(0, 0));
    scene.stream.rejectAll(new StorageError('broken'));
    await settle();
    expect(scene.told).toEqual(['a: StorageError']);
    scene.stream.head = 1;
    tell();
    await settle();
    expect(scene.told.slice(1)).toEqual(['123456789: sequence-gap']);
    expect(scene.asked).toEqual(['b']);
    scene.stream.acknowledgeAll();
    await settle();
    expect(scene.told.slice(2)).toEqual(['b: appended']);
  });

  test('all streams together take as much as they may retain', async () => {
    const scene = await ready({ maxTotalBytes: 10 });
    scene.stream.stats = { streams: 1, bytes: 1 };
    void scene.append('123456789');
    await settle();
    expect(scene.asked).toEqual(['123456789']);
    const refused = expect(scene.append('x')).rejects.toMatchObject({ kind: 'total-bytes', limit: 10 });
    await settle();
    // The one under way may still fail.
    expect(scene.told).toEqual([]);
    scene.stream.stats = { streams: 1, bytes: 10 };
    scene.stream.acknowledgeAll();
    await refused;
    scene.stream.stats = { streams: 1, bytes: 9 };
    void scene.append('x');
    await settle();
    expect(scene.asked).toEqual(['x']);
  });

  test('a stream that lets go of as much as it takes may go on where all streams together are full', async () => {
    const scene = await ready({ maxTotalBytes: 10 }, 5);
    scene.stream.stats = { streams: 2, bytes: 6 };
    void scene.append('2345');
    await settle();
    scene.stream.acknowledgeAll();
    scene.stream.stats = { streams: 2, bytes: 10 };
    await settle();
    void scene.append('67890');
    await settle();
    expect(scene.asked).toEqual(['67890']);
    scene.stream.acknowledgeAll();
    // One that is larger than what may stay is more by the difference.
    await expect(scene.append('123456')).rejects.toMatchObject({ kind: 'total-bytes' });
  });

  test('bytes of an append that failed are free again', async () => {
    const scene = await ready({ maxTotalBytes: 10 });
    void scene.append('123456789');
    scene.stream.rejectAll(new StorageError('broken'));
    await settle();
    void scene.append('1234567890');
    await settle();
    expect(scene.asked).toEqual(['1234567890']);
  });
});

test('any number may wait, for the limits or for one under way', async () => {
  const many = 200_000;
  const scene = new Scene({ maxTotalBytes: 2 * many });
  let told = 0;
  const count = (): void => {
    told++;
  };
  const acknowledge = (): void => {
    for (const asked of scene.stream.asked.splice(0)) asked.acknowledge();
  };
  for (let i = 0; i < many; i++) scene.appender.append([encoder.encode('x')], 1, {}).then(count, count);
  await settle();
  acknowledge();
  await settle();
  expect(told).toBe(many);
  void scene.append('a', from(0, 0));
  for (let i = 0; i < many; i++) scene.appender.append([encoder.encode('a')], 1, from(0, 0)).then(count, count);
  scene.stream.rejectAll(new StorageError('full'));
  await settle();
  acknowledge();
  await settle();
  expect(told).toBe(2 * many);
});

test('idle: when nothing waits and nothing is under way', async () => {
  const scene = new Scene();
  await scene.appender.idle();
  void scene.append('a');
  let isIdle = false;
  void scene.appender.idle().then(() => {
    isIdle = true;
  });
  await settle();
  scene.stream.rejectAll(new FencedError('s', 1));
  await settle();
  expect([isIdle, scene.asked]).toEqual([false, ['a']]);
  scene.stream.acknowledgeAll();
  await settle();
  expect([isIdle, scene.appender.isBusy]).toEqual([true, false]);
});
