import { describe, expect, test } from 'vitest';
import type { Subject } from '../contract.ts';
import { append, bytes, contents, created, isSettled, opened, readToEnd, refused, writing } from '../rig.ts';

const LEVELS = ['memory', 'os', 'disk', 'quorum'];

export function appendLaws(subject: Subject, { reopens }: { readonly reopens: boolean }): void {
  describe('appends', () => {
    test('OFFSET: they count bytes from 0 on', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      expect(await stream.state()).toMatchObject({ name: 's', head: 0, tail: 0, inherited: [] });
      expect(await append(writer, 'abc')).toMatchObject({ offset: 0, tail: 3 });
      expect(await append(writer, 'de', 'f')).toMatchObject({ offset: 3, tail: 6 });
      expect(await stream.state()).toMatchObject({ head: 0, tail: 6, end: undefined });
      expect(await contents(stream)).toBe('abcdef');
    });

    test('ACK: pipelined appends take effect in the order of the calls', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      const texts = Array.from({ length: 500 }, (_, i) => `${i};`);
      const order: number[] = [];
      const all = texts.map((text, i) =>
        append(writer, text).then(({ offset, tail }) => {
          order.push(i);
          expect([offset, tail - offset]).toEqual([texts.slice(0, i).join('').length, text.length]);
        }),
      );
      await Promise.all(all);
      expect(order).toEqual(texts.map((_, i) => i));
      expect(await contents(stream)).toBe(texts.join(''));
    });

    test('streams do not mix', async () => {
      const pairs = await Promise.all(['a', 'b', 'c'].map((name) => writing(subject.backend, name)));
      const all = Array.from({ length: 30 }, (_, i) => append(pairs[i % 3]?.writer as never, `${i},`));
      await Promise.all(all);
      const found = await Promise.all(pairs.map(({ stream }) => contents(stream)));
      expect(found).toEqual([0, 1, 2].map((k) => Array.from({ length: 10 }, (_, i) => `${3 * i + k},`).join('')));
    });

    test('ACK: the level of an acknowledgement is one of the four, and none is better than that of the backend', async () => {
      const { writer } = await writing(subject.backend, 's');
      const { level } = await append(writer, 'a');
      expect(LEVELS).toContain(level);
      expect(LEVELS.indexOf(level)).toBeLessThanOrEqual(LEVELS.indexOf(subject.backend.level));
    });

    test('empty chunks are nothing, and an append of nothing is one', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      expect(await append(writer, '', 'a', '')).toMatchObject({ offset: 0, tail: 1 });
      expect(await writer.append([])).toMatchObject({ offset: 1, tail: 1 });
      expect(await append(writer, '', '')).toMatchObject({ offset: 1, tail: 1 });
      expect(await append(writer, 'b')).toMatchObject({ offset: 1, tail: 2 });
      expect(await contents(stream)).toBe('ab');
    });

    test('large and small appends keep their bytes', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      const sizes = [1, 70_000, 3, 16_384, 65_536, 2, 511, 513, 300_000];
      let all = '';
      const acknowledged: Promise<unknown>[] = [];
      for (const [i, size] of sizes.entries()) {
        const text = `${i}`.repeat(size);
        all += text;
        acknowledged.push(append(writer, text));
      }
      await Promise.all(acknowledged);
      expect((await contents(stream)) === all).toBe(true);
    });

    test('a part of a larger buffer is stored, not the buffer', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      const whole = bytes('-'.repeat(40_000));
      whole.set(bytes('abc'), 7);
      await writer.append([whole.subarray(7, 10)]);
      expect(await contents(stream)).toBe('abc');
      expect(await subject.backend.stats()).toEqual({ streams: 1, bytes: 3 });
    });

    test('ATOMIC: bytes, facts and the end are there together', async () => {
      const { backend } = subject;
      const { stream, writer } = await writing(backend, 's');
      await writer.append([bytes('a')], {
        facts: new Map([
          ['x', '1'],
          ['y', '2'],
        ]),
      });
      await writer.append([], {
        facts: new Map<string, string | undefined>([
          ['x', undefined],
          ['z', ''],
        ]),
      });
      const again = await stream.acquire();
      expect([...again.facts].sort()).toEqual([
        ['y', '2'],
        ['z', ''],
      ]);
      expect(again.state).toMatchObject({ tail: 1 });
      await again.writer.append([bytes('b')], { facts: new Map([['y', '3']]), end: { kind: 'failed', reason: 'why' } });
      const last = await stream.acquire();
      expect([...last.facts].sort()).toEqual([
        ['y', '3'],
        ['z', ''],
      ]);
      expect(last.state).toMatchObject({ tail: 2, end: { kind: 'failed', reason: 'why' } });
    });

    test('an append whose offset is not that which its caller counted is refused, and the next goes on', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      await writer.append([bytes('abc')], { offset: 0 });
      await refused(writer.append([bytes('x')], { offset: 0 }), 'ERR_FANPIPE_FENCED');
      await refused(writer.append([bytes('x')], { offset: 4 }), 'ERR_FANPIPE_FENCED');
      const two = [writer.append([bytes('d')], { offset: 3 }), writer.append([bytes('e')], { offset: 4 })];
      await Promise.all(two);
      expect(await contents(stream)).toBe('abcde');
    });

    test('what a stream is created with is its first append', async () => {
      const { backend } = subject;
      const facts = new Map([['k', 'v']]);
      const stream = await created(backend, 's', {}, { text: 'first', facts });
      expect(await stream.state()).toMatchObject({ head: 0, tail: 5, end: undefined });
      const { writer, facts: found } = await stream.acquire();
      expect([...found]).toEqual([['k', 'v']]);
      expect(await append(writer, '+')).toMatchObject({ offset: 5 });
      const ended = await created(backend, 't', {}, { text: 'all', end: { kind: 'closed' } });
      expect(await readToEnd(ended.cursor(0))).toBe('all<closed>');
      const empty = await created(backend, 'u', {}, { end: { kind: 'closed' } });
      expect(await readToEnd(empty.cursor(0))).toBe('<closed>');
    });

    test('the stream keeps its configuration and the time at which it was made', async () => {
      const config = { contentType: 'a/B; c="d"', ttl: 5_000_000, retainBytes: 100, retainFor: 77 };
      const stream = await created(subject.backend, 's', config);
      const { createdAt, config: kept } = await stream.state();
      expect(kept).toEqual(config);
      expect(createdAt).toBe(subject.rig.time());
    });

    test('creating what is there changes nothing', async () => {
      const { backend } = subject;
      const { stream, writer } = await writing(backend, 's', {}, 'abc');
      const again = await backend.create(
        's',
        { contentType: 'x/y' },
        { chunks: [bytes('no')], end: { kind: 'closed' } },
      );
      expect(again.isNew).toBe(false);
      expect(await again.stream.state()).toEqual(await stream.state());
      await append(writer, 'd');
      expect(await contents(again.stream)).toBe('abcd');
    });

    test('of many that create the same at once, one makes it', async () => {
      const { backend } = subject;
      const all = await Promise.all(
        Array.from({ length: 20 }, (_, i) => backend.create('s', { contentType: 't/t' }, { chunks: [bytes(`${i}`)] })),
      );
      expect(all.filter(({ isNew }) => isNew)).toHaveLength(1);
      const maker = all.findIndex(({ isNew }) => isNew);
      expect(new Set(all.map(({ stream }) => stream.generation)).size).toBe(1);
      for (const { stream } of all) expect(await contents(stream)).toBe(`${maker}`);
    });

    test('a stream that is being created is there for who opens it meanwhile, or not, but never half', async () => {
      const { backend } = subject;
      const creation = created(backend, 's', {}, { text: 'abc' });
      const found = await backend.open('s');
      if (found !== undefined) expect(await contents(found)).toBe('abc');
      await creation;
      expect(await contents(await opened(backend, 's'))).toBe('abc');
    });

    test('the counts are those of what is there', async () => {
      const { backend } = subject;
      expect(await backend.stats()).toEqual({ streams: 0, bytes: 0 });
      const { writer } = await writing(backend, 's', {}, 'abc');
      await writing(backend, 't');
      await append(writer, 'de');
      expect(await backend.stats()).toEqual({ streams: 2, bytes: 5 });
    });

    if (reopens)
      test('what was acknowledged is there after closing and opening', async () => {
        const { rig } = subject;
        const { stream, writer } = await writing(rig.backend, 's', { ttl: 10_000_000, retainBytes: 1_000_000 });
        const other = await created(rig.backend, 't', {}, { text: 'done', end: { kind: 'failed', reason: 'r' } });
        const all = Array.from({ length: 100 }, (_, i) =>
          writer.append([bytes(`${i},`)], { facts: new Map([['n', `${i}`]]) }),
        );
        await Promise.all(all);
        const [before, otherBefore, stats] = [await stream.state(), await other.state(), await rig.backend.stats()];
        const backend = await rig.reopen?.();
        if (backend === undefined) throw new Error('It cannot be opened again');
        const again = await opened(backend, 's');
        expect(await again.state()).toEqual(before);
        expect(await contents(again)).toBe(Array.from({ length: 100 }, (_, i) => `${i},`).join(''));
        expect(await (await opened(backend, 't')).state()).toEqual(otherBefore);
        expect(await backend.stats()).toEqual(stats);
        const { writer: next, facts } = await again.acquire();
        expect(next.epoch).toBeGreaterThan(writer.epoch);
        expect(facts.get('n')).toBe('99');
        expect(await append(next, '!')).toMatchObject({ offset: before.tail });
        const later = await created(backend, 'u');
        expect(later.generation).toBeGreaterThan(Math.max(before.generation, otherBefore.generation));
      });

    test('an append under way does not settle a cursor before it is acknowledged', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      const cursor = stream.cursor(0);
      const next = cursor.next();
      expect(await isSettled(next)).toBe(false);
      const acknowledged = append(writer, 'a');
      await next;
      expect((await stream.state()).tail).toBe(1);
      await acknowledged;
    });
  });
}
