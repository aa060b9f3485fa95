#!/usr/bin/env node
/**
 * Runs one example: `npm run example NAME [ARGS…]` runs examples/NAME/main.ts. Arguments, standard streams and the exit
 * code are the example's own. Without a known NAME it lists the examples on stderr and exits with 2.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const examples = join(root, 'examples');
const [name, ...args] = process.argv.slice(2);
const names = readdirSync(examples, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && existsSync(join(examples, entry.name, 'main.ts')))
  .map((entry) => entry.name)
  .sort();

if (name === undefined || !names.includes(name)) {
  const problem = name === undefined ? 'Which example?' : `There is no example ${JSON.stringify(name)}.`;
  console.error(
    `${problem} npm run example NAME, where NAME is one of:\n${names.map((each) => `  ${each}`).join('\n')}`,
  );
  process.exit(2);
}

const child = spawn(
  process.execPath,
  ['--import', import.meta.resolve('tsx'), join(examples, name, 'main.ts'), ...args],
  { stdio: 'inherit' },
);
// Ctrl-C reaches the example by itself (same process group): what it does then decides the exit code.
process.on('SIGINT', () => {});
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => {
  console.error(`The example could not be started: ${error.message}`);
  process.exitCode = 1;
});
child.on('exit', (code, signal) => {
  process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
});
