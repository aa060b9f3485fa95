import type { Case, Need } from './harness.ts';

/** A case that every runtime must pass. */
export function test(title: string, run: Case['run']): Case {
  return { title, run, need: undefined };
}

/** A case for the runtimes that have what it needs. */
export function testWith(name: string, present: boolean, title: string, run: Case['run']): Case {
  const need: Need = { name, present };
  return { title, run, need };
}
