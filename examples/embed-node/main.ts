/** Two people log in, one starts a job, and its output is watched live, later and by somebody who may not. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { startApp } from './app.ts';

const port = process.argv[2];
const app = await startApp(Number(port ?? 0));

if (port !== undefined) {
  // With a port it is there to be tried out, until it is told to end.
  console.log(`Open ${app.url}/ in a browser. Ctrl-C ends it.`);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  await app.close();
} else {
  console.log('=== Streams in a node:http server ===\n');

  const logIn = async (user: string): Promise<HeadersInit> => {
    const reply = await fetch(`${app.url}/login/${user}`, { method: 'POST' });
    return { cookie: reply.headers.get('set-cookie')?.split(';')[0] ?? '' };
  };
  const ada = await logIn('ada');
  const bob = await logIn('bob');

  const started = await fetch(`${app.url}/jobs`, { method: 'POST', headers: ada });
  const stream = `${app.url}${started.headers.get('location')}`;
  console.log('Ada starts a job');

  // As `curl -N` would: plain bytes, from the start, until the job is over.
  const live = await fetch(`${stream}?live=raw`, { headers: ada });
  // As an EventSource in a browser would.
  const events = await fetch(`${stream}?live=sse&offset=-1`, { headers: ada });
  const output = await live.text();
  const lines = output.trimEnd().split('\n');
  console.log(`She watches it live:\n  ${lines[0]}\n  …\n  ${lines.at(-1)}`);

  const data = [...(await events.text()).matchAll(/^event: data\n((?:data:.*\n)+)/gm)].map(([, lines]) =>
    (lines as string).trimEnd().replace(/^data: ?/gm, ''),
  );
  assert.equal(data.join(''), output);
  console.log('Her browser shows the same, as events');

  const again = await fetch(stream, { headers: ada });
  assert.equal(await again.text(), output);
  console.log(`Later: all of it, closed: ${again.headers.get('stream-closed')}`);
  const head = await fetch(stream, { method: 'HEAD', headers: ada });
  assert.ok(head.headers.get('stream-next-offset')?.endsWith(String(Buffer.byteLength(output))));
  console.log(`HEAD: ${head.status}, ${head.headers.get('content-type')}`);

  console.log(`Bob asks for it: ${(await fetch(stream, { headers: bob })).status}`);
  console.log(`Somebody who is not logged in: ${(await fetch(stream)).status}`);
  console.log(`Ada writes to it over HTTP: ${(await fetch(stream, { method: 'POST', headers: ada })).status}`);
  console.log(`A page of the application: ${(await fetch(app.url)).status}`);

  await app.close();
  await assert.rejects(fetch(app.url));
  console.log('\n✓ One server, one port, one log-in.');
}
