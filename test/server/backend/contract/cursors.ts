import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { settle } from '../../../support/fake-clock.ts';
import type { Subject } from '../contract.ts';
import { append, contents, created, hops, isSettled, nextOf, readBytes, readToEnd, refused, writing } from '../rig.ts';

export function cursorLaws(subject: Subject): void {
  describe('SEAM: cursors', () => {
    test('one begins exactly where it is opened, inside an append too', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      await Promise.all(['abc', 'd', 'efgh', 'ij'].map((text) => append(writer, text)));
      const all = 'abcdefghij';
      for (let from = 0; from <= all.length; from++) {
        const cursor = stream.cursor(from);
        expect(cursor.position).toBe(from);
        expect(await readBytes(cursor, all.length - from)).toBe(all.slice(from));
        const next = cursor.next();
        expect(await isSettled(next)).toBe(false);
        cursor.close();
      }
    });

    test('maxBytes: at most so many, at least one, and all of them come', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      await Promise.all(['abc', 'd', 'efgh', 'ij'].map((text) => append(writer, text)));
      for (const maxBytes of [1, 2, 3, 4, 7, 10, 100]) {
        const cursor = stream.cursor(0);
        let text = '';
        while (text.length < 10) {
          const part = await nextOf(cursor, maxBytes);
          expect(part.length).toBeLessThanOrEqual(maxBytes);
          text += part;
        }
        expect(text).toBe('abcdefghij');
      }
      const least = stream.cursor(0);
      expect(await nextOf(least, 0)).toBe('a');
      expect(await nextOf(least, 0)).toBe('b');
    });

    test('where nothing is said it brings at most 64 KiB', async () => {
      const stream = await created(subject.backend, 's', {}, { text: 'x'.repeat(200_000) });
      const cursor = stream.cursor(0);
      let read = 0;
      while (read < 200_000) {
        const { length } = await nextOf(cursor);
        expect(length).toBeLessThanOrEqual(65_536);
        read += length;
      }
    });

    test('one that waits gets what comes, also no more than it asked for', async () => {
      const { stream, writer } = await writing(subject.backend, 's', {}, 'ab');
      const cursors = [stream.cursor(2), stream.cursor(2), stream.cursor(2)];
      const waiting = [nextOf(cursors[0] as never), nextOf(cursors[1] as never, 2), nextOf(cursors[2] as never, 1)];
      expect(await isSettled(Promise.race(waiting))).toBe(false);
      await append(writer, 'cd', 'e');
      const got = await Promise.all(waiting);
      expect(got[0]).not.toBe('');
      expect(got[1]?.length).toBeLessThanOrEqual(2);
      expect(got[2]).toBe('c');
      for (const [i, cursor] of cursors.entries()) {
        expect(got[i] + (await readBytes(cursor, 3 - (got[i] as string).length))).toBe('cde');
      }
    });

    test('attached at any moment around appends, it leaves nothing out and brings nothing twice', async () => {
      const { backend } = subject;
      const turns = [0, 1, 2, 3, 4, 5, 6, 8, 10, 14, 20];
      for (const [i, steps] of turns.entries()) {
        const { stream, writer } = await writing(backend, `race-${i}`, {}, 'abc');
        const first = append(writer, 'de');
        const second = append(writer, 'f', 'gh');
        await hops(steps);
        if (i % 3 === 2) await settle();
        const cursors = [0, 1, 2, 3].map((from) => stream.cursor(from));
        const started = cursors.map((cursor) => cursor.next());
        const third = append(writer, 'ij');
        const early = started.map(async (next, from) => {
          const result = await next;
          const begun = result.end === undefined ? Buffer.concat([...result.chunks]).toString() : '';
          const cursor = cursors[from] as (typeof cursors)[number];
          return begun + (await readBytes(cursor, 10 - from - begun.length));
        });
        expect(await Promise.all(early)).toEqual([0, 1, 2, 3].map((from) => 'abcdefghij'.slice(from)));
        await Promise.all([first, second, third]);
        expect((await stream.state()).tail).toBe(10);
      }
    });

    test('attached at the tail that the state said, it goes on exactly there', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      const all = Array.from({ length: 60 }, (_, i) => append(writer, `${i};`));
      const text = Array.from({ length: 60 }, (_, i) => `${i};`).join('');
      for (let i = 0; i < 20; i++) {
        const { tail } = await stream.state();
        if (tail < text.length) expect(text.slice(tail)).toContain(await nextOf(stream.cursor(tail), 4));
        await hops(i);
      }
      await Promise.all(all);
      expect(await contents(stream)).toBe(text);
    });

    test('many cursors follow one stream while it is written', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      const readers = Array.from({ length: 20 }, (_, i) =>
        (async () => {
          await hops(3 * i);
          const cursor = stream.cursor(0);
          let text = '';
          for (;;) {
            const more = await nextOf(cursor, 1 + (i % 7));
            if (more.startsWith('<')) return text + more;
            text += more;
          }
        })(),
      );
      const all: Promise<unknown>[] = [];
      for (let i = 0; i < 50; i++) {
        all.push(append(writer, `${i}.`));
        if (i % 5 === 0) await settle();
      }
      all.push(writer.append([], { end: { kind: 'closed' } }));
      await Promise.all(all);
      const text = Array.from({ length: 50 }, (_, i) => `${i}.`).join('');
      for (const got of await Promise.all(readers)) expect(got).toBe(`${text}<closed>`);
    });

    test('beyond the tail it says where the tail is', async () => {
      const { stream, writer } = await writing(subject.backend, 's', {}, 'abc');
      const cursor = stream.cursor(4);
      await refused(cursor.next(), 'ERR_FANPIPE_OFFSET_NOT_WRITTEN', { offset: 4, tail: 3 });
      await append(writer, 'de');
      expect(await nextOf(cursor)).toBe('e');
    });

    test('a signal ends the wait, and the cursor can be used on', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      const cursor = stream.cursor(0);
      const controller = new AbortController();
      const { signal } = controller;
      const next = cursor.next({ signal });
      expect(await isSettled(next)).toBe(false);
      controller.abort('enough');
      await expect(next).rejects.toBe('enough');
      await expect(cursor.next({ signal })).rejects.toBe('enough');
      const again = nextOf(cursor);
      await append(writer, 'abc');
      expect(await again).toBe('abc');
      await expect(stream.cursor(0).next({ signal })).rejects.toBe('enough');
    });

    test('a signal keeps no listener of a step that is over', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      const { signal } = new AbortController();
      const cursor = stream.cursor(0);
      for (let i = 0; i < 20; i++) {
        const next = cursor.next({ signal });
        await append(writer, 'a');
        await next;
      }
      const last = stream.cursor(20);
      void last.next({ signal });
      await settle();
      last.close();
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    });

    test('a wait that is given up costs no byte', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      for (const steps of [0, 1, 2, 3, 5, 8]) {
        const { tail } = await stream.state();
        const cursor = stream.cursor(tail);
        const controller = new AbortController();
        const next = cursor.next({ signal: controller.signal });
        const acknowledged = append(writer, 'xyz');
        await hops(steps);
        controller.abort(new Error('given up'));
        const got = await next.then(
          (result) => result.next - tail,
          () => 0,
        );
        expect(cursor.position).toBe(tail + got);
        await acknowledged;
        expect(await readBytes(cursor, 3 - got)).toBe('xyz'.slice(got));
      }
    });

    test('one that is closed disturbs nobody, and its wait resolves never', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      const [closed, open] = [stream.cursor(0), stream.cursor(0)];
      const never = closed.next();
      const next = nextOf(open);
      await settle();
      closed.close();
      closed.close();
      await append(writer, 'a');
      expect(await next).toBe('a');
      expect(await isSettled(never)).toBe(false);
      await writer.append([], { end: { kind: 'closed' } });
      expect(await readToEnd(open)).toBe('<closed>');
      expect(await isSettled(never)).toBe(false);
    });

    test('bytes that were read do not change', async () => {
      const { stream, writer } = await writing(subject.backend, 's', { retainBytes: 10 });
      await append(writer, 'abcdefghi');
      const early = await stream.cursor(0).next();
      for (let i = 0; i < 300; i++) await append(writer, `${i}`.repeat(4));
      expect(early.end === undefined && Buffer.concat([...early.chunks]).toString()).toBe('abcdefghi');
    });
  });
}
