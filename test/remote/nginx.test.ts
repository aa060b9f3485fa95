/** A real peer: nginx serves a large file, is restarted, has its connections cut and its file replaced. */

import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RemoteByteStream, type RemoteOptions } from '../../packages/fanpipe/src/remote/index.ts';
import { Nginx } from '../support/nginx.ts';
import { Random } from '../support/random.ts';
import { rejection, sha256 } from '../support/remote-reading.ts';
import { randomSeed } from '../support/seed.ts';

const SIZE = 64 * 2 ** 20;
const MIB = 2 ** 20;
const isCi = /^(true|1)$/.test(process.env.CI ?? '');
const finder = fileURLToPath(new URL('../../scripts/find-nginx.mjs', import.meta.url));
const found = spawnSync(process.execPath, [finder], { encoding: 'utf8' });
const binary = found.status === 0 ? found.stdout.trim() : undefined;
const reason = found.stderr.trim();

const name = binary === undefined ? `nginx as the server (skipped: ${reason})` : 'nginx as the server';
// Where everything is tested nothing is skipped: without a binary the first step fails, and says why.
describe.skipIf(binary === undefined && !isCi)(name, () => {
  const body = randomBytes(SIZE);
  const digest = sha256(body);
  let nginx: Nginx;
  let origin: string;

  beforeAll(async () => {
    if (binary === undefined) throw new Error(reason);
    nginx = await Nginx.start(binary);
    origin = nginx.proxy.origin;
    writeFileSync(join(nginx.files, 'large'), body);
    writeFileSync(join(nginx.files, 'empty'), '');
  });
  afterAll(() => nginx?.stop());

  /** Reads to the end and calls `at` with the position after each chunk. */
  async function digestOf(remote: RemoteByteStream, at?: (position: number) => Promise<void> | void): Promise<string> {
    const hash = createHash('sha256');
    for await (const chunk of remote) {
      hash.update(chunk);
      await at?.(remote.position);
    }
    return hash.digest('hex');
  }

  async function using<T>(path: string, options: RemoteOptions, work: (r: RemoteByteStream) => Promise<T>): Promise<T> {
    const remote = new RemoteByteStream(origin + path, { retry: { baseDelay: 1, maxDelay: 20 }, ...options });
    try {
      return await work(remote);
    } finally {
      remote.close();
    }
  }

  test('EXACT: the whole file, in one pass', async () => {
    await using('/large', {}, async (remote) => {
      expect(await digestOf(remote)).toBe(digest);
      const { requests, retries, bytesFetched } = remote.stats();
      expect([remote.size, remote.finished, retries, bytesFetched]).toEqual([SIZE, true, 0, SIZE]);
      // Windows of 64 KiB to 4 MiB, and then to the end.
      expect(requests).toBeLessThan(10);
    });
  });

  test('EXACT: from /gzip/, where a client that does not ask for identity gets something else', async () => {
    const plain = await fetch(`${origin}/gzip/large`, { headers: { 'accept-encoding': 'gzip' } });
    expect(plain.headers.get('content-encoding')).toBe('gzip');
    await plain.body?.cancel();
    for (const seekable of [true, false]) {
      await using('/gzip/large', { seekable }, async (remote) => expect(await digestOf(remote)).toBe(digest));
    }
  });

  test('EXACT, SEEK: random parts of it', async () => {
    const seed = randomSeed();
    const random = new Random(seed);
    await using('/large', { cacheSize: 4 * MIB }, async (remote) => {
      for (let round = 0; round < 60; round++) {
        const parts = Array.from({ length: random.between(1, 8) }, () => {
          const from = random.between(0, SIZE + 1000);
          return [from, random.between(0, random.chance(0.1) ? 600_000 : 20_000)] as const;
        });
        const got = await Promise.all(parts.map(([from, length]) => remote.readAt(from, length)));
        for (const [i, [from, length]] of parts.entries()) {
          const wanted = body.subarray(from, from + length);
          if (sha256(got[i] as Uint8Array) !== sha256(wanted)) {
            throw new Error(`FANPIPE_SEED=${seed}: other bytes from ${from}, ${length} of them, in round ${round}`);
          }
        }
        await remote.seek(random.between(0, SIZE));
        const from = remote.position;
        const length = random.between(1, 50_000);
        expect(sha256(await remote.read(length))).toBe(sha256(body.subarray(from, from + length)));
      }
      expect(remote.stats().bytesCached).toBeLessThanOrEqual(4 * MIB);
    });
  });

  test('RESUME, EXACT: its connections are cut all the time', async () => {
    const seed = randomSeed();
    const random = new Random(seed);
    const { proxy } = nginx;
    const before = proxy.cut;
    proxy.cuts.push(...Array.from({ length: 30 }, () => random.between(1, 4 * MIB)));
    // Those that are open already have no limit.
    proxy.cutAll();
    await using('/large', { retry: { attempts: 10, baseDelay: 1, maxDelay: 5 } }, async (remote) => {
      expect([seed, await digestOf(remote)]).toEqual([seed, digest]);
      expect(remote.stats().retries).toBeGreaterThan(5);
    });
    expect(proxy.cut - before).toBeGreaterThan(5);
    proxy.cuts.length = 0;
  });

  test('RESUME, EXACT: its workers are killed in the middle, and replaced in the middle', async () => {
    let killed = 0;
    await using('/large', { readAhead: 256 * 1024 }, async (remote) => {
      const got = await digestOf(remote, async (position) => {
        if (killed === 0 && position > 10 * MIB) {
          killed = 1;
          await nginx.killWorkers();
        } else if (killed === 1 && position > 30 * MIB) {
          killed = 2;
          await nginx.reload();
        }
      });
      expect(got).toBe(digest);
      expect(remote.stats().retries).toBeGreaterThan(0);
    });
    expect(killed).toBe(2);
  });

  test('EXACT: the file is replaced in the middle: told, and what was read stays right', async () => {
    const path = join(nginx.files, 'replaced');
    writeFileSync(path, body);
    utimesSync(path, new Date('2026-01-01T00:00:00Z'), new Date('2026-01-01T00:00:00Z'));
    for (const prefix of ['/', '/no-etag/']) {
      await using(`${prefix}replaced`, { readAhead: 64 * 1024 }, async (remote) => {
        const hash = createHash('sha256');
        const error = await rejection(
          (async () => {
            for await (const chunk of remote) {
              hash.update(chunk);
              if (remote.position > 5 * MIB && remote.position < 6 * MIB) {
                writeFileSync(`${path}.new`, randomBytes(SIZE));
                renameSync(`${path}.new`, path);
                nginx.proxy.cutAll();
              }
            }
          })(),
        );
        expect(error).toMatchObject({ name: 'ResourceChangedError', code: 'ERR_FANPIPE_RESOURCE_CHANGED' });
        expect(remote.position).toBeGreaterThan(5 * MIB);
        expect(hash.digest('hex')).toBe(sha256(body.subarray(0, remote.position)));
        expect((await rejection(remote.readAt(0, 1))).code).toBe('ERR_FANPIPE_RESOURCE_CHANGED');
      });
      writeFileSync(path, body);
      utimesSync(path, new Date('2026-01-01T00:00:00Z'), new Date('2026-01-01T00:00:00Z'));
    }
  });

  test('SEEK: without ranges: read through, or refused', async () => {
    await using('/no-ranges/large', {}, async (remote) => {
      expect(sha256(await remote.readAt(MIB, 1000))).toBe(sha256(body.subarray(MIB, MIB + 1000)));
    });
    await using('/no-ranges/large', {}, async (remote) => {
      expect((await rejection(remote.readAt(40 * MIB, 1000))).code).toBe('ERR_FANPIPE_NOT_SEEKABLE');
    });
  });

  test('ORIGIN, SEEK: redirected, empty, absent, and past the end', async () => {
    await using('/moved/large', {}, async (remote) => {
      expect(await remote.seek(10, 'end')).toBe(SIZE - 10);
      expect(await remote.read(100)).toEqual(new Uint8Array(body.subarray(SIZE - 10)));
      expect(await remote.readAt(SIZE, 5)).toHaveLength(0);
      expect(await remote.readAt(SIZE + 5, 5)).toHaveLength(0);
    });
    await using('/empty', {}, async (remote) => {
      expect(await remote.read(5)).toHaveLength(0);
      expect([remote.size, remote.finished]).toEqual([0, true]);
    });
    await using('/absent', {}, async (remote) => {
      expect(await rejection(remote.read(5))).toMatchObject({ code: 'ERR_FANPIPE_HTTP_STATUS', status: 404 });
    });
  });

  test('EXACT: many readers of one fetch', async () => {
    await using('/large', {}, async (remote) => {
      const writer = remote.share();
      const digests = Array.from({ length: 5 }, async (_, i) => {
        const hash = createHash('sha256');
        for await (const chunk of writer.stream({ highWaterMark: (i + 1) * MIB })) hash.update(chunk);
        return hash.digest('hex');
      });
      expect(await Promise.all(digests)).toEqual([digest, digest, digest, digest, digest]);
      expect(remote.stats().bytesFetched).toBe(SIZE);
    });
  });
});
