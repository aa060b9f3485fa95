import { describe, test } from 'vitest';
import { cases } from './conformance.ts';
import { DEADLINE_MS } from './harness.ts';

// vitest itself fails the run on an unhandled rejection, so its own runner takes the place of the harness.
describe('conformance on the running Node', () => {
  for (const { title, run, need } of cases) {
    test(title, { timeout: DEADLINE_MS }, async (context) => {
      if (need?.present === false) context.skip(`this runtime has no ${need.name}`);
      await run();
    });
  }
});
