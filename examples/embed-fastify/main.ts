/** A file is uploaded piece by piece; somebody downloads it meanwhile, somebody else in two parts. All get the same bytes. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { startApp } from './app.ts';

const port = process.argv[2];
const app = await startApp(Number(port ?? 0));
const ada = { authorization: 'Bearer token-of-ada' };
const bob = { authorization: 'Bearer token-of-bob' };
const file = fileURLToPath(new URL('../../package-lock.json', import.meta.url));

const readFile = (): Readable => createReadStream(file, { highWaterMark: 16 * 1024 });

/** The digest of what comes. */
async function digestOf(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}

if (port !== undefined) {
  // With a port it is there to be tried out, until it is told to end.
  const url = `${app.url}/files/ada/notes`;
  console.log(`Write with: curl -X PUT -H 'authorization: Bearer token-of-ada' -T FILE ${url}`);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  await app.close();
} else {
  console.log('=== Streams in Fastify ===\n');
  const type = { 'content-type': 'application/octet-stream' };
  const url = `${app.url}/files/ada/lock.json`;
  const expected = await digestOf(readFile());

  console.log(
    `Bob makes a file below Ada's name: ${(await fetch(url, { method: 'PUT', headers: { ...bob, ...type } })).status}`,
  );
  console.log(`Ada makes it: ${(await fetch(url, { method: 'PUT', headers: { ...ada, ...type } })).status}`);

  // Bob downloads what is not there yet.
  const download = await fetch(`${url}?live=raw`, { headers: bob });
  const downloaded = digestOf(download.body as ReadableStream<Uint8Array>);
  const size = async (): Promise<unknown> => (await fetch(`${app.url}/sizes/ada/lock.json`, { headers: bob })).json();
  console.log('In process, before:', await size());

  // Its length is not told: it is appended as it comes.
  const upload = await fetch(url, {
    method: 'POST',
    headers: { ...ada, ...type, 'stream-closed': 'true' },
    body: Readable.toWeb(readFile()) as ReadableStream,
    duplex: 'half',
  } as RequestInit);
  console.log(`Ada uploads and closes it: ${upload.status}`);
  assert.equal(await downloaded, expected);
  console.log('Bob, who came first: the whole file, digests agree');

  const parts = ['bytes=0-9999', 'bytes=10000-'].map(async (range) => {
    const reply = await fetch(url, { headers: { ...bob, range } });
    assert.equal(reply.status, 206);
    return new Uint8Array(await reply.arrayBuffer());
  });
  const [first, second] = await Promise.all(parts);
  assert.equal(
    createHash('sha256')
      .update(first as Uint8Array)
      .update(second as Uint8Array)
      .digest('hex'),
    expected,
  );
  console.log('In two parts: the same');

  const head = await fetch(url, { method: 'HEAD', headers: bob });
  console.log(`HEAD: ${head.status}, closed: ${head.headers.get('stream-closed')}`);
  const echo = { method: 'POST', headers: { ...bob, 'content-type': 'application/json' }, body: '{"parsed":true}' };
  console.log('The rest of the application:', await (await fetch(`${app.url}/echo`, echo)).json());
  console.log(`Somebody who is not known: ${(await fetch(url)).status}`);
  await app.close();
  console.log('\n✓ Fastify decides who is who, and hands over the rest.');
}
