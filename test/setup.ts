/**
 * Holds every test file to the promise CLEAN: whatever a test leaves behind that the process would hear of, an unhandled
 * rejection, an uncaught exception or the warning of too many listeners, fails that test, though all its assertions passed.
 */

import { afterAll, afterEach } from 'vitest';

interface Leftover {
  kind: string;
  cause: unknown;
}

const leftovers: Leftover[] = [];

process.on('unhandledRejection', (cause) => leftovers.push({ kind: 'an unhandled rejection', cause }));
process.on('uncaughtException', (cause) => leftovers.push({ kind: 'an uncaught exception', cause }));
process.on('warning', (cause) => {
  if (cause.name === 'MaxListenersExceededWarning') leftovers.push({ kind: 'a listener warning', cause });
});

/** A rejection counts as unhandled, and a warning is told, before the event loop turns. */
async function requireNoLeftovers(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  if (leftovers.length === 0) return;
  const found = leftovers.splice(0);
  const list = found.map(({ kind, cause }) => `${kind}: ${cause instanceof Error ? cause.stack : String(cause)}`);
  throw new AggregateError(
    found.map(({ cause }) => cause),
    `CLEAN is broken; the process met\n${list.join('\n')}`,
  );
}

afterEach(requireNoLeftovers);
afterAll(requireNoLeftovers);
