import { InvalidArgumentError } from '../errors.ts';
import type { ProducerTuple } from './append-outcome.ts';

/** The longest id of a producer, in units of UTF-16: it is kept with the stream. */
const LONGEST_ID = 1024;

/** @throws InvalidArgumentError */
export function checkProducer(producer: ProducerTuple | undefined): void {
  if (producer === undefined) return;
  const { id, epoch, seq } = producer;
  if (typeof id !== 'string' || id.length === 0 || id.length > LONGEST_ID) {
    throw new InvalidArgumentError(`The id of a producer has 1 to ${LONGEST_ID} characters`);
  }
  if (!isNumber(epoch) || !isNumber(seq)) {
    throw new InvalidArgumentError('Epoch and seq of a producer are whole numbers from 0 to 2^53 - 1');
  }
}

function isNumber(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
