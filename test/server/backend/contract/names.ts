import { describe, expect, test } from 'vitest';
import { LONGEST_NAME } from '../../../../packages/server/src/backends/backend.ts';
import type { Subject } from '../contract.ts';
import { contents, created, listed, opened, refused } from '../rig.ts';

/** Names that are other things elsewhere, and pairs that only look alike. */
const NAMES = [
  '..',
  '.',
  '/',
  '../../etc/passwd',
  'a\0b',
  'a',
  'A',
  'a/b',
  'a%2fb',
  '%00',
  'é',
  'e\u0301',
  ' ',
  '\n',
  '__proto__',
  'constructor',
  '\u{1f600}',
  '\ufffd',
  '\uffff',
  '\ue000',
  '\u{10ffff}',
  '\ud7ff',
  'ab',
  'a\u0000',
];
const encoder = new TextEncoder();
const inUtf8 = (one: string, other: string): number => Buffer.compare(encoder.encode(one), encoder.encode(other));

export function nameLaws(subject: Subject, { reopens }: { readonly reopens: boolean }): void {
  describe('names', () => {
    test('each is a stream of its own, and they come in the order of their bytes', async () => {
      const { backend, rig } = { backend: subject.backend, rig: subject.rig };
      for (const name of NAMES) await created(backend, name, {}, { text: `<${NAMES.indexOf(name)}>` });
      const sorted = [...NAMES].sort(inUtf8);
      expect(await listed(backend)).toEqual(sorted);
      for (const name of NAMES) expect(await contents(await opened(backend, name))).toBe(`<${NAMES.indexOf(name)}>`);
      for (const after of [...NAMES, '', 'b', '\uf000']) {
        expect(await listed(backend, { after })).toEqual(sorted.filter((name) => inUtf8(name, after) > 0));
      }
      for (const prefix of ['', 'a', 'a%', '\u{1f600}', 'zz']) {
        expect(await listed(backend, { prefix })).toEqual(sorted.filter((name) => name.startsWith(prefix)));
      }
      expect(await listed(backend, { prefix: 'a', after: 'a' })).toEqual(
        sorted.filter((name) => name.startsWith('a') && inUtf8(name, 'a') > 0),
      );
      if (!reopens) return;
      const again = (await rig.reopen?.()) as typeof backend;
      expect(await listed(again)).toEqual(sorted);
      for (const name of NAMES) expect(await contents(await opened(again, name))).toBe(`<${NAMES.indexOf(name)}>`);
    });

    test(`up to ${LONGEST_NAME} bytes of UTF-8, and not longer or empty`, async () => {
      const { backend } = subject;
      for (const name of [
        'x'.repeat(LONGEST_NAME),
        'é'.repeat(LONGEST_NAME / 2),
        '\u{1f600}'.repeat(LONGEST_NAME / 4),
      ]) {
        const stream = await created(backend, name);
        expect(stream.name).toBe(name);
        expect((await backend.open(name))?.generation).toBe(stream.generation);
      }
      for (const name of ['', 'x'.repeat(LONGEST_NAME + 1), 'é'.repeat(LONGEST_NAME / 2 + 1)]) {
        await refused(backend.create(name, { contentType: 't/t' }), 'ERR_FANPIPE_INVALID_NAME');
      }
      expect((await backend.stats()).streams).toBe(3);
    });

    test('half a surrogate pair is refused', async () => {
      const { backend } = subject;
      for (const name of ['\ud800', 'a\udc00', '\ud83d\ud83d\ude00', '\ude00\ud83d', 'x\ud800y']) {
        await refused(backend.create(name, { contentType: 't/t' }), 'ERR_FANPIPE_INVALID_NAME');
      }
      expect(await listed(backend)).toEqual([]);
    });

    test('who lists while streams come and go is not disturbed', async () => {
      const { backend } = subject;
      for (let i = 0; i < 20; i++) await created(backend, `s${String(i).padStart(2, '0')}`);
      const names: string[] = [];
      for await (const { name } of backend.list()) {
        names.push(name);
        if (name === 's05') await backend.delete('s06');
        if (name === 's10') await created(backend, 's0x');
      }
      expect(names).not.toContain('s06');
      expect(names).toHaveLength(19);
    });
  });
}
