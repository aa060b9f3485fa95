import { InvalidArgumentError } from '../errors.ts';
import type { ProducerTuple } from './append-outcome.ts';

/** The longest id of a producer, in bytes of UTF-8: it is kept with the stream, and a store may look it up by it. */
const LONGEST_ID = 1024;

/** @throws InvalidArgumentError */
export function checkProducer(producer: ProducerTuple | undefined): void {
  if (producer === undefined) return;
  const { id, epoch, seq } = producer;
  const size = typeof id === 'string' ? utf8Size(id) : Number.NaN;
  if (!(size >= 1 && size <= LONGEST_ID)) {
    throw new InvalidArgumentError(`The id of a producer is well-formed text of 1 to ${LONGEST_ID} bytes of UTF-8`);
  }
  if (!isNumber(epoch) || !isNumber(seq)) {
    throw new InvalidArgumentError('Epoch and seq of a producer are whole numbers from 0 to 2^53 - 1');
  }
}

/** @throws InvalidArgumentError */
export function checkSeq(seq: string | undefined): void {
  if (seq === undefined || (typeof seq === 'string' && !Number.isNaN(utf8Size(seq)))) return;
  throw new InvalidArgumentError('A sequence is well-formed text');
}

function isNumber(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** Bytes of the text in UTF-8. NaN where half of a surrogate pair stands alone: stored, it would be another text. */
function utf8Size(text: string): number {
  let size = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) size++;
    else if (unit < 0x800) size += 2;
    else if (unit < 0xd800 || unit >= 0xe000) size += 3;
    else {
      const next = text.charCodeAt(++i);
      if (unit >= 0xdc00 || !(next >= 0xdc00 && next < 0xe000)) return Number.NaN;
      size += 4;
    }
  }
  return size;
}
