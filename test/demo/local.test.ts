/** What the first part of the demo shows and checks, piece by piece. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatBytes, formatCount, formatRate, formatSeconds, formatShare } from '../../demo/format.ts';
import { type Broadcast, type BroadcastResult, type ReaderResult, startBroadcast } from '../../demo/local/broadcast.ts';
import { showLive, showPlain, tableOf } from '../../demo/local/progress.ts';
import { createReaders } from '../../demo/local/readers.ts';
import { problemsOf, summaryOf } from '../../demo/local/summary.ts';
import { Rates } from '../../demo/rates.ts';
import { openSource } from '../../demo/source.ts';

const folder = mkdtempSync(join(tmpdir(), 'fanpipe-test-'));
const file = join(folder, 'input.bin');
const data = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => (index * index) % 251));
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

beforeAll(() => writeFileSync(file, data));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

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
    const [digest] = createReaders(folder, signal);
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
