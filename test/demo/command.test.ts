/** The demo, run as a user runs it. */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StreamServer } from '@fanpipe/server';
import { lmdbBackend } from '@fanpipe/server/lmdb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DemoFolder } from './run-demo.ts';

const folder = new DemoFolder();
const data = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => (index * index) % 251));
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
/** The number in what the first group of a pattern matches. */
const numberIn = (text: string, pattern: RegExp): number =>
  Number(pattern.exec(text)?.[1]?.replaceAll(',', '') ?? Number.NaN);

beforeAll(() => writeFileSync(join(folder.path, 'input.bin'), data));
afterAll(() => folder.remove());

describe('what it shows', () => {
  test('a file, by a name relative to the folder of the caller', async () => {
    const { code, stdout, stderr } = await folder.start('input.bin').ended;
    expect(stderr).toBe('');
    expect(stdout).toContain('all 5 readers saw the same 3,000,000 bytes');
    expect(stdout).toContain(
      '49 clients got the same 3,000,000 bytes over HTTP, and one that never read held nobody up',
    );
    // Both parts come to the digest of the file.
    expect(stdout.split(`\nSHA-256 ${sha256(data)}\n`)).toHaveLength(3);
    for (const name of ['digest', 'gzip', 'statistics', 'copy', 'slow'])
      expect(stdout).toMatch(new RegExp(`${name} .* done`));
    for (const [kind, count] of [
      ['fast', 27],
      ['slow', 8],
      ['events', 4],
      ['long-poll', 4],
      ['late', 4],
    ]) {
      expect(stdout).toMatch(new RegExp(`\\n +${kind} +${count} +2\\.9 MiB +[\\d.]+ s .*[KM]iB/s +same SHA-256\\n`));
    }
    // Plain bytes break exactly there, and go on there; events go on behind the last one that came whole.
    expect(stdout).toMatch(/\n +bytes, cut +1 +2\.9 MiB .* same SHA-256, resumed at byte 1,200,000\n/);
    expect(stdout).toMatch(/\n +events, cut +1 +2\.9 MiB .* same SHA-256, resumed at byte [\d,]+\n/);
    expect(numberIn(stdout, /\n +events, cut .* resumed at byte ([\d,]+)\n/)).toBeLessThan(1_800_000);
    expect(stdout).toMatch(/\n +never reads +1 +0 B +- +- +connected to the end, .*B held for it\n/);
    expect(stdout).toMatch(/\nMemory of the server: .* before, .* at the highest/);
    // The last two lines say when to reach for the other parts.
    expect(stdout).toMatch(/\n\n.*RemoteByteStream \(fanpipe\/remote\)\.\n.*StreamPool \(fanpipe\/pool\)\.\n$/);
    // No escape sequences where the output is no terminal.
    expect(stdout).not.toContain('\u001b');
    expect(code).toBe(0);
    expect(folder.leftBehind).toEqual([]);
  });

  test('standard input', async () => {
    const { child, ended } = folder.start('-');
    child.stdin?.end(data.subarray(0, 100_000));
    const { code, stdout } = await ended;
    expect(stdout).toContain('all 5 readers saw the same 100,000 bytes');
    expect(stdout).toContain(sha256(data.subarray(0, 100_000)));
    expect(stdout).toContain('49 clients got the same 100,000 bytes over HTTP');
    expect(stdout).toMatch(/bytes, cut .* resumed at byte 40,000\n/);
    expect(code).toBe(0);
  });

  test.each([0, 1])('a file of %i bytes is a file too', async (size) => {
    writeFileSync(join(folder.path, 'tiny.bin'), data.subarray(0, size));
    const { code, stdout, stderr } = await folder.start('tiny.bin').ended;
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`49 clients got the same ${size} bytes over HTTP`);
    expect(stdout.split(`\nSHA-256 ${sha256(data.subarray(0, size))}\n`)).toHaveLength(3);
  });

  test('with --data the streams of all runs stay', async () => {
    const first = await folder.start('--data', 'store', 'input.bin').ended;
    expect([first.code, first.stderr]).toEqual([0, '']);
    const store = join(folder.path, 'store');
    expect(first.stdout).toContain(`It stays at /v1/stream/demo of npm run -s serve -- --data ${store}\n`);
    const second = await folder.start('input.bin', '--data', store).ended;
    expect(second.stdout).toContain('It stays at /v1/stream/demo-2 of');

    const server = new StreamServer({ backend: lmdbBackend({ path: store }) });
    try {
      for (const name of ['demo', 'demo-2']) {
        const reply = await server.fetch(new Request(`http://localhost/v1/stream/${name}?offset=-1`));
        expect(reply.headers.get('stream-closed')).toBe('true');
        expect(sha256(new Uint8Array(await reply.arrayBuffer()))).toBe(sha256(data));
      }
    } finally {
      await server.close();
    }
  });
});

describe('what it refuses', () => {
  test.each([
    ['no-such-file', /no-such-file cannot be read: there is no such file\. Give a file: npm run demo -- FILE/],
    ['.', /is a folder\. Give a file/],
    ['--what', /--what is not understood/],
    ['--data', /--data is not understood/],
  ])('%s is refused with what to do', async (argument, message) => {
    const { code, stdout, stderr } = await folder.start(argument).ended;
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });

  test('a folder for the server that is a file', async () => {
    const { code, stdout, stderr } = await folder.start('--data', 'input.bin', 'input.bin').ended;
    expect(stdout).toContain('all 5 readers saw the same');
    expect(stderr).toMatch(/The server does not start: .*input\.bin/);
    expect(code).toBe(1);
    expect(folder.leftBehind).toEqual([]);
  });
});

describe('how it is stopped', () => {
  test.skipIf(process.platform === 'win32')('by an interrupt, and leaves nothing (no signals on Windows)', async () => {
    const { child, ended, printed } = folder.start('-');
    child.stdin?.on('error', () => {});
    child.stdin?.write(data);
    await printed('slow');
    child.kill('SIGINT');
    const { code, stdout, stderr } = await ended;
    expect(stderr).toContain('stopped by SIGINT');
    expect(stdout).toContain('stopped');
    expect(code).toBe(130);
    expect(folder.leftBehind).toEqual([]);
  });

  // What it prints is closed to us only when the processes that it has started are gone too.
  test.skipIf(process.platform === 'win32')('the same while the clients read (no signals on Windows)', async () => {
    writeFileSync(join(folder.path, 'long.bin'), Buffer.alloc(40_000_000, 'long'));
    const { child, ended, printed } = folder.start('long.bin');
    await printed('clients through');
    child.kill('SIGINT');
    const { code, stdout, stderr } = await ended;
    expect(stderr).toContain('stopped by SIGINT');
    expect(stdout).not.toContain('49 clients');
    expect(code).toBe(130);
    expect(folder.leftBehind).toEqual([]);
  });

  test('by a reader of its output that has had enough', async () => {
    const { child, ended, printed } = folder.start('input.bin');
    await printed('is read once');
    child.stdout?.destroy();
    const { code, stderr } = await ended;
    expect(stderr).toContain('nobody reads the output');
    expect(code).toBe(1);
    expect(folder.leftBehind).toEqual([]);
  });
});
