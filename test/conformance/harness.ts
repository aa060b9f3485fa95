/**
 * The smallest harness that runs on every runtime: no imports, no globals but those of the web platform.
 *
 * A case is a title and a function that throws when the promise is broken. Cases run one after the other, each with a
 * deadline, and a rejection that nobody handled fails the case during which it appeared. A case that needs something
 * which not every runtime has names it, and is skipped by that name where it is absent.
 */

/** Something that not every runtime has. */
export interface Need {
  readonly name: string;
  readonly present: boolean;
}

export interface Case {
  readonly title: string;
  readonly run: () => void | Promise<void>;
  readonly need: Need | undefined;
}

export interface Report {
  readonly runtime: string;
  readonly passed: number;
  readonly failed: number;
  readonly failures: readonly { readonly title: string; readonly error: string }[];
  /** What was absent, with the number of cases skipped for it. */
  readonly absent: Readonly<Record<string, number>>;
  /** Whether this runtime lets us see unhandled rejections: tried with one on purpose before the first case. */
  readonly seesRejections: boolean;
}

/** How long a case may take. */
export const DEADLINE_MS = 10_000;

/** The next macrotask, where every runtime has reported the rejections of the one before. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function watchRejections(): unknown[] {
  const seen: unknown[] = [];
  const host = globalThis as unknown as {
    process?: { on?: (event: string, listener: (reason: unknown) => void) => void };
    addEventListener?: (event: string, listener: (event: { reason: unknown; preventDefault(): void }) => void) => void;
  };
  const note = (reason: unknown) => {
    // Deno reports each rejection both ways.
    if (!seen.includes(reason)) seen.push(reason);
  };
  host.process?.on?.('unhandledRejection', note);
  host.addEventListener?.('unhandledrejection', (event) => {
    event.preventDefault();
    note(event.reason);
  });
  return seen;
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? String(error)) : String(error);
}

/** Settles as `run` does, or rejects at the deadline. Leaves no timer behind. */
async function withDeadline(run: Case['run']): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not settled after ${DEADLINE_MS} ms`)), DEADLINE_MS);
  });
  try {
    await Promise.race([run(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs all cases on the runtime that we are in. Never rejects. */
export async function runCases(runtime: string, cases: readonly Case[]): Promise<Report> {
  const rejections = watchRejections();
  Promise.reject(new Error('on purpose'));
  await turn();
  await turn();
  const seesRejections = rejections.splice(0).length > 0;
  const failures: { title: string; error: string }[] = [];
  const absent: Record<string, number> = {};
  let passed = 0;
  for (const { title, run, need } of cases) {
    if (need?.present === false) {
      absent[need.name] = (absent[need.name] ?? 0) + 1;
      continue;
    }
    const errors: string[] = [];
    try {
      await withDeadline(run);
    } catch (error) {
      errors.push(describe(error));
    }
    await turn();
    await turn();
    for (const reason of rejections.splice(0)) errors.push(`unhandled rejection: ${describe(reason)}`);
    if (errors.length === 0) passed++;
    else failures.push({ title, error: errors.join('\n') });
  }
  return { runtime, passed, failed: failures.length, failures, absent, seesRejections };
}
