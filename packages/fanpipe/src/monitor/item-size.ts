/**
 * The size of an item, as `minThroughput` counts it.
 *
 * @module
 */

import { CallbackError, describeValue, InvalidArgumentError } from '../errors.ts';

/**
 * The bytes of `item`: what `size` returns, or without it the length in UTF-8 of a string, and the `byteLength` of an
 * ArrayBuffer, a SharedArrayBuffer or a view of one.
 *
 * @throws CallbackError if `size` throws or returns no size, InvalidArgumentError if it is missing and needed.
 */
export function itemSize<T>(item: T, size: ((item: T) => number) | undefined): number {
  if (size !== undefined) return sizeByCallback(item, size);
  if (typeof item === 'string') return utf8Length(item);
  if (ArrayBuffer.isView(item)) return item.byteLength;
  // The tag, not instanceof: a buffer may come from another realm, and browsers can lack SharedArrayBuffer.
  const tag = Object.prototype.toString.call(item);
  if (tag === '[object ArrayBuffer]' || tag === '[object SharedArrayBuffer]') return (item as ArrayBuffer).byteLength;
  const expected = `a function that returns the bytes of an item, since minThroughput met ${describeValue(item)}`;
  throw new InvalidArgumentError('size', size, expected);
}

function sizeByCallback<T>(item: T, size: (item: T) => number): number {
  let bytes: number;
  try {
    bytes = size(item);
  } catch (cause) {
    throw new CallbackError('size', 'threw. The item that it was to measure is delivered by the next next().', {
      cause,
    });
  }
  if (typeof bytes === 'number' && bytes >= 0 && bytes < Number.POSITIVE_INFINITY) return bytes;
  throw new CallbackError(
    'size',
    `returned ${describeValue(bytes)}: expected a finite number, zero or more. The item is delivered by the next next().`,
  );
}

/** As long as `TextEncoder` would make it, without making it: half of a surrogate pair becomes U+FFFD, three bytes. */
function utf8Length(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    if (unit < 0x800) {
      bytes += 1;
      continue;
    }
    // Three bytes for one unit, or four for the two units of a pair: two more than counted in either case.
    bytes += 2;
    if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00) index++;
  }
  return bytes;
}
