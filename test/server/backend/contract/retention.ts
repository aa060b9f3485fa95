import { describe, expect, test } from 'vitest';
import { settle } from '../../../support/fake-clock.ts';
import type { Subject } from '../contract.ts';
import { append, bytes, contents, isSettled, nextOf, opened, readToEnd, refused, until, writing } from '../rig.ts';

/** What is let go by age is let go so much later at most, for the ages of these tests, in milliseconds. */
const MOMENT = 3000;

export function retentionLaws(subject: Subject, { reopens }: { readonly reopens: boolean }): void {
  describe('RETAIN: retention', () => {
    test('by bytes: the oldest appends go, whole ones, until there are not too many', async () => {
      const { backend } = subject;
      const { stream, writer } = await writing(backend, 's', { retainBytes: 10 });
      await append(writer, 'abcd');
      await append(writer, 'efgh');
      expect(await stream.state()).toMatchObject({ head: 0, tail: 8 });
      await append(writer, 'ij');
      expect(await stream.state()).toMatchObject({ head: 0, tail: 10 });
      await append(writer, 'k');
      expect(await stream.state()).toMatchObject({ head: 4, tail: 11 });
      await append(writer, 'lmnopqrs');
      expect(await stream.state()).toMatchObject({ head: 10, tail: 19 });
      expect(await contents(stream)).toBe('klmnopqrs');
      expect((await backend.stats()).bytes).toBe(9);
    });

    test('by bytes: the newest stays, however large', async () => {
      const { stream, writer } = await writing(subject.backend, 's', { retainBytes: 3 });
      await append(writer, 'ab');
      await append(writer, 'cdefghij');
      expect(await stream.state()).toMatchObject({ head: 2, tail: 10 });
      await append(writer, 'k');
      expect(await stream.state()).toMatchObject({ head: 10, tail: 11 });
      await writer.append([]);
      expect(await contents(stream)).toBe('k');
    });

    test('by bytes, with appends under way: what is kept is always readable, and of what is acknowledged', async () => {
      const { stream, writer } = await writing(subject.backend, 's', { retainBytes: 25 });
      const acknowledged: Promise<void>[] = [];
      for (let i = 0; i < 200; i++) {
        acknowledged.push(
          append(writer, `${i}`.padStart(9, '.')).then(async ({ tail: end }) => {
            const { head, tail } = await stream.state();
            expect(head).toBeLessThan(tail);
            expect(head % 9).toBe(0);
            expect(tail).toBeGreaterThanOrEqual(end);
            expect(tail - head).toBe(Math.min(tail, 18));
          }),
        );
        if (i % 10 === 0) await settle();
      }
      await Promise.all(acknowledged);
    });

    test('by bytes: the newest acknowledged stays, also while others are under way', async () => {
      const { stream, writer } = await writing(subject.backend, 's', { retainBytes: 3 });
      const acknowledged: Promise<void>[] = [];
      for (let i = 0; i < 100; i++) {
        acknowledged.push(
          append(writer, `${i}`.padStart(5, '.')).then(async () => {
            const { head, tail } = await stream.state();
            expect(tail - head).toBe(5);
          }),
        );
        if (i % 7 === 0) await settle();
      }
      await Promise.all(acknowledged);
    });

    test('a cursor that it overtakes is told where to go on; none skips', async () => {
      const { stream, writer } = await writing(subject.backend, 's', { retainBytes: 6 });
      const [slow, fast] = [stream.cursor(0), stream.cursor(0)];
      await append(writer, 'abc');
      expect(await nextOf(slow, 2)).toBe('ab');
      expect(await nextOf(fast)).toBe('abc');
      await append(writer, 'def');
      await append(writer, 'ghi');
      await refused(slow.next(), 'ERR_FANPIPE_OFFSET_GONE', { offset: 2, head: 3 });
      expect(slow.position).toBe(2);
      await refused(slow.next(), 'ERR_FANPIPE_OFFSET_GONE', { offset: 2, head: 3 });
      expect(await nextOf(fast, 100)).toBe('defghi');
      await refused(stream.cursor(0).next(), 'ERR_FANPIPE_OFFSET_GONE', { offset: 0, head: 3 });
      expect(await contents(stream, 3)).toBe('defghi');
      expect(await contents(stream, 4)).toBe('efghi');
      await writer.append([], { end: { kind: 'closed' } });
      await refused(slow.next(), 'ERR_FANPIPE_OFFSET_GONE');
      expect(await readToEnd(fast)).toBe('<closed>');
    });

    test('one that waits gets every byte of an append, though the next makes it go', async () => {
      const { stream, writer } = await writing(subject.backend, 's', { retainBytes: 4 });
      const cursor = stream.cursor(0);
      for (const text of ['abc', 'defghi', 'j', 'klmnop']) {
        const next = nextOf(cursor);
        await append(writer, text);
        expect(await next).toBe(text);
      }
    });

    test('by age: appends go by themselves, in time and not before', async () => {
      const { backend } = subject;
      const { stream, writer } = await writing(backend, 's', { retainFor: 10_000 });
      await append(writer, 'abc');
      await subject.pass(5000);
      await append(writer, 'def');
      await subject.pass(4999);
      expect(await stream.state()).toMatchObject({ head: 0, tail: 6 });
      await subject.pass(MOMENT + 1);
      expect(await stream.state()).toMatchObject({ head: 3, tail: 6 });
      await refused(stream.cursor(0).next(), 'ERR_FANPIPE_OFFSET_GONE', { head: 3 });
      expect((await backend.stats()).bytes).toBe(3);
      await subject.pass(5000);
      expect(await stream.state()).toMatchObject({ head: 6, tail: 6 });
      expect((await backend.stats()).bytes).toBe(0);
      const next = stream.cursor(6).next();
      expect(await isSettled(next)).toBe(false);
      await append(writer, 'g');
      expect(await next).toMatchObject({ offset: 6, next: 7 });
      await subject.pass(9000);
      expect(await contents(stream)).toBe('g');
      await subject.pass(1000 + MOMENT);
      expect(await stream.state()).toMatchObject({ head: 7, tail: 7 });
    });

    test('by age: what a stream is created with goes too, and an ended one ends after the head', async () => {
      const { stream, writer } = await writing(subject.backend, 's', { retainFor: 1000 }, 'abc');
      await writer.append([], { end: { kind: 'closed' } });
      const behind = stream.cursor(1);
      await subject.pass(1000 + MOMENT);
      expect(await stream.state()).toMatchObject({ head: 3, tail: 3, end: { kind: 'closed' } });
      await refused(behind.next(), 'ERR_FANPIPE_OFFSET_GONE', { head: 3 });
      expect(await readToEnd(stream.cursor(3))).toBe('<closed>');
    });

    test('by age, long: a moment is a small part of it', async () => {
      const hour = 3_600_000;
      const { stream, writer } = await writing(subject.backend, 's', { retainFor: 24 * hour });
      await append(writer, 'abc');
      await subject.pass(12 * hour);
      await append(writer, 'def');
      await subject.pass(12 * hour - 1);
      expect(await stream.state()).toMatchObject({ head: 0 });
      await subject.pass(2 * 60_000);
      expect(await stream.state()).toMatchObject({ head: 3 });
      await subject.pass(12 * hour);
      expect(await stream.state()).toMatchObject({ head: 6 });
    });

    test('by both, whichever comes first', async () => {
      const { stream, writer } = await writing(subject.backend, 's', { retainFor: 10_000, retainBytes: 6 });
      await append(writer, 'abc');
      await subject.pass(1000);
      await append(writer, 'def');
      await append(writer, 'g');
      expect(await stream.state()).toMatchObject({ head: 3 });
      await subject.pass(10_000 + MOMENT);
      expect(await stream.state()).toMatchObject({ head: 7 });
    });

    test('facts and the end stay when all bytes have gone', async () => {
      const { stream, writer } = await writing(subject.backend, 's', { retainFor: 1000 });
      await writer.append([bytes('abc')], { facts: new Map([['a', '1']]) });
      await subject.pass(1000 + MOMENT);
      const { facts, writer: next, state } = await stream.acquire();
      expect(state).toMatchObject({ head: 3, tail: 3 });
      expect(facts.get('a')).toBe('1');
      expect(await append(next, 'd')).toMatchObject({ offset: 3 });
    });

    test('a stream without limits keeps all', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      await append(writer, 'abc');
      await subject.pass(1e9);
      await append(writer, 'def');
      expect(await contents(stream)).toBe('abcdef');
    });

    if (reopens)
      test('what has gone is gone after closing and opening, and ages on', async () => {
        const { rig } = subject;
        const small = await writing(rig.backend, 'small', { retainBytes: 10 });
        const large = await writing(rig.backend, 'large', { retainBytes: 1_000_000 });
        const aging = await writing(rig.backend, 'aging', { retainFor: 60_000 });
        for (let i = 0; i < 20; i++) await append(small.writer, 'abcd');
        for (let i = 0; i < 12; i++) await append(large.writer, `${i % 10}`.repeat(100_000));
        await append(aging.writer, 'old');
        await subject.pass(30_000);
        await append(aging.writer, 'new');
        await subject.pass(31_000 + MOMENT);
        const streams = [small, large, aging].map(({ stream }) => stream);
        const before = await Promise.all(streams.map((stream) => stream.state()));
        expect(before.map(({ head }) => head)).toEqual([72, 200_000, 3]);
        const stats = await rig.backend.stats();
        const backend = (await rig.reopen?.()) as typeof rig.backend;
        for (const state of before) expect(await (await opened(backend, state.name)).state()).toEqual(state);
        expect(await backend.stats()).toEqual(stats);
        expect(await contents(await opened(backend, 'aging'))).toBe('new');
        await subject.pass(30_000);
        await until('it has aged', async () => (await (await opened(backend, 'aging')).state()).head === 6);
      });
  });
}
