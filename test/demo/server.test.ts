/** What the second part of the demo shows and checks, piece by piece. */

import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { Rates } from '../../demo/rates.ts';
import { createClients } from '../../demo/server/client-kinds.ts';
import type { ClientResult } from '../../demo/server/clients.ts';
import { readCut, readFrom } from '../../demo/server/plain-clients.ts';
import { relayLine, relayTable, showRelayLive, showRelayPlain } from '../../demo/server/progress.ts';
import { type RelayProgress, type RelayResult, relay } from '../../demo/server/relay.ts';
import { relayProblems, relaySummary } from '../../demo/server/report.ts';
import { serverPart } from '../../demo/server/server-part.ts';

const folder = mkdtempSync(join(tmpdir(), 'fanpipe-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const client: ClientResult = {
  kind: 'fast',
  bytes: 10,
  digest: 'abc',
  ms: 5,
  isCut: false,
  note: undefined,
  error: undefined,
};
const never: ClientResult = { ...client, kind: 'never reads', bytes: 0, digest: 'x', note: 'connected to the end' };

function relayed(clients: readonly ClientResult[], held = 0): RelayResult {
  const cost = { memory: 1, mapped: undefined, held };
  return { path: '/demo', bytes: 10, digest: 'abc', uploadMs: 1, ms: 9, clients, before: cost, peak: cost };
}

describe('the check of the clients', () => {
  test('all is well, whatever the one has that never reads', () => {
    const result = relayed([client, { ...client, isCut: true, note: 'resumed' }, never]);
    expect(relayProblems(result)).toEqual([]);
    expect(relaySummary(result).join('\n')).toMatch(/never reads .* connected to the end, 0 B held for it/);
  });

  test.each<[string, Partial<ClientResult>, RegExp, RegExp]>([
    ['too few bytes', { bytes: 9 }, /\(slow\) got 9 bytes, expected 10/, /slow .* 1 with other bytes/],
    ['other bytes', { digest: 'xyz' }, /\(slow\) got other bytes/, /slow .* 1 with other bytes/],
    ['a failure', { error: 'Error: gone' }, /\(slow\) failed: Error: gone/, /slow .* failed/],
    ['one that was not cut', { isCut: true }, /\(slow\) was to be cut and was not/, /slow .* same SHA-256/],
  ])('sees %s', (_, change, problem, shown) => {
    const result = relayed([client, { ...client, kind: 'slow', ...change }, never]);
    expect(relayProblems(result)).toHaveLength(1);
    expect(relayProblems(result)[0]).toMatch(problem);
    expect(relaySummary(result).join('\n')).toMatch(shown);
  });

  test('says the same of many once', () => {
    const wrong = { ...client, digest: 'xyz' };
    expect(relayProblems(relayed([wrong, wrong, client, { ...wrong, kind: 'slow' }]))).toEqual([
      '2 clients (fast) got other bytes than were uploaded.',
      'A client (slow) got other bytes than were uploaded.',
    ]);
  });

  test('sees what is held for the one that never reads', () => {
    expect(relayProblems(relayed([never], 1_048_577)).join('\n')).toMatch(/held 1048577 bytes/);
    expect(relayProblems(relayed([never], 1_048_576))).toEqual([]);
  });
});

describe('the clients', () => {
  test.each([0, 1, 10_000_000])('are 50, two of them cut unless there is nothing (%i bytes)', (size) => {
    const clients = createClients(size, Promise.resolve());
    expect(clients).toHaveLength(50);
    expect(clients.filter(({ isCut }) => isCut)).toHaveLength(size === 0 ? 0 : 2);
    expect(clients.filter(({ kind }) => kind === 'never reads')).toHaveLength(1);
  });

  test('one that was cut asks for the byte behind its last one, and for no other', async () => {
    const asked: (string | undefined)[] = [];
    let rangeStart = 4;
    const server = await listen((request, response) => {
      asked.push(request.headers.range);
      if (request.headers.range === undefined) response.write('0123456');
      else {
        const range = `bytes ${rangeStart}-9/10`;
        response.writeHead(206, { 'content-range': range, 'stream-closed': 'true' }).end('456789');
      }
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    try {
      let text = '';
      const take = (bytes: Uint8Array): void => void (text += Buffer.from(bytes).toString());
      expect(await readCut(url, take, () => {}, 4)).toBe('resumed at byte 4');
      expect(text).toBe('0123456789');
      expect(asked).toEqual([undefined, 'bytes=4-']);
      rangeStart = 5;
      await expect(readCut(url, take, () => {}, 4)).rejects.toThrow(
        'Asked for what comes behind byte 4, got bytes 5-9',
      );
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe('who goes on from a byte', () => {
  test.each([
    ['that is there', 206, 'past', 'past and present'],
    ['that is still to come', 416, 'nothing', ' and present'],
  ])('%s reads on where the reply says', async (_, status, body, expected) => {
    const server = await listen((request, response) => {
      if (request.headers.range === 'bytes=7-') {
        const headers = { 'content-range': 'bytes 7-10/*', 'stream-next-offset': 'next' };
        response.writeHead(status, headers).end(body);
      } else response.end(request.url === '/?live=raw&offset=next' ? ' and present' : request.url);
    });
    let text = '';
    try {
      const take = (bytes: Uint8Array): void => void (text += Buffer.from(bytes).toString());
      await readFrom(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, 7, take);
    } finally {
      server.closeAllConnections();
      server.close();
    }
    expect(text).toBe(expected);
  });
});

function listen(listener: Parameters<typeof createServer>[1] & {}): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer(listener as never).listen(0, '127.0.0.1', () => resolve(server));
  });
}

describe('a relay', () => {
  const options = (signal: AbortSignal) => ({
    path: join(folder, 'input.bin'),
    size: 1000,
    folder: join(folder, 'store'),
    signal,
    onProgress: () => {},
  });

  test('that is stopped ends with the reason', async () => {
    writeFileSync(join(folder, 'input.bin'), Buffer.alloc(1000));
    const stop = new AbortController();
    const running = relay(options(stop.signal));
    stop.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    await expect(relay(options(stop.signal))).rejects.toThrow('enough');
  });

  test('of a file that has gone fails', async () => {
    const gone = { ...options(new AbortController().signal), path: join(folder, 'gone.bin') };
    await expect(relay(gone)).rejects.toThrow('ENOENT');
  });
});

describe('the second part', () => {
  test('sends no more than its share of a large file, says so, and checks it', async () => {
    const data = Buffer.from(Array.from({ length: 3000 }, (_, index) => (index * index) % 251));
    const path = join(folder, 'large.bin');
    writeFileSync(path, data);
    const printed: string[] = [];
    const log = vi.spyOn(console, 'log').mockImplementation((text) => void printed.push(text));
    try {
      const stdout = { write: (text: string) => printed.push(text) };
      const output = { stdout, isScreen: false, colors: false };
      const { signal } = new AbortController();
      const result = await serverPart({ path, size: 3000 }, join(folder, 'share'), output, signal, 1000);
      expect(result?.digest).toBe(createHash('sha256').update(data.subarray(0, 1000)).digest('hex'));
    } finally {
      log.mockRestore();
    }
    expect(printed.join('\n')).toMatch(/^The first 1\.0 KiB of that go to a server/);
    expect(printed.join('\n')).toContain('49 clients got the same 1,000 bytes over HTTP');
  });
});

describe('the progress of the clients', () => {
  const progress: RelayProgress = {
    elapsed: 2000,
    uploaded: 524_288,
    isUploaded: false,
    kinds: [
      { kind: 'fast', count: 2, done: 2, bytes: 2_097_152 },
      { kind: 'slow', count: 4, done: 1, bytes: 2_097_152 },
    ],
  };

  test('is a line for a log', () => {
    expect(relayLine(progress)).toBe('  2.0 s  512 KiB uploaded, 4.0 MiB delivered, 2.0 MiB/s, 3 clients through');
  });

  test('no line of a log comes twice, and the last one comes', () => {
    const printed: string[] = [];
    const view = showRelayPlain({ write: (text: string) => printed.push(text) });
    for (const elapsed of [100, 1000, 1100, 2000]) view.show({ ...progress, elapsed });
    view.stop();
    expect(printed.map((line) => line.slice(0, 8))).toEqual(['  1.0 s ', '  2.0 s ']);
    view.show({ ...progress, elapsed: 2100 });
    view.stop();
    expect(printed.at(-1)).toMatch(/^ +2\.1 s .*\n$/);
  });

  test('is a table of the bytes and the rate of each', () => {
    const lines = relayTable(progress, 1_048_576, new Rates(), 80);
    expect(lines).toHaveLength(4);
    expect(lines[1]).toMatch(/fast +2 \[#{12}\] +1\.0 MiB +2$/);
    expect(lines[2]).toMatch(/slow +4 \[#{6}\.{6}\] +512 KiB +256 KiB\/s +1$/);
    expect(lines[3]).toContain('512 KiB of 1.0 MiB uploaded, 50 %, 2.0 s');
  });

  test.each([20, 60, 80, 200])('no line reaches the edge of a terminal of %i columns', (width) => {
    for (const line of relayTable(progress, 1e15, new Rates(), width)) expect(line.length).toBeLessThan(width);
  });

  test('goes over itself and gives the cursor back', () => {
    let drawn = '';
    const view = showRelayLive(1000, { columns: 80, write: (text: string) => (drawn += text) });
    view.show(progress);
    view.show(progress);
    view.stop();
    expect(drawn.startsWith('\u001b[?25l')).toBe(true);
    expect(drawn.split('\u001b[4A')).toHaveLength(2);
    expect(drawn.endsWith('\u001b[?25h')).toBe(true);
  });
});
