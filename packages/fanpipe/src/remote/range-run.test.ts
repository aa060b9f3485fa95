/** One request: what it brings to those who join it, and when it is over. */

import { describe, expect, test } from 'vitest';
import { settle } from '../../../../test/support/fake-clock.ts';
import { MemoryOrigin } from '../../../../test/support/memory-origin.ts';
import { Random } from '../../../../test/support/random.ts';
import { resolveRemoteOptions } from './options.ts';
import { RangeRun, type RunOwner } from './range-run.ts';
import { RangeWaiter } from './range-waiter.ts';
import { RemoteResource } from './remote-resource.ts';
import { SparseCache } from './sparse-cache.ts';

const CHUNK = 100;
const body = new Random(41).bytes(1000);

class Waiter extends RangeWaiter {
  readonly log: string[] = [];

  override receive(bytes: Uint8Array): void {
    expect(bytes).toEqual(body.slice(this.from, this.from + bytes.length));
    this.log.push(`${this.from}+${bytes.length}`);
  }

  override finish(): void {
    this.log.push('finished');
  }

  override fail(reason: unknown): void {
    this.log.push(`failed: ${reason}`);
  }
}

class Owner implements RunOwner {
  readonly log: string[] = [];

  paused(): void {
    this.log.push('paused');
  }
  resumed(): void {
    this.log.push('resumed');
  }
  ended(): void {
    this.log.push('ended');
  }
  failed(): void {
    this.log.push('failed');
  }
  stopped(): void {
    this.log.push('stopped');
  }
}

/** Each chunk, and the end, comes in a turn of its own. */
function runOf(from: number, end: number, owner?: RunOwner) {
  const origin = new MemoryOrigin(body, { chunk: () => CHUNK, isLate: true });
  const options = resolveRemoteOptions({ fetcher: origin.fetcher, mergeGap: 50, skipLimit: 300 });
  const resource = new RemoteResource(new URL('http://origin.test/'), options);
  const keeper = { log: [] as string[], paused: () => keeper.log.push('paused'), over: () => keeper.log.push('over') };
  const run = new RangeRun(resource, new SparseCache(10_000), keeper, from, end, owner);
  return { run, origin, keeper, resource };
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await settle();
}

describe('RangeRun', () => {
  test('gives everyone its part, and is over when nobody waits', async () => {
    const { run, origin, keeper } = runOf(0, 1000);
    const waiters = [new Waiter(0, 150), new Waiter(50, 60), new Waiter(120, 310)];
    for (const waiter of waiters) run.join(waiter);
    run.start();
    await turns(10);
    expect(waiters.map(({ log }) => log.join())).toEqual([
      '0+100,100+50,finished',
      '50+10,finished',
      '120+80,200+100,300+10,finished',
    ]);
    expect([origin.requests[0]?.state, origin.bytesRead, keeper.log]).toEqual(['cancelled', 400, ['over']]);
  });

  test('who wants more than it brings is told with its last byte, not with the end that comes later', async () => {
    const { run, origin } = runOf(0, 200);
    const waiter = new Waiter(100, 500);
    run.join(waiter);
    run.start();
    while (waiter.from < 200) await settle();
    expect([waiter.log, origin.requests[0]?.state]).toEqual([['100+100', 'finished'], 'open']);
    await turns(3);
    expect(origin.requests[0]?.state).toBe('ended');
  });

  test('who waits for more than there is is told where the resource ends', async () => {
    const { run, keeper } = runOf(900, Number.POSITIVE_INFINITY);
    const waiter = new Waiter(950, 5000);
    run.join(waiter);
    run.start();
    await turns(5);
    expect([waiter.log, waiter.from, keeper.log]).toEqual([['950+50', 'finished'], 1000, ['over']]);
  });

  test('what it brings: all of its range; without an end what is read ahead, and a little more', async () => {
    const { run } = runOf(200, 600);
    expect([199, 200, 599, 600].map((at) => run.brings(at))).toEqual([false, true, true, false]);
    const { run: endless, resource } = runOf(0, Number.POSITIVE_INFINITY, new Owner());
    endless.limit = 300;
    expect([0, 300, 350, 351].map((at) => endless.brings(at))).toEqual([true, true, true, false]);
    endless.start();
    await turns(10);
    expect([endless.position, resource.rangeSupport]).toEqual([300, 'ranges']);
    expect([299, 300, 350, 351].map((at) => endless.brings(at))).toEqual([false, true, true, false]);
    endless.stop();
  });

  test('goes on to its limit for its owner, rests, and goes on again', async () => {
    const owner = new Owner();
    const { run, origin, keeper } = runOf(0, Number.POSITIVE_INFINITY, owner);
    run.limit = 250;
    run.start();
    await turns(10);
    // The next chunk would pass the limit.
    expect([run.position, run.isPaused, owner.log, keeper.log]).toEqual([200, true, ['resumed', 'paused'], ['paused']]);
    run.limit = 300;
    run.pull();
    expect(run.isPaused).toBe(false);
    await turns(10);
    expect([run.position, owner.log.slice(2)]).toEqual([300, ['resumed', 'paused']]);
    run.disown();
    await turns(1);
    expect([origin.requests[0]?.state, owner.log.length, keeper.log]).toEqual([
      'cancelled',
      4,
      ['paused', 'paused', 'over'],
    ]);
  });

  test('one that nobody owns any more goes on for those who wait', async () => {
    const owner = new Owner();
    const { run, origin } = runOf(0, Number.POSITIVE_INFINITY, owner);
    run.limit = 800;
    run.start();
    const waiter = new Waiter(300, 500);
    run.join(waiter);
    run.disown();
    await turns(12);
    expect([waiter.log, origin.bytesRead, owner.log]).toEqual([['300+100', '400+100', 'finished'], 500, ['resumed']]);
  });

  test('one that was paused where, as it turns out, the resource ends is over when its owner leaves it', async () => {
    const owner = new Owner();
    const { run, origin, keeper, resource } = runOf(0, Number.POSITIVE_INFINITY, owner);
    origin.options.tellsSize = false;
    run.limit = 1000;
    run.start();
    await turns(14);
    expect([run.position, run.isPaused, resource.size]).toEqual([1000, true, undefined]);
    const other = resource.transfer(5000, undefined);
    await other.next();
    expect(resource.size).toBe(1000);
    run.disown();
    await turns(3);
    expect([keeper.log, origin.requests[0]?.state]).toEqual([['paused', 'over'], 'ended']);
  });

  test('stop: all who wait fail with the reason, once', async () => {
    const owner = new Owner();
    const { run, keeper } = runOf(0, 500, owner);
    const waiters = [new Waiter(0, 500), new Waiter(100, 300)];
    run.start();
    for (const waiter of waiters) run.join(waiter);
    await turns(3);
    run.stop('enough');
    run.stop('again');
    await turns(3);
    expect(waiters.map(({ log }) => log.at(-1))).toEqual(['failed: enough', 'failed: enough']);
    expect([owner.log, keeper.log]).toEqual([['resumed', 'stopped'], ['over']]);
  });
});
