/** Gives a class `Symbol.dispose` and `Symbol.asyncDispose`, where the runtime has them: `using` and `await using` call `leave`. */
export function implementDispose<T extends object>(prototype: T, leave: (handle: T) => void): void {
  define(prototype, Symbol.dispose, leave);
  define(prototype, Symbol.asyncDispose, async (handle) => leave(handle));
}

function define<T extends object>(prototype: T, symbol: symbol | undefined, leave: (handle: T) => unknown): void {
  if (symbol === undefined) return;
  Object.defineProperty(prototype, symbol, {
    value(this: T): unknown {
      return leave(this);
    },
    configurable: true,
    writable: true,
  });
}
