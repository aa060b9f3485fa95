/** A large zip on an HTTP server: it is listed and one member is extracted, while a small part of it is fetched. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { RemoteByteStream } from 'fanpipe/remote';
import { type Reader, unzip, type ZipEntry } from 'unzipit';
import { makeZip } from './make-zip.ts';
import { serve } from './serve.ts';

const WANTED = 'manual.txt';

/** What the zip library reads through: it wants the length, and bytes at any place. */
class RemoteReader implements Reader {
  readonly #remote: RemoteByteStream;

  constructor(remote: RemoteByteStream) {
    this.#remote = remote;
  }

  getLength(): Promise<number> {
    return this.#remote.seek(0, 'end');
  }

  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    return (await this.#remote.readAt(offset, length)) as Uint8Array<ArrayBuffer>;
  }
}

const KiB = 1024;
const show = (bytes: number): string =>
  bytes < KiB * KiB ? `${(bytes / KiB).toFixed(1)} KiB` : `${(bytes / KiB / KiB).toFixed(1)} MiB`;

async function digestOf(entry: ZipEntry): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of await entry.stream()) hash.update(chunk);
  return hash.digest('hex');
}

console.log('=== Remote Zip Example ===\n');
const { bytes, digests } = makeZip();
const { url, server, asked } = await serve('archive.zip', bytes);

const remote = new RemoteByteStream(url);
const fetched = (): string => {
  const { requests, bytesFetched } = remote.stats();
  const share = ((100 * bytesFetched) / bytes.byteLength).toFixed(1);
  return `${requests} requests, ${show(bytesFetched)} of ${show(bytes.byteLength)} (${share} %)`;
};

const { entries } = await unzip(new RemoteReader(remote));
for (const { name, size, compressionMethod } of Object.values(entries)) {
  const how = compressionMethod === 0 ? 'stored' : 'deflated';
  console.log(`  ${name.padEnd(24)}${show(size).padStart(10)}  ${how}`);
}
assert.deepEqual(Object.keys(entries), [...digests.keys()]);
console.log(`Listed with ${fetched()}`);

const entry = entries[WANTED];
assert.ok(entry);
assert.equal(await digestOf(entry), digests.get(WANTED));
console.log(`\n${WANTED}: ${show(entry.size)}, SHA-256 as before it was packed`);
console.log(`Extracted with ${fetched()}`);

// All that this needs is in the cache.
const before = remote.stats().requests;
assert.equal(await digestOf(entry), digests.get(WANTED));
assert.equal(remote.stats().requests, before);
console.log('Extracted again: no request');

// The server counts the same.
assert.deepEqual(asked, { requests: before, bytes: remote.stats().bytesFetched });
assert.ok(asked.bytes < bytes.byteLength / 20);
remote.close();
server.closeAllConnections();
server.close();
console.log('\n✓ The rest of the archive never left the server.');
