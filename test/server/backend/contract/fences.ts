import { describe, expect, test } from 'vitest';
import type { Subject } from '../contract.ts';
import { append, contents, created, hops, outcome, refused, writing } from '../rig.ts';

export function fenceLaws(subject: Subject): void {
  describe('FENCE: the fence', () => {
    test('the writer before is refused, and the new one goes on', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      await append(writer, 'a');
      const next = await stream.acquire();
      expect(next.writer.epoch).toBeGreaterThan(writer.epoch);
      expect(next.state.tail).toBe(1);
      await refused(append(writer, 'x'), 'ERR_FANPIPE_FENCED', { epoch: writer.epoch });
      await append(next.writer, 'b');
      await refused(append(writer, 'x'), 'ERR_FANPIPE_FENCED');
      await refused(writer.append([], { end: { kind: 'closed' } }), 'ERR_FANPIPE_FENCED');
      expect(await contents(stream)).toBe('ab');
      expect((await stream.state()).end).toBeUndefined();
    });

    test('appends under way are in what the new writer is told, or refused', async () => {
      const { backend } = subject;
      for (const steps of [0, 1, 2, 3, 5, 9]) {
        const { stream, writer } = await writing(backend, `s${steps}`);
        const before = Array.from({ length: 10 }, () => append(writer, 'a'));
        await hops(steps);
        const acquisition = stream.acquire();
        const after = Array.from({ length: 3 }, () => outcome(append(writer, 'x')));
        const { writer: next, state } = await acquisition;
        const told = state.tail;
        const appended = append(next, 'b');
        const results = await Promise.allSettled(before);
        const taken = results.filter(({ status }) => status === 'fulfilled').length;
        expect(results.slice(taken).every(({ status }) => status === 'rejected')).toBe(true);
        for (const result of results.slice(taken))
          expect(result).toMatchObject({ reason: { code: 'ERR_FANPIPE_FENCED' } });
        const late = (await Promise.all(after)).filter((result) => result === 'done').length;
        expect(told).toBe(taken + late);
        expect(await appended).toMatchObject({ offset: told, tail: told + 1 });
        expect(await contents(stream)).toBe(`${'a'.repeat(taken)}${'x'.repeat(late)}b`);
      }
    });

    test('of many that acquire at once, the last has it', async () => {
      const stream = await created(subject.backend, 's');
      const all = await Promise.all(Array.from({ length: 10 }, () => stream.acquire()));
      const epochs = all.map(({ writer }) => writer.epoch);
      expect(new Set(epochs).size).toBe(10);
      const highest = Math.max(...epochs);
      for (const { writer } of all) {
        expect(await outcome(append(writer, `${writer.epoch};`))).toBe(
          writer.epoch === highest ? 'done' : 'ERR_FANPIPE_FENCED',
        );
      }
      expect(await contents(stream)).toBe(`${highest};`);
    });

    test('what is acquired on the way is not seen by who was before', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      const { facts } = await stream.acquire();
      const { writer: last } = await stream.acquire();
      await last.append([], { facts: new Map([['a', '1']]) });
      expect(facts.size).toBe(0);
      expect(writer.epoch).toBeLessThan(last.epoch);
      expect((await stream.acquire()).facts.get('a')).toBe('1');
    });
  });
}
