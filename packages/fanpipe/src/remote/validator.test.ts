import { describe, expect, test } from 'vitest';
import { difference, isProven, validatorOf } from './validator.ts';

const DATE = 'Tue, 15 Nov 1994 12:45:28 GMT';
const SECOND_BEFORE = 'Tue, 15 Nov 1994 12:45:27 GMT';
const of = (headers: Record<string, string>) => validatorOf(new Headers(headers));

describe('EXACT: validators', () => {
  test.each([
    ['a strong tag', { etag: '"a"' }, '"a"'],
    ['a tag before a date', { etag: '"a"', 'last-modified': SECOND_BEFORE, date: DATE }, '"a"'],
    [
      'a weak tag is not sent, nor is a date beside it',
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

  test.each([
    ['a strong tag', { etag: '"a"' }, 'tag'],
    ['a strong tag beside a date', { etag: '"a"', 'last-modified': SECOND_BEFORE, date: DATE }, 'tag'],
    ['a strong date', { 'last-modified': SECOND_BEFORE, date: DATE }, 'date'],
    ['a strong date beside a weak tag', { etag: 'W/"a"', 'last-modified': SECOND_BEFORE, date: DATE }, 'date'],
    ['a weak tag', { etag: 'W/"a"' }, null],
    ['a date of this second', { 'last-modified': DATE, date: DATE }, null],
    ['nothing', {}, null],
  ])('what proves a version: %s', (_, headers, proof) =>
    expect(of(headers as Record<string, string>).proof).toBe(proof),
  );

  test('a version is proven by what is strong in both', () => {
    const tag = of({ etag: '"a"' });
    expect(isProven(tag, of({ etag: '"a"' }), false)).toBe(true);
    expect(isProven(tag, of({ etag: 'W/"a"' }), true)).toBe(false);
    expect(isProven(tag, of({}), true)).toBe(false);
    const date = of({ 'last-modified': SECOND_BEFORE, date: DATE });
    for (const asked of [false, true]) {
      expect(isProven(date, date, asked)).toBe(true);
      expect(isProven(date, of({ etag: '"a"', 'last-modified': SECOND_BEFORE, date: DATE }), asked)).toBe(true);
      // What a cache has kept since that very second may be of before the last change in it.
      expect(isProven(date, of({ 'last-modified': SECOND_BEFORE, date: SECOND_BEFORE }), asked)).toBe(false);
      expect(isProven(date, of({ 'last-modified': SECOND_BEFORE }), asked)).toBe(false);
    }
    expect(isProven(date, of({}), false)).toBe(false);
    expect(isProven(date, of({}), true)).toBe(true);
    expect(isProven(of({ etag: 'W/"a"' }), of({ etag: 'W/"a"' }), true)).toBe(false);
  });

  test('dates are compared as moments, and only where the tags do not say that it is the same', () => {
    const written = of({ 'last-modified': 'Sun, 06 Nov 1994 08:49:37 GMT' });
    expect(difference(written, of({ 'last-modified': 'Sun Nov  6 08:49:37 1994' }))).toBeNull();
    expect(difference(written, of({ 'last-modified': 'Sun Nov  6 08:49:38 1994' }))).toMatch(/modified/);
    const tagged = (etag: string, date: string) => of({ etag, 'last-modified': date });
    expect(difference(tagged('"a"', DATE), tagged('"a"', SECOND_BEFORE))).toBeNull();
    expect(difference(tagged('W/"a"', DATE), tagged('W/"a"', SECOND_BEFORE))).toMatch(/modified/);
  });
});
