/** Which append a stream takes: every rule, and the state it leaves. */
import { describe, expect, test } from 'vitest';
import type { StreamEnd } from '../../../packages/server/src/backends/backend.ts';
import type { HubAppendOptions } from '../../../packages/server/src/hub/append-outcome.ts';
import { AppendRules, compareCodePoints } from '../../../packages/server/src/hub/append-rules.ts';
import { readWriterFacts } from '../../../packages/server/src/hub/writer-facts.ts';
import { Random } from '../../support/random.ts';
import { randomSeed } from '../../support/seed.ts';

const CLOSED: StreamEnd = { kind: 'closed' };

/** Rules, and the facts that were committed, from which the rules can be made anew. */
class Scene {
  readonly facts = new Map<string, string>();
  rules: AppendRules;
  readonly #maxProducers: number;

  constructor(maxProducers = 10) {
    this.#maxProducers = maxProducers;
    this.rules = new AppendRules(0, undefined, readWriterFacts(this.facts), maxProducers);
  }

  /** `'taken'`, or why not. */
  append(size: number, options: HubAppendOptions = {}): unknown {
    const verdict = this.rules.judge(size, options);
    if (verdict !== undefined) return verdict;
    for (const [name, value] of this.rules.accept(size, options) ?? []) {
      if (value === undefined) this.facts.delete(name);
      else this.facts.set(name, value);
    }
    return 'taken';
  }

  /** As after a restart. The order of the facts is the backend's affair. */
  reopen(): void {
    const { tail, end } = this.rules;
    const facts = new Map([...this.facts].reverse());
    this.rules = new AppendRules(tail, end, readWriterFacts(facts), this.#maxProducers);
  }
}

const from = (epoch: number, seq: number, id = 'a'): HubAppendOptions => ({ producer: { id, epoch, seq } });
const ending = (options: HubAppendOptions = {}): HubAppendOptions => ({ ...options, end: CLOSED });

describe.each([false, true])('rules of append; made anew from the facts after each step: %s', (anew) => {
  const scene = (maxProducers?: number) => {
    const made = new Scene(maxProducers);
    return (size: number, options?: HubAppendOptions) => {
      const result = made.append(size, options);
      if (anew) made.reopen();
      return result;
    };
  };

  test('what has no producer and no seq is always taken', () => {
    const append = scene();
    expect([append(1), append(2), append(3)]).toEqual(['taken', 'taken', 'taken']);
  });

  test('a producer begins with seq 0, at any epoch', () => {
    const append = scene();
    expect(append(1, from(0, 1))).toEqual({ kind: 'sequence-gap', expected: 0, received: 1 });
    expect(append(1, from(7, 0))).toBe('taken');
    expect(append(1, from(3, 0, 'b'))).toBe('taken');
  });

  test('PRODUCER: a producer counts up by one; what was seen is a duplicate, what is missing a gap', () => {
    const append = scene();
    for (const seq of [0, 1, 2]) expect(append(1, from(0, seq))).toBe('taken');
    const producer = { epoch: 0, seq: 2 };
    expect(append(9, from(0, 2))).toEqual({ kind: 'duplicate', tail: 3, isEnded: false, producer });
    expect(append(9, from(0, 0))).toEqual({ kind: 'duplicate', tail: 3, isEnded: false, producer });
    expect(append(1, from(0, 4))).toEqual({ kind: 'sequence-gap', expected: 3, received: 4 });
    expect(append(1, from(0, 3))).toBe('taken');
  });

  test('PRODUCER: a higher epoch takes over, from seq 0 on, and the one before is refused', () => {
    const append = scene();
    append(1, from(0, 0));
    append(1, from(0, 1));
    expect(append(1, from(1, 2))).toEqual({ kind: 'epoch-must-start' });
    expect(append(1, from(2, 0))).toBe('taken');
    expect(append(1, from(1, 0))).toEqual({ kind: 'stale-epoch', epoch: 2 });
    expect(append(1, from(0, 2))).toEqual({ kind: 'stale-epoch', epoch: 2 });
    expect(append(1, from(2, 1))).toBe('taken');
  });

  test('producers do not know of each other', () => {
    const append = scene();
    expect([append(1, from(0, 0, 'a')), append(1, from(0, 0, 'b')), append(1, from(0, 1, 'a'))]).toEqual(
      Array(3).fill('taken'),
    );
    expect(append(1, from(0, 2, 'b'))).toMatchObject({ kind: 'sequence-gap', expected: 1 });
  });

  test('ids may hold anything', () => {
    const append = scene();
    for (const id of ['1:2:3', ':', 'p:', 'seq', 'closer', '\u0000', 'ü', '__proto__', ' ']) {
      expect(append(1, from(4, 0, id))).toBe('taken');
      expect(append(1, from(4, 0, id))).toMatchObject({ kind: 'duplicate' });
      expect(append(1, from(4, 1, id))).toBe('taken');
    }
    const close = scene();
    expect(close(1, ending(from(3, 0, 'a:b:c')))).toBe('taken');
    expect(close(1, ending(from(3, 0, 'a:b:c')))).toMatchObject({ kind: 'duplicate', isEnded: true });
  });

  test('the largest numbers are exact', () => {
    const append = scene();
    const most = Number.MAX_SAFE_INTEGER;
    expect(append(1, from(most, 0))).toBe('taken');
    expect(append(1, from(most - 1, 0))).toEqual({ kind: 'stale-epoch', epoch: most });
    expect(append(1, from(most, most))).toEqual({ kind: 'sequence-gap', expected: 1, received: most });
  });

  test('seq must grow, by bytes', () => {
    const append = scene();
    expect(append(1, { seq: '2' })).toBe('taken');
    expect(append(1, { seq: '10' })).toEqual({ kind: 'sequence-regression', last: '2' });
    expect(append(1, { seq: '2' })).toEqual({ kind: 'sequence-regression', last: '2' });
    expect(append(1)).toBe('taken');
    expect(append(1, { seq: '20' })).toBe('taken');
    expect(append(1, { seq: '' })).toEqual({ kind: 'sequence-regression', last: '20' });
    expect(append(1, { seq: '\u{1f600}' })).toBe('taken');
    expect(append(1, { seq: '\uff5e' })).toMatchObject({ kind: 'sequence-regression' });
  });

  test('the empty seq is one', () => {
    const append = scene();
    expect(append(1, { seq: '' })).toBe('taken');
    expect(append(1, { seq: '' })).toEqual({ kind: 'sequence-regression', last: '' });
  });

  test('a duplicate is one though its seq does not grow; a refused seq leaves the producer as it was', () => {
    const append = scene();
    append(1, { ...from(0, 0), seq: 'b' });
    expect(append(1, { ...from(0, 0), seq: 'b' })).toMatchObject({ kind: 'duplicate' });
    expect(append(1, { ...from(0, 1), seq: 'a' })).toMatchObject({ kind: 'sequence-regression' });
    expect(append(1, { ...from(0, 1), seq: 'c' })).toBe('taken');
  });

  test('after the end nothing is taken', () => {
    const append = scene();
    append(3, ending());
    expect(append(1)).toEqual({ kind: 'ended', tail: 3, end: CLOSED });
    expect(append(1, ending())).toEqual({ kind: 'ended', tail: 3, end: CLOSED });
    expect(append(1, from(0, 0))).toEqual({ kind: 'ended', tail: 3, end: CLOSED });
    expect(append(1, { seq: 'z' })).toEqual({ kind: 'ended', tail: 3, end: CLOSED });
  });

  test('to end again what has ended like that is fine; to close what failed is not', () => {
    const append = scene();
    append(3, ending());
    expect(append(0, ending())).toEqual({ kind: 'already-ended', tail: 3, end: CLOSED });
    expect(append(0, ending(from(0, 0)))).toEqual({ kind: 'already-ended', tail: 3, end: CLOSED });
    const failed: StreamEnd = { kind: 'failed', reason: 'it broke' };
    expect(append(0, { end: failed })).toEqual({ kind: 'ended', tail: 3, end: CLOSED });
    const other = scene();
    other(0, { end: failed });
    expect(other(0, ending())).toEqual({ kind: 'ended', tail: 0, end: failed });
    expect(other(0, { end: { kind: 'failed', reason: 'other' } })).toMatchObject({ kind: 'already-ended' });
  });

  test('the tuple that ended the stream is a duplicate, whatever comes with it; all others are refused', () => {
    const append = scene();
    append(1, from(1, 0));
    append(5, ending(from(1, 1)));
    const duplicate = { kind: 'duplicate', tail: 6, isEnded: true, producer: { epoch: 1, seq: 1 } };
    expect(append(5, ending(from(1, 1)))).toEqual(duplicate);
    expect(append(0, ending(from(1, 1)))).toEqual(duplicate);
    expect(append(7, from(1, 1))).toEqual(duplicate);
    expect(append(5, ending(from(1, 0)))).toMatchObject({ kind: 'ended' });
    expect(append(5, ending(from(1, 2)))).toMatchObject({ kind: 'ended' });
    expect(append(5, ending(from(2, 0)))).toMatchObject({ kind: 'ended' });
    expect(append(5, ending(from(1, 1, 'b')))).toMatchObject({ kind: 'ended' });
    expect(append(5, ending(from(0, 1)))).toEqual({ kind: 'stale-epoch', epoch: 1 });
    expect(append(0, ending(from(0, 1)))).toEqual({ kind: 'stale-epoch', epoch: 1 });
  });

  test('as many producers are remembered as may be; the one not heard of for longest goes', () => {
    const append = scene(2);
    append(1, from(0, 0, 'a'));
    append(1, from(0, 0, 'b'));
    append(1, from(0, 1, 'a'));
    append(1, from(0, 0, 'c'));
    expect(append(1, from(0, 2, 'a'))).toBe('taken');
    expect(append(1, from(0, 0, 'b'))).toBe('taken');
    expect(append(1, from(0, 1, 'c'))).toMatchObject({ kind: 'sequence-gap', expected: 0 });
  });
});

test('which producer is the oldest does not depend on the order in which the backend tells of them', () => {
  const facts = ['p:a 0:0:7', 'p:b 0:0:3', 'p:c 0:0:5'].map((line) => line.split(' ') as [string, string]);
  for (const order of [facts, [...facts].reverse(), [facts[1], facts[0], facts[2]] as typeof facts]) {
    const rules = new AppendRules(7, undefined, readWriterFacts(new Map(order)), 3);
    expect(rules.accept(1, from(0, 0, 'd'))?.has('p:b')).toBe(true);
    expect(rules.accept(1, from(0, 0, 'e'))?.has('p:c')).toBe(true);
  }
});

test('facts of a producer that is forgotten go', () => {
  const scene = new Scene(3);
  for (let i = 0; i < 50; i++) scene.append(1, from(0, 0, `p${i}`));
  expect([...scene.facts.keys()]).toEqual(['p:p47', 'p:p48', 'p:p49']);
});

test('strings compare as their bytes do', () => {
  const seed = randomSeed();
  const random = new Random(seed);
  const units = ['', 'a', 'b', '\u007f', '\u0080', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}'];
  const word = (): string => Array.from({ length: random.between(0, 4) }, () => random.pick(units)).join('');
  for (let i = 0; i < 20_000; i++) {
    const [a, b] = [word(), word()];
    const expected = Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(Math.sign(compareCodePoints(a, b)), `seed ${seed}: ${JSON.stringify([a, b])}`).toBe(expected);
  }
});
