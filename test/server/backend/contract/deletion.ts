import { describe, expect, test } from 'vitest';
import type { Subject } from '../contract.ts';
import {
  append,
  bytes,
  contents,
  created,
  hops,
  isSettled,
  listed,
  opened,
  outcome,
  readToEnd,
  refused,
  writing,
} from '../rig.ts';

export function deletionLaws(subject: Subject, { reopens }: { readonly reopens: boolean }): void {
  describe('deletion', () => {
    test('says whether there was one, and there is none then', async () => {
      const { backend } = subject;
      const stream = await created(backend, 's', {}, { text: 'abc' });
      expect(await backend.delete('other')).toBe(false);
      expect(await backend.delete('s', stream.generation + 1)).toBe(false);
      expect(await contents(stream)).toBe('abc');
      expect(await backend.delete('s', stream.generation)).toBe(true);
      expect(await backend.delete('s')).toBe(false);
      expect(await backend.open('s')).toBeUndefined();
      expect(await listed(backend)).toEqual([]);
      expect(await backend.stats()).toEqual({ streams: 0, bytes: 0 });
    });

    test('what waits is told, and nothing can be done with the stream', async () => {
      const { backend } = subject;
      const { stream, writer } = await writing(backend, 's', {}, 'abc');
      const [waiting, behind] = [stream.cursor(3), stream.cursor(0)];
      const next = waiting.next();
      expect(await isSettled(next)).toBe(false);
      const told = refused(next, 'ERR_FANPIPE_STREAM_DELETED', { stream: 's' });
      await backend.delete('s');
      await told;
      await refused(behind.next(), 'ERR_FANPIPE_STREAM_DELETED');
      await refused(waiting.next(), 'ERR_FANPIPE_STREAM_DELETED');
      await refused(stream.cursor(0).next(), 'ERR_FANPIPE_STREAM_DELETED');
      await refused(append(writer, 'd'), 'ERR_FANPIPE_STREAM_DELETED');
      await refused(stream.acquire(), 'ERR_FANPIPE_STREAM_DELETED');
      await refused(stream.state(), 'ERR_FANPIPE_STREAM_DELETED');
      stream.touch();
    });

    test('OFFSET: created again, it shows no old byte, end or fact, and has a higher generation', async () => {
      const { backend } = subject;
      const old = await created(
        backend,
        's',
        {},
        { text: 'old bytes', facts: new Map([['a', '1']]), end: { kind: 'closed' } },
      );
      const cursor = old.cursor(0);
      await backend.delete('s');
      const { stream, writer } = await writing(backend, 's');
      expect(stream.generation).toBeGreaterThan(old.generation);
      const { facts, state, writer: second } = await stream.acquire();
      expect(facts.size).toBe(0);
      expect(state).toMatchObject({ head: 0, tail: 0, end: undefined });
      const next = stream.cursor(0).next();
      expect(await isSettled(next)).toBe(false);
      await append(second, 'new');
      expect(await next).toMatchObject({ offset: 0, next: 3 });
      await refused(cursor.next(), 'ERR_FANPIPE_STREAM_DELETED');
      await refused(append(writer, 'x'), 'ERR_FANPIPE_FENCED');
      expect(await contents(stream)).toBe('new');
      expect(await backend.stats()).toEqual({ streams: 1, bytes: 3 });
      expect(await backend.delete('s', old.generation)).toBe(false);
    });

    test('OFFSET: again and again, generations only grow, counts come back to nothing', async () => {
      const { backend } = subject;
      let last = 0;
      for (let i = 0; i < 30; i++) {
        const { stream, writer } = await writing(backend, 's', { ttl: 1_000_000 }, `${i}`);
        expect(stream.generation).toBeGreaterThan(last);
        last = stream.generation;
        const pending = [append(writer, 'a'), append(writer, 'b')].map(outcome);
        await hops(i);
        await backend.delete('s');
        for (const result of await Promise.all(pending)) expect(result).toMatch(/^(done|ERR_FANPIPE_STREAM_DELETED)$/);
        expect(await backend.stats()).toEqual({ streams: 0, bytes: 0 });
      }
    });

    test('at once with appends, creation and another deletion it leaves one state or the other', async () => {
      const { backend } = subject;
      for (let steps = 0; steps < 10; steps++) {
        const { stream: old, writer } = await writing(backend, 's', {}, 'old');
        const appended = outcome(append(writer, '!'));
        await hops(steps);
        const deletions = [backend.delete('s'), backend.delete('s')];
        const creation = backend.create('s', { contentType: 't/t' }, { chunks: [bytes('new')] });
        const { stream } = await creation;
        await Promise.all(deletions);
        await appended;
        const now = await backend.open('s');
        if (now === undefined) await refused(stream.state(), 'ERR_FANPIPE_STREAM_DELETED');
        else {
          expect(now.generation).toBeGreaterThan(old.generation);
          expect(await contents(now)).toBe('new');
          expect(await backend.stats()).toEqual({ streams: 1, bytes: 3 });
          await backend.delete('s');
        }
        expect(await backend.stats()).toEqual({ streams: 0, bytes: 0 });
      }
    });

    if (reopens)
      test('what was deleted is not there after closing and opening, and its generation is not used again', async () => {
        const { rig } = subject;
        const stream = await created(rig.backend, 's', {}, { text: 'gone', facts: new Map([['a', 'b']]) });
        await created(rig.backend, 't', {}, { text: 'kept', end: { kind: 'closed' } });
        await rig.backend.delete('s');
        let backend = (await rig.reopen?.()) as typeof rig.backend;
        expect(await listed(backend)).toEqual(['t']);
        expect(await backend.stats()).toEqual({ streams: 1, bytes: 4 });
        const again = await created(backend, 's');
        expect(again.generation).toBeGreaterThan(stream.generation);
        expect((await again.acquire()).facts.size).toBe(0);
        await backend.delete('s');
        await backend.delete('t');
        backend = (await rig.reopen?.()) as typeof rig.backend;
        expect(await backend.stats()).toEqual({ streams: 0, bytes: 0 });
        expect((await created(backend, 's')).generation).toBeGreaterThan(again.generation);
        expect(await outcome(opened(backend, 's').then((found) => readToEnd(found.cursor(1))))).toBe(
          'ERR_FANPIPE_OFFSET_NOT_WRITTEN',
        );
      });
  });
}
