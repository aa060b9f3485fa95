import { describe, expect, test } from 'vitest';
import { type Held, PoolLedger } from './pool-ledger.ts';

/** An entry of a size that does nothing but note that it was evicted. */
function entry(ledger: PoolLedger, name: string, bytes: number, evicted: string[]): Held {
  ledger.claim(bytes);
  const held: Held = {
    bytes,
    evict: () => {
      evicted.push(name);
      ledger.wake(held);
      ledger.release(held);
    },
  };
  return held;
}

describe('KEEP: the ledger of a pool', () => {
  test('KEEP: what is idle goes in the order in which it was left, and only as far as is needed', () => {
    const ledger = new PoolLedger(100, 10);
    const evicted: string[] = [];
    const [a, b, c] = ['a', 'b', 'c'].map((name) => entry(ledger, name, 30, evicted)) as [Held, Held, Held];
    for (const held of [a, b, c]) ledger.rest(held);
    ledger.wake(a);
    ledger.rest(a);
    ledger.claim(10);
    expect(evicted).toEqual([]);
    ledger.claim(1);
    expect([evicted, ledger.bytes, ledger.evictions]).toEqual([['b'], 71, 1]);
    ledger.claim(89);
    expect([evicted, ledger.bytes]).toEqual([['b', 'c', 'a'], 100]);
  });

  test('KEEP: in vain nothing is evicted, and a refusal takes no room', () => {
    const ledger = new PoolLedger(100, 10);
    const evicted: string[] = [];
    ledger.rest(entry(ledger, 'idle', 40, evicted));
    const busy = entry(ledger, 'busy', 50, evicted);
    expect(() => ledger.claim(51)).toThrow(
      expect.objectContaining({ code: 'ERR_FANPIPE_POOL_BUDGET', bytes: 141, budget: 100 }),
    );
    expect([evicted, ledger.bytes]).toEqual([[], 90]);
    // Said twice, it counts once.
    ledger.rest(busy);
    ledger.rest(busy);
    ledger.claim(100);
    expect([evicted, ledger.bytes]).toEqual([['idle', 'busy'], 100]);
    expect(() => ledger.claim(1)).toThrow('the pool to 101 bytes');
    ledger.claim(0);
  });

  test('KEEP: no more than so many are idle, however small they are', () => {
    const ledger = new PoolLedger(100, 2);
    const evicted: string[] = [];
    const [a, b, c] = ['a', 'b', 'c'].map((name) => entry(ledger, name, 0, evicted)) as [Held, Held, Held];
    for (const held of [a, b, a]) ledger.rest(held);
    expect(evicted).toEqual([]);
    ledger.rest(c);
    expect([evicted, ledger.evictions]).toEqual([['b'], 1]);
    ledger.wake(a);
    ledger.rest(entry(ledger, 'd', 7, evicted));
    expect([evicted, ledger.bytes]).toEqual([['b'], 7]);
    const none = new PoolLedger(100, 0);
    none.rest(entry(none, 'none', 5, evicted));
    expect([evicted, none.bytes]).toEqual([['b', 'none'], 0]);
  });
});
