/**
 * Abort signals, with one listener on each however many monitors use it: a runtime warns of a leak at the eleventh.
 *
 * @module
 */

interface Watch {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
}

const watches = new WeakMap<AbortSignal, Watch>();

/**
 * Calls `callback` once when `signal`, which must not be aborted yet, is aborted. Returns the way to stop that, which may be
 * called at any time and more than once; with the last one stopped the listener goes.
 */
export function watchAbort(signal: AbortSignal, callback: () => void): () => void {
  let watch = watches.get(signal);
  if (watch === undefined) {
    const callbacks = new Set<() => void>();
    const listener = (): void => {
      watches.delete(signal);
      signal.removeEventListener('abort', listener);
      for (const each of callbacks) each();
    };
    watch = { callbacks, listener };
    watches.set(signal, watch);
    signal.addEventListener('abort', listener);
  }
  const { callbacks, listener } = watch;
  callbacks.add(callback);
  return () => {
    callbacks.delete(callback);
    if (callbacks.size === 0 && watches.get(signal)?.listener === listener) {
      watches.delete(signal);
      signal.removeEventListener('abort', listener);
    }
  };
}
