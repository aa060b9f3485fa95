/** How a promise has settled. */
export type Settled<T = unknown> = { readonly value: T } | { readonly error: unknown };

/** Notes in `pending.actual` how `promise` settles, once it does. */
export function noteSettled<T>(promise: Promise<T>, pending: { actual: Settled<T> | undefined }): void {
  promise.then(
    (value) => {
      pending.actual = { value };
    },
    (error) => {
      pending.actual = { error };
    },
  );
}
