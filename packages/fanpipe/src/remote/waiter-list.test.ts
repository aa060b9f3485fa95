/** Who is told of what, whatever those who are told do: against the plainest list, which is made anew at each change. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomSeed } from '../../../../test/support/seed.ts';
import { RangeWaiter, type WaiterHome } from './range-waiter.ts';
import { WaiterList } from './waiter-list.ts';

type List = Pick<WaiterList, 'add' | 'remove' | 'deliver' | 'tellAll' | 'size'>;

/** What a waiter does when it is told of something. */
type Action =
  | { readonly kind: 'nothing' | 'again' | 'all' }
  | { readonly kind: 'leave'; readonly who: number }
  | { readonly kind: 'add'; readonly ahead: number; readonly length: number };
type Step = Action | { readonly kind: 'deliver'; readonly length: number };

/** Each membership is an object of its own, so nobody who has left and come again is taken for who was there before. */
class PlainList implements List {
  readonly #home: WaiterHome;
  #members: readonly { readonly waiter: RangeWaiter }[] = [];
  #told = new Set<object>();

  constructor(home: WaiterHome) {
    this.#home = home;
  }

  get size(): number {
    return this.#members.length + this.#told.size;
  }

  add(waiter: RangeWaiter): void {
    waiter.home = this.#home;
    this.#members = [...this.#members, { waiter }];
  }

  remove(waiter: RangeWaiter): boolean {
    const { size } = this;
    this.#members = this.#members.filter((member) => member.waiter !== waiter);
    for (const member of this.#told as Set<{ waiter: RangeWaiter }>) {
      if (member.waiter === waiter) this.#told.delete(member);
    }
    return this.size < size;
  }

  deliver(at: number, chunk: Uint8Array): void {
    const next = at + chunk.length;
    for (const member of this.#members) {
      const { waiter } = member;
      if (!this.#members.includes(member) || waiter.from >= next) continue;
      const to = Math.min(waiter.to, next);
      waiter.receive(chunk.slice(waiter.from - at, to - at));
      if (!this.#members.includes(member)) continue;
      waiter.from = to;
      if (to < waiter.to) continue;
      this.remove(waiter);
      waiter.home = undefined;
      waiter.finish();
    }
  }

  tellAll(tell: (waiter: RangeWaiter) => void): void {
    const members = this.#members;
    for (const member of members) this.#told.add(member);
    this.#members = [];
    for (const member of members) {
      if (!this.#told.delete(member)) continue;
      member.waiter.home = undefined;
      tell(member.waiter);
    }
  }
}

class Actor extends RangeWaiter {
  readonly id: number;
  readonly #scene: Scene;

  constructor(id: number, from: number, to: number, scene: Scene) {
    super(from, to);
    this.id = id;
    this.#scene = scene;
  }

  override receive(bytes: Uint8Array): void {
    this.#scene.told(this, `got ${this.from}: ${[...bytes]}`);
  }

  override finish(): void {
    this.#scene.told(this, 'finished');
  }

  override fail(reason: unknown): void {
    this.#scene.told(this, `failed: ${reason}`);
  }
}

/** Plays steps on a list; those who are told do what comes next in `actions`. */
class Scene {
  readonly log: string[] = [];
  readonly #list: List;
  readonly #actions: Action[];
  readonly #actors: Actor[] = [];
  /** Offset of the next byte that comes. */
  #position = 0;
  #isTellingAll = false;

  constructor(make: (home: WaiterHome) => List, actions: readonly Action[]) {
    this.#list = make({ leave: (waiter) => void this.#list.remove(waiter) });
    this.#actions = [...actions];
  }

  play(steps: readonly Step[]): string[] {
    for (const step of steps) {
      if (step.kind === 'deliver') {
        const at = this.#position;
        this.#position += step.length;
        this.#list.deliver(
          at,
          Uint8Array.from({ length: step.length }, (_, index) => at + index),
        );
      } else this.#act(step);
      this.#note(`${this.#list.size} wait`);
    }
    this.#act({ kind: 'all' });
    this.#note(`${this.#list.size} wait`);
    return this.log;
  }

  told(actor: Actor, what: string): void {
    this.#note(`${actor.id} ${what}`);
    const action = this.#actions.shift();
    if (action !== undefined) this.#act(action, actor);
  }

  #act(action: Action, actor?: Actor): void {
    if (action.kind === 'leave') this.#actors[action.who % Math.max(1, this.#actors.length)]?.leave();
    else if (action.kind === 'all') this.#tellAll();
    else if (action.kind === 'add') {
      const from = this.#position + action.ahead;
      const added = new Actor(this.#actors.length, from, from + action.length, this);
      this.#actors.push(added);
      this.#list.add(added);
    } else if (action.kind === 'again' && actor !== undefined) {
      actor.leave();
      actor.from = this.#position;
      actor.to = this.#position + 3;
      this.#list.add(actor);
    }
  }

  #tellAll(): void {
    // It ends the request, and there is one end.
    if (this.#isTellingAll) return;
    this.#isTellingAll = true;
    this.#list.tellAll((waiter) => waiter.fail('over'));
    this.#isTellingAll = false;
  }

  #note(what: string): void {
    this.log.push(what);
  }
}

const added = fc.record({
  kind: fc.constant('add' as const),
  ahead: fc.nat(6),
  length: fc.integer({ min: 1, max: 9 }),
});
const left = fc.record({ kind: fc.constant('leave' as const), who: fc.nat(30) });
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ kind: 'nothing' as const }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'again' as const }) },
  { weight: 3, arbitrary: left },
  { weight: 3, arbitrary: added },
  { weight: 1, arbitrary: fc.constant({ kind: 'all' as const }) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: added },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('deliver' as const), length: fc.integer({ min: 1, max: 6 }) }),
  },
  { weight: 2, arbitrary: left },
  { weight: 1, arbitrary: fc.constant({ kind: 'all' as const }) },
);

describe('WaiterList', () => {
  test('EXACT: whoever leaves, comes again, adds or ends all when told, everyone gets its bytes, once and in order', () => {
    const property = fc.property(
      fc.array(step, { maxLength: 40 }),
      fc.array(action, { maxLength: 60 }),
      (steps, actions) => {
        const played = new Scene((home) => new WaiterList(home), actions).play(steps);
        expect(played).toEqual(new Scene((home) => new PlainList(home), actions).play(steps));
      },
    );
    fc.assert(property, { seed: randomSeed(), numRuns: 4000 });
  });

  test('a chunk that is wanted whole is handed on as it is, and others without a copy', () => {
    const list = new WaiterList({ leave() {} });
    const got: Uint8Array[] = [];
    class Keeping extends RangeWaiter {
      override receive(bytes: Uint8Array): void {
        got.push(bytes);
      }
      override finish(): void {}
      override fail(): void {}
    }
    list.add(new Keeping(10, 14));
    list.add(new Keeping(11, 13));
    const chunk = new Uint8Array(4);
    list.deliver(10, chunk);
    expect(got[0]).toBe(chunk);
    expect([got[1]?.buffer === chunk.buffer, got[1]?.byteOffset, got[1]?.length]).toEqual([true, 1, 2]);
    expect(list.size).toBe(0);
  });
});
