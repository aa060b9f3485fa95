/** The same with `.pipe()`: a client that stops reading stops all of them. */
import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { CLIENTS, connect, FILE_SIZE, makeFile, serve } from './clients.ts';

console.log('=== The same with .pipe() ===\n');
console.log(`${FILE_SIZE / 1024 / 1024} MiB to ${CLIENTS} clients; client ${CLIENTS} stops reading`);

const { path, digest } = makeFile();
const { server, responses } = await serve();
const clients = connect(server);
const readers = clients.slice(0, -1);
const sleeper = clients[CLIENTS - 1];

const piped = await responses;
const file = createReadStream(path, { highWaterMark: 1024 * 1024 });
for (const response of piped) file.pipe(response);
let sent = 0;
file.on('data', (chunk) => {
  sent += chunk.length;
});

/** Bytes that have left this process, of which the operating system may hold a few million for a client. */
const gone = (): number => piped.reduce((sum, { socket }) => sum + (socket?.bytesWritten ?? 0), 0);

// Frozen is: every client that reads has all that was sent, the one that does not is all that the file waits for, and no
// byte has moved for many turns of the event loop. No timer: each part of this stays true by itself.
let still = 0;
for (let before = -1; still < 1000; await turnOfTheLoop()) {
  assert.ok(sent < FILE_SIZE || readers.some(({ received }) => received < FILE_SIZE), 'nothing froze');
  const isWaiting = file.isPaused() && piped[CLIENTS - 1]?.writableNeedDrain === true;
  const haveAll = readers.every(({ received }) => received === sent);
  const now = gone();
  still = isWaiting && haveAll && now === before ? still + 1 : 0;
  before = now;
}
assert.ok(sent < FILE_SIZE);
console.log(`Frozen: clients 1 to ${CLIENTS - 1} have all that was sent, which is not the whole file`);

console.log(`Client ${CLIENTS} reads on`);
sleeper?.readOn();
for (const client of clients) assert.equal(await client.digest, digest);
console.log('✓ All clients have the whole file now: nothing but that one client was in the way.');
server.close();
