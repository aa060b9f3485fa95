/** Two people and the house talk in a room. Nothing is said twice and nothing is missed, though the server ends in between. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { stream } from '@durable-streams/client';
import { startApp } from './app.ts';

interface Message {
  readonly from: string;
  readonly text: string;
}

const port = process.argv[2];
const app = await startApp(Number(port ?? 0));
const lounge = `${app.url}/api/rooms/lounge`;
const ada = { authorization: 'Bearer token-of-ada' };
const bob = { authorization: 'Bearer token-of-bob' };

async function say(headers: Record<string, string>, message: Message, url = lounge): Promise<number> {
  const init = { method: 'POST', headers: { ...headers, 'content-type': 'application/json' } };
  return (await fetch(url, { ...init, body: JSON.stringify(message) })).status;
}

if (port !== undefined) {
  // With a port it is there to be tried out, until it is told to end.
  console.log(`Listen with: curl -N -H 'authorization: Bearer token-of-bob' '${lounge}?live=raw'`);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  await app.close();
} else {
  console.log('=== Streams in Express ===\n');

  // The client of the protocol reads what was said and then what is said, over long-polls.
  const room = await stream<Message>({ url: lounge, headers: bob, offset: '-1', live: 'long-poll' });
  const heard = room.jsonStream().getReader();
  const hear = async (): Promise<void> => {
    const { value } = await heard.read();
    console.log(`  ${value?.from}: ${value?.text}`);
  };
  console.log('Bob hears:');
  assert.equal(await say(ada, { from: 'ada', text: 'Is anybody here?' }), 204);
  await hear();
  assert.equal(await say(bob, { from: 'bob', text: 'I am.' }), 204);
  await hear();
  const notice = await fetch(`${app.url}/api/notices`, {
    method: 'POST',
    headers: { ...ada, 'content-type': 'application/json' },
    body: '{"text":"We close at ten."}',
  });
  assert.equal(notice.status, 202);
  await hear();
  await heard.cancel();

  const engine = `${app.url}/api/rooms/engine`;
  console.log(`Bob asks for a room that is not his: ${(await fetch(engine, { headers: bob })).status}`);
  console.log(`Bob makes a room: ${(await fetch(`${lounge}2`, { method: 'PUT', headers: bob })).status}`);
  console.log(`Somebody who is not known: ${(await fetch(lounge)).status}`);
  const head = await fetch(lounge, { method: 'HEAD', headers: bob });
  console.log(`HEAD: ${head.status}, ${head.headers.get('content-type')}`);

  // A browser that listens while the application ends.
  const events = await fetch(`${lounge}?offset=now&live=sse`, { headers: ada });
  const [rest] = await Promise.all([events.text(), app.close()]);
  const last = JSON.parse(rest.slice(rest.lastIndexOf('data:') + 'data:'.length));
  assert.deepEqual([last.streamNextOffset, last.streamClosed], [head.headers.get('stream-next-offset'), undefined]);
  console.log('The application ends: who listens is told where to go on');
  console.log('\n✓ Express decides who is who, and its parsers have left the messages alone.');
}
