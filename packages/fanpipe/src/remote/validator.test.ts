import { describe, expect, test } from 'vitest';
import { difference, validatorOf } from './validator.ts';

const DATE = 'Tue, 15 Nov 1994 12:45:28 GMT';
const SECOND_BEFORE = 'Tue, 15 Nov 1994 12:45:27 GMT';
const of = (headers: Record<string, string>) => validatorOf(new Headers(headers));

describe('EXACT: validators', () => {
  test.each([
    ['a strong tag', { etag: '"a"' }, '"a"'],
    ['a tag before a date', { etag: '"a"', 'last-modified': SECOND_BEFORE, date: DATE }, '"a"'],
    [
      'a weak tag proves nothing, and says that a date would not either',
      { etag: 'W/"a"', 'last-modified': SECOND_BEFORE, date: DATE },
      null,
    ],
    ['a tag without quotes is none', { etag: 'a' }, null],
    ['a tag that is two', { etag: '"a", "b"' }, null],
    ['a date a second before the answer', { 'last-modified': SECOND_BEFORE, date: DATE }, SECOND_BEFORE],
    ['a date in the second of the answer', { 'last-modified': DATE, date: DATE }, null],
    ['a date, and no date of the answer', { 'last-modified': SECOND_BEFORE }, null],
    ['a date that is none', { 'last-modified': 'yesterday', date: DATE }, null],
    ['nothing', {}, null],
  ])('%s', (_, headers, strong) => expect(of(headers as Record<string, string>).strong).toBe(strong));

  test('two versions differ by their tags, weak or not, else by their dates', () => {
    expect(difference(of({ etag: '"a"' }), of({ etag: '"a"' }))).toBeNull();
    expect(difference(of({ etag: '"a"' }), of({ etag: 'W/"a"' }))).toBeNull();
    expect(difference(of({ etag: '"a"' }), of({ etag: '"b"' }))).toMatch(/"a".*"b"/);
    expect(difference(of({ etag: 'W/"a"' }), of({ etag: 'W/"b"' }))).toMatch(/"a".*"b"/);
    expect(difference(of({ 'last-modified': DATE }), of({ 'last-modified': SECOND_BEFORE }))).toMatch(/modified/);
    expect(difference(of({ 'last-modified': DATE }), of({ 'last-modified': DATE }))).toBeNull();
    expect(difference(of({}), of({}))).toBeNull();
    // A 206 to an If-Range may leave out what the reader has (RFC 9110, 15.3.7).
    expect(difference(of({ etag: '"a"', 'last-modified': DATE }), of({ etag: '"a"' }))).toBeNull();
    expect(difference(of({ 'last-modified': DATE }), of({}))).toBeNull();
  });
});
