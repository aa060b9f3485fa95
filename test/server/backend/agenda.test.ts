import { describe, expect, test } from 'vitest';
import { Agenda, Alarm } from '../../../packages/server/src/backends/local/agenda.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { Random } from '../../support/random.ts';
import { randomSeed } from '../../support/seed.ts';

const seed = randomSeed();

describe('the agenda', () => {
  test(`alarms ring in the order of their time, however they are set, moved and cleared, seed ${seed}`, async () => {
    const random = new Random(seed);
    for (let run = 0; run < 30; run++) {
      const clock = new FakeClock();
      const agenda = new Agenda(clock);
      const due = new Map<Alarm, number>();
      const rung: number[] = [];
      const alarms = Array.from({ length: 60 }, () => {
        const alarm: Alarm = new Alarm(() => {
          rung.push(clock.now());
          expect(due.get(alarm)).toBe(clock.now());
          due.delete(alarm);
          if (random.chance(0.3)) set(alarm);
        });
        return alarm;
      });
      const set = (alarm: Alarm): void => {
        const at = clock.now() + random.between(0, 1000);
        due.set(alarm, at);
        agenda.set(alarm, at);
      };
      for (let i = 0; i < 200; i++) {
        const alarm = random.pick(alarms);
        if (random.chance(0.7)) set(alarm);
        else {
          due.delete(alarm);
          agenda.clear(alarm);
        }
        if (random.chance(0.2)) await clock.advance(random.between(0, 100));
        // One timer at most, for the earliest or earlier.
        expect(clock.pending).toBe(due.size === 0 ? 0 : 1);
        for (const at of due.values()) expect(at).toBeGreaterThanOrEqual(clock.now());
      }
      while (due.size > 0) await clock.advance(1000);
      expect(clock.pending).toBe(0);
      expect(rung).toEqual([...rung].sort((a, b) => a - b));
    }
  });

  test('no timer is longer than timers can count', async () => {
    const clock = new FakeClock();
    const delays: number[] = [];
    const set = clock.setTimeout.bind(clock);
    clock.setTimeout = (callback, ms) => {
      delays.push(ms);
      return set(callback, ms);
    };
    const agenda = new Agenda(clock);
    let rungAt = 0;
    agenda.set(
      new Alarm(() => {
        rungAt = clock.now();
      }),
      2 ** 33 + 0.5,
    );
    await clock.advance(2 ** 34);
    expect(Math.max(...delays)).toBe(2 ** 31 - 1);
    expect(rungAt).toBe(2 ** 33 + 1);
  });

  test('what is cleared or stopped does not ring, and leaves no timer', async () => {
    const clock = new FakeClock();
    const agenda = new Agenda(clock);
    let rings = 0;
    const [one, two] = [new Alarm(() => rings++), new Alarm(() => rings++)];
    agenda.set(one, 10);
    agenda.clear(one);
    agenda.clear(one);
    agenda.clear(undefined);
    expect(clock.pending).toBe(0);
    agenda.set(one, 10);
    agenda.set(two, 20);
    agenda.stop();
    agenda.set(one, 30);
    expect(clock.pending).toBe(0);
    await clock.advance(100);
    expect(rings).toBe(0);
  });
});
