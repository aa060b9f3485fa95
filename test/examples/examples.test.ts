/** Each example is run by the command that its README gives, and prints exactly what is written down here for it. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const examples = readdirSync(join(root, 'examples'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)
  .sort();

interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, args: readonly string[]): Promise<Output> {
  // On Windows npm is a script, which only a shell can start.
  const options = { cwd: root, timeout: 60_000, shell: process.platform === 'win32' };
  return new Promise((resolve) => {
    execFile(command, args, options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

const runExample = (...args: string[]): Promise<Output> => run('npm', ['run', '-s', 'example', ...args]);

const expectedFile = (name: string): string => join(root, 'test', 'examples', `${name}.expected.txt`);

test('there are examples, and nothing is expected of one that is gone', () => {
  expect(examples).toEqual(
    expect.arrayContaining([
      'basic-broadcast',
      'caching-proxy',
      'embed-express',
      'embed-fastify',
      'embed-hono',
      'embed-node',
      'http-fanout',
      'remote-zip',
      'stalled-monitor',
      'typed-broadcast',
    ]),
  );
  const expected = readdirSync(join(root, 'test', 'examples')).filter((file) => file.endsWith('.expected.txt'));
  expect(expected.map((file) => file.replace('.expected.txt', '')).sort()).toEqual(examples);
});

test.each(examples)('%s', async (name) => {
  const { code, stdout, stderr } = await runExample(name);
  expect(stdout, stderr).toBe(readFileSync(expectedFile(name), 'utf8'));
  expect(code, stderr).toBe(0);
});

test('http-fanout with .pipe() freezes until the client that sleeps reads on', async () => {
  const file = join('examples', 'http-fanout', 'with-pipe.ts');
  const { code, stdout, stderr } = await run(process.execPath, ['--import', 'tsx', file]);
  expect(stdout, stderr).toBe(readFileSync(join(root, 'test', 'examples', 'with-pipe.txt'), 'utf8'));
  expect(code, stderr).toBe(0);
});

test.each(examples)('%s has a README that gives the command', (name) => {
  const readme = join(root, 'examples', name, 'README.md');
  expect(existsSync(readme)).toBe(true);
  expect(readFileSync(readme, 'utf8')).toContain(`npm run -s example ${name}`);
});

test('a name that is not there lists those that are', async () => {
  const { code, stdout, stderr } = await runExample('no-such-example');
  expect(code).not.toBe(0);
  expect(stdout).toBe('');
  for (const name of examples) expect(stderr).toContain(name);
});
