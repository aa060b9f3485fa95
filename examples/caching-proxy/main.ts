/** Fifty clients ask a proxy for one large file at the same moment, and the proxy asks upstream once. */
import assert from 'node:assert/strict';
import { Client } from './client.ts';
import { CachingProxy } from './proxy.ts';
import { SIZE, Upstream } from './upstream.ts';

const CLIENTS = 50;
const MiB = 1024 * 1024;

console.log('=== Caching Proxy Example ===\n');
const upstream = new Upstream();
const ends: { path: string; error: unknown }[] = [];
let onEnd = (): void => {};
const proxy = new CachingProxy(await upstream.listen(), 64 * MiB, (path, error) => {
  ends.push({ path, error });
  onEnd();
});
const address = await proxy.listen();
const codes = (path: string): unknown[] =>
  ends.filter((end) => end.path === path).map(({ error }) => (error as { code?: string } | undefined)?.code);

/** Waits until the proxy has done with so many responses. */
async function ended(count: number): Promise<void> {
  while (ends.length < count) {
    await new Promise<void>((resolve) => {
      onEnd = resolve;
    });
  }
}

// ---- many at once
const large = `${address}/large.bin`;
const readers = Array.from({ length: CLIENTS - 2 }, () => new Client(large));
const slow = new Client(large, { stopAt: 1 });
const leaving = new Client(large, { stopAt: MiB });
await Promise.all([...readers, slow, leaving].map((client) => client.answered));
await Promise.all([slow.stopped, leaving.stopped]);
const { readers: streams, hits, misses } = proxy.pool.stats();
console.log(`${CLIENTS} clients ask for ${SIZE / MiB} MiB at the same moment`);
console.log(`  streams of the pool: ${streams}; opened: ${misses}; joined: ${hits}`);

// Upstream is in the middle of the file.
await leaving.leave();
await ended(1);
assert.deepEqual(codes('/large.bin'), ['ERR_FANPIPE_PREMATURE_CLOSE']);
console.log(`  one leaves in the middle: ${proxy.pool.stats().readers} streams go on`);
const late = new Client(large);
await late.answered;
console.log(`  one more comes in the middle: ${proxy.pool.stats().readers} streams`);

upstream.goOn('/large.bin');
for (const client of [...readers, late]) {
  const { bytes, digest, isBroken } = await client.answer;
  assert.deepEqual({ bytes, digest, isBroken }, { bytes: SIZE, digest: upstream.digest, isBroken: false });
}
console.log(`  ${readers.length} of the first and the late one: the whole file, digests agree`);
assert.ok(slow.received < SIZE);
await slow.readOn();
assert.equal((await slow.answer).digest, upstream.digest);
console.log('  the slow one reads on: the whole file, digest agrees');

const part = new Client(large, { headers: { range: `bytes=${SIZE - 1000}-` } });
const { status, bytes } = await part.answer;
assert.deepEqual([status, bytes], [206, 1000]);
assert.equal((await part.answered).headers['content-range'], `bytes ${SIZE - 1000}-${SIZE - 1}/${SIZE}`);
console.log(`  a range: ${status}, ${bytes} bytes from the pool`);
console.log(`Requests upstream: ${upstream.requests.get('/large.bin')}`);
await ended(CLIENTS + 2);

// ---- upstream breaks off
const cut = `${address}/cut.bin`;
console.log('\n2 clients ask for a file that is cut off on its way to the proxy');
const unlucky = [new Client(cut), new Client(cut)];
await Promise.all(unlucky.map((client) => client.answered));
upstream.goOn('/cut.bin');
for (const client of unlucky) {
  const { bytes, isBroken } = await client.answer;
  assert.ok(isBroken && bytes < SIZE);
}
assert.equal(upstream.requests.get('/cut.bin'), 1);
await ended(CLIENTS + 4);
console.log('  both see a broken connection, neither takes the half for the whole');
const again = await new Client(cut).answer;
assert.deepEqual([again.digest, again.isBroken], [upstream.digest, false]);
console.log('  asked again: the whole file, digest agrees');
console.log(`Requests upstream: ${upstream.requests.get('/cut.bin')}`);
await ended(CLIENTS + 5);

// ---- what else a client may be told
assert.equal((await new Client(`${address}/missing`).answer).status, 404);
for (const start of [SIZE, SIZE + 1]) {
  const behind = new Client(large, { headers: { range: `bytes=${start}-` } });
  assert.equal((await behind.answer).status, 416);
}
assert.deepEqual(
  [...codes('/large.bin').slice(1), ...codes('/cut.bin').slice(2)].filter((code) => code !== undefined),
  [],
);
upstream.server.closeAllConnections();
upstream.server.close();
assert.equal((await new Client(`${address}/other`).answer).status, 502);
assert.equal((await new Client(large).answer).digest, upstream.digest);
console.log('\nUpstream goes away: the large file still comes, from the pool');

const stats = proxy.pool.stats();
assert.equal(stats.readers, 0);
console.log(`Kept for those who come later: ${stats.bytes / MiB} MiB of at most ${stats.budget / MiB} MiB`);
proxy.close();
console.log(`✓ ${CLIENTS + 1} readers of the large file, ${upstream.requests.get('/large.bin')} request upstream.`);
