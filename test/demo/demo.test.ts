/** The demo is run as a user runs it; what it shows and what it checks is also tried piece by piece. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Broadcast, type BroadcastResult, type ReaderResult, startBroadcast } from '../../demo/broadcast.ts';
import { formatBytes, formatCount, formatRate, formatSeconds, formatShare } from '../../demo/format.ts';
import { Rates, showLive, showPlain, tableOf } from '../../demo/progress.ts';
import { createReaders } from '../../demo/readers.ts';
import { type RelayResult, relay } from '../../demo/server/relay.ts';
import { relayProblems, relaySummary } from '../../demo/server/relay-report.ts';
import { openSource } from '../../demo/source.ts';
import { problemsOf, summaryOf } from '../../demo/summary.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'fanpipe-test-'));
const temp = join(folder, 'temp');
const file = join(folder, 'input.bin');
const data = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => (index * index) % 251));
/** What the demo left of its copy; `tsx` has a folder of its own there. */
const leftBehind = (): string[] => readdirSync(temp).filter((name) => name.startsWith('fanpipe-demo-'));
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

beforeAll(() => {
  mkdirSync(temp);
  writeFileSync(file, data);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function startDemo(...args: string[]): {
  child: ChildProcess;
  ended: Promise<Ended>;
  printed(text: string): Promise<void>;
} {
  const child = spawn(process.execPath, ['--import', 'tsx', join('demo', 'main.ts'), ...args], {
    cwd: root,
    env: { ...process.env, TMPDIR: temp, INIT_CWD: folder },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
  const printed = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (stdout.includes(text)) resolve();
      };
      child.stdout.on('data', look);
      child.on('close', () => reject(new Error(`The demo ended without "${text}":\n${stdout}${stderr}`)));
      look();
    });
  return { child, ended, printed };
}

describe('the demo as a command', () => {
  test('a file, by a name relative to the folder of the caller', async () => {
    const { code, stdout, stderr } = await startDemo('input.bin').ended;
    expect(stderr).toBe('');
    expect(stdout).toContain('all 5 readers saw the same 3,000,000 bytes');
    expect(stdout).toContain(`SHA-256 ${sha256(data)}`);
    expect(stdout).toContain(
      '49 clients got the same 3,000,000 bytes over HTTP, and one that never read held nobody up',
    );
    expect(stdout.split(`SHA-256 ${sha256(data)}`)).toHaveLength(3);
    for (const [kind, count] of [
      ['fast', 28],
      ['slow', 8],
      ['events', 4],
      ['long-poll', 4],
      ['late', 4],
    ]) {
      expect(stdout).toMatch(new RegExp(`\\n +${kind} +${count} +2\\.9 MiB +[\\d.]+ s +same SHA-256\\n`));
    }
    expect(stdout).toMatch(/\n +cut +1 .* same SHA-256, cut off, went on at byte [\d,]+\n/);
    expect(stdout).toMatch(/\n +never reads +1 +0 B +- +stayed to the end, held nobody up\n/);
    // The last two lines say when to reach for the other parts.
    expect(stdout).toMatch(/\n\n.*RemoteByteStream \(fanpipe\/remote\)\.\n.*StreamPool \(fanpipe\/pool\)\.\n$/);
    for (const name of ['digest', 'gzip', 'statistics', 'copy', 'slow'])
      expect(stdout).toMatch(new RegExp(`${name} .* done`));
    // No escape sequences where the output is no terminal.
    expect(stdout).not.toContain('\u001b');
    expect(code).toBe(0);
    expect(leftBehind()).toEqual([]);
  });

  test('standard input', async () => {
    const { child, ended } = startDemo('-');
    child.stdin?.end(data.subarray(0, 100_000));
    const { code, stdout } = await ended;
    expect(stdout).toContain('all 5 readers saw the same 100,000 bytes');
    expect(stdout).toContain(sha256(data.subarray(0, 100_000)));
    expect(stdout).toContain('49 clients got the same 100,000 bytes over HTTP');
    expect(code).toBe(0);
  });

  test('nothing is a file too', async () => {
    writeFileSync(join(folder, 'empty.bin'), '');
    const { code, stdout, stderr } = await startDemo('empty.bin').ended;
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain('49 clients got the same 0 bytes over HTTP');
  });

  test.each([
    ['no-such-file', /no-such-file cannot be read: there is no such file\. Give a file: npm run demo -- FILE/],
    ['.', /is a folder\. Give a file/],
    ['--what', /--what is not understood/],
  ])('%s is refused with what to do', async (argument, message) => {
    const { code, stdout, stderr } = await startDemo(argument).ended;
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });

  test.skipIf(process.platform === 'win32')(
    'an interrupt ends it and leaves nothing (no signals on Windows)',
    async () => {
      const { child, ended, printed } = startDemo('-');
      child.stdin?.on('error', () => {});
      child.stdin?.write(data);
      await printed('slow');
      child.kill('SIGINT');
      const { code, stdout, stderr } = await ended;
      expect(stderr).toContain('stopped by SIGINT');
      expect(stdout).toContain('stopped');
      expect(code).toBe(130);
      expect(leftBehind()).toEqual([]);
    },
  );

  test.skipIf(process.platform === 'win32')('so does one while the clients read (no signals on Windows)', async () => {
    writeFileSync(join(folder, 'large.bin'), Buffer.alloc(40_000_000, 'large'));
    const { child, ended, printed } = startDemo('large.bin');
    await printed('to a server now');
    child.kill('SIGINT');
    const { code, stdout, stderr } = await ended;
    expect(stderr).toContain('stopped by SIGINT');
    expect(stdout).not.toContain('49 clients');
    expect(code).toBe(130);
    expect(leftBehind()).toEqual([]);
  });
});

function resultOf(change: Partial<ReaderResult> = {}, rest: Partial<BroadcastResult> = {}): BroadcastResult {
  const reader = {
    name: 'one',
    does: 'reads',
    received: 10,
    lag: 0,
    peakLag: 5,
    state: 'done',
    endedAfter: 100,
    digest: 'abc',
    outcome: { text: 'fine', digest: 'abc' },
  } as const;
  return {
    bytes: 10,
    digest: 'abc',
    writes: 2,
    ms: 100,
    rssBefore: 1,
    rssPeak: 2,
    error: undefined,
    readers: [reader, { ...reader, name: 'other', ...change } as ReaderResult],
    ...rest,
  };
}

describe('the check of the server', () => {
  const client = { kind: 'fast', bytes: 10, digest: 'abc', ms: 5, note: undefined, error: undefined };
  const relayed = (...clients: (typeof client | Record<string, unknown>)[]): RelayResult =>
    ({ bytes: 10, digest: 'abc', uploadMs: 1, ms: 9, clients, rssBefore: 1, rssPeak: 2 }) as unknown as RelayResult;

  test('all is well, whatever the one has that never reads', () => {
    expect(relayProblems(relayed(client, { ...client, kind: 'never reads', bytes: 0, digest: 'x' }))).toEqual([]);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ['too few bytes', { bytes: 9 }, /\(slow\) got 9 bytes, expected 10/],
    ['other bytes', { digest: 'xyz' }, /\(slow\) got other bytes/],
    ['a failure', { error: 'Error: gone' }, /\(slow\) failed: Error: gone/],
  ])('%s', (_, change, message) => {
    const result = relayed(client, { ...client, kind: 'slow', ...change });
    expect(relayProblems(result).join('\n')).toMatch(message);
    if (!('error' in change)) expect(relaySummary(result).join('\n')).toMatch(/slow .* 1 with other bytes/);
  });

  test('clients that end too early end it, and nothing is left', async () => {
    const stop = new AbortController();
    const options = {
      path: file,
      size: 1000,
      folder: join(folder, 'store'),
      signal: stop.signal,
      onProgress: () => {},
    };
    const running = relay(options);
    stop.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    await expect(relay(options)).rejects.toThrow('enough');
  });
});

describe('the check of the demo', () => {
  test('all is well', () => expect(problemsOf(resultOf(), 8, 4)).toEqual([]));

  test.each<[string, Partial<ReaderResult>, RegExp]>([
    ['too few bytes', { received: 9 }, /other got 9 bytes, expected 10/],
    ['other bytes', { digest: 'xyz' }, /other got other bytes/],
    ['a wrong result', { outcome: { text: '', digest: 'xyz' } }, /other came to the SHA-256 xyz, expected abc/],
    ['too much lag', { peakLag: 13 }, /13 bytes waited for other, expected at most 12/],
    [
      'an error',
      { outcome: undefined, error: new Error('disk full') } as Partial<ReaderResult>,
      /other failed: disk full/,
    ],
  ])('sees %s', (_, change, message) => {
    const problems = problemsOf(resultOf(change), 8, 4);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(message);
  });

  test('sees a source that failed', () => {
    expect(problemsOf(resultOf({}, { error: new Error('EIO') }), 8, 4)).toEqual(['The source failed: EIO.']);
  });

  test('a reader that fails is alone with it', async () => {
    const { stream } = await openSource(file);
    const { signal } = new AbortController();
    const [digest] = createReaders(temp, signal);
    const failing = {
      name: 'failing',
      does: 'leaves',
      async run(chunks: AsyncIterable<Uint8Array>) {
        for await (const _ of chunks) throw new Error('disk full');
        return { text: '' };
      },
    };
    const result = await startBroadcast(stream, [failing, digest as NonNullable<typeof digest>], 65_536, signal).result;
    expect(problemsOf(result, 65_536, 262_144)).toEqual(['failing failed: disk full.']);
    expect(result.readers[1]?.digest).toBe(sha256(data));
  });

  test('the summary names every reader', () => {
    const summary = summaryOf(
      resultOf({ outcome: undefined, error: new Error('disk full') } as Partial<ReaderResult>),
      8,
    );
    expect(summary.join('\n')).toMatch(/one .* fine\n.*other .* failed: disk full/);
  });
});

describe('the progress of the demo', () => {
  const broadcast: Broadcast = {
    elapsed: 1000,
    bytes: 600_000,
    readers: [
      { name: 'digest', does: 'SHA-256', received: 600_000, lag: 0, peakLag: 1, state: 'done', endedAfter: 900 },
      {
        name: 'slow',
        does: 'waits',
        received: 1000,
        lag: 599_000,
        peakLag: 1,
        state: 'reading',
        endedAfter: undefined,
      },
    ],
    result: new Promise(() => {}),
  };

  test('a table of bytes, rate and lag, with colors only where they are wanted', () => {
    const lines = tableOf(broadcast, 1_000_000, 8, new Rates(), 100, false);
    expect(lines).toHaveLength(4);
    expect(lines[1]).toMatch(/digest +SHA-256 +\[#+\.+\] +586 KiB +651 KiB\/s +0 B/);
    expect(lines[2]).toMatch(/slow +waits +\[\.+\] +1\.0 KiB +1\.0 KiB\/s +585 KiB/);
    expect(lines[3]).toContain('586 KiB of 977 KiB, 60 %');
    expect(lines.join('')).not.toContain('\u001b');
    expect(tableOf(broadcast, undefined, 8, new Rates(), 100, true).join('')).toContain('\u001b[3');
  });

  test.each([20, 60, 79, 80, 200])('no line reaches the edge of a terminal of %i columns', (width) => {
    for (const line of tableOf(broadcast, 1e15, 8, new Rates(), width, false)) expect(line.length).toBeLessThan(width);
  });

  test('what is drawn live goes over itself and gives the cursor back', () => {
    let drawn = '';
    const screen = { columns: 80, write: (text: string) => (drawn += text) };
    showLive(broadcast, 1, 8, screen, false).stop();
    expect(drawn.startsWith('\u001b[?25l')).toBe(true);
    expect(drawn).toContain('\u001b[4A');
    expect(drawn.endsWith('\u001b[?25h')).toBe(true);
  });

  test('plain lines have no escape sequences', () => {
    let printed = '';
    showPlain(broadcast, { write: (text: string) => (printed += text) }).stop();
    expect(printed).toMatch(/^ +1\.0 s {2}digest +586 KiB +651 KiB\/s {2}done\n.*slow .* lag 585 KiB\n$/);
  });

  test('a rate is that of the last second', () => {
    const rates = new Rates();
    expect(rates.of('a', 100, 500)).toEqual([100, 500]);
    expect(rates.of('a', 400, 1000)).toEqual([300, 500]);
    expect(rates.of('a', 400, 2200)).toEqual([0, 1200]);
    expect(rates.of('a', 400, 3300)).toEqual([0, 1100]);
  });

  test('amounts', () => {
    expect([0, 999, 1000, 98_932_688, 5 * 2 ** 40].map(formatBytes)).toEqual([
      '0 B',
      '999 B',
      '1.0 KiB',
      '94.3 MiB',
      '5.0 TiB',
    ]);
    expect(formatRate(1024, 500)).toBe('2.0 KiB/s');
    expect(formatRate(1024, 0)).toBe('-');
    expect([40, 12_340].map(formatSeconds)).toEqual(['0.04 s', '12.3 s']);
    expect(formatCount(98_932_688)).toBe('98,932,688');
    expect([formatShare(1, 3), formatShare(0, 0)]).toEqual(['33 %', '100 %']);
  });
});
