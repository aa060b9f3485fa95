import { describe, expect, test } from 'vitest';
import { parseHttpDate } from './http-date.ts';

const MOMENT = Date.UTC(1994, 10, 6, 8, 49, 37);
const NOW = Date.UTC(2026, 10, 22);

describe('EXACT: dates in headers', () => {
  test.each([
    'Sun, 06 Nov 1994 08:49:37 GMT',
    'Sunday, 06-Nov-94 08:49:37 GMT',
    'Sun Nov  6 08:49:37 1994',
    '  Sun, 06 Nov 1994 08:49:37 GMT ',
  ])('%s', (text) => expect(parseHttpDate(text, NOW)).toBe(MOMENT));

  test('what Date writes is read, whatever the moment', () => {
    for (let time = Date.UTC(1970, 0, 1); time < Date.UTC(2106, 0, 1); time += 12_345_678_000) {
      expect(parseHttpDate(new Date(time).toUTCString())).toBe(time);
    }
    expect(parseHttpDate('Thu, 29 Feb 2024 23:59:60 GMT')).toBe(Date.UTC(2024, 2, 1));
    expect(parseHttpDate('Sat, 01 Jan 0050 00:00:00 GMT')).toBe(new Date('0050-01-01T00:00:00Z').getTime());
  });

  test('a year of two digits is at most 50 years ahead', () => {
    const year = (digits: string): number =>
      new Date(parseHttpDate(`Sunday, 06-Nov-${digits} 08:49:37 GMT`, NOW) ?? 0).getUTCFullYear();
    expect(['76', '77', '99', '00', '26', '27'].map(year)).toEqual([2076, 1977, 1999, 2000, 2026, 2027]);
  });

  test.each([
    null,
    '',
    'yesterday',
    '1994',
    '-5',
    '1.5',
    '1994-11-06T08:49:37Z',
    'Sun, 06 Nov 1994 08:49:37 CET',
    'Sun, 06 Nov 1994 08:49 GMT',
    'Sun, 6 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nix 1994 08:49:37 GMT',
    'Sun, 31 Feb 1994 08:49:37 GMT',
    'Tue, 29 Feb 2023 08:49:37 GMT',
    'Sun, 00 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 24:00:00 GMT',
    'Sun, 06 Nov 1994 08:60:00 GMT',
    'Sun, 06 Nov 1994 08:49:61 GMT',
    'Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT',
  ])('%j is none', (text) => expect(parseHttpDate(text, NOW)).toBeUndefined());
});
