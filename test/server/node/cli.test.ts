/** The command that starts a server, as a process of its own. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseArguments, USAGE, UsageError } from '../../../packages/server/src/cli/arguments.ts';
import { cleanUp, RawClient, repliesIn } from './node-rig.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const URL_LINE = /^fanpipe listens on (http:\/\/127\.0\.0\.1:(\d+))\n$/;

class Command {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly exited: Promise<[code: number | null, signal: string | null]>;

  constructor(command: string, args: string[], cwd: string = root) {
    // The last one is for what a test has it tell besides.
    this.child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
    this.child.stdout?.on('data', (text) => (this.stdout += String(text)));
    this.child.stderr?.on('data', (text) => (this.stderr += String(text)));
    // All it has said is there by then.
    this.exited = once(this.child, 'close') as Promise<[number | null, string | null]>;
    cleanUp(() => this.child.kill('SIGKILL'));
  }

  /** The port, once it listens. */
  async listening(): Promise<number> {
    while (!this.stdout.includes('\n')) {
      const what = await Promise.race([once(this.child.stdout as NodeJS.EventEmitter, 'data'), this.exited]);
      if (this.child.exitCode !== null) throw new Error(`it ended: ${String(what)} ${this.stderr}`);
    }
    return Number(URL_LINE.exec(this.stdout)?.[2]);
  }
}

/** The command from its sources: nothing has to be built. */
const fanpipe = (...args: string[]): Command => fanpipeWith('', ...args);

/** The same, after something else. */
function fanpipeWith(before: string, ...args: string[]): Command {
  const run = `${before}import('./packages/server/src/cli/main.ts').then(({ main }) => main(process.argv.slice(1)))
    .then((code) => process.exit(code))`;
  return new Command(process.execPath, ['--import', 'tsx', '--eval', run, '--', ...args]);
}

const put = 'PUT /v1/stream/a HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nabc';

describe('the command', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('says where it listens, serves, and %s ends it well', async (signal) => {
    const command = fanpipe('--port', '0');
    const client = await RawClient.open(await command.listening());
    client.send(put);
    await client.until('201 Created');
    client.text = '';
    client.get('/v1/stream/a?live=sse&offset=-1');
    await client.until('data:abc');
    command.child.kill(signal);
    expect(await command.exited).toEqual([0, null]);
    expect(await client.closed).toBe(false);
    expect(repliesIn(client.text)).toMatchObject([{ status: 200, isComplete: true }]);
    expect(command.stdout).toMatch(URL_LINE);
    expect(command.stderr).toBe('');
  });

  test('from a clone, through npm, SIGTERM ends it just as well, and a folder is one of where the user stands', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fanpipe-cli-'));
    cleanUp(() => rmSync(folder, { recursive: true, force: true }));
    const args = ['--prefix', root, 'run', '-s', 'serve', '--', '--port', '0', '--data', 'streams'];
    const command = new Command('npm', args, folder);
    const client = await RawClient.open(await command.listening());
    client.send(put);
    await client.until('201 Created');
    client.text = '';
    client.get('/v1/stream/a?live=sse&offset=-1');
    await client.until('data:abc');
    command.child.kill('SIGTERM');
    expect(await command.exited).toEqual([0, null]);
    expect(repliesIn(client.text)).toMatchObject([{ status: 200, isComplete: true }]);
    expect(readdirSync(folder)).toEqual(['streams']);
  });

  test('a second signal does not wait', async () => {
    const command = fanpipe('--port', '0');
    const port = await command.listening();
    const client = await RawClient.open(port);
    client.send(put);
    await client.until('201 Created');
    // An upload that does not end holds it.
    client.send('POST /v1/stream/a HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: 30\r\n\r\nabc');
    const other = await RawClient.open(port);
    do {
      other.text = '';
      other.get('/metrics');
      await other.until('fanpipe_received_bytes_total ');
      await other.until(/\nfanpipe_process_uptime_seconds .*\n/);
    } while (!other.text.includes(`\nfanpipe_received_bytes_total ${client.sent + other.sent}\n`));
    command.child.kill('SIGTERM');
    // It has heard that when it closes what is idle.
    await other.closed;
    expect(command.child.exitCode).toBe(null);
    command.child.kill('SIGTERM');
    expect(await command.exited).toEqual([143, null]);
  });

  test('it serves on when nobody reads any more what it prints', async () => {
    // What it has printed it tells on another pipe too.
    const command = fanpipeWith(
      `const { log } = console;
      console.log = (text) => { log(text); require('node:fs').writeSync(3, text + '\\n'); };`,
      '--port',
      '0',
    );
    command.child.stdout?.destroy();
    command.child.stderr?.destroy();
    const [line] = await Promise.race([once(command.child.stdio[3] as NodeJS.EventEmitter, 'data'), command.exited]);
    const client = await RawClient.open(Number(URL_LINE.exec(String(line))?.[2]));
    client.send(put);
    await client.until('201 Created');
    command.child.kill('SIGTERM');
    expect(await command.exited).toEqual([0, null]);
  });

  test('a store that cannot be closed is one line and exit 1', async () => {
    const command = fanpipeWith(
      `const { StreamServer } = await import('./packages/server/src/stream-server.ts');
      StreamServer.prototype.close = async () => { throw new Error('no space left\\nat all'); };`,
      '--port',
      '0',
    );
    await command.listening();
    command.child.kill('SIGTERM');
    expect(await command.exited).toEqual([1, null]);
    expect(command.stderr).toBe('fanpipe: no space left\n');
  });

  test('the long-poll timeout is what was said', async () => {
    const command = fanpipe('--port', '0', '--long-poll-timeout', '80');
    const client = await RawClient.open(await command.listening());
    client.send(put);
    await client.until('201 Created');
    client.text = '';
    const began = performance.now();
    client.get('/v1/stream/a?live=long-poll&offset=now');
    await client.until('204 No Content');
    expect(performance.now() - began).toBeGreaterThanOrEqual(79);
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  test('with --data it has its streams again, ended well or killed, and nobody else has the folder meanwhile', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fanpipe-cli-'));
    cleanUp(() => rmSync(folder, { recursive: true, force: true }));
    const data = join(folder, 'made', 'by it');
    let expected = '';
    for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM'] as const) {
      const command = fanpipe('--port', '0', '--data', data);
      const client = await RawClient.open(await command.listening());
      if (expected === '') {
        client.send(put);
        await client.until('201 Created');
        expected = 'abc';
      } else {
        client.get('/v1/stream/a');
        await client.until(/\r\n\r\n\w+$/);
        expect(repliesIn(client.text)).toMatchObject([{ status: 200, body: expected }]);
        client.text = '';
        client.send(
          'POST /v1/stream/a HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\ndef',
        );
        await client.until('204 No Content');
        expected += 'def';
      }
      const second = fanpipe('--port', '0', '--data', data);
      expect(await second.exited).toEqual([1, null]);
      expect(second.stderr).toMatch(/^fanpipe: The store .* is in use by .*\n$/);
      command.child.kill(signal);
      expect(await command.exited).toEqual(signal === 'SIGKILL' ? [null, 'SIGKILL'] : [0, null]);
    }
  });

  test('a folder that cannot be one is one line and exit 1', async () => {
    const command = fanpipe('--port', '0', '--data', join(root, 'package.json', 'below'));
    expect(await command.exited).toEqual([1, null]);
    expect(command.stderr).toMatch(/^fanpipe: .*\n$/);
  });

  test('from a clone, by its script', async () => {
    const command = new Command(process.execPath, ['scripts/serve.mjs', '--port', '0']);
    const port = await command.listening();
    const health = await fetch(`http://127.0.0.1:${port}/health`);
    expect([health.status, await health.text()]).toEqual([200, 'ok\n']);
    command.child.kill('SIGTERM');
    expect(await command.exited).toEqual([0, null]);
    expect(command.stdout).toMatch(URL_LINE);
  });

  test('a port in use is one line and exit 1', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    cleanUp(() => other.close());
    const { port } = other.address() as { port: number };
    const command = fanpipe('--port', String(port));
    expect(await command.exited).toEqual([1, null]);
    expect(command.stdout).toBe('');
    expect(command.stderr).toBe(
      `fanpipe: port ${port} of 127.0.0.1 is in use: stop what listens there, or choose another --port\n`,
    );
  });

  test('an address of another machine is one line and exit 1', async () => {
    const command = fanpipe('--port', '0', '--host', '192.0.2.1');
    expect(await command.exited).toEqual([1, null]);
    expect(command.stderr).toBe('fanpipe: 192.0.2.1 is no address of this machine\n');
  });

  test('bad arguments are one line and exit 2', async () => {
    const command = fanpipe('--port', 'http');
    expect(await command.exited).toEqual([2, null]);
    expect(command.stderr).toBe(
      'fanpipe: --port must be a whole number from 0 to 65535, got "http" (--help shows all)\n',
    );
  });

  test('--help says all and is no error', async () => {
    const command = fanpipe('--help');
    expect(await command.exited).toEqual([0, null]);
    expect(command.stdout).toBe(`${USAGE}\n`);
  });
});

describe('arguments', () => {
  test('defaults', () => {
    expect(parseArguments([])).toEqual({
      port: 4437,
      host: '127.0.0.1',
      data: undefined,
      longPollTimeout: undefined,
      help: false,
    });
  });

  test('all of them', () => {
    const args = ['--port', '0', '--host=::', '--data', join('a', 'b'), '--long-poll-timeout=500', '--help'];
    expect(parseArguments(args)).toEqual({
      port: 0,
      host: '::',
      data: join('a', 'b'),
      longPollTimeout: 500,
      help: true,
    });
    expect(parseArguments(['--port', '65535']).port).toBe(65_535);
  });

  test.each([
    [['--port'], '--port'],
    [['--port', ''], '--port'],
    [['--port', '65536'], '--port'],
    [['--port', '-1'], '--port'],
    [['--port', '1.5'], '--port'],
    [['--port', '0x10'], '--port'],
    [['--port', ' 1'], '--port'],
    [['--long-poll-timeout', 'soon'], '--long-poll-timeout'],
    [['--long-poll-timeout', '2147483648'], '--long-poll-timeout'],
    [['--host', ''], '--host'],
    [['--data', ''], '--data'],
    [['--verbose'], '--verbose'],
    [['folder'], 'folder'],
    [['--help=yes'], '--help'],
  ])('%j', (args, what) => {
    expect(() => parseArguments(args)).toThrow(UsageError);
    expect(() => parseArguments(args)).toThrow(what);
    try {
      parseArguments(args);
    } catch (error) {
      expect((error as Error).message).not.toContain('\n');
    }
  });
});
