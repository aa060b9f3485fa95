/**
 * Tells a host of errors that no client has caused, by the function that it gave, or else on stderr: a store that fails without a word is found
 * too late. What the host's function throws does no harm.
 */
export function errorTeller<Rest extends unknown[]>(
  onError: ((error: unknown, ...rest: Rest) => void) | undefined,
): (error: unknown, ...rest: Rest) => void {
  if (onError === undefined) return (...[error]) => console.error(error);
  return (error, ...rest) => {
    try {
      onError(error, ...rest);
    } catch {
      // Nobody is left to tell, and clients are answered all the same.
    }
  };
}
