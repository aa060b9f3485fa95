import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    // GONE and BOUND are promises about what the collector may free, so tests need to run it.
    pool: 'forks',
    execArgv: ['--expose-gc'],
    setupFiles: ['test/setup.ts'],
    testTimeout: 60_000,
  },
});
