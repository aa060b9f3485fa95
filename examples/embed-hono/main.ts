/** A question is asked; its answer is read while it is thought of, over a line that breaks, by somebody else, and later. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { stream } from '@durable-streams/client';
import { startApp } from './app.ts';

const port = process.argv[2];
const app = await startApp(Number(port ?? 0));
const ada = { authorization: 'Bearer token-of-ada' };
const bob = { authorization: 'Bearer token-of-bob' };

if (port !== undefined) {
  // With a port it is there to be tried out, until it is told to end.
  console.log(`Ask with: curl -i -X POST -H 'authorization: Bearer token-of-ada' ${app.url}/questions`);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  await app.close();
} else {
  console.log('=== Streams in Hono ===\n');
  const answer = await readFile(new URL('./answer.txt', import.meta.url), 'utf8');

  const asked = await fetch(`${app.url}/questions`, { method: 'POST', headers: ada });
  const url = `${app.url}${asked.headers.get('location')}`;
  console.log(`Ada asks: ${asked.status}`);

  // What there is by now, and where it ends; from there on the client of the protocol, over events.
  const soFar = await fetch(`${url}?offset=-1`, { headers: ada });
  let text = await soFar.text();
  const rest = await stream({ url, headers: ada, offset: soFar.headers.get('stream-next-offset') ?? '', live: 'sse' });
  for await (const piece of rest.textStream()) text += piece;
  assert.equal(text, answer);
  console.log(`She reads while it is thought of:\n${text.trimEnd().replace(/^/gm, '  ')}`);

  const later = await fetch(url, { headers: ada });
  assert.equal(await later.text(), answer);
  console.log(`Later: all of it, closed: ${later.headers.get('stream-closed')}`);
  const part = await fetch(url, { headers: { ...ada, range: 'bytes=0-7' } });
  console.log(`A part: ${part.status}, ${JSON.stringify(await part.text())}`);
  const head = await fetch(url, { method: 'HEAD', headers: ada });
  console.log(`HEAD: ${head.status}, ${head.headers.get('content-type')}`);
  console.log(`Bob asks for her answer: ${(await fetch(url, { headers: bob })).status}`);
  console.log(`Somebody who is not known: ${(await fetch(url)).status}`);
  await app.close();
  console.log('\n✓ One fetch handler among the others of Hono.');
}
