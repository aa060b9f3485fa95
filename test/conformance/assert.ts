/** Assertions for the conformance cases: no imports, since they run everywhere. */

function show(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (ArrayBuffer.isView(value))
    return `bytes [${[...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)]}]`;
  if (typeof value === 'object' && value !== null) {
    return JSON.stringify(value, (_, item: unknown) => (item === undefined ? '(undefined)' : item));
  }
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

function differ(actual: unknown, expected: unknown, what: string): never {
  throw new Error(`${what}: expected ${show(expected)}, got ${show(actual)}`);
}

/** The same value, by `Object.is`. */
export function equal<T>(actual: T, expected: T, what: string): void {
  if (!Object.is(actual, expected)) differ(actual, expected, what);
}

/** The same JSON: for arrays and plain objects of plain values. */
export function same(actual: unknown, expected: unknown, what: string): void {
  if (show(actual) !== show(expected)) differ(actual, expected, what);
}

export function ok(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

/** The same text, once decoded. */
export function sameText(actual: Uint8Array | undefined | null, expected: string, what: string): void {
  if (!(actual instanceof Uint8Array)) differ(actual, expected, what);
  equal(new TextDecoder().decode(actual), expected, what);
}

function check(error: unknown, expected: string | Error | object, what: string): void {
  if (typeof expected === 'string') {
    const code = (error as { code?: unknown } | null)?.code;
    if (code !== expected)
      throw new Error(`${what}: expected the code ${expected}, got ${show(code)} of ${show(error)}`);
  } else if (typeof expected === 'function') {
    ok(error instanceof expected, `${what}: expected a ${expected.name}, got ${show(error)}`);
  } else {
    equal(error, expected, what);
  }
}

/** `run` throws an error with this code, of this class, or exactly this value. */
export function throws(run: () => unknown, expected: string | object, what: string): void {
  let value: unknown;
  try {
    value = run();
  } catch (error) {
    check(error, expected, what);
    return;
  }
  throw new Error(`${what}: expected a throw, it returned ${show(value)}`);
}

/** `promise` rejects with an error with this code, of this class, or exactly this value. */
export async function rejects(promise: PromiseLike<unknown>, expected: string | object, what: string): Promise<void> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    check(error, expected, what);
    return;
  }
  throw new Error(`${what}: expected a rejection, it resolved with ${show(value)}`);
}

/** Whether `promise` has settled by now, without waiting for more than the microtasks that are due. */
export async function isSettled(promise: PromiseLike<unknown>): Promise<boolean> {
  let settled = false;
  const note = () => {
    settled = true;
  };
  promise.then(note, note);
  for (let hop = 0; hop < 20; hop++) await undefined;
  return settled;
}
