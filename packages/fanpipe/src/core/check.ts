import { InvalidArgumentError } from '../errors.ts';

/** Refuses what is no whole number from 0. */
export function checkAmount(argument: string, value: unknown): void {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError(argument, value, 'a whole number from 0');
  }
}

/** Refuses what is no object of options. */
export function checkOptions(options: unknown): void {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidArgumentError('options', options, 'an object');
  }
}

/** Refuses what is no AbortSignal. */
export function checkSignal(signal: unknown): void {
  if (signal === undefined) return;
  const { aborted, addEventListener, removeEventListener } = (signal ?? {}) as Partial<AbortSignal>;
  const isSignal =
    typeof aborted === 'boolean' && typeof addEventListener === 'function' && typeof removeEventListener === 'function';
  if (!isSignal) throw new InvalidArgumentError('signal', signal, 'an AbortSignal');
}

/** Refuses what is no function, where there is something. */
export function checkCallback(argument: string, callback: unknown): void {
  if (callback !== undefined && typeof callback !== 'function') {
    throw new InvalidArgumentError(argument, callback, 'a function');
  }
}

/** Refuses what cannot be iterated. A string can, but nobody means its characters. */
export function checkIterable(argument: string, value: unknown): void {
  if (typeof value === 'object' && value !== null && Symbol.iterator in value) return;
  throw new InvalidArgumentError(argument, value, 'an iterable');
}
