import { describe, expect, test } from 'vitest';
import type { Subject } from '../contract.ts';
import {
  append,
  bytes,
  contents,
  created,
  forked,
  hops,
  isSettled,
  listed,
  nextOf,
  opened,
  outcome,
  readToEnd,
  refused,
  until,
  writing,
} from '../rig.ts';

export function forkLaws(subject: Subject, { reopens }: { readonly reopens: boolean }): void {
  describe('forks', () => {
    test('one shows the bytes of its source below its offset, and then its own', async () => {
      const { backend } = subject;
      const { stream: source, writer } = await writing(backend, 'source');
      await Promise.all(['abc', 'def', 'ghi'].map((text) => append(writer, text)));
      for (let offset = 0; offset <= 9; offset++) {
        const fork = await forked(source, backend, `fork-${offset}`, offset);
        const inherited = offset === 0 ? [] : [{ generation: source.generation, to: offset }];
        expect(await fork.state()).toMatchObject({ head: 0, tail: offset, end: undefined, inherited });
        const { writer: own } = await fork.acquire();
        expect(await append(own, 'XYZ')).toMatchObject({ offset, tail: offset + 3 });
        const all = `${'abcdefghi'.slice(0, offset)}XYZ`;
        for (let from = 0; from <= all.length; from++) expect(await contents(fork, from)).toBe(all.slice(from));
        for (const maxBytes of [1, 2, 5]) expect(all.startsWith(await nextOf(fork.cursor(0), maxBytes))).toBe(true);
      }
      expect(await contents(source)).toBe('abcdefghi');
      expect(await backend.stats()).toEqual({ streams: 11, bytes: 9 + 10 * 3 });
    });

    test('what is appended to one is not in the other; ends and facts neither', async () => {
      const { backend } = subject;
      const { stream: source, writer } = await writing(backend, 'source', {}, 'abc');
      await writer.append([], { facts: new Map([['a', '1']]) });
      const fork = await forked(source, backend, 'fork', 3);
      const waiting = fork.cursor(3).next();
      await writer.append([bytes('more')], { end: { kind: 'closed' } });
      expect(await isSettled(waiting)).toBe(false);
      const { writer: own, facts } = await fork.acquire();
      expect(facts.size).toBe(0);
      await append(own, 'own');
      expect(await waiting).toMatchObject({ offset: 3, next: 6 });
      expect(await contents(fork)).toBe('abcown');
      expect(await readToEnd(source.cursor(0))).toBe('abcmore<closed>');
      await own.append([], { end: { kind: 'failed', reason: 'x' } });
      expect(await readToEnd(fork.cursor(1))).toBe('bcown<failed: x>');
    });

    test('one is made with bytes and an end of its own', async () => {
      const { backend } = subject;
      const source = await created(backend, 'source', {}, { text: 'abc', end: { kind: 'closed' } });
      const fork = { source: 'source', generation: source.generation, offset: 2 };
      const made = await created(backend, 'fork', { fork }, { text: 'XY', end: { kind: 'closed' } });
      expect(await readToEnd(made.cursor(0))).toBe('abXY<closed>');
      expect((await made.state()).config.fork).toEqual(fork);
    });

    test('it is refused where the source is not there, or the offset not in it', async () => {
      const { backend } = subject;
      const { stream, writer } = await writing(backend, 's', { retainBytes: 3 });
      await append(writer, 'abc');
      await append(writer, 'def');
      const attempt = (source: string, generation: number, offset: number): Promise<unknown> =>
        backend.create('fork', { contentType: 't/t', fork: { source, generation, offset } });
      const code = 'ERR_FANPIPE_FORK_SOURCE';
      await refused(attempt('none', 1, 0), code, { problem: 'not-found' });
      await refused(attempt('s', stream.generation + 1, 3), code, { problem: 'not-found' });
      await refused(attempt('s', stream.generation, 2), code, { problem: 'offset' });
      await refused(attempt('s', stream.generation, 7), code, { problem: 'offset' });
      await attempt('s', stream.generation, 6);
      await backend.delete('s');
      await refused(
        backend.create('g', { contentType: 't/t', fork: { source: 's', generation: stream.generation, offset: 4 } }),
        code,
        { problem: 'soft-deleted' },
      );
      expect(await listed(backend)).toEqual(['fork']);
    });

    test('it outlives the deletion of its source, which keeps the name until the last fork is gone', async () => {
      const { backend } = subject;
      const { stream: source, writer } = await writing(backend, 'source', {}, 'abcdef');
      const [one, two] = [await forked(source, backend, 'one', 2), await forked(source, backend, 'two', 4)];
      const waiting = refused(source.cursor(6).next(), 'ERR_FANPIPE_STREAM_DELETED');
      expect(await backend.delete('source')).toBe(true);
      await waiting;
      await refused(append(writer, 'x'), 'ERR_FANPIPE_STREAM_DELETED');
      await refused(source.state(), 'ERR_FANPIPE_STREAM_DELETED');
      await refused(backend.open('source'), 'ERR_FANPIPE_STREAM_SOFT_DELETED', { stream: 'source' });
      await refused(backend.create('source', { contentType: 't/t' }), 'ERR_FANPIPE_STREAM_SOFT_DELETED');
      expect(await outcome(backend.delete('source'))).not.toBe('done');
      expect(await listed(backend)).toEqual(['one', 'two']);
      expect(await contents(one)).toBe('ab');
      expect(await contents(two)).toBe('abcd');
      expect((await backend.stats()).streams).toBe(3);
      await backend.delete('one');
      await refused(backend.open('source'), 'ERR_FANPIPE_STREAM_SOFT_DELETED');
      expect(await contents(two)).toBe('abcd');
      await backend.delete('two');
      expect(await backend.stats()).toEqual({ streams: 0, bytes: 0 });
      expect(await backend.open('source')).toBeUndefined();
      expect((await created(backend, 'source')).generation).toBeGreaterThan(source.generation);
    });

    test('forks of forks, also below where the first left', async () => {
      const { backend } = subject;
      const a = await created(backend, 'a', {}, { text: 'aaaaa' });
      const b = await forked(a, backend, 'b', 4);
      await append((await b.acquire()).writer, 'bbbb');
      const [c, low] = [await forked(b, backend, 'c', 6), await forked(b, backend, 'low', 3)];
      await append((await c.acquire()).writer, 'cc');
      await append((await low.acquire()).writer, 'll');
      expect(await contents(c)).toBe('aaaabbcc');
      expect(await contents(low)).toBe('aaall');
      const [ga, gb] = [a.generation, b.generation];
      expect((await c.state()).inherited).toEqual([
        { generation: ga, to: 4 },
        { generation: gb, to: 6 },
      ]);
      expect((await low.state()).inherited).toEqual([{ generation: ga, to: 3 }]);
      for (let from = 0; from <= 8; from++) expect(await contents(c, from)).toBe('aaaabbcc'.slice(from));
      await backend.delete('b');
      await backend.delete('a');
      expect(await contents(c)).toBe('aaaabbcc');
      expect(await contents(low)).toBe('aaall');
      await backend.delete('c');
      expect(await contents(low)).toBe('aaall');
      await backend.delete('low');
      expect(await backend.stats()).toEqual({ streams: 0, bytes: 0 });
      expect(await backend.open('a')).toBeUndefined();
      expect(await backend.open('b')).toBeUndefined();
    });

    test('a long line of forks', async () => {
      const { backend } = subject;
      let last = await created(backend, 'f0', {}, { text: '0' });
      let text = '0';
      for (let i = 1; i <= 60; i++) {
        last = await forked(last, backend, `f${i}`, i);
        await append((await last.acquire()).writer, `${i % 10}`);
        text += `${i % 10}`;
      }
      expect(await contents(last)).toBe(text);
      expect((await last.state()).inherited).toHaveLength(60);
      for (let i = 0; i < 60; i++) await backend.delete(`f${i}`);
      expect(await contents(last)).toBe(text);
      await backend.delete('f60');
      expect(await backend.stats()).toEqual({ streams: 0, bytes: 0 });
    });

    test('what the source lets go of stays for forks, and goes with them', async () => {
      const { backend } = subject;
      const { stream: source, writer } = await writing(backend, 'source', { retainBytes: 6 });
      await append(writer, 'abc');
      await append(writer, 'def');
      const fork = await forked(source, backend, 'fork', 4);
      await append(writer, 'ghi');
      expect(await source.state()).toMatchObject({ head: 3, tail: 9 });
      expect(await fork.state()).toMatchObject({ head: 0, tail: 4 });
      expect(await contents(fork)).toBe('abcd');
      const later = await forked(source, backend, 'later', 8);
      expect(await later.state()).toMatchObject({ head: 3, tail: 8 });
      await refused(later.cursor(2).next(), 'ERR_FANPIPE_OFFSET_GONE', { offset: 2, head: 3 });
      expect(await contents(later)).toBe('defgh');
      await backend.delete('fork');
      await backend.delete('later');
      expect(await contents(source)).toBe('defghi');
      expect((await backend.stats()).bytes).toBe(6);
    });

    test('a source of which little is left keeps for its forks what they show, and no more', async () => {
      const { backend } = subject;
      const { stream: source, writer } = await writing(backend, 'source', { retainBytes: 10 }, 'abcd');
      const fork = await forked(source, backend, 'fork', 4);
      for (let i = 0; i < 1000; i++) await append(writer, `${i % 10}`.repeat(10));
      expect((await source.state()).head).toBe(9994);
      expect(await contents(fork)).toBe('abcd');
      const { bytes: kept } = await backend.stats();
      expect(kept).toBeGreaterThanOrEqual(14);
      expect(kept).toBeLessThan(1000);
      await backend.delete('fork');
      expect((await backend.stats()).bytes).toBe(10);
    });

    test('a fork lets go of what it inherited, by its own limits', async () => {
      const { backend } = subject;
      const { stream: source, writer } = await writing(backend, 'source');
      for (const text of ['abc', 'def', 'ghi']) await append(writer, text);
      const fork = await forked(source, backend, 'fork', 8, { retainBytes: 7 });
      const { writer: own } = await fork.acquire();
      await append(own, 'XY');
      expect(await fork.state()).toMatchObject({ head: 3, tail: 10 });
      await refused(fork.cursor(0).next(), 'ERR_FANPIPE_OFFSET_GONE', { head: 3 });
      expect(await contents(fork)).toBe('defghXY');
      await append(own, 'Z');
      expect(await fork.state()).toMatchObject({ head: 6, tail: 11 });
      expect(await contents(fork)).toBe('ghXYZ');
      await append(own, '123456');
      expect(await fork.state()).toMatchObject({ head: 10, tail: 17 });
      expect(await contents(fork)).toBe('Z123456');
      expect(await contents(source)).toBe('abcdefghi');
      expect((await backend.stats()).bytes).toBe(9 + 7);
      const aging = await forked(source, backend, 'aging', 5, { retainFor: 2000 });
      await append((await aging.acquire()).writer, 'new');
      await subject.pass(1000);
      expect(await aging.state()).toMatchObject({ head: 0 });
      await subject.pass(5000);
      expect(await aging.state()).toMatchObject({ head: 8, tail: 8 });
      expect(await contents(source)).toBe('abcdefghi');
    });

    test('forks and sources that expire', async () => {
      const { backend } = subject;
      const source = await created(backend, 'source', { ttl: 2000 }, { text: 'abc' });
      const fork = await forked(source, backend, 'fork', 2, { ttl: 5000 });
      await subject.pass(2000);
      await until('the source has gone', async () => (await outcome(backend.open('source'))) !== 'done');
      await refused(backend.open('source'), 'ERR_FANPIPE_STREAM_SOFT_DELETED');
      expect(await contents(fork)).toBe('ab');
      await subject.pass(3000);
      await until('both have gone', async () => (await backend.stats()).streams === 0);
      expect((await backend.stats()).bytes).toBe(0);
    });

    test('a fork that is made while its source is deleted is whole, or not made', async () => {
      const { backend } = subject;
      for (let steps = 0; steps < 12; steps++) {
        const source = await created(backend, 'source', {}, { text: 'abc' });
        const making = () => forked(source, backend, 'fork', 2);
        const deleting = () => backend.delete('source');
        let made: Promise<unknown>;
        if (steps % 2 === 0) {
          made = making();
          made.catch(() => {});
          await hops(steps);
          await deleting();
        } else {
          const deletion = deleting();
          await hops(steps);
          made = making();
          made.catch(() => {});
          await deletion;
        }
        if ((await outcome(made)) === 'done') {
          expect(await contents(await opened(backend, 'fork'))).toBe('ab');
          await backend.delete('fork');
        }
        expect(await backend.stats()).toEqual({ streams: 0, bytes: 0 });
      }
    });

    if (reopens)
      test('they are there after closing and opening, and so is what they keep', async () => {
        const { rig } = subject;
        const a = await created(rig.backend, 'a', {}, { text: 'aaaaa' });
        const b = await forked(a, rig.backend, 'b', 4);
        await append((await b.acquire()).writer, 'bbbb');
        const c = await forked(b, rig.backend, 'c', 6);
        await rig.backend.delete('a');
        await rig.backend.delete('b');
        const [before, stats] = [await c.state(), await rig.backend.stats()];
        const backend = (await rig.reopen?.()) as typeof rig.backend;
        const again = await opened(backend, 'c');
        expect(await again.state()).toEqual(before);
        expect(await contents(again)).toBe('aaaabb');
        expect(await backend.stats()).toEqual(stats);
        await refused(backend.open('a'), 'ERR_FANPIPE_STREAM_SOFT_DELETED');
        await refused(backend.open('b'), 'ERR_FANPIPE_STREAM_SOFT_DELETED');
        await backend.delete('c');
        expect(await backend.stats()).toEqual({ streams: 0, bytes: 0 });
      });
  });
}
