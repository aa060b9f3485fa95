import { describe, expect, test } from 'vitest';
import { parseContentRange, parseLength } from './content-range.ts';

describe('EXACT: Content-Range', () => {
  test.each([
    ['bytes 0-0/1', { from: 0, to: 1, size: 1 }],
    ['bytes 5-9/100', { from: 5, to: 10, size: 100 }],
    ['Bytes 5-9/*', { from: 5, to: 10, size: undefined }],
    ['  bytes 5-9/10 ', { from: 5, to: 10, size: 10 }],
    ['bytes */47', { from: undefined, to: undefined, size: 47 }],
    ['bytes */0', { from: undefined, to: undefined, size: 0 }],
  ])('%s', (header, expected) => expect(parseContentRange(header)).toEqual(expected));

  test.each([
    null,
    '',
    'bytes',
    'bytes 5-9',
    'bytes 9-5/100',
    'bytes 5-100/100',
    'bytes -5/100',
    'bytes 5-/100',
    'bytes */*',
    'items 5-9/100',
    'bytes 5-9/100, bytes 20-29/100',
    'bytes 0x5-9/100',
    'bytes 1e1-20/100',
    `bytes 0-9/${2 ** 53}`,
    // The offset after it would be no safe integer.
    `bytes 0-${2 ** 53 - 1}/*`,
    `bytes 0-${'9'.repeat(400)}/*`,
  ])('%j is none', (header) => expect(parseContentRange(header)).toBeNull());

  test('a length is a whole number that offsets can hold', () => {
    expect(parseLength(' 42 ')).toBe(42);
    expect(parseLength('0')).toBe(0);
    for (const none of [null, '', '-1', '4.2', '42, 42', '1e3', '9'.repeat(30)])
      expect(parseLength(none), `${none}`).toBeUndefined();
  });
});
