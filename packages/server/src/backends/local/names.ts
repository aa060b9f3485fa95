import { InvalidNameError } from '../../errors.ts';
import { LONGEST_NAME } from '../backend.ts';

const encoder = new TextEncoder();

/** @throws InvalidNameError */
export function checkName(name: string): void {
  if (typeof name !== 'string' || name.length === 0) throw new InvalidNameError('The name of a stream is empty');
  const bytes = encoder.encode(name).length;
  if (bytes > LONGEST_NAME) {
    throw new InvalidNameError(`The name of a stream has ${bytes} bytes; at most ${LONGEST_NAME} are allowed`);
  }
  if (!isWellFormed(name)) throw new InvalidNameError('The name of a stream has half a surrogate pair');
}

function isWellFormed(text: string): boolean {
  return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text);
}

/** In the order of their UTF-8 bytes, which is that of their code points. */
export function compareNames(one: string, other: string): number {
  const length = Math.min(one.length, other.length);
  for (let i = 0; i < length; i++) {
    const a = one.charCodeAt(i);
    const b = other.charCodeAt(i);
    if (a !== b) return rank(a) - rank(b);
  }
  return one.length - other.length;
}

/** Surrogates stand for what comes after all other code units. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
