import { ServerError, StorageError } from '../../errors.ts';

/** What a storage threw, as one of the errors that callers know. */
export function toStorageError(cause: unknown): ServerError {
  if (cause instanceof ServerError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new StorageError(`The store failed: ${message}`, { cause });
}
