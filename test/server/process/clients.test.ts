/**
 * Clients of other people, through a proxy that cuts their connections: what they resume is what the stream holds.
 */

import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stream as openStream } from '@durable-streams/client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CuttingProxy } from '../../support/cutting-proxy.ts';
import { Random } from '../../support/random.ts';
import { randomSeed } from '../../support/seed.ts';
import { type HttpClient, pathOf, positionOf } from './http-client.ts';
import { ServerProcess } from './server-process.ts';
import { findTool, Run, runTool, type Tool } from './tools.ts';

const SIZE = 12 * 2 ** 20 + 345;
/** What heads, and what is in front of a cut and thrown away, may come to. */
const SLACK = 64 * 1024;
const BYTES = { 'content-type': 'application/octet-stream' };
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

let folder: string;
let server: ServerProcess;
let client: HttpClient;
let proxy: CuttingProxy;
const content = randomBytes(SIZE);
const digest = sha256(content);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fanpipe-clients-'));
  server = await ServerProcess.start({ data: join(folder, 'data') });
  client = server.client;
  for (const name of ['closed', 'open']) {
    const headers = { ...BYTES, 'stream-closed': String(name === 'closed') };
    expect((await client.call('PUT', pathOf(name), { headers, body: content })).status).toBe(201);
  }
});
afterAll(async () => {
  expect(await server.end('SIGTERM')).toEqual([0, null]);
  expect(server.stderr).toBe('');
  rmSync(folder, { recursive: true, force: true });
});

/** A proxy of its own for each test: what was cut and passed counts from 0. */
async function cutting(...cuts: number[]): Promise<CuttingProxy> {
  proxy = await CuttingProxy.start({ host: '127.0.0.1', port: client.port });
  proxy.cuts.push(...cuts);
  return proxy;
}
afterEach(() => proxy?.close());

function withTool(tool: Tool, define: () => void): void {
  describe.skipIf(tool.isSkipped)(tool.title, () => {
    beforeAll(() => {
      if (tool.path === undefined) throw new Error(tool.reason);
    });
    define();
  });
}

let files = 0;
const newFile = (): string => join(folder, `file${files++}`);

const curl = findTool('curl');
withTool(curl, () => {
  const base = ['--disable', '--silent', '--show-error', '--fail'];

  test.each(['closed', 'open'])(
    '-C - goes on with a download of a stream that is %s, from run to run',
    async (name) => {
      const { origin } = await cutting(5_000_000, 100_000, 3_000_000);
      const file = newFile();
      const codes: (number | null)[] = [];
      do codes.push((await runTool(curl, [...base, '-C', '-', '-o', file, origin + pathOf(name)])).code);
      while (codes.at(-1) !== 0 && codes.length < 9);
      expect(codes).toEqual([18, 18, 18, 0]);
      expect(sha256(readFileSync(file))).toBe(digest);
      expect(proxy.passed).toBeLessThan(SIZE + SLACK);
    },
  );

  test('-C - of a stream that has grown has what is new, and only that is sent', async () => {
    const name = 'grows';
    await client.call('PUT', pathOf(name), { headers: BYTES, body: content.subarray(0, 1_000_000) });
    const { origin } = await cutting();
    const file = newFile();
    const args = [...base, '-C', '-', '-o', file, origin + pathOf(name)];
    expect(await runTool(curl, args)).toEqual({ code: 0, stderr: '' });
    await client.call('POST', pathOf(name), { headers: BYTES, body: content.subarray(1_000_000, 1_500_000) });
    expect(await runTool(curl, args)).toEqual({ code: 0, stderr: '' });
    expect(readFileSync(file).equals(content.subarray(0, 1_500_000))).toBe(true);
    expect(proxy.passed).toBeLessThan(1_500_000 + SLACK);
  });

  test('--retry', async () => {
    const { origin } = await cutting(4_000_000);
    const file = newFile();
    const args = [...base, '--retry', '5', '--retry-all-errors', '--retry-delay', '1', '-o', file, origin];
    const { code } = await runTool(curl, [...args.slice(0, -1), origin + pathOf('closed')]);
    expect([code, sha256(readFileSync(file)), proxy.cut]).toEqual([0, digest, 1]);
  });

  test('live=raw shows each piece when it is written, and ends with the stream', async () => {
    const name = 'piped';
    await client.call('PUT', pathOf(name), { headers: BYTES });
    const run = new Run(curl, [...base, '--no-buffer', `${client.origin}${pathOf(name)}?live=raw`]);
    let written = 0;
    for (let i = 0; i < 20; i++) {
      const piece = content.subarray(written, written + 1 + i * 7_001);
      await client.call('POST', pathOf(name), { headers: BYTES, body: piece });
      written += piece.length;
      await run.wrote(written);
    }
    await client.call('POST', pathOf(name), { headers: { 'stream-closed': 'true' } });
    expect([await run.code, run.stderr]).toEqual([0, '']);
    expect(run.stdout.equals(content.subarray(0, written))).toBe(true);
  });

  test('live=raw of a stream that fails: all of it, and an error', async () => {
    const name = 'fails';
    await client.call('PUT', pathOf(name), { headers: BYTES, body: content.subarray(0, 100_000) });
    const run = new Run(curl, [...base, '--no-buffer', `${client.origin}${pathOf(name)}?live=raw`]);
    await run.wrote(100_000);
    await client.call('POST', pathOf(name), { headers: { 'stream-error': 'out%20of%20ink' } });
    expect(await run.code).toBe(18);
    expect(run.stdout.equals(content.subarray(0, 100_000))).toBe(true);
  });

  test('-T - uploads what it is given when it is given it, and readers see it at once', async () => {
    const name = 'upload';
    const url = client.origin + pathOf(name);
    await client.call('PUT', pathOf(name), { headers: BYTES });
    const reader = new Run(curl, [...base, '--no-buffer', `${url}?live=raw`]);
    const headers = ['-H', 'content-type: application/octet-stream', '-H', 'stream-closed: true'];
    const upload = new Run(curl, [...base, '-X', 'POST', ...headers, '-T', '-', url]);
    let written = 0;
    for (let i = 0; i < 20; i++) {
      const piece = content.subarray(written, written + 1 + i * 7_001);
      upload.child.stdin.write(piece);
      written += piece.length;
      await reader.wrote(written);
    }
    upload.child.stdin.end();
    expect([await upload.code, upload.stderr]).toEqual([0, '']);
    expect([await reader.code, reader.stderr]).toEqual([0, '']);
    expect(reader.stdout.equals(content.subarray(0, written))).toBe(true);
  });

  test('an upload that is cut: what had come stays, and the next one goes on after it', async () => {
    const name = 'cut-upload';
    await client.call('PUT', pathOf(name), { headers: BYTES, body: '!' });
    const { origin } = await cutting();
    const reader = new Run(curl, [...base, '--no-buffer', `${client.origin}${pathOf(name)}?live=raw`]);
    const header = ['-H', 'content-type: application/octet-stream'];
    const upload = (...more: string[]): Run =>
      new Run(curl, [...base, '-X', 'POST', ...header, ...more, '-T', '-', origin + pathOf(name)]);
    await reader.wrote(1);
    const expected: Uint8Array[] = [Buffer.from('!')];
    let there = 1;
    for (let part = 1; part <= 3; part++) {
      const before = await client.metric('connections');
      const run = upload();
      run.child.stdin.write(content.subarray(0, 50_000 * part));
      await reader.wrote(there + 10_000);
      proxy.cutAll();
      await client.untilMetric('connections', (count) => count <= before);
      // curl sees it when it has something to send.
      run.child.stdin.end(content.subarray(0, 500_000));
      expect(await run.code).not.toBe(0);
      // Appends have an order: this one stands after all that came before it.
      const { headers } = await client.call('POST', pathOf(name), { headers: BYTES, body: '!' });
      const end = positionOf(headers['stream-next-offset']);
      expected.push(content.subarray(0, end - there - 1), Buffer.from('!'));
      there = end;
    }
    const last = upload('-H', 'stream-closed: true');
    last.child.stdin.end(content.subarray(0, 1_000_000));
    expected.push(content.subarray(0, 1_000_000));
    expect([await last.code, await reader.code]).toEqual([0, 0]);
    expect(reader.stdout.equals(Buffer.concat(expected))).toBe(true);
  });
});

const wget = findTool('wget');
withTool(wget, () => {
  const base = ['--no-config', '--no-verbose', '--continue', '--waitretry=1', '--output-document'];

  test.each(['closed', 'open'])(
    '-c goes on with a download of a stream that is %s, by itself and from run to run',
    async (name) => {
      const { origin } = await cutting(2_000_000, 3_000_000, 1_000_000);
      const file = newFile();
      const url = origin + pathOf(name);
      // The first run gives up at once, the second tries again by itself.
      expect((await runTool(wget, ['--tries=1', ...base, file, url])).code).not.toBe(0);
      expect((await runTool(wget, ['--tries=9', ...base, file, url])).code).toBe(0);
      expect([sha256(readFileSync(file)), proxy.cut]).toEqual([digest, 3]);
      expect(proxy.passed).toBeLessThan(SIZE + SLACK);
    },
  );
});

const aria2c = findTool('aria2c');
withTool(aria2c, () => {
  const base = ['--no-conf', '--quiet', '--continue', '--file-allocation=none', '--split=4', '--min-split-size=1M'];

  async function load(name: string, ...cuts: number[]): Promise<{ codes: (number | null)[]; file: string }> {
    const { origin } = await cutting(...cuts);
    const file = newFile();
    const where = ['--dir', folder, '--out', file.slice(folder.length + 1), origin + pathOf(name)];
    const codes: (number | null)[] = [];
    do {
      const tries = codes.length === 0 ? 1 : 20;
      const args = ['--max-connection-per-server=4', `--max-tries=${tries}`, '--retry-wait=1'];
      codes.push((await runTool(aria2c, [...base, ...args, ...where])).code);
    } while (codes.at(-1) !== 0 && codes.length < 5);
    return { codes, file };
  }

  test('-c loads a stream that is closed over several connections, though they are cut', async () => {
    const { codes, file } = await load('closed', 1_300_000, 1_000_000, 700_000, 500_000, 400, 1_000_000);
    expect([codes.at(-1), sha256(readFileSync(file))]).toEqual([0, digest]);
    expect(proxy.cut).toBeGreaterThanOrEqual(3);
    // It asks again for pieces of which it had a part.
    expect(proxy.passed).toBeLessThan(SIZE * 1.5);
  });

  test('a stream that is open it loads in one go; once cut, it says that it cannot go on without a length', async () => {
    const whole = await load('open');
    expect([whole.codes.at(-1), sha256(readFileSync(whole.file))]).toEqual([0, digest]);
    await proxy.close();
    const { codes } = await load('open', 1_300_000);
    // 8: resuming was needed and not possible.
    expect(codes.slice(1)).toEqual([8, 8, 8, 8]);
  });
});

describe('the official client', () => {
  /** Follows a stream and begins again from the last offset it was given, however often it breaks off. */
  class Follower {
    readonly parts: Buffer[] = [];
    readonly items: unknown[] = [];
    sessions = 0;
    readonly done: Promise<void>;
    #offset = '-1';
    #isClosed = false;
    #watchers: (() => void)[] = [];

    constructor(url: string, live: false | true | 'long-poll' | 'sse', isJson: boolean) {
      this.done = this.#run(url, live, isJson);
      this.done.catch(() => {});
    }

    /** Resolves when it has so many messages, or bytes. */
    async reached(count: number): Promise<void> {
      const size = (): number => this.items.length + this.parts.reduce((sum, { length }) => sum + length, 0);
      while (size() < count) await Promise.race([new Promise<void>((go) => this.#watchers.push(go)), this.done]);
    }

    async #run(url: string, live: false | true | 'long-poll' | 'sse', isJson: boolean): Promise<void> {
      while (!this.#isClosed) {
        if (++this.sessions > 300) throw new Error(`it does not come to an end: ${this.#offset}`);
        const session = this.sessions;
        try {
          const response = await openStream({
            url,
            live,
            offset: this.#offset,
            backoffOptions: { initialDelay: 1, maxDelay: 10, multiplier: 1.3 },
            sseResilience: { minConnectionDuration: 0, logWarnings: false },
          });
          const take = (batch: { offset: string; streamClosed: boolean }): void => {
            this.#offset = batch.offset;
            this.#isClosed = batch.streamClosed;
            for (const tell of this.#watchers.splice(0)) tell();
          };
          if (isJson) {
            response.subscribeJson((batch) => {
              if (session !== this.sessions) return;
              this.items.push(...batch.items);
              take(batch);
            });
          } else {
            response.subscribeBytes((chunk) => {
              if (session !== this.sessions) return;
              this.parts.push(Buffer.from(chunk.data));
              take(chunk);
            });
          }
          await response.closed;
          // It says so before the last batch has come; one that comes still later is asked for again.
          await new Promise((go) => setImmediate(go));
        } catch (error) {
          // What the network does. What the server says is no reason to try again.
          if (!/terminated|fetch failed|other side closed|ECONNRESET/.test(String(error))) throw error;
        }
      }
    }
  }

  function cuts(random: Random): number[] {
    return Array.from({ length: 25 }, () => random.between(100, 60_000));
  }

  test.each([
    ['catch-up', false],
    ['live', true],
    ['long-poll', 'long-poll'],
    ['sse', 'sse'],
  ] as const)('bytes, %s', async (kind, live) => {
    const seed = randomSeed();
    const random = new Random(seed);
    const name = `official/bytes/${kind}`;
    const pieces = Array.from({ length: 30 }, () => random.bytes(random.between(1, 40_000)));
    const whole = Buffer.concat(pieces);
    await client.call('PUT', pathOf(name), { headers: BYTES, body: live === false ? whole : undefined });
    if (live === false) await client.call('POST', pathOf(name), { headers: { 'stream-closed': 'true' } });
    const { origin } = await cutting(...cuts(random));
    const follower = new Follower(origin + pathOf(name), live, false);
    if (live !== false) {
      let written = 0;
      for (const piece of pieces) {
        await client.call('POST', pathOf(name), { headers: BYTES, body: piece });
        await follower.reached((written += piece.length));
      }
      await client.call('POST', pathOf(name), { headers: { 'stream-closed': 'true' } });
    }
    await follower.done;
    expect(sha256(Buffer.concat(follower.parts)), `seed ${seed}`).toBe(sha256(whole));
    expect(proxy.cut).toBeGreaterThan(3);
  });

  test.each([
    ['catch-up', false],
    ['live', true],
    ['long-poll', 'long-poll'],
    ['sse', 'sse'],
  ] as const)('messages, %s', async (kind, live) => {
    const seed = randomSeed();
    const random = new Random(seed);
    const name = `official/messages/${kind}`;
    const headers = { 'content-type': 'application/json' };
    let made = 0;
    const batches = Array.from({ length: 30 }, () =>
      Array.from({ length: random.between(1, 200) }, () => ({
        n: made++,
        text: 'äöü 😀 \n\r\n data: '.repeat(random.between(0, 10)),
      })),
    );
    const body = live === false ? JSON.stringify(batches.flat()) : undefined;
    await client.call('PUT', pathOf(name), { headers, body });
    if (live === false) await client.call('POST', pathOf(name), { headers: { 'stream-closed': 'true' } });
    const { origin } = await cutting(...cuts(random));
    const follower = new Follower(origin + pathOf(name), live, true);
    if (live !== false) {
      let written = 0;
      for (const batch of batches) {
        await client.call('POST', pathOf(name), { headers, body: JSON.stringify(batch) });
        await follower.reached((written += batch.length));
      }
      await client.call('POST', pathOf(name), { headers: { 'stream-closed': 'true' } });
    }
    await follower.done;
    expect(follower.items, `seed ${seed}`).toEqual(batches.flat());
    expect(proxy.cut).toBeGreaterThan(3);
  });
});
