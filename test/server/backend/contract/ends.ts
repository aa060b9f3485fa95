import { describe, expect, test } from 'vitest';
import type { StreamEnd } from '../../../../packages/server/src/backends/backend.ts';
import type { Subject } from '../contract.ts';
import { append, bytes, created, isSettled, nextOf, opened, readToEnd, refused, writing } from '../rig.ts';

const ENDS: readonly [StreamEnd, string][] = [
  [{ kind: 'closed' }, '<closed>'],
  [{ kind: 'failed', reason: 'no more paper' }, '<failed: no more paper>'],
];

export function endLaws(subject: Subject, { reopens }: { readonly reopens: boolean }): void {
  describe.each(ENDS)('OVER: the end %o', (end, sign) => {
    test.each(['', 'last'])(
      'is seen by cursors that wait, that are behind and that come later (last bytes: %o)',
      async (last) => {
        const { stream, writer } = await writing(subject.backend, 's', {}, 'abc');
        const waiting = stream.cursor(3);
        const step = readToEnd(waiting);
        const behind = stream.cursor(0);
        expect(await nextOf(behind, 2)).toBe('ab');
        expect(await isSettled(step)).toBe(false);
        await writer.append(last === '' ? [] : [bytes(last)], { end });
        expect(await step).toBe(last + sign);
        expect(await readToEnd(behind)).toBe(`c${last}${sign}`);
        for (let from = 0; from <= 3 + last.length; from++) {
          expect(await readToEnd(stream.cursor(from))).toBe(`abc${last}`.slice(from) + sign);
        }
        expect(await nextOf(waiting)).toBe(sign);
        expect(await stream.state()).toMatchObject({ tail: 3 + last.length, end });
        await refused(stream.cursor(4 + last.length).next(), 'ERR_FANPIPE_OFFSET_NOT_WRITTEN');
      },
    );

    test('nothing comes after it', async () => {
      const { stream, writer } = await writing(subject.backend, 's');
      const all = [
        append(writer, 'ab'),
        writer.append([bytes('c')], { end }),
        append(writer, 'd'),
        writer.append([], { end }),
      ];
      const results = await Promise.allSettled(all);
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected']);
      await refused(append(writer, 'e'), 'ERR_FANPIPE_STREAM_ENDED', { tail: 3 });
      await refused(writer.append([], { facts: new Map([['a', 'b']]) }), 'ERR_FANPIPE_STREAM_ENDED');
      const again = await stream.acquire();
      expect(again.facts.size).toBe(0);
      await refused(append(again.writer, 'f'), 'ERR_FANPIPE_STREAM_ENDED');
      expect(await readToEnd(stream.cursor(0))).toBe(`abc${sign}`);
    });

    if (reopens)
      test('is there after closing and opening', async () => {
        const { rig } = subject;
        const { writer } = await writing(rig.backend, 's', {}, 'a');
        await created(rig.backend, 't', {}, { end });
        await writer.append([], { end });
        const backend = (await rig.reopen?.()) as typeof rig.backend;
        expect(await readToEnd((await opened(backend, 's')).cursor(0))).toBe(`a${sign}`);
        expect(await readToEnd((await opened(backend, 't')).cursor(0))).toBe(sign);
      });
  });
}
