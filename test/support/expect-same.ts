/** What rigs hold a step to. Assertions of the test framework would take most of the time of a hundred thousand steps. */

export function fail(what: string): never {
  throw new Error(what);
}

export function expectSame(actual: unknown, expected: unknown, what: () => string): void {
  if (!Object.is(actual, expected)) fail(`${what()}: expected ${String(expected)}, got ${String(actual)}`);
}
