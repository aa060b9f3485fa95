import { describe, expect, test } from 'vitest';
import type { Subject } from '../contract.ts';
import { append, contents, created, isSettled, listed, opened, readToEnd, refused, until, writing } from '../rig.ts';

export function expiryLaws(subject: Subject, { reopens }: { readonly reopens: boolean }): void {
  const isEmpty = async (): Promise<boolean> => {
    const { streams, bytes } = await subject.backend.stats();
    return streams === 0 && bytes === 0;
  };

  describe('EXPIRE: expiry', () => {
    test('after its time to live a stream goes by itself, and who waits is told', async () => {
      const { backend } = subject;
      const { stream } = await writing(backend, 's', { ttl: 5000 }, 'abc');
      const waiting = stream.cursor(3).next();
      const told = refused(waiting, 'ERR_FANPIPE_STREAM_DELETED');
      await subject.pass(4999);
      expect(await contents(stream)).toBe('abc');
      expect(await isSettled(waiting)).toBe(false);
      await subject.pass(1);
      await until('it has gone', isEmpty);
      await told;
      expect(await backend.open('s')).toBeUndefined();
      expect(await listed(backend)).toEqual([]);
      await refused(stream.state(), 'ERR_FANPIPE_STREAM_DELETED');
      const again = await created(backend, 's');
      expect(again.generation).toBeGreaterThan(stream.generation);
    });

    test('touching and appending begin it anew, reading the state does not', async () => {
      const { stream, writer } = await writing(subject.backend, 's', { ttl: 5000 });
      await subject.pass(4000);
      stream.touch();
      await subject.pass(4000);
      await append(writer, 'a');
      await subject.pass(4999);
      expect((await stream.state()).tail).toBe(1);
      await subject.pass(1);
      await until('it has gone', isEmpty);
    });

    test('touched often over a long time, it stays', async () => {
      const { stream } = await writing(subject.backend, 's', { ttl: 1000 });
      for (let i = 0; i < 100; i++) {
        await subject.pass(999);
        stream.touch();
      }
      expect((await stream.state()).tail).toBe(0);
      await subject.pass(1000);
      await until('it has gone', isEmpty);
    });

    test('at its time of expiry a stream goes, touched or not', async () => {
      const { stream, writer } = await writing(subject.backend, 's', { expiresAt: subject.rig.time() + 7000 }, 'abc');
      await subject.pass(6000);
      stream.touch();
      await append(writer, 'd');
      await subject.pass(999);
      expect(await contents(stream)).toBe('abcd');
      await subject.pass(1);
      await until('it has gone', isEmpty);
    });

    test('of time to live and expiry the first counts', async () => {
      const { backend } = subject;
      await writing(backend, 'idle', { ttl: 2000, expiresAt: subject.rig.time() + 7000 });
      const { stream } = await writing(backend, 'busy', { ttl: 2000, expiresAt: subject.rig.time() + 7000 });
      for (let i = 0; i < 6; i++) {
        await subject.pass(1000);
        stream.touch();
      }
      expect(await listed(backend)).toEqual(['busy']);
      await subject.pass(1000);
      await until('it has gone', isEmpty);
    });

    test('an ended stream expires too', async () => {
      const stream = await created(subject.backend, 's', { ttl: 2000 }, { text: 'abc', end: { kind: 'closed' } });
      expect(await readToEnd(stream.cursor(0))).toBe('abc<closed>');
      await subject.pass(2000);
      await until('it has gone', isEmpty);
    });

    test('longer than a timer can count', async () => {
      const { backend } = subject;
      const day = 86_400_000;
      await writing(backend, 's', { ttl: 60 * day });
      await subject.pass(60 * day - 1);
      expect(await listed(backend)).toEqual(['s']);
      await subject.pass(1);
      await until('it has gone', isEmpty);
    });

    test('many go in the order of their time', async () => {
      const { backend } = subject;
      for (let i = 0; i < 40; i++) await created(backend, `s${i}`, { ttl: 1000 * (1 + ((i * 17) % 40)) });
      for (let second = 1; second <= 40; second++) {
        await subject.pass(1000);
        await until('it has gone', async () => (await backend.stats()).streams === 40 - second);
        for (const name of await listed(backend))
          expect((Number(name.slice(1)) * 17) % 40).toBeGreaterThanOrEqual(second);
      }
    });

    test('what was deleted and made again expires by its own time', async () => {
      const { backend } = subject;
      await created(backend, 's', { ttl: 3000 });
      await subject.pass(2000);
      await backend.delete('s');
      await created(backend, 's', { ttl: 3000 });
      await subject.pass(2999);
      expect(await listed(backend)).toEqual(['s']);
      await subject.pass(1);
      await until('it has gone', isEmpty);
    });

    test('no timer is left where nothing is to come', async () => {
      const { backend, rig } = { backend: subject.backend, rig: subject.rig };
      for (let i = 0; i < 20; i++) {
        await created(backend, 's', { ttl: 1_000_000, retainFor: 1_000_000 }, { text: 'abc' });
        await backend.delete('s');
      }
      await until('no timer', () => rig.clock.pending === 0);
    });

    if (reopens)
      test('it goes on after closing and opening, and what expired meanwhile is not there', async () => {
        const { rig } = subject;
        await created(rig.backend, 'short', { expiresAt: rig.time() + 2000 }, { text: 'abc' });
        await created(rig.backend, 'long', { ttl: 50_000 });
        await created(rig.backend, 'at', { expiresAt: rig.time() + 90_000 });
        const close = rig.backend.close();
        await close;
        await subject.pass(3000);
        const backend = (await rig.reopen?.()) as typeof rig.backend;
        expect(await backend.open('short')).toBeUndefined();
        expect(await listed(backend)).toEqual(['at', 'long']);
        expect((await opened(backend, 'long')).name).toBe('long');
        await subject.pass(60_000);
        await until('the time to live is over', async () => (await listed(backend)).join() === 'at');
        await subject.pass(27_000);
        await until('it has gone', isEmpty);
      });
  });
}
