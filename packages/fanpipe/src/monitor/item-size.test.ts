import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CallbackError, InvalidArgumentError } from '../errors.ts';
import { itemSize } from './item-size.ts';

describe('itemSize', () => {
  test.each([
    ['an empty Uint8Array', new Uint8Array(0), 0],
    ['a Uint8Array that is part of its buffer', new Uint8Array(100).subarray(10, 15), 5],
    ['a Float64Array', new Float64Array(3), 24],
    ['a DataView', new DataView(new ArrayBuffer(9), 2), 7],
    ['an ArrayBuffer', new ArrayBuffer(11), 11],
    ['a SharedArrayBuffer', new SharedArrayBuffer(12), 12],
    ['an empty string', '', 0],
    ['ASCII', 'abc', 3],
    ['two, three and four bytes a character', 'ä€😀', 9],
    ['half a pair at the end', 'a\ud83d', 4],
    ['half a pair before a letter', '\ud83da', 4],
    ['halves in the wrong order', '\ude00\ud83d', 6],
  ])('%s', (_, item, bytes) => {
    expect(itemSize(item, undefined)).toBe(bytes);
  });

  test('a string is as long as TextEncoder makes it', () => {
    const encoder = new TextEncoder();
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 40 }),
        fc.string({ unit: fc.nat(0xffff).map(String.fromCharCode) }),
        (a, b) => {
          expect(itemSize(a + b, undefined)).toBe(encoder.encode(a + b).length);
        },
      ),
    );
  });

  test('the size option goes before everything', () => {
    expect(itemSize('abc', () => 0)).toBe(0);
    expect(itemSize({ weight: 2.5 }, (item) => item.weight)).toBe(2.5);
  });

  test.each([[{}], [17], [null], [undefined], [[new Uint8Array(1)]]])(
    'without it, %j is refused by a typed error',
    (item) => {
      expect(() => itemSize<unknown>(item, undefined)).toThrow(InvalidArgumentError);
      expect(() => itemSize<unknown>(item, undefined)).toThrow(/size must be a function/);
    },
  );

  test.each([[-1], [Number.NaN], [Number.POSITIVE_INFINITY], ['5'], [undefined], [5n]])(
    'a callback must not return %s',
    (bytes) => {
      expect(() => itemSize('x', () => bytes as number)).toThrow(CallbackError);
    },
  );

  test('what a callback throws is the cause', () => {
    const boom = new Error('boom');
    let error: unknown;
    try {
      itemSize('x', () => {
        throw boom;
      });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(CallbackError);
    expect(error).toMatchObject({ callback: 'size', cause: boom, code: 'ERR_FANPIPE_CALLBACK' });
  });
});
