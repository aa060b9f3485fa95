import { describe, expect, test } from 'vitest';
import type { Subject } from '../contract.ts';
import { append, contents, created, isSettled, listed, opened, outcome, refused, writing } from '../rig.ts';

const CLOSED = 'ERR_FANPIPE_BACKEND_CLOSED';

export function closeLaws(subject: Subject, { reopens }: { readonly reopens: boolean }): void {
  describe('closing', () => {
    test('appends under way come to their end, and what waits is told', async () => {
      const { backend, rig } = { backend: subject.backend, rig: subject.rig };
      const { stream, writer } = await writing(backend, 's');
      const waiting = stream.cursor(0);
      const other = (await created(backend, 't')).cursor(0).next();
      const told = refused(other, CLOSED);
      const acknowledged = Array.from({ length: 20 }, () => outcome(append(writer, 'a')));
      const closed = backend.close();
      expect(await Promise.all(acknowledged)).toEqual(Array.from({ length: 20 }, () => 'done'));
      await closed;
      await told;
      await refused(waiting.next(), CLOSED);
      if (!reopens) return;
      const again = (await rig.reopen?.()) as typeof backend;
      expect(await contents(await opened(again, 's'))).toBe('a'.repeat(20));
    });

    test('everything is refused from the call on', async () => {
      const { backend } = subject;
      const { stream, writer } = await writing(backend, 's', { ttl: 1000 }, 'abc');
      const cursor = stream.cursor(0);
      const closing = backend.close();
      const calls = (): Promise<unknown>[] => [
        backend.create('t', { contentType: 't/t' }),
        backend.create('s', { contentType: 't/t' }),
        backend.open('s'),
        backend.delete('s'),
        backend.stats(),
        listed(backend),
        append(writer, 'd'),
        stream.acquire(),
        stream.state(),
        cursor.next(),
        stream.cursor(3).next(),
      ];
      for (const call of calls()) await refused(call, CLOSED);
      stream.touch();
      await closing;
      for (const call of calls()) await refused(call, CLOSED);
      stream.touch();
      cursor.close();
      await Promise.all([backend.close(), backend.close()]);
    });

    test('no timer is left, and time that passes disturbs nothing', async () => {
      const { backend, rig } = { backend: subject.backend, rig: subject.rig };
      await writing(backend, 's', { ttl: 1000, retainFor: 1000 }, 'abc');
      await backend.close();
      expect(rig.clock.pending).toBe(0);
      await subject.pass(100_000);
      await refused(backend.stats(), CLOSED);
    });

    test('together with everything else it comes to an end', async () => {
      const { backend } = subject;
      const { stream, writer } = await writing(backend, 's', {}, 'abc');
      const work = [
        backend.create('t', { contentType: 't/t' }),
        backend.create('t', { contentType: 't/t' }),
        stream.acquire(),
        append(writer, 'd'),
        backend.delete('s'),
        backend.open('t'),
        stream.cursor(3).next(),
        backend.create('f', { contentType: 't/t', fork: { source: 's', generation: stream.generation, offset: 1 } }),
      ].map(outcome);
      const closed = backend.close();
      for (const result of await Promise.all(work)) {
        expect(result).toMatch(
          /^(done|ERR_FANPIPE_(BACKEND_CLOSED|STREAM_DELETED|FENCED|FORK_SOURCE|STREAM_SOFT_DELETED))$/,
        );
      }
      await closed;
      expect(await isSettled(backend.close())).toBe(true);
    });
  });
}
