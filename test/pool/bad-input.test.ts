/** Whatever a pool refuses is refused with a typed error that names the argument, and nothing has changed by it. */

import { describe, expect, test } from 'vitest';
import { InvalidArgumentError } from '../../packages/fanpipe/src/errors.ts';
import { StreamPool } from '../../packages/fanpipe/src/pool/stream-pool.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

function refusal(call: () => unknown): InvalidArgumentError {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidArgumentError);
    return error as InvalidArgumentError;
  }
  throw new Error('it was not refused');
}

const labelled = (value: unknown): [string, unknown] => [`${typeof value} ${String(value)}`, value];

const NO_AMOUNTS = [-1, 1.5, Number.NaN, 2 ** 53, '5', null, {}, 5n];
const NO_DELAYS = [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '5', null, {}];
const NO_POLICIES = ['stopp', '', 5, null, true, [], {}, () => {}];

describe('bad input: options of a pool', () => {
  const cases: [string, readonly unknown[]][] = [
    ['budget', [...NO_AMOUNTS, Number.POSITIVE_INFINITY]],
    ['maxEntries', [...NO_AMOUNTS, Number.POSITIVE_INFINITY]],
    ['ttl', NO_DELAYS],
    ['onLastLeave', NO_POLICIES],
    ['clock', [null, 5, {}, { now: () => 0, setTimeout: () => 0 }, () => 0]],
  ];
  for (const [name, values] of cases) {
    test.each(values.map(labelled))(`KEEP: ${name}: %s`, (_, value) => {
      const error = refusal(() => new StreamPool({ [name]: value }));
      expect(error).toMatchObject({ argument: name, code: 'ERR_FANPIPE_INVALID_ARGUMENT' });
      expect(error.value).toBe(value);
    });
  }

  test.each(NO_DELAYS.map(labelled))('KEEP: stopAfter: %s', (_, value) => {
    expect(refusal(() => new StreamPool({ onLastLeave: { stopAfter: value as number } }))).toMatchObject({
      argument: 'onLastLeave.stopAfter',
      value,
    });
  });

  test('KEEP GROUP: stopAfter is read once, when it is checked, and not when somebody leaves', async () => {
    let reads = 0;
    const onLastLeave = {
      get stopAfter(): number {
        return reads++ === 0 ? 50 : Number.NaN;
      },
    };
    for (const [ofPool, ofOpen] of [
      [{ onLastLeave }, {}],
      [{}, { onLastLeave }],
    ]) {
      reads = 0;
      const clock = new FakeClock();
      const pool = new StreamPool({ clock, ...ofPool });
      pool.open('key', () => new ReadableStream(), ofOpen).cancel();
      await clock.advance(49);
      expect(pool.stats().entries).toHaveLength(1);
      await clock.advance(1);
      expect(pool.stats().entries).toEqual([]);
      expect(reads).toBe(1);
    }
  });

  test('KEEP: options that are none', () => {
    for (const value of [null, 5, 'x'] as never[]) {
      expect(refusal(() => new StreamPool(value)).argument).toBe('options');
    }
  });

  test('KEEP: what is at the edge is taken', () => {
    new StreamPool({ budget: 0, maxEntries: 0, ttl: 0, onLastLeave: { stopAfter: 0 } });
    new StreamPool({ budget: Number.MAX_SAFE_INTEGER, ttl: 2 ** 31 - 1, onLastLeave: { stopAfter: 2 ** 31 - 1 } });
    new StreamPool({ budget: undefined, ttl: undefined, onLastLeave: undefined, clock: undefined });
  });
});

describe('bad input: options of an open', () => {
  const cases: [string, readonly unknown[]][] = [
    ['start', [...NO_AMOUNTS, Number.POSITIVE_INFINITY]],
    ['end', [...NO_AMOUNTS, 4]],
    ['overflow', ['drop', '', null, 5]],
    ['highWaterMark', NO_AMOUNTS],
    ['onMissed', ['x', null, {}]],
    ['signal', [null, 5, {}, new EventTarget()]],
    ['onLastLeave', NO_POLICIES],
    ['maxBytes', NO_AMOUNTS],
  ];
  const opener = (): string[] => ['0123456789'];

  /** On a key without an entry, one that is filling, and one that is complete. */
  async function scene(): Promise<{ pool: StreamPool; keys: string[]; before: unknown }> {
    const pool = new StreamPool({ ttl: 1e6 });
    pool.open('filling', () => new ReadableStream());
    await pool.open('complete', opener).bytes();
    return { pool, keys: ['none', 'filling', 'complete'], before: pool.stats() };
  }

  for (const [name, values] of cases) {
    test.each(values.map(labelled))(`RANGE ONCE: ${name}: %s`, async (_, value) => {
      const { pool, keys, before } = await scene();
      for (const key of keys) {
        const options = name === 'end' ? { start: 5, end: value } : { [name]: value };
        expect(refusal(() => pool.open(key, opener, options as never))).toMatchObject({ argument: name });
        // Also where a range needs a cursor of its own.
        const range = { start: 2, end: 7, ...options };
        expect(refusal(() => pool.open(key, opener, range as never)).argument).toBe(name);
      }
      await settle();
      expect(pool.stats()).toEqual(before);
      pool.close();
    });
  }

  test('RANGE ONCE: openers and options that are none', async () => {
    const { pool, before } = await scene();
    for (const value of [undefined, null, 'x', {}, ['x'], Promise.resolve([])] as never[]) {
      expect(refusal(() => pool.open('none', value))).toMatchObject({ argument: 'opener', value });
      expect(refusal(() => pool.open('complete', value)).argument).toBe('opener');
    }
    for (const value of [null, 5, 'x'] as never[]) {
      expect(refusal(() => pool.open('none', opener, value)).argument).toBe('options');
    }
    expect(pool.stats()).toEqual(before);
    pool.close();
  });

  test('RANGE: a start beyond the end of what is complete is refused at once, of what is filling when the end comes', async () => {
    const { pool, before } = await scene();
    for (const end of [undefined, 20]) {
      expect(() => pool.open('complete', opener, { start: 11, end })).toThrow(
        expect.objectContaining({ code: 'ERR_FANPIPE_OFFSET_NOT_WRITTEN', offset: 11, tail: 10 }),
      );
    }
    expect(pool.stats()).toEqual(before);
    // The end itself is no error: nothing is wanted that is not there.
    expect(await pool.open('complete', opener, { start: 10 }).text()).toBe('');
    const early = pool.open('new', opener, { start: 11 });
    const exact = pool.open('new', opener, { start: 10 });
    await expect(early.text()).rejects.toMatchObject({ code: 'ERR_FANPIPE_OFFSET_NOT_WRITTEN', offset: 11, tail: 10 });
    expect(() => early.read()).toThrow('not written');
    expect(await exact.text()).toBe('');
    pool.close();
  });

  test('ONCE: options are read once, before anything is looked at', async () => {
    const pool = new StreamPool();
    const reads: string[] = [];
    const options = new Proxy(
      { start: 1, end: 3 },
      {
        get: (target, name) => {
          reads.push(String(name));
          // Whatever it does, the pool is in no state between two.
          if (name === 'signal') pool.open('key', opener).cancel();
          return Reflect.get(target, name);
        },
      },
    );
    expect(await pool.open('key', opener, options).text()).toBe('12');
    expect(reads.length).toBe(new Set(reads).size);
    expect(pool.stats()).toMatchObject({ misses: 1, hits: 1 });
  });
});
